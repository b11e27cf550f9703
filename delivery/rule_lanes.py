"""Each webhook of a rule has a lane, as a channel has: made, changed and ended in the transaction of what happens to the rule.

A disabled rule's webhooks hold what waits, as a disabled channel does; what is taken out of a rule, or deleted with it, is sent
no more.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Connection, insert, select

from kanal.delivery.ledger import end_lane, lane_rows, new_lane, set_lane, start_anew
from kanal.delivery.tables import lanes
from kanal.delivery.verdict import LaneRow
from kanal.domain import webhook_options
from kanal.domain.event import Event
from kanal.domain.lanes import lane_of
from kanal.domain.rule_webhooks import RuleWebhook, webhooks_in
from kanal.domain.rules import (
    RuleChanged,
    RuleCreated,
    RuleDeleted,
    RuleDisabled,
    RuleEnabled,
)
from kanal.domain.stream import Recorded
from kanal.domain.webhook_options import WebhookOptions

REMOVED: Final = (
    "The webhook was taken out of its rule, or deleted with it, before this could be delivered."
)


def options_of(webhook: RuleWebhook) -> WebhookOptions:
    return WebhookOptions(order="case", format="json", headers=webhook.headers or ())


def _made(connection: Connection, recorded: Recorded, now: int) -> Iterable[int]:
    event = recorded.event
    assert isinstance(event, RuleCreated | RuleChanged)
    there = {row.channel_id: row for row in _of(connection, event.rule_id)}
    wanted = {lane_of(each.webhook_id): each for _, each in webhooks_in(event.actions)}
    active = event.active if isinstance(event, RuleCreated) else True
    for lane, webhook in wanted.items():
        if lane in there:
            _change(connection, there[lane], webhook, now)
        else:
            _add(connection, event.rule_id, webhook, active, now)
    for lane in there.keys() - wanted.keys():
        end_lane(connection, lane, REMOVED)
    return {*there, *wanted}


def _add(
    connection: Connection, rule_id: int, webhook: RuleWebhook, active: bool, now: int
) -> None:
    row = new_lane(
        lane_of(webhook.webhook_id),
        webhook.url,
        "async",
        options_of(webhook),
        now,
        method=webhook.method,
        rule_id=rule_id,
    )
    state = "active" if active else "disabled"
    connection.execute(insert(lanes).values(row | {"state": state}))


def _change(connection: Connection, row: LaneRow, webhook: RuleWebhook, now: int) -> None:
    options = options_of(webhook)
    if (row.webhook_url, row.method, row.options) == (webhook.url, webhook.method, options):
        return
    values: dict[str, Any] = {
        "webhook_url": webhook.url,
        "method": webhook.method,
        "options": webhook_options.stored(options),
    }
    set_lane(connection, row.channel_id, values)
    start_anew(connection, row.channel_id, now)


def _disabled(connection: Connection, recorded: Recorded, now: int) -> Iterable[int]:
    return _all(connection, recorded, {"state": "disabled", "state_since": now})


def _enabled(connection: Connection, recorded: Recorded, now: int) -> Iterable[int]:
    changed = _all(connection, recorded, {"state": "active", "state_since": now})
    for lane in changed:
        start_anew(connection, lane, now)
    return changed


def _deleted(connection: Connection, recorded: Recorded, now: int) -> Iterable[int]:
    ended = [row.channel_id for row in _of(connection, _rule_id(recorded))]
    for lane in ended:
        end_lane(connection, lane, REMOVED)
    return ended


def _all(connection: Connection, recorded: Recorded, values: dict[str, Any]) -> Collection[int]:
    changed = [row.channel_id for row in _of(connection, _rule_id(recorded))]
    for lane in changed:
        set_lane(connection, lane, values)
    return changed


def _of(connection: Connection, rule_id: int) -> Sequence[LaneRow]:
    query = select(lanes.c.channel_id).where(lanes.c.rule_id == rule_id, lanes.c.state != "deleted")
    return list(lane_rows(connection, list(connection.scalars(query))).values())


def _rule_id(recorded: Recorded) -> int:
    rule_id: int = recorded.event.rule_id  # type: ignore[attr-defined]
    return rule_id


RULE_CHANGES: Final[dict[type[Event], Callable[[Connection, Recorded, int], Iterable[int]]]] = {
    RuleCreated: _made,
    RuleChanged: _made,
    RuleDisabled: _disabled,
    RuleEnabled: _enabled,
    RuleDeleted: _deleted,
}
