"""/api/companies: for whom users work."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Annotated, Any

from aiohttp import web
from msgspec import UNSET, Struct, UnsetType
from pydantic import AfterValidator
from sqlalchemy import Connection

from kanal.domain import companies
from kanal.domain.access import check_user
from kanal.domain.errors import CompanyNotFound
from kanal.domain.work import Work
from kanal.http import contacts
from kanal.http.answers import Date, answer, empty, listing
from kanal.http.context import Call
from kanal.http.contract import Empty, Listed, One, Takes, contract
from kanal.http.dates import Dates
from kanal.http.fields import Content, Fields, Flag, Id, Line, Many, Paging, Text, wrong
from kanal.http.ids import id_in
from kanal.http.paging import page_of
from kanal.projections import cases, users
from kanal.projections import companies as read
from kanal.projections.companies import CompanyFilter, CompanyRow
from kanal.projections.read_model import Found, Page, Views

MAX_MANY = 1000
"""Domains or users in one call: each is looked up while the log waits."""


def _few(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(values) > MAX_MANY:
        raise wrong(f"may name up to {MAX_MANY}")
    return values


def _domain(given: str) -> str:
    try:
        return contacts.domain(given)
    except ValueError as error:
        raise wrong(str(error)) from None


def _not_blank(name: str) -> str:
    if not name.strip():
        raise wrong("must not be blank")
    return name


Name = Annotated[Line, AfterValidator(_not_blank)]
Domains = Annotated[
    tuple[Annotated[Line, AfterValidator(_domain)], ...], Many, AfterValidator(_few)
]
UserIds = Annotated[tuple[Id, ...], Many, AfterValidator(_few)]


class NewCompany(Fields):
    company_name: Name
    company_domains: Domains = ()
    company_default_group: Id = 0
    company_address: Content = ""
    company_note: Content = ""
    company_users: UserIds = ()


class CompanyChanges(Fields):
    company_name: Name | None = None
    add_company_domains: Domains = ()
    remove_company_domains: Domains = ()
    company_default_group: Id | None = None
    company_address: Content | None = None
    company_note: Content | None = None
    add_company_users: UserIds = ()
    remove_company_users: UserIds = ()


class CompaniesQuery(Paging):
    company_name: Text = ""
    company_domains: Text = ""
    company_address: Text = ""
    company_note: Text = ""
    amount_of_users: Flag = False
    amount_of_cases: Flag = False

    def wanted(self) -> CompanyFilter:
        return CompanyFilter(
            name=self.company_name,
            domains=self.company_domains,
            address=self.company_address,
            note=self.company_note,
        )


class CompanyAnswer(Struct, kw_only=True):
    company_id: int
    company_name: str
    company_domains: str
    """Joined by commas."""
    company_default_group: int
    company_address: str
    company_note: str
    active: bool
    deleted: bool
    created_at: Date
    updated_at: Date
    amount_of_users: int | UnsetType = UNSET
    """In lists that ask for it, and wherever one company is shown."""
    amount_of_cases: int | UnsetType = UNSET
    """In lists that ask for it."""


@contract(
    "Make a company",
    One("company", CompanyAnswer, 201),
    body=Takes("company", NewCompany, bare=True),
)
async def create(call: Call) -> web.Response:
    given = await call.given(NewCompany)
    command = partial(
        companies.create_company,
        name=given.company_name,
        default_group=given.company_default_group,
        address=given.company_address,
        note=given.company_note,
        domains=given.company_domains,
        users=given.company_users,
    )
    done = await call.submit(partial(_with_users, command, given.company_users))
    return await _answer(call, done.result, 201)


@contract("List the companies", Listed("company", CompanyAnswer), query=CompaniesQuery)
async def list_companies(call: Call) -> web.Response:
    asked, dates = call.asked(CompaniesQuery), call.context.dates
    page = page_of(asked)

    def query(connection: Connection, views: Views) -> Found[CompanyAnswer]:
        return _listed(connection, views, asked, page, dates)

    found = await call.read(query)
    return answer(listing("company", found.rows, found.total))


@contract("Show a company", One("company", CompanyAnswer))
async def show(call: Call) -> web.Response:
    return await _answer(call, _company_id(call))


@contract(
    "Change a company",
    One("company", CompanyAnswer),
    body=Takes("company", CompanyChanges, bare=True),
)
async def change(call: Call) -> web.Response:
    given = await call.given(CompanyChanges)
    details: dict[str, Any] = {
        "name": given.company_name,
        "default_group": given.company_default_group,
        "address": given.company_address,
        "note": given.company_note,
    }
    command = partial(
        companies.change_company,
        company_id=_company_id(call),
        add_domains=given.add_company_domains,
        remove_domains=given.remove_company_domains,
        add_users=given.add_company_users,
        remove_users=given.remove_company_users,
        **{name: value for name, value in details.items() if value is not None},
    )
    moved = (*given.add_company_users, *given.remove_company_users)
    return await _submit(call, partial(_with_users, command, moved))


@contract("Put a company among the deleted ones", One("company", CompanyAnswer))
async def disable(call: Call) -> web.Response:
    return await _submit(call, partial(companies.disable_company, company_id=_company_id(call)))


@contract("Block a company: its users' later cases are spam", One("company", CompanyAnswer))
async def block(call: Call) -> web.Response:
    return await _submit(call, partial(companies.block_company, company_id=_company_id(call)))


@contract("Unblock a company, or take it back from the deleted ones", One("company", CompanyAnswer))
async def restore(call: Call) -> web.Response:
    return await _submit(call, partial(companies.restore_company, company_id=_company_id(call)))


@contract("Delete a company for good", Empty())
async def delete(call: Call) -> web.Response:
    await call.submit(partial(companies.delete_company, company_id=_company_id(call)))
    return empty()


def shown(row: CompanyRow, domains: Sequence[str], dates: Dates) -> CompanyAnswer:
    return CompanyAnswer(
        company_id=row.company_id,
        company_name=row.name,
        company_domains=",".join(domains),
        company_default_group=row.default_group,
        company_address=row.address,
        company_note=row.note,
        active=row.active,
        deleted=row.deleted,
        created_at=dates.render(row.created_at),
        updated_at=dates.render(row.updated_at),
    )


def _with_users(command: Callable[[Work], int], user_ids: Iterable[int], work: Work) -> int:
    """Whoever moves users may change their profiles."""
    for user_id in user_ids:
        check_user(work, user_id)
    return command(work)


def _company_id(call: Call) -> int:
    return id_in(call.path("company"), CompanyNotFound)


async def _submit(call: Call, command: Callable[[Work], int]) -> web.Response:
    return await _answer(call, (await call.submit(command)).result)


async def _answer(call: Call, company_id: int, status: int = 200) -> web.Response:
    dates = call.context.dates

    def query(connection: Connection, views: Views) -> CompanyAnswer:
        row = read.find(connection, views, company_id)
        if row is None:
            raise CompanyNotFound(company_id)
        domains = read.domains_of(connection, views, [company_id])
        company = shown(row, domains[company_id], dates)
        company.amount_of_users = users.amounts_of_users(connection, views, [company_id])[
            company_id
        ]
        return company

    return answer({"company": await call.read(query)}, status)


def _listed(
    connection: Connection, views: Views, asked: CompaniesQuery, page: Page, dates: Dates
) -> Found[CompanyAnswer]:
    found = read.listed(connection, views, asked.wanted(), page)
    ids = [row.company_id for row in found.rows]
    domains = read.domains_of(connection, views, ids)
    rows = [shown(row, domains[row.company_id], dates) for row in found.rows]
    if asked.amount_of_users:
        amounts = users.amounts_of_users(connection, views, ids)
        for row in rows:
            row.amount_of_users = amounts[row.company_id]
    if asked.amount_of_cases:
        amounts = cases.amounts_of_companies(connection, views, ids)
        for row in rows:
            row.amount_of_cases = amounts[row.company_id]
    return Found(rows, found.total)
