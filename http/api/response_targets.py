"""/api/response_targets: by when users are to be answered. Omnidesk has them in its pages only; these calls are Kanal's own."""

from functools import partial
from typing import Annotated, Any, Literal

from aiohttp import web
from msgspec import Struct
from pydantic import AfterValidator

from kanal.domain.case_events import Priority
from kanal.domain.errors import ResponseTargetNotFound
from kanal.domain.response_targets import (
    MAX_MINUTES,
    Hours,
    Target,
    add_response_target,
    change_response_target,
    delete_response_target,
)
from kanal.domain.rules import MAX_CHANNELS
from kanal.http.answers import Date, answer, empty, listing
from kanal.http.api.business_hours import Groups
from kanal.http.conditions import check_channel
from kanal.http.context import Call
from kanal.http.contract import Empty, Listed, One, Takes, contract
from kanal.http.dates import Dates
from kanal.http.fields import Fields, Id, Line, Many, Paging, Text, wrong
from kanal.http.ids import id_in
from kanal.projections import business_hours as read
from kanal.projections.business_hours import TargetRow

ALL = "all"
"""In place of channels or priorities: not limited to some."""


def _channels(given: tuple[str, ...]) -> tuple[str, ...]:
    if given == (ALL,):
        return ()
    if len(given) > MAX_CHANNELS:
        raise wrong(f"may have up to {MAX_CHANNELS} channels")
    return tuple(sorted({check_channel(each) for each in given}))


def _priorities(given: tuple[str, ...]) -> tuple[str, ...]:
    return () if ALL in given else tuple(dict.fromkeys(given))


def _minutes(given: int) -> int:
    if given > MAX_MINUTES:
        raise wrong(f"may be up to {MAX_MINUTES}")
    return given


PriorityOrAll = Literal["low", "normal", "high", "critical", "all"]
Minutes = Annotated[Id, AfterValidator(_minutes)]
"""0 for no target."""


class ResponseTargetChanges(Fields):
    title: Line | None = None
    channels: Annotated[tuple[Text, ...], Many, AfterValidator(_channels)] | None = None
    """`all` takes the limit away."""
    group_ids: Groups | None = None
    priorities: Annotated[tuple[PriorityOrAll, ...], Many, AfterValidator(_priorities)] | None = (
        None
    )
    first_response_minutes: Minutes | None = None
    next_response_minutes: Minutes | None = None
    resolution_minutes: Minutes | None = None
    hours: Hours | None = None


class NewResponseTarget(ResponseTargetChanges):
    title: Line


class ResponseTargetAnswer(Struct):
    response_target_id: int
    title: str
    channels: list[str]
    """None: it holds for all; so it is with the next two."""
    group_ids: list[int]
    priorities: list[Priority]
    first_response_minutes: int
    """0: no target."""
    next_response_minutes: int
    resolution_minutes: int
    hours: Hours
    updated_at: Date


@contract(
    "List the response targets", Listed("response_target", ResponseTargetAnswer), query=Paging
)
async def list_targets(call: Call) -> web.Response:
    asked = call.asked(Paging)
    rows = await call.read(read.targets)
    page = rows[asked.offset : asked.offset + asked.rows]
    items = [shown(row, call.context.dates) for row in page]
    return answer(listing("response_target", items, len(rows)))


@contract("Show a response target", One("response_target", ResponseTargetAnswer))
async def show(call: Call) -> web.Response:
    return await _answer(call, _target_id(call))


@contract(
    "Set a response target",
    One("response_target", ResponseTargetAnswer, 201),
    body=Takes("response_target", NewResponseTarget, bare=True),
)
async def create(call: Call) -> web.Response:
    given = await call.given(NewResponseTarget)
    done = await call.submit(partial(add_response_target, target=target_of(given)))
    return await _answer(call, done.result, 201)


@contract(
    "Change a response target",
    One("response_target", ResponseTargetAnswer),
    body=Takes("response_target", ResponseTargetChanges, bare=True),
)
async def change(call: Call) -> web.Response:
    given = await call.given(ResponseTargetChanges)
    command = partial(
        change_response_target, response_target_id=_target_id(call), **_changes(given)
    )
    done = await call.submit(command)
    return await _answer(call, done.result)


@contract("Delete a response target", Empty())
async def delete(call: Call) -> web.Response:
    await call.submit(partial(delete_response_target, response_target_id=_target_id(call)))
    return empty()


def target_of(given: NewResponseTarget) -> Target:
    return Target(**_changes(given))


def _changes(given: ResponseTargetChanges) -> dict[str, Any]:
    """What the caller gave, under the names of the domain."""
    names = {"group_ids": "groups"}
    return {
        names.get(name, name.removesuffix("_minutes")): value
        for name, value in given.given().items()
    }


def shown(row: TargetRow, dates: Dates) -> ResponseTargetAnswer:
    target = row.target
    return ResponseTargetAnswer(
        response_target_id=row.response_target_id,
        title=target.title,
        channels=list(target.channels),
        group_ids=list(target.groups),
        priorities=list(target.priorities),
        first_response_minutes=target.first_response,
        next_response_minutes=target.next_response,
        resolution_minutes=target.resolution,
        hours=target.hours,
        updated_at=dates.render(row.updated_at),
    )


def _target_id(call: Call) -> int:
    return id_in(call.path("target"), ResponseTargetNotFound)


async def _answer(call: Call, response_target_id: int, status: int = 200) -> web.Response:
    for row in await call.read(read.targets):
        if row.response_target_id == response_target_id:
            return answer({"response_target": shown(row, call.context.dates)}, status)
    raise ResponseTargetNotFound(response_target_id)
