"""Custom fields, and cases and users found by their values."""

from typing import Any

import pytest
from folding import Log, ReadModels, email, folded_at_once
from sqlalchemy import Connection

from kanal.domain.cases import change_case, delete_case
from kanal.domain.conversation import open_case
from kanal.domain.custom_fields import (
    GivenValues,
    change_field,
    create_field,
    delete_field,
    disable_field,
    enable_field,
)
from kanal.domain.identities import Identification, delete_user
from kanal.domain.users import change_user
from kanal.projections import cases, custom_fields, users
from kanal.projections.cases import CaseFilter
from kanal.projections.custom_fields import HEAD
from kanal.projections.read_model import Page
from kanal.projections.users import UserFilter

COLOURS = {"1": "Red", "2": "Green"}
LONG = "Ё" * 5_000


def values(*cleared: str, **given: Any) -> GivenValues:
    return GivenValues(day=str, values=given, cleared=cleared)


@pytest.fixture
def log(log: Log) -> Log:
    """Of cases: text 1, checkbox 2, select 3, date 4; of users: text 5. Cases 1 to 3 of users 1 to 3."""
    for field_type in ("text", "checkbox", "select", "date"):
        field = {"title": "F", "field_type": field_type, "field_level": "case"}
        log.do(create_field, **field, options=COLOURS)
    log.do(create_field, title="F", field_type="text", field_level="user")
    for number, given in enumerate(
        (
            values(cf_1="Заказ № 5", cf_2=True, cf_3="1", cf_4="2021-12-01", cf_5="VIP"),
            values(cf_1="заказ № 50%", cf_2=False, cf_3="2", cf_5="vip_2"),
            values(cf_1=LONG),
        ),
        start=1,
    ):
        who = Identification(email=email(f"u{number}@example.com"))
        log.do(open_case, who=who, content="Hello", given_values=given)
    return log


def found(models: ReadModels, **wanted: Any) -> list[int]:
    by = {key: each if isinstance(each, list) else [each] for key, each in wanted.items()}
    page = models.ask(cases.listed, CaseFilter(custom_fields=by), Page(), "created_at_asc")
    assert page.total == len(page.rows)
    return [row.case_id for row in page.rows]


def users_found(models: ReadModels, **wanted: str) -> list[int]:
    by = {key: [each] for key, each in wanted.items()}
    page = models.ask(users.listed, UserFilter(custom_fields=by), Page())
    return [row.user_id for row in page.rows]


def test_a_field_shows_its_latest_definition(log: Log, connection: Connection) -> None:
    made = log.events[2].envelope.at
    log.do(change_field, field_id=3, title="Цвет", options={"2": "Синий"})
    log.do(disable_field, field_id=3)
    models = folded_at_once(connection, log.events)
    row = custom_fields.CustomFieldRow(
        field_id=3,
        title="Цвет",
        field_type="select",
        field_level="case",
        options={"2": "Синий"},
        retired={"1": "Red"},
        active=False,
        created_at=made,
        updated_at=log.now,
    )
    assert models.ask(custom_fields.find, 3) == row
    assert models.ask(custom_fields.find, 9) is None
    assert models.ask(custom_fields.listed, Page(2, 2)).rows[0] == row
    already = len(log.events)
    log.do(enable_field, field_id=3)
    models.fold(log.events[already:])
    assert models.ask(custom_fields.find, 3).active


def test_cases_and_users_show_their_values(log: Log, connection: Connection) -> None:
    models = folded_at_once(connection, log.events)
    assert models.ask(cases.find, 1).custom_fields == {
        "cf_1": "Заказ № 5",
        "cf_2": True,
        "cf_3": "1",
        "cf_4": "2021-12-01",
    }
    assert models.ask(users.find, 1).custom_fields == {"cf_5": "VIP"}
    assert models.ask(users.find, 3).custom_fields == {}


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        ({"cf_1": "ЗАКАЗ"}, [1, 2]),
        ({"cf_1": "№ 5"}, [1, 2]),
        ({"cf_1": "^заказ № 5^"}, [1]),
        ({"cf_1": "№ 5^"}, [1]),
        ({"cf_1": "^№"}, []),
        ({"cf_1": "0%"}, [2]),
        ({"cf_1": ["№ 5^", "50"]}, [1, 2]),
        ({"cf_1": f"^{LONG}^"}, [3]),
        ({"cf_1": f"^{LONG[1:]}^"}, []),
        ({"cf_1": f"^{LONG[:HEAD]}^"}, []),
        ({"cf_1": f"^{LONG[: HEAD - 1]}^"}, []),
        ({"cf_1": "ёё"}, [3]),
        ({"cf_2": "1"}, [1]),
        ({"cf_2": "True"}, [1]),
        ({"cf_2": "false"}, [2]),
        ({"cf_2": "maybe"}, []),
        ({"cf_3": "2"}, [2]),
        ({"cf_3": ["2", "1"]}, [1, 2]),
        ({"cf_3": "Red"}, []),
        ({"cf_4": "2021-12-01"}, [1]),
        ({"cf_5": "vip"}, [1, 2]),
        ({"cf_5": "vip", "cf_2": "0"}, [2]),
        ({"cf_9": "x"}, []),
        ({"cf_9": "x", "cf_2": "1"}, []),
        ({"cf_1": []}, [1, 2, 3]),
    ],
)
def test_cases_are_found_by_values_of_theirs_and_of_their_users(
    log: Log, connection: Connection, wanted: dict[str, Any], ids: list[int]
) -> None:
    assert found(folded_at_once(connection, log.events), **wanted) == ids


def test_users_are_found_by_their_values(log: Log, connection: Connection) -> None:
    models = folded_at_once(connection, log.events)
    assert users_found(models, cf_5="VIP") == [1, 2]
    assert users_found(models, cf_5="^vip^") == [1]
    assert users_found(models, cf_5="_") == [2]
    assert users_found(models, cf_9="x") == users_found(models, cf_1="Заказ") == []


def test_changed_values_are_found_and_old_ones_are_not(log: Log, connection: Connection) -> None:
    models = folded_at_once(connection, log.events)
    already = len(log.events)
    log.do(change_case, case_id=1, given_values=values("cf_3", cf_1="New", cf_2=False))
    log.do(change_user, user_id=1, given_values=values("cf_5"))
    models.fold(log.events[already:])
    row = models.ask(cases.find, 1)
    assert row.custom_fields == {"cf_1": "New", "cf_2": False, "cf_4": "2021-12-01"}
    assert row.updated_at == log.events[already].envelope.at
    assert (found(models, cf_1="new"), found(models, cf_1="заказ")) == ([1], [2])
    assert (found(models, cf_2="0"), found(models, cf_3="1")) == ([1, 2], [])
    assert users_found(models, cf_5="vip") == [2]
    assert models.ask(users.find, 1).updated_at == log.now


def test_a_deleted_field_is_nowhere_any_more(log: Log, connection: Connection) -> None:
    models = folded_at_once(connection, log.events)
    already = len(log.events)
    for field_id in (1, 5):
        log.do(delete_field, field_id=field_id)
    models.fold(log.events[already:])
    assert models.ask(cases.find, 2).custom_fields == {"cf_2": False, "cf_3": "2"}
    listed = models.ask(cases.listed, CaseFilter(), Page(), "created_at_asc").rows
    assert [list(row.custom_fields) for row in listed] == [
        ["cf_2", "cf_3", "cf_4"],
        ["cf_2", "cf_3"],
        [],
    ]
    assert models.ask(users.find, 1).custom_fields == {}
    assert found(models, cf_1="заказ") == users_found(models, cf_5="vip") == []
    assert models.ask(custom_fields.listed, Page()).total == 3


def test_what_is_deleted_for_good_leaves_no_values(log: Log, connection: Connection) -> None:
    for number in (1, 2, 3):
        log.do(delete_case, case_id=number)
        log.do(delete_user, user_id=number)
    rows = folded_at_once(connection, log.events).rows()
    assert rows["custom_fields.case_values"] == rows["custom_fields.user_values"] == []
