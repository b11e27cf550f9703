"""/api/cases/.../changelog: what was changed of a case, by whom, from what to what."""

import csv
from typing import Annotated

from aiohttp import web
from msgspec import Struct
from pydantic import BeforeValidator
from sqlalchemy import Connection

from kanal.domain.cases import CASES
from kanal.domain.errors import CaseNotFound
from kanal.http.answers import Date, answer
from kanal.http.context import Call
from kanal.http.contract import Whole, contract
from kanal.http.dates import Dates
from kanal.http.fields import NOT_GIVEN, Flag, Id, Many, Paging, Text
from kanal.http.ids import case_id_in
from kanal.http.paging import page_of
from kanal.projections import cases, changelog
from kanal.projections.changelog import RULES, Change
from kanal.projections.read_model import Views

ANY, EMPTY = "any", "empty"
"""Words in place of a value."""
NOTHING = ("", "0")


def _as_list(value: object) -> object:
    given = value if isinstance(value, list) else [value]
    return [each for each in given if each not in NOT_GIVEN]


Wanted = Annotated[tuple[Text, ...], BeforeValidator(_as_list)]
"""One or several. A comma is part of one."""


class ChangelogQuery(Paging):
    """`staff=5`: changes to 5; `staff=empty,5`: from nobody to 5. Several filters, and several of one, are joined by "or"."""

    staff: Wanted = ()
    status: Wanted = ()
    group: Wanted = ()
    priority: Wanted = ()
    subject: Wanted = ()
    labels: Wanted = ()
    custom_fields: Wanted = ()
    language: Wanted = ()
    rating: Wanted = ()
    fixed_chat_staff: Wanted = ()
    show_chat_activation: Flag = False
    show_chat_completion: Flag = False
    rules: Annotated[tuple[Id, ...], Many] = ()
    """What these rules have changed."""

    def finds(self, change: Change) -> bool:
        given = {name: value for name, value in self.given().items() if name not in PAGING}
        if not any(given.values()):
            return True
        if change.who in {f"rule:{rule_id}" for rule_id in self.rules}:
            return True
        if change.kind == RULES:
            return False
        wanted = given.get(PARAMETERS.get(change.kind, change.kind), ())
        return (
            wanted if isinstance(wanted, bool) else any(_matches(each, change) for each in wanted)
        )


PAGING = set(Paging.model_fields)
PARAMETERS = {
    "chat_staff": "fixed_chat_staff",
    "chat_activation": "show_chat_activation",
    "chat_completion": "show_chat_completion",
}
"""Filters that are not called like the changes that they find."""


class ChangeAnswer(Struct):
    created_at: Date
    event: str
    done_by: str
    """`staff_1`, `user_5`, `rule_3` or `system`."""
    old_value: str
    value: str


class ChangelogAnswer(Struct):
    changelog: list[ChangeAnswer]


@contract("List the changes of a case", Whole(ChangelogAnswer), query=ChangelogQuery)
async def list_changes(call: Call) -> web.Response:
    case_id = case_id_in(call.path("case"))
    asked = call.asked(ChangelogQuery)
    database = call.context.database
    stream_id = call.context.stream_ids.of(CASES, str(case_id))

    def query(connection: Connection, views: Views) -> list[Change]:
        if cases.find(connection, views, case_id) is None:
            raise CaseNotFound(case_id)
        return changelog.of_case(connection, views, database, case_id, stream_id)

    page = page_of(asked)
    found = [change for change in await call.read(query) if asked.finds(change)]
    rows = found[page.offset : page.offset + page.limit]
    return answer(ChangelogAnswer([shown(change, call.context.dates) for change in rows]))


def shown(change: Change, dates: Dates) -> ChangeAnswer:
    return ChangeAnswer(
        created_at=dates.render(change.at),
        event=change.kind,
        done_by=change.who.replace(":", "_"),
        old_value=change.old,
        value=change.new,
    )


def _matches(wanted: str, change: Change) -> bool:
    """`new` or `old,new`; a value with a comma in it stands in double quotes."""
    try:
        values = next(csv.reader([wanted], skipinitialspace=True), [])
    except csv.Error:
        # A line break outside of quotes: some value, but no list.
        values = [wanted]
    *before, new = values or [ANY]
    old = before[-1] if before else ANY
    return _is(old, change.old, change.kind) and _is(new, change.new, change.kind)


def _is(wanted: str, value: str, kind: str) -> bool:
    if wanted == ANY:
        return True
    if wanted == EMPTY:
        return value in NOTHING
    return wanted == value or (kind == "labels" and wanted in value.split(","))
