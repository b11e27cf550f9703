"""Companies and their e-mail domains."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, Index, MetaData, Table, select

from kanal.domain.companies import (
    CompanyChanged,
    CompanyCreated,
    CompanyDomainAdded,
    CompanyDomainRemoved,
    CompanyWasBlocked,
    CompanyWasDeleted,
    CompanyWasDisabled,
    CompanyWasRestored,
)
from kanal.domain.stream import Recorded
from kanal.eventlog.projection import Changes, Tables
from kanal.projections.read_model import (
    Found,
    Names,
    Page,
    ReadModel,
    Views,
    columns_of,
    flag,
    found,
    number,
    one,
    text,
)
from kanal.projections.search import searched


class CompanyRow(NamedTuple):
    company_id: int
    name: str
    default_group: int
    address: str
    note: str
    active: bool
    """Not blocked."""
    deleted: bool
    """Disabled. A company that was deleted for good has no row."""
    created_at: int
    updated_at: int


class CompanyFilter(NamedTuple):
    """Parts of texts, with the search marks (search.py), without regard to case. An empty one does not filter."""

    name: str = ""
    domains: str = ""
    """A part of any of its domains."""
    address: str = ""
    note: str = ""


def define(metadata: MetaData, name: Names) -> Iterable[Table]:
    yield Table(
        name("companies"),
        metadata,
        number("company_id", key=True),
        text("name"),
        text("name_folded"),
        number("default_group"),
        text("address"),
        text("address_folded"),
        text("note"),
        text("note_folded"),
        flag("active"),
        flag("deleted"),
        number("created_at"),
        number("updated_at"),
    )
    domains = name("domains")
    yield Table(
        domains,
        metadata,
        text("domain", key=True),
        number("company_id"),
        number("position"),
        Index(f"{domains}_company", "company_id", "position"),
    )


def fold(changes: Changes, tables: Tables, recorded: Recorded) -> None:
    companies, domains = tables["companies"], tables["domains"]
    event, at = recorded.event, recorded.envelope.at
    match event:
        case CompanyCreated() | CompanyChanged():
            row = {
                "name": event.name,
                "name_folded": event.name.casefold(),
                "default_group": event.default_group,
                "address": event.address,
                "address_folded": event.address.casefold(),
                "note": event.note,
                "note_folded": event.note.casefold(),
                "updated_at": at,
            }
            if isinstance(event, CompanyCreated):
                row |= {"company_id": event.company_id, "created_at": at}
                row |= {"active": True, "deleted": False}
                changes.insert(companies, row)
            else:
                changes.update(companies, (event.company_id,), row)
        case CompanyDomainAdded():
            row = {
                "domain": event.domain,
                "company_id": event.company_id,
                "position": recorded.position,
            }
            changes.insert(domains, row)
            changes.update(companies, (event.company_id,), {"updated_at": at})
        case CompanyDomainRemoved():
            changes.delete(domains, (event.domain,))
            changes.update(companies, (event.company_id,), {"updated_at": at})
        case CompanyWasBlocked():
            changes.update(companies, (event.company_id,), {"active": False, "updated_at": at})
        case CompanyWasDisabled():
            changes.update(companies, (event.company_id,), {"deleted": True, "updated_at": at})
        case CompanyWasRestored():
            restored = {"active": True, "deleted": False, "updated_at": at}
            changes.update(companies, (event.company_id,), restored)
        case CompanyWasDeleted():
            changes.delete(companies, (event.company_id,))


PROJECTION = ReadModel(
    name="companies",
    version=1,
    handles=dict.fromkeys(
        (
            CompanyCreated,
            CompanyChanged,
            CompanyDomainAdded,
            CompanyDomainRemoved,
            CompanyWasBlocked,
            CompanyWasDisabled,
            CompanyWasRestored,
            CompanyWasDeleted,
        ),
        fold,
    ),
    define=define,
)


def find(connection: Connection, views: Views, company_id: int) -> CompanyRow | None:
    companies = views.companies["companies"]
    query = columns_of(companies, CompanyRow).where(companies.c.company_id == company_id)
    return one(connection, query, CompanyRow._make)


def listed(
    connection: Connection, views: Views, wanted: CompanyFilter, page: Page
) -> Found[CompanyRow]:
    """The oldest first. A search looks at every company: a desk has thousands of them, not millions."""
    companies, domains = views.companies["companies"], views.companies["domains"]
    c = companies.c
    conditions: list[ColumnElement[bool]] = [
        searched(column, text.casefold())
        for column, text in (
            (c.name_folded, wanted.name),
            (c.address_folded, wanted.address),
            (c.note_folded, wanted.note),
        )
        if text
    ]
    if wanted.domains:
        having = select(domains.c.company_id).where(
            searched(domains.c.domain, wanted.domains.lower())
        )
        conditions.append(c.company_id.in_(having))
    query = columns_of(companies, CompanyRow).where(*conditions).order_by(c.company_id)
    return found(connection, query, page, CompanyRow._make)


def domains_of(
    connection: Connection, views: Views, company_ids: Sequence[int]
) -> dict[int, list[str]]:
    """In the order in which they were added."""
    domains = views.companies["domains"]
    query = (
        select(domains.c.company_id, domains.c.domain)
        .where(domains.c.company_id.in_(company_ids))
        .order_by(domains.c.position)
    )
    found: dict[int, list[str]] = {company_id: [] for company_id in company_ids}
    for company_id, domain in connection.execute(query):
        found[company_id].append(domain)
    return found


def names_of(connection: Connection, views: Views, company_ids: Iterable[int]) -> dict[int, str]:
    """Only of those that exist."""
    companies = views.companies["companies"]
    query = select(companies.c.company_id, companies.c.name).where(
        companies.c.company_id.in_(set(company_ids))
    )
    return {row.company_id: row.name for row in connection.execute(query)}
