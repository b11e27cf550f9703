"""/api/rules/what_if: what a rule would have done in the last days. Kanal's own."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Final, Self

import msgspec
from aiohttp import web
from msgspec import Struct
from pydantic import Field, model_validator
from sqlalchemy import Connection

from kanal.automation import what_if
from kanal.automation.reading_process import ReadingTookTooLong, TooManyReaders
from kanal.automation.what_if import Findings, Job, Run
from kanal.domain import rules
from kanal.domain.actions import ActionType
from kanal.domain.errors import NoRight, WrongRule
from kanal.domain.rules import Draft, RuleKind
from kanal.http.answers import Date, answer
from kanal.http.api.rules import RuleChanges, changes_of
from kanal.http.context import Call, Caller
from kanal.http.contract import One, Takes, contract
from kanal.http.dates import Dates
from kanal.http.errors import ApiError
from kanal.http.fields import MAX_LIMIT, Fields, Id, Limit, wrong
from kanal.projections.read_model import Views

DAYS: Final = 7
MAX_DAYS: Final = 366
LOOK_SECONDS: Final = 0.5
"""So often it is seen whether the caller still waits."""
AGAIN_SECONDS: Final = 30


class RuleDraft(RuleChanges):
    kind: RuleKind | None = None


class WhatIfFields(Fields):
    rule_id: Id | None = None
    """The rule that the draft changes; without it the draft is a new one."""
    rule: RuleDraft = RuleDraft()
    days: Annotated[Id, Field(ge=1, le=MAX_DAYS)] = DAYS
    """Back from the log's last event."""
    limit: Limit = MAX_LIMIT
    """How many runs are told one by one."""

    @model_validator(mode="after")
    def is_whole(self) -> Self:
        if not self.rule_id:
            for name in ("kind", "actions"):
                if getattr(self.rule, name) is None:
                    raise wrong(f"rule.{name} is required without a rule_id")
        elif self.rule.kind:
            raise wrong("rule.kind stays as it is: leave it out, or rule_id")
        return self


class TextAnswer(Struct):
    action_type: ActionType
    content: str
    """Of a webhook its body."""
    url: str
    """Of a webhook: method and address."""


class RunAnswer(Struct):
    case_id: int
    cause: int
    """Position of the event for which it would have run."""
    at: Date
    live: bool
    """The rule as it is would have run for it too."""
    ran: bool
    """It did run for it, in the version that there was."""
    texts: list[TextAnswer]
    """The messages and notes that it would have written and the webhooks it would have called, with variables filled."""


class WhatIfAnswer(Struct):
    rule_id: int
    """0 for a new rule."""
    version: int
    """Of the rule as it is."""
    since: Date
    until: Date
    """Of the log's last event."""
    after_position: int
    upto_position: int
    runs: int
    cases: int
    """Different ones."""
    messages: int
    notes: int
    webhooks: int
    """Calls of them."""
    loops_cut: int
    ran: int
    """So many of these runs took place in fact."""
    live_runs: int
    """The rule as it is, asked in the same way."""
    only_draft: int
    only_live: int
    truncated: bool
    """There are more runs than are told one by one."""
    items: list[RunAnswer]
    """The first ones."""
    only_live_items: list[RunAnswer]
    """The first ones of those that the draft takes away."""


@contract(
    "Ask what a rule would have done",
    One("what_if", WhatIfAnswer),
    body=Takes("what_if", WhatIfFields, bare=True),
)
async def ask(call: Call) -> web.Response:
    """In a process of its own, which only reads."""
    given = await call.given(WhatIfFields)
    await call.read(check_sees_all)
    draft = await _draft(call, given)
    findings = await found(call, draft, given.days, given.limit, partial(_still_there, call))
    return answer({"what_if": _shown(draft, findings, call.context.dates)})


def check_sees_all(_: Connection, views: Views) -> None:
    """Raises NoRight."""
    if not views.scope.sees_all:
        raise NoRight("see all cases")


async def _draft(call: Call, given: WhatIfFields) -> Draft:
    changes, _ = changes_of(call.context, given.rule)
    command = partial(
        rules.draft_rule, rule_id=given.rule_id or 0, day=call.context.dates.day, **changes
    )
    try:
        done = await call.submit(command)
    except WrongRule as error:
        raise WrongRule(
            {f"rule.{place}": words for place, words in (error.fields or {}).items()}
        ) from None
    return msgspec.convert(done.result, Draft)  # of a repeated request it is plain values


async def _still_there(call: Call, _: float) -> None:
    """Raises ApiError."""
    if call.request.transport is None:
        raise ApiError(503, "what_if_cancelled", "The caller did not wait for the answer.")


async def found(
    call: Caller,
    draft: Draft,
    days: int,
    limit: int,
    look: Callable[[float], Awaitable[None]],
) -> Findings:
    """`look` hears again and again how far it has come, and ends it by raising something. Raises ApiError."""
    database = call.context.database
    job = Job(
        database=database.address,
        draft=draft.rule,
        live=draft.live,
        before=draft.before,
        days=days,
        upto=await database.read(database.head),
        limit=limit,
    )
    shares = [0.0]

    def told(line: bytes) -> None:
        shares[:] = [float(line)]

    run = call.context.reading_processes.run(what_if.__name__, msgspec.json.encode(job), told)
    reading = asyncio.create_task(run)
    try:
        while not reading.done():
            await asyncio.wait({reading}, timeout=LOOK_SECONDS)
            await look(*shares)
        return msgspec.json.decode(reading.result(), type=Findings)
    except TooManyReaders:
        again = {"Retry-After": str(AGAIN_SECONDS)}
        sentence = (
            "Others ask what a rule would have done at this moment. Try again in half a minute."
        )
        raise ApiError(503, "what_if_busy", sentence, headers=again) from None
    except ReadingTookTooLong:
        sentence = "This takes too long: ask about fewer days."
        raise ApiError(503, "what_if_too_long", sentence) from None
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


def _shown(draft: Draft, found: Findings, dates: Dates) -> WhatIfAnswer:
    return WhatIfAnswer(
        rule_id=draft.rule.rule_id,
        version=draft.rule.version,
        since=dates.render(found.since),
        until=dates.render(found.until),
        after_position=found.after,
        upto_position=found.upto,
        runs=found.runs,
        cases=found.cases,
        messages=found.texts["email_to_user"],
        notes=found.texts["add_note"],
        webhooks=found.texts["webhook"],
        loops_cut=found.loops_cut,
        ran=found.ran,
        live_runs=found.live_runs,
        only_draft=found.only_draft,
        only_live=found.only_live,
        truncated=found.runs > len(found.items) or found.only_live > len(found.live_items),
        items=[_run(each, dates) for each in found.items],
        only_live_items=[_run(each, dates) for each in found.live_items],
    )


def _run(run: Run, dates: Dates) -> RunAnswer:
    return RunAnswer(
        case_id=run.case_id,
        cause=run.cause,
        at=dates.render(run.at),
        live=run.live,
        ran=run.ran,
        texts=[TextAnswer(each.action_type, each.content, each.url) for each in run.texts],
    )
