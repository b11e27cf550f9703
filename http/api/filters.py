"""/api/filters: lists of cases under a name. Omnidesk lists them; defining and selecting them is Kanal's own."""

from functools import partial
from typing import Any

from aiohttp import web
from msgspec import Struct
from sqlalchemy import Connection

from kanal.domain import filters
from kanal.domain.errors import FilterNotFound
from kanal.domain.filters import LAST_BUILT_IN, Conditions
from kanal.http.answers import answer, empty, listing
from kanal.http.api.cases import CasesQuery
from kanal.http.chosen_filter import BUILT_IN, FIRST, for_staff
from kanal.http.context import Call
from kanal.http.contract import Empty, Listed, One, Takes, contract
from kanal.http.errors import ApiError
from kanal.http.fields import INVALID, NOT_GIVEN, Account, Fields, Flag, Line, Paging
from kanal.http.ids import id_in
from kanal.projections import filters as read
from kanal.projections.filters import FilterRow
from kanal.projections.read_model import Views

OF_ONE_CALL = frozenset({"page", "limit", "filter", "cursor"})
"""Parameters of the list that say nothing of the cases."""


class FilterFields(Fields):
    filter_name: Line | None = None
    conditions: dict[str, Any] | None = None
    """Parameters of the list of cases; staff_id may be `me`."""


class NewFilter(FilterFields):
    filter_name: Line
    shared: Flag = False
    """Everybody's instead of the caller's own."""


class FilterAnswer(Struct):
    filter_id: int
    filter_name: str
    isSelected: bool
    isCustom: bool


class DefinedFilterAnswer(FilterAnswer):
    shared: bool
    conditions: dict[str, Any]


class _Filters(Struct):
    """Those of one caller."""

    rows: list[FilterRow]
    selected: int


@contract("List the filters for lists of cases", Listed("filter", FilterAnswer), query=Paging)
async def list_filters(call: Call) -> web.Response:
    """Kanal's own first, then everybody's and the caller's own, the oldest first."""
    asked = call.asked(Paging)
    there = await call.read(_filters, call.caller.staff_id)
    shown = [
        FilterAnswer(id_, each.title, id_ == there.selected, False)
        for id_, each in BUILT_IN.items()
    ]
    shown += [
        FilterAnswer(row.filter_id, row.title, row.filter_id == there.selected, True)
        for row in there.rows
    ]
    page = shown[asked.offset : asked.offset + asked.rows]
    return answer(listing("filter", page, len(shown)))


@contract("Show a filter with its conditions", One("filter", DefinedFilterAnswer))
async def show(call: Call) -> web.Response:
    return await _answer(call, _filter_id(call))


@contract(
    "Define a filter",
    One("filter", DefinedFilterAnswer, 201),
    body=Takes("filter", NewFilter, bare=True),
)
async def create(call: Call) -> web.Response:
    given = await call.given(NewFilter)
    command = partial(
        filters.create_filter,
        by=call.caller.staff_id,
        title=given.filter_name,
        conditions=checked(given.conditions or {}, call.context),
        shared=given.shared,
    )
    done = await call.submit(command)
    return await _answer(call, done.result, 201)


@contract(
    "Change a filter",
    One("filter", DefinedFilterAnswer),
    body=Takes("filter", FilterFields, bare=True),
)
async def change(call: Call) -> web.Response:
    given = await call.given(FilterFields)
    conditions = given.conditions
    if conditions is not None:
        conditions = checked(conditions, call.context)
    command = partial(
        filters.change_filter,
        by=call.caller.staff_id,
        filter_id=_filter_id(call, built_in=False),
        title=given.filter_name,
        conditions=conditions,
    )
    done = await call.submit(command)
    return await _answer(call, done.result)


@contract("Delete a filter", Empty())
async def delete(call: Call) -> web.Response:
    filter_id = _filter_id(call, built_in=False)
    command = partial(filters.delete_filter, by=call.caller.staff_id, filter_id=filter_id)
    await call.submit(command)
    return empty()


@contract("Select a filter", One("filter", DefinedFilterAnswer))
async def select(call: Call) -> web.Response:
    filter_id = _filter_id(call)
    command = partial(filters.select_filter, by=call.caller.staff_id, filter_id=filter_id)
    done = await call.submit(command)
    return await _answer(call, done.result)


def checked(conditions: Conditions, account: Account) -> Conditions:
    """What the list of cases would take, without what is not given. Raises ApiError that names all that it would not."""
    given = {name: value for name, value in conditions.items() if value not in NOT_GIVEN}
    known = CasesQuery.model_fields.keys() - OF_ONE_CALL
    wrong = {name: "is no parameter of GET cases" for name in given if name not in known}
    try:
        # Whoever asks has some id, so any will do here.
        CasesQuery.read(for_staff(given, 1), account)
    except ApiError as error:
        wrong |= error.fields or {}
    if wrong:
        message = "; ".join(f"{name} {words}" for name, words in wrong.items())
        fields = {f"conditions.{name}": words for name, words in wrong.items()}
        raise ApiError(400, INVALID, f"{message}.", fields=fields)
    return given


def _filter_id(call: Call, *, built_in: bool = True) -> int:
    """Raises FilterNotFound; also for Kanal's own, where they are not meant."""
    filter_id = id_in(call.path("filter"), FilterNotFound)
    if filter_id <= LAST_BUILT_IN and not (built_in and filter_id in BUILT_IN):
        raise FilterNotFound(filter_id)
    return filter_id


def _filters(connection: Connection, views: Views, staff_id: int) -> _Filters:
    rows = read.visible(connection, views, staff_id)
    selected = read.selected(connection, views, staff_id)
    there = selected in BUILT_IN or any(row.filter_id == selected for row in rows)
    return _Filters(rows, selected if there else FIRST)


async def _answer(call: Call, filter_id: int, status: int = 200) -> web.Response:
    there = await call.read(_filters, call.caller.staff_id)
    selected = filter_id == there.selected
    if filter_id in BUILT_IN:
        title, conditions = BUILT_IN[filter_id]
        shown = DefinedFilterAnswer(filter_id, title, selected, False, True, conditions)
        return answer({"filter": shown}, status)
    row = next((row for row in there.rows if row.filter_id == filter_id), None)
    if row is None:
        raise FilterNotFound(filter_id)
    shown = DefinedFilterAnswer(
        filter_id, row.title, selected, True, not row.staff_id, row.parsed()
    )
    return answer({"filter": shown}, status)
