"""Companies, their domains and users."""

import pytest
from folding import Log, email, folded_at_once
from sqlalchemy import Connection

from kanal.domain.companies import (
    block_company,
    change_company,
    create_company,
    delete_company,
    disable_company,
)
from kanal.domain.conversation import open_case
from kanal.domain.identities import Identification
from kanal.projections import cases, companies, users
from kanal.projections.companies import CompanyFilter, CompanyRow
from kanal.projections.read_model import Page
from kanal.projections.users import UserFilter


def test_a_company_s_row_follows_what_happens_to_it(log: Log, connection: Connection) -> None:
    log.do(create_company, name="Acme", address="Street 1", note="VIP", domains=["b.com", "a.com"])
    created = log.now
    log.do(change_company, company_id=1, name="ACME", remove_domains=["b.com"])
    log.do(block_company, company_id=1)
    log.do(disable_company, company_id=1)
    log.do(create_company, name="Gone", domains=["gone.com"])
    log.do(delete_company, company_id=2)
    log.do(change_company, company_id=1, add_domains=["gone.com"])
    models = folded_at_once(connection, log.events)
    assert models.ask(companies.find, 1) == CompanyRow(
        company_id=1,
        name="ACME",
        default_group=0,
        address="Street 1",
        note="VIP",
        active=False,
        deleted=True,
        created_at=created,
        updated_at=log.now,
    )
    assert models.ask(companies.find, 2) is None
    assert models.ask(companies.domains_of, [1, 2]) == {1: ["a.com", "gone.com"], 2: []}
    assert models.ask(companies.names_of, [0, 1, 2]) == {1: "ACME"}


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, [1, 2]),
        ({"name": "ромаш"}, [1]),
        ({"name": "^acme^"}, [2]),
        ({"domains": "ACME"}, [2]),
        ({"domains": "^x"}, []),
        ({"address": "100%_"}, [1]),
        ({"note": "vip", "name": "acme"}, [2]),
        ({"note": "vip", "name": "ромаш"}, []),
    ],
)
def test_companies_are_found_by_parts_of_their_texts(
    log: Log, connection: Connection, wanted: dict[str, str], expected: list[int]
) -> None:
    log.do(create_company, name="Ромашка", address="100%_ street")
    log.do(create_company, name="Acme", note="VIP", domains=["a.com", "acme.org"])
    models = folded_at_once(connection, log.events)
    found = models.ask(companies.listed, CompanyFilter(**wanted), Page())
    assert [row.company_id for row in found.rows] == expected
    assert found.total == len(expected)


def test_users_and_cases_of_companies_are_counted(log: Log, connection: Connection) -> None:
    log.do(create_company, name="Acme", domains=["acme.com"])
    log.do(create_company, name="Other")
    for name in ("ann", "ann", "bob"):
        who = Identification(email=email(f"{name}@acme.com"))
        log.do(open_case, who=who, content="x")
    models = folded_at_once(connection, log.events)
    assert models.ask(users.amounts_of_users, [1, 2]) == {1: 2, 2: 0}
    assert models.ask(cases.amounts_of_companies, [1, 2]) == {1: 3, 2: 0}
    found = models.ask(users.listed, UserFilter(company_id=[1]), Page())
    assert [row.user_id for row in found.rows] == [1, 2]
    before = len(log.events)
    log.do(change_company, company_id=1, remove_users=[1])
    models.fold(log.events[before:])
    assert models.ask(users.find, 1).company_id == 0
    before = len(log.events)
    log.do(delete_company, company_id=1)
    models.fold(log.events[before:])
    assert models.ask(users.listed, UserFilter(company_id=[1]), Page()).total == 0
