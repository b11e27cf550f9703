"""/api/rules: what Kanal does by itself. Omnidesk has them in its pages only; these calls are Kanal's own."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Literal, Self, TypeVar

from aiohttp import web
from msgspec import UNSET, Struct, UnsetType
from pydantic import AfterValidator, model_validator
from sqlalchemy import Connection

from kanal.automation.patterns import matches
from kanal.automation.states import LogStates
from kanal.domain import rules
from kanal.domain.access import if_all_is_answered
from kanal.domain.actions import ME, Action, ActionType
from kanal.domain.case_events import MessageKind
from kanal.domain.cases import CASES
from kanal.domain.conditions import Change, Verdict
from kanal.domain.errors import RuleNotFound
from kanal.domain.firings import LoopReason
from kanal.domain.plain_text import plain_text
from kanal.domain.response_targets import Deadlines
from kanal.domain.rules import MAX_CHANNELS, MAX_MINUTES, MAX_RULES, RuleKind, Since
from kanal.domain.work import Work
from kanal.http.actions import DISPLAY_NAMES, ActionFields, few, shown_destination
from kanal.http.answers import Date, answer, empty, listing
from kanal.http.conditions import Conditions, check_channel
from kanal.http.context import Call, Context
from kanal.http.contract import Empty, Listed, One, Takes, contract
from kanal.http.dates import Dates
from kanal.http.fields import Fields, Flag, Id, Line, Many, Paging, Text, wrong
from kanal.http.ids import case_id_in, id_in
from kanal.http.rule_webhooks import Keeping, Prepared, prepared
from kanal.projections import messages
from kanal.projections import rules as read
from kanal.projections.read_model import Views
from kanal.projections.rules import RuleRow

T = TypeVar("T")

ALL = "all"
"""In place of channels: not limited to some."""


class RuleActionFields(ActionFields):
    @model_validator(mode="after")
    def is_a_rules(self) -> Self:
        if self.action_type == "staff_id" and self.action_destination == ME:
            raise wrong("action_destination cannot be me: a rule is nobody")
        return self


def _channels(given: tuple[str, ...]) -> tuple[str, ...]:
    if given == (ALL,):
        return ()
    if len(given) > MAX_CHANNELS:
        raise wrong(f"may have up to {MAX_CHANNELS} channels")
    return tuple(dict.fromkeys(check_channel(each) for each in given))


def _minutes(given: int) -> int:
    if given > MAX_MINUTES:
        raise wrong(f"may be up to {MAX_MINUTES}")
    return given


Minutes = Annotated[Id, AfterValidator(_minutes)]


class RuleChanges(Fields):
    title: Line | None = None
    channels: Annotated[tuple[Text, ...], Many, AfterValidator(_channels)] | None = None
    """To which it is limited; `all` takes the limit away."""
    once_per_case: Flag | None = None
    since: Since | None = None
    """Of a timed rule: from when on its minutes count."""
    after_minutes: Minutes | None = None
    before_minutes: Minutes | None = None
    """Of one that counts from a deadline: so long before it."""
    conditions: Conditions | None = None
    actions: Annotated[tuple[RuleActionFields, ...], AfterValidator(few)] | None = None

    @model_validator(mode="after")
    def counts_one_way(self) -> Self:
        if self.after_minutes and self.before_minutes:
            raise wrong("cannot have after_minutes and before_minutes")
        return self

    @property
    def minutes(self) -> int | None:
        """Below 0 before a deadline. None: not said."""
        if self.after_minutes is None and self.before_minutes is None:
            return None
        return (self.after_minutes or 0) - (self.before_minutes or 0)


class NewRule(RuleChanges):
    kind: RuleKind
    title: Line
    actions: Annotated[tuple[RuleActionFields, ...], AfterValidator(few)]
    active: Flag = True


def _not_too_many(given: tuple[int, ...]) -> tuple[int, ...]:
    if len(given) > MAX_RULES:
        raise wrong(f"may name up to {MAX_RULES} rules")
    return given


class RuleOrder(Fields):
    order: Annotated[tuple[Id, ...], Many, AfterValidator(_not_too_many)]
    """rule_id of those that run first; the others follow in the order that they had."""


class RuleTest(Fields):
    case_id: Text
    """Or its case_number."""
    change: Change = "staff_reply"
    """What should have happened, for a rule of the kind `changed`."""


class RuleActionAnswer(Struct):
    action_type: ActionType
    action_display_name: str
    action_destination: str | list[int] | dict[str, Any]
    content: str
    subject: str


class RuleAnswer(Struct):
    rule_id: int
    version: int
    """Grows with each change of what the rule asks or does."""
    kind: RuleKind
    title: str
    position: int
    active: bool
    channels: list[str]
    once_per_case: bool
    since: Since | Literal[""]
    after_minutes: int
    before_minutes: int
    """Of one that counts from a deadline; one of both is 0."""
    conditions: dict[str, Any]
    actions: list[RuleActionAnswer]
    loop_cut: LoopReason | Literal[""]
    """Why this version was kept from running last."""
    created_at: Date
    updated_at: Date
    webhook_secrets: dict[str, str] | UnsetType = UNSET
    """By webhook_id, only in the answer that made them: what signs the calls."""


class ConditionVerdictAnswer(Struct):
    place: str
    """`conditions.all.0`"""
    holds: bool


class RuleTestAnswer(Struct):
    rule_id: int
    case_id: int
    would_run: bool
    verdicts: list[ConditionVerdictAnswer]


@contract("List the rules in the order in which they run", Listed("rule", RuleAnswer), query=Paging)
async def list_rules(call: Call) -> web.Response:
    asked = call.asked(Paging)
    rows = await call.read(read.listed)
    return _listing(rows[asked.offset : asked.offset + asked.rows], len(rows), call)


@contract("Show a rule", One("rule", RuleAnswer))
async def show(call: Call) -> web.Response:
    return await _answer(call, _rule_id(call))


@contract("Make a rule", One("rule", RuleAnswer, 201), body=Takes("rule", NewRule, bare=True))
async def create(call: Call) -> web.Response:
    given = await call.given(NewRule)
    changes, webhooks = changes_of(call.context, given)
    command = partial(rules.create_rule, day=call.context.dates.day, **changes)
    return await _submit(call, command, webhooks, 201)


@contract("Change a rule", One("rule", RuleAnswer), body=Takes("rule", RuleChanges, bare=True))
async def change(call: Call) -> web.Response:
    given = await call.given(RuleChanges)
    changes, webhooks = changes_of(call.context, given)
    command = partial(
        rules.change_rule, rule_id=_rule_id(call), day=call.context.dates.day, **changes
    )
    return await _submit(call, command, webhooks)


@contract("Delete a rule", Empty())
async def delete(call: Call) -> web.Response:
    await call.submit(_allowed(partial(rules.delete_rule, rule_id=_rule_id(call))))
    return empty()


@contract("Enable a rule", One("rule", RuleAnswer))
async def enable(call: Call) -> web.Response:
    done = await call.submit(_allowed(partial(rules.enable_rule, rule_id=_rule_id(call))))
    return await _answer(call, done.result)


@contract("Disable a rule", One("rule", RuleAnswer))
async def disable(call: Call) -> web.Response:
    done = await call.submit(_allowed(partial(rules.disable_rule, rule_id=_rule_id(call))))
    return await _answer(call, done.result)


@contract(
    "Put the rules in order", Listed("rule", RuleAnswer), body=Takes("rules", RuleOrder, bare=True)
)
async def order(call: Call) -> web.Response:
    given = await call.given(RuleOrder)
    await call.submit(_allowed(partial(rules.order_rules, rule_ids=given.order)))
    rows = await call.read(read.listed)
    return _listing(rows[: Paging().limit], len(rows), call)


@contract(
    "Test a rule against a case",
    One("test", RuleTestAnswer),
    body=Takes("test", RuleTest, bare=True),
)
async def test(call: Call) -> web.Response:
    """As if the user's last message, or for a rule of the kind `changed` staff's last one, had just come. Nothing is done."""
    rule_id = _rule_id(call)
    given = await call.given(RuleTest)
    case_id = case_id_in(given.case_id)
    text = await call.read(_last_text, rule_id, case_id)
    times, deadlines = await call.context.database.in_thread(
        partial(times_of_case, call.context, case_id)
    )
    command = partial(
        rules.try_rule,
        rule_id=rule_id,
        case_id=case_id,
        change=given.change,
        text=text,
        matches=matches,
        times=times,
        deadlines=deadlines,
    )
    done = await call.submit(command)
    verdicts = [
        Verdict(*each) for each in done.result
    ]  # of a repeated request they are plain lists
    channels, conditions, *_ = verdicts
    shown = RuleTestAnswer(
        rule_id=rule_id,
        case_id=case_id,
        would_run=channels.holds and conditions.holds,
        verdicts=[ConditionVerdictAnswer(each.place, each.holds) for each in verdicts],
    )
    return answer({"test": shown})


def changes_of(context: Context, given: RuleChanges) -> tuple[dict[str, Any], Prepared | None]:
    """What the caller gave, as the domain takes it, and what of its webhooks is kept beside. Raises ApiError."""
    changes = given.given()
    webhooks = None
    if given.conditions is not None:
        changes["conditions"] = given.conditions.condition()
    if given.actions is not None:
        webhooks = prepared(context, [each.action() for each in given.actions])
        changes["actions"] = webhooks.actions
    changes["minutes"] = given.minutes
    for name in ("after_minutes", "before_minutes"):
        changes.pop(name, None)
    return {name: value for name, value in changes.items() if value is not None}, webhooks


def _allowed(command: Callable[[Work], T]) -> Callable[[Work], T]:
    """A rule does what it does on every channel, whoever made it."""
    return partial(if_all_is_answered, command=command)


async def _submit(
    call: Call, command: Callable[[Work], int], webhooks: Prepared | None, status: int = 200
) -> web.Response:
    keeping = Keeping(_allowed(command), webhooks)
    done = await call.submit(keeping.command, beside=keeping.keep)
    return await _answer(call, done.result, status, keeping.secrets)


def _last_text(connection: Connection, views: Views, rule_id: int, case_id: int) -> str:
    """Of the message that the test takes for the cause; "" without one. Raises RuleNotFound."""
    rule = read.find(connection, views, rule_id)
    if rule is None:
        raise RuleNotFound(rule_id)
    kind: MessageKind = "user_message" if rule.kind == "incoming" else "staff_reply"
    row = messages.last(connection, views, case_id, kind)
    return (row.content or plain_text(row.content_html)) if row else ""


def times_of_case(context: Context, case_id: int) -> tuple[dict[int, int], Deadlines]:
    """Of the case's events that conditions count from, and its deadlines."""
    states = LogStates(context.database, context.stream_ids)
    with states.reading():
        return states.times_of(states.load(CASES, case_id)), states.deadlines_of(case_id)


def _rule_id(call: Call) -> int:
    return id_in(call.path("rule"), RuleNotFound)


async def _answer(
    call: Call, rule_id: int, status: int = 200, secrets: dict[str, str] | None = None
) -> web.Response:
    row = await call.read(read.find, rule_id)
    if row is None:
        raise RuleNotFound(rule_id)
    rule = shown(row, call.context.dates)
    if secrets:
        rule.webhook_secrets = secrets
    return answer({"rule": rule}, status)


def _listing(rows: list[RuleRow], total: int, call: Call) -> web.Response:
    items = [shown(row, call.context.dates) for row in rows]
    return answer(listing("rule", items, total))


def shown(row: RuleRow, dates: Dates) -> RuleAnswer:
    return RuleAnswer(
        rule_id=row.rule_id,
        version=row.version,
        kind=row.kind,
        title=row.title,
        position=row.position,
        active=row.active,
        channels=row.channels,
        once_per_case=row.once_per_case,
        since=row.since,
        after_minutes=max(0, row.minutes),
        before_minutes=max(0, -row.minutes),
        conditions=row.conditions,
        actions=[_shown_action(action) for action in row.actions],
        loop_cut=row.loop,
        created_at=dates.render(row.created_at),
        updated_at=dates.render(row.updated_at),
    )


def _shown_action(action: Action) -> RuleActionAnswer:
    return RuleActionAnswer(
        action_type=action.type,
        action_display_name=DISPLAY_NAMES[action.type],
        action_destination=shown_destination(action),
        content=action.content,
        subject=action.subject,
    )
