"""/filters: lists of cases under a name, one's own or everybody's. What a program asks for beside what is chosen here stays as it is."""

from functools import partial
from typing import Any, Final

from aiohttp import web
from sqlalchemy import Connection

from kanal.domain import filters as domain
from kanal.domain.errors import FilterNotFound
from kanal.domain.filters import Conditions
from kanal.domain.roles import Right
from kanal.http.api.filters import NewFilter, checked
from kanal.http.chosen_filter import ME
from kanal.http.fields import several
from kanal.http.ids import MAX_ID_DIGITS, id_in
from kanal.http.pages.form_errors import NO_FAULTS, Faults
from kanal.http.pages.form_values import word, words
from kanal.http.pages.settings_forms import shown
from kanal.http.pages.visit import Visit
from kanal.projections import filters as read
from kanal.projections.filters import FilterRow
from kanal.projections.read_model import Views

CHOSEN: Final = ("status", "priority", "channel", "staff_id", "group_id", "labels")
"""Conditions of which several may be chosen."""
NEW: Final[Conditions] = {"status": ["open", "waiting"]}
"""What is chosen until somebody says otherwise."""
CHATS: Final = "show_active_chats"
"""Lists of the workspace have them, as no list of the API has unless it is asked to."""


async def show_all(visit: Visit) -> web.StreamResponse:
    return await shown(visit, "filters.html")


async def form(visit: Visit) -> web.StreamResponse:
    return await _form(visit, NO_FAULTS, _typed_of("", NEW))


async def create(visit: Visit) -> web.StreamResponse:
    typed = await _typed(visit)
    with Faults() as faults:
        given = _given(visit, typed, {CHATS: True})
        command = partial(
            domain.create_filter,
            by=visit.who.staff_id,
            title=given.filter_name,
            conditions=checked(given.conditions or {}, visit.context),
            shared=given.shared,
        )
        filter_id = (await visit.submit(command)).result
        return visit.see("/inbox", view=f"filter:{filter_id}", done="saved")
    return await _form(visit, faults, typed)


async def edit(visit: Visit) -> web.StreamResponse:
    row = await _row(visit)
    return await _form(visit, NO_FAULTS, _typed_of(row.title, row.parsed()), row)


async def change(visit: Visit) -> web.StreamResponse:
    row, typed = await _row(visit), await _typed(visit)
    with Faults() as faults:
        given = _given(visit, typed, row.parsed())
        command = partial(
            domain.change_filter,
            by=visit.who.staff_id,
            filter_id=row.filter_id,
            title=given.filter_name,
            conditions=checked(given.conditions or {}, visit.context),
        )
        await visit.submit(command)
        return visit.see("/filters", done="saved")
    return await _form(visit, faults, typed, row)


async def delete(visit: Visit) -> web.StreamResponse:
    filter_id = _filter_id(visit)
    await visit.submit(partial(domain.delete_filter, by=visit.who.staff_id, filter_id=filter_id))
    return visit.see("/filters", done="deleted")


def may_change(visit: Visit, row: FilterRow) -> bool:
    return bool(row.staff_id) or visit.may(Right.SHARE)


async def _form(
    visit: Visit, faults: Faults, typed: dict[str, Any], row: FilterRow | None = None
) -> web.StreamResponse:
    beside = set(row.parsed()) - {*CHOSEN, "subject", CHATS} if row else ()
    return await shown(
        visit, "filter.html", faults, row=row, typed=typed, me=ME, beside=sorted(beside)
    )


def _given(visit: Visit, typed: dict[str, Any], before: Conditions) -> NewFilter:
    """`before`: the conditions, of which those that no form shows stay. Raises ApiError."""
    chosen: Conditions = {name: list(typed[name]) for name in CHOSEN if typed[name]}
    for name in ("staff_id", "group_id", "labels"):
        if name in chosen:
            chosen[name] = [int(v) if _is_number(v) else v for v in chosen[name]]
    if typed["subject"]:
        chosen["subject"] = typed["subject"]
    stays = {name: v for name, v in before.items() if name not in (*CHOSEN, "subject")}
    fields = {
        "filter_name": typed["filter_name"],
        "conditions": stays | chosen,
        "shared": typed["shared"],
    }
    return NewFilter.read(fields, visit.context)


async def _typed(visit: Visit) -> dict[str, Any]:
    fields = (await visit.body()).fields
    typed: dict[str, Any] = {name: words(fields.get(name)) for name in CHOSEN}
    for name in ("filter_name", "subject"):
        typed[name] = word(fields.get(name)).strip()
    return typed | {"shared": word(fields.get("shared")) == "1"}


def _typed_of(title: str, conditions: Conditions) -> dict[str, Any]:
    typed: dict[str, Any] = {
        "filter_name": title,
        "subject": str(conditions.get("subject", "")),
        "shared": False,
    }
    for name in CHOSEN:
        # As a program may have written them: `open,waiting`, 5.0.
        given = several(conditions.get(name, []))
        typed[name] = tuple(_typed_as(each) for each in given)
    return typed


def _typed_as(value: object) -> str:
    return str(int(value) if isinstance(value, float) else value).strip()


def _is_number(text: str) -> bool:
    return text.isdecimal() and len(text) <= MAX_ID_DIGITS


async def _row(visit: Visit) -> FilterRow:
    """One that they may change. Raises FilterNotFound."""
    filter_id = _filter_id(visit)

    def query(connection: Connection, views: Views, staff_id: int) -> FilterRow | None:
        return read.find(connection, views, filter_id, staff_id)

    row = await visit.read_own(query)
    if row is None or not may_change(visit, row):
        raise FilterNotFound(filter_id)
    return row


def _filter_id(visit: Visit) -> int:
    return id_in(visit.path("filter"), FilterNotFound)
