"""/rules: what Kanal does by itself, listed in its order, put together in an editor, and told of afterwards."""

import secrets
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any, Final, Literal, NamedTuple, TypeVar, get_args

from aiohttp import web
from pydantic import BeforeValidator
from sqlalchemy import Connection, select

from kanal.automation.patterns import matches
from kanal.delivery import overview
from kanal.delivery.overview import DeliveryRow, Filter
from kanal.delivery.ping import Exchange
from kanal.domain import rules as domain
from kanal.domain.access import if_all_is_answered
from kanal.domain.case_events import MessageKind
from kanal.domain.conditions import Change, Verdict
from kanal.domain.errors import CaseNotFound, EventNotFound, RuleNotFound
from kanal.domain.firings import RuleFired
from kanal.domain.lanes import lane_of, webhook_of
from kanal.domain.plain_text import plain_text
from kanal.domain.rule_webhooks import RuleWebhookCalled, webhooks_in
from kanal.domain.rules import RULES, Rule, RuleKind
from kanal.domain.stream import Recorded
from kanal.domain.work import Work
from kanal.http.api.rules import NewRule, changes_of, times_of_case
from kanal.http.context import Context
from kanal.http.errors import ApiError
from kanal.http.fields import Fields, Id
from kanal.http.ids import case_id_in, id_in
from kanal.http.pages import rule_forms, sidebar
from kanal.http.pages.action_forms import OF_RULES
from kanal.http.pages.condition_forms import UNITS, fields_for
from kanal.http.pages.form_errors import NO_FAULTS, Faults
from kanal.http.pages.form_values import word
from kanal.http.pages.named import Named, named
from kanal.http.pages.rule_forms import KINDS, PLACES, RuleForm
from kanal.http.pages.sidebar import Sidebar
from kanal.http.pages.visit import Visit
from kanal.http.rule_webhooks import Keeping
from kanal.http.webhook_secrets import LiveSecret, live
from kanal.projections import cases, messages
from kanal.projections import rules as read
from kanal.projections.cases import CaseRow
from kanal.projections.causes import Link, chain
from kanal.projections.read_model import Views
from kanal.projections.rules import FiringRow, RuleRow

T = TypeVar("T")

FIRINGS: Final = 25
"""The last ones, on a rule's page."""
CHANGES: Final[tuple[Change, ...]] = get_args(Change)
DAYS: Final = 7
EFFECTS: Final = 200
"""Events before a firing that may be of its command: fifty actions, of which each is a few."""


class KindQuery(Fields):
    kind: RuleKind = "incoming"


class StateChange(Fields):
    action: Annotated[Literal["", "enable", "disable", "delete"], BeforeValidator(word)] = ""


class Move(Fields):
    rule: Id = 0
    move: Annotated[str, BeforeValidator(word)] = ""
    order: tuple[Id, ...] = ()
    """All of one kind, as they are to stand."""


class Version(NamedTuple):
    """Something that was done to the rule, and how it was then."""

    recorded: Recorded
    rule: Rule
    form: RuleForm | None
    """None where it asks and does what it did before."""


class Fired(NamedTuple):
    firing: FiringRow
    case: CaseRow


class WebhookState(NamedTuple):
    """Where its calls stand, and what signs them."""

    delivery: overview.ChannelRow
    secrets: list[LiveSecret]


class Shown(NamedTuple):
    rule: RuleRow
    named: Named
    versions: list[Version]
    fired: list[Fired]
    webhooks: dict[int, WebhookState]
    """By the webhook's id."""
    position: int


class Told(NamedTuple):
    """One firing."""

    rule: RuleRow | None
    fired: Recorded
    case: CaseRow
    causes: list[Link]
    effects: list[Recorded]
    deliveries: list[DeliveryRow]
    sidebar: Sidebar


# -- the list --------------------------------------------------------------------------------------


async def show_all(visit: Visit) -> web.StreamResponse:
    def query(connection: Connection, views: Views) -> tuple[Named, list[RuleRow], int]:
        known = named(connection, views, visit.who.staff_id)
        return known, read.listed(connection, views), visit.context.database.head(connection)

    known, rows, position = await visit.read(query)
    kinds = {
        kind: [(row, rule_forms.form_of(row)) for row in rows if row.kind == kind] for kind in KINDS
    }
    return visit.page(
        "rules.html", kinds=kinds, named=known, sidebar=known.sidebar, position=position
    )


async def order(visit: Visit) -> web.StreamResponse:
    """Rules of one kind among each other; those of other kinds stay where they are."""
    given = await visit.given(Move)
    rows = await visit.read(read.listed)
    wanted = list(given.order) or _moved(rows, given.rule, given.move)
    await _submit(visit, partial(domain.order_rules, rule_ids=_whole_order(rows, wanted)))
    return visit.see("/rules", done="saved")


def _moved(rows: Sequence[RuleRow], rule_id: int, move: str) -> list[int]:
    kind = next((row.kind for row in rows if row.rule_id == rule_id), None)
    ids = [row.rule_id for row in rows if row.kind == kind]
    if rule_id in ids:
        at = ids.index(rule_id)
        to = max(0, at - 1) if move == "up" else min(len(ids) - 1, at + 1)
        ids.insert(to, ids.pop(at))
    return ids


def _whole_order(rows: Sequence[RuleRow], wanted: Sequence[int]) -> list[int]:
    """`wanted` in the places that these rules have together."""
    there = {row.rule_id for row in rows}
    left = iter(dict.fromkeys(each for each in wanted if each in there))
    among = set(wanted)
    return [next(left) if row.rule_id in among else row.rule_id for row in rows]


async def change_state(visit: Visit) -> web.StreamResponse:
    rule_id, given = _rule_id(visit), await visit.given(StateChange)
    commands: dict[str, Callable[..., int]] = {
        "enable": domain.enable_rule,
        "disable": domain.disable_rule,
        "delete": domain.delete_rule,
    }
    if given.action in commands:
        await _submit(visit, partial(commands[given.action], rule_id=rule_id))
    if given.action == "delete":
        return visit.see("/rules", done="deleted")
    return visit.back(f"/rules/{rule_id}", done="saved")


# -- one rule --------------------------------------------------------------------------------------


async def show(visit: Visit) -> web.StreamResponse:
    return await page_of(visit, _rule_id(visit))


async def page_of(
    visit: Visit,
    rule_id: int,
    new_secrets: dict[str, str] | None = None,
    exchange: Exchange | None = None,
) -> web.StreamResponse:
    """`new_secrets`: by the webhook's id; these and `exchange` are shown once."""
    shown = await visit.read(_shown, visit, rule_id)
    return visit.page(
        "rule.html",
        shown=shown,
        rule=shown.rule,
        form=rule_forms.form_of(shown.rule),
        named=shown.named,
        sidebar=shown.named.sidebar,
        secrets=new_secrets or {},
        exchange=exchange,
        # What a form led to is not asked for anew: it was shown once.
        position=None if new_secrets or exchange else shown.position,
    )


def _shown(connection: Connection, views: Views, visit: Visit, rule_id: int) -> Shown:
    row = read.find(connection, views, rule_id)
    if row is None:
        raise RuleNotFound(rule_id)
    firings = read.fired_by(connection, views, rule_id, FIRINGS)
    found = {
        case.case_id: case
        for case in cases.of_ids(connection, views, list({each.case_id for each in firings}))
    }
    return Shown(
        row,
        named(connection, views, visit.who.staff_id),
        _versions(connection, visit, rule_id),
        [Fired(each, found[each.case_id]) for each in firings if each.case_id in found],
        _webhooks(connection, row, visit.context),
        visit.context.database.head(connection),
    )


def _versions(connection: Connection, visit: Visit, rule_id: int) -> list[Version]:
    """The newest first."""
    context = visit.context
    stream_id = context.stream_ids.of(RULES, str(rule_id))
    versions: list[Version] = []
    rule = Rule()
    for recorded in context.database.streams(connection, [stream_id]):
        before, rule = rule, RULES.evolve(rule, recorded.event)
        form = rule_forms.form_of(rule) if rule.version != before.version else None
        versions.append(Version(recorded, rule, form))
    return versions[::-1]


def _webhooks(connection: Connection, row: RuleRow, context: Context) -> dict[int, WebhookState]:
    lanes = [lane_of(webhook.webhook_id) for _, webhook in webhooks_in(row.actions)]
    if not lanes:
        return {}
    found = overview.of_channels(connection, lanes)
    return {
        webhook_of(lane): WebhookState(found[lane], live(connection, context, lane))
        for lane in lanes
        if lane in found
    }


async def firing(visit: Visit) -> web.StreamResponse:
    """Why the rule ran, and what it did."""
    rule_id, position = _rule_id(visit), id_in(visit.path("firing"), EventNotFound)
    told = await visit.read(_told, visit, rule_id, position)
    return visit.page("firing.html", told=told, sidebar=told.sidebar, position=None)


def _told(connection: Connection, views: Views, visit: Visit, rule_id: int, position: int) -> Told:
    database = visit.context.database
    events = database.events
    near = select(events).where(
        events.c.position <= position, events.c.position > position - EFFECTS
    )
    found = database.decoded(connection, near.order_by(events.c.position))
    fired = found.pop() if found else None
    if fired is None or not isinstance(fired.event, RuleFired) or fired.event.rule_id != rule_id:
        raise EventNotFound(position)
    case = cases.find(connection, views, fired.event.case_id)
    if case is None:
        raise EventNotFound(position)
    # One command has one envelope.
    effects = [each for each in found if each.envelope.cause == fired.envelope.cause]
    effects = [each for each in effects if each.envelope.who == fired.envelope.who]
    calls = [each.position for each in effects if isinstance(each.event, RuleWebhookCalled)]
    return Told(
        read.find(connection, views, rule_id),
        fired,
        case,
        list(chain(connection, views, database, fired.event.cause)),
        effects,
        [
            row
            for place in calls
            for row in overview.listed(connection, Filter(position=place), 1, 0)[0]
        ],
        sidebar.read(connection, views, visit.who.staff_id),
    )


# -- the editor ------------------------------------------------------------------------------------


async def form(visit: Visit) -> web.StreamResponse:
    return await editor(visit, rule_forms.new_form(visit.asked(KindQuery).kind))


async def edit(visit: Visit) -> web.StreamResponse:
    row = await visit.read(read.find, _rule_id(visit))
    if row is None:
        raise RuleNotFound(visit.path("rule"))
    return await editor(visit, rule_forms.form_of(row))


async def redraw(visit: Visit) -> web.StreamResponse:
    """The form with one condition or action more, or less, or with other inputs; nothing is kept."""
    fields = (await visit.body()).fields
    return await editor(visit, rule_forms.edited(await sent_form(visit), word(fields.get("edit"))))


async def anew(visit: Visit) -> web.StreamResponse:
    """Where a page that a form led to is asked for again."""
    return visit.see("/rules")


async def create(visit: Visit) -> web.StreamResponse:
    return await _keep(visit, await sent_form(visit))


async def change(visit: Visit) -> web.StreamResponse:
    sent = await sent_form(visit)
    sent.rule_id = _rule_id(visit)
    return await _keep(visit, sent)


async def _keep(visit: Visit, sent: RuleForm) -> web.StreamResponse:
    with Faults() as faults:
        changes, webhooks = changes_of(visit.context, checked(visit, sent))
        command = partial(domain.create_rule, active=sent.active, **changes)
        if sent.rule_id:
            changes.pop("kind")
            command = partial(domain.change_rule, rule_id=sent.rule_id, **changes)
        keeping = Keeping(
            partial(if_all_is_answered, command=partial(command, day=visit.context.dates.day)),
            webhooks,
        )
        done = await visit.submit(keeping.command, beside=keeping.keep)
    if faults:
        return await editor(visit, sent, faults)
    if keeping.secrets:
        return await page_of(visit, done.result, keeping.secrets)
    return visit.see(f"/rules/{done.result}", done="saved")


def checked(visit: Visit, sent: RuleForm) -> NewRule:
    """Raises ApiError."""
    return NewRule.read(rule_forms.fields_of(sent), visit.context)


async def test(visit: Visit) -> web.StreamResponse:
    """Each condition of the draft, asked of one case as it is now."""
    fields = (await visit.body()).fields
    sent = await sent_form(visit)
    given, change_ = word(fields.get("test_case")), word(fields.get("test_change"))
    with Faults() as faults:
        try:
            case_id = case_id_in(given.strip().removeprefix("#"))
            verdicts = await _tried(visit, sent, case_id, change_)
        except CaseNotFound as error:
            wrong = {"test_case": "is no case"}
            raise ApiError(400, error.code, str(error), fields=wrong) from None
    if faults:
        return await editor(visit, sent, faults, test_case=given, test_change=change_)
    places = {each.place: each.holds for each in verdicts}
    return await editor(
        visit, sent, verdicts=places, test_case=given, test_change=change_, tested=case_id
    )


async def _tried(visit: Visit, sent: RuleForm, case_id: int, change_: str) -> list[Verdict]:
    draft = drafting(visit, sent)
    kind: MessageKind = "user_message" if sent.kind == "incoming" else "staff_reply"
    row = await visit.read(messages.last, case_id, kind)
    times, deadlines = await visit.context.database.in_thread(
        partial(times_of_case, visit.context, case_id)
    )

    def command(work: Work) -> list[Verdict]:
        return domain.try_draft(
            work,
            rule=draft(work).rule,
            case_id=case_id,
            change=change_ if change_ in CHANGES else "staff_reply",
            text=(row.content or plain_text(row.content_html)) if row else "",
            matches=matches,
            times=times,
            deadlines=deadlines,
        )

    return (await visit.submit(command)).result


def drafting(visit: Visit, sent: RuleForm) -> Callable[[Work], domain.Draft]:
    """Raises ApiError."""
    changes, _ = changes_of(visit.context, checked(visit, sent))
    if sent.rule_id:
        changes.pop("kind")
    return partial(domain.draft_rule, rule_id=sent.rule_id, day=visit.context.dates.day, **changes)


async def sent_form(visit: Visit) -> RuleForm:
    return rule_forms.read_form((await visit.body()).fields)


async def editor(
    visit: Visit, form_: RuleForm, faults: Faults = NO_FAULTS, **values: Any
) -> web.Response:
    return visit.page(
        "rule_editor.html",
        400 if faults else 200,
        **await editor_values(visit, form_, faults, **values),
    )


async def editor_values(
    visit: Visit, form_: RuleForm, faults: Faults = NO_FAULTS, **values: Any
) -> dict[str, Any]:
    """What the editor's template names."""
    known = await visit.read_own(named)
    tried = {
        "verdicts": None,
        "tested": 0,
        "test_case": "",
        "test_change": "staff_reply",
        "days": DAYS,
    }
    return {
        "form": form_,
        "faults": faults,
        "places": PLACES,
        "named": known,
        "sidebar": known.sidebar,
        "action_types": OF_RULES,
        "condition_fields": list(fields_for(form_.kind)),
        "units": tuple(UNITS),
        "once": secrets.token_hex(16),
        "position": None,
        **tried,
        **values,
    }


async def _submit(visit: Visit, command: Callable[[Work], T]) -> T:
    """A rule does what it does on every channel, whoever made it."""
    return (await visit.submit(partial(if_all_is_answered, command=command))).result


def _rule_id(visit: Visit) -> int:
    return id_in(visit.path("rule"), RuleNotFound)
