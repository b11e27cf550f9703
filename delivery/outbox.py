"""Every message that goes out, and what else the channel is told of, becomes one delivery row, in the transaction of its event; channels become lanes.

Not a read model: it has no generations and no rebuild reaches it, so nothing is ever sent because tables were made anew.
"""

import time
from collections.abc import Callable, Collection, Sequence
from datetime import tzinfo
from typing import Any, Final, Protocol

from msgspec import json
from sqlalchemy import Connection, insert, select

from kanal.delivery import notices, shadow
from kanal.delivery.body import (
    CONTENT_TYPES,
    Fields,
    deleted_fields,
    edited_fields,
    message_fields,
    render,
    status_fields,
)
from kanal.delivery.decisions import DECISIONS
from kanal.delivery.ledger import (
    attempt_row,
    database_now,
    end_lane,
    lane_rows,
    new_delivery,
    new_lane,
    notify,
    set_lane,
    start_anew,
    wake,
)
from kanal.delivery.queues import Place, places, queue_of, reorder
from kanal.delivery.replays import REPLAYS
from kanal.delivery.rule_lanes import RULE_CHANGES
from kanal.delivery.signing import webhook_id
from kanal.delivery.tables import MESSAGE_NEW, Kind, attempts, deliveries, lanes
from kanal.delivery.verdict import Delivery, LaneRow
from kanal.domain import webhook_options
from kanal.domain.case_events import CaseStatusChanged, MessageAdded
from kanal.domain.channel_delivery import ChannelDeliveryPaused, ChannelDeliveryResumed
from kanal.domain.channels import (
    ChannelChanged,
    ChannelCreated,
    ChannelSecretMade,
    ChannelSecretRevoked,
    ChannelWasDeleted,
    ChannelWasDisabled,
    ChannelWasEnabled,
)
from kanal.domain.event import Envelope, Event
from kanal.domain.files import FileRef
from kanal.domain.message_events import MessageDeleted, MessageEdited
from kanal.domain.notices import HANDLED
from kanal.domain.plain_text import plain_text
from kanal.domain.rule_webhook_secrets import RuleWebhookSecretMade, RuleWebhookSecretRevoked
from kanal.domain.rule_webhooks import RuleWebhookCalled
from kanal.domain.stream import Recorded
from kanal.domain.webhook_options import Format
from kanal.eventlog.database import BatchStart
from kanal.eventlog.files import FileLinks
from kanal.eventlog.projection import Changes
from kanal.eventlog.stream_ids import StreamIds

CHANNEL_DELETED: Final = "The channel was deleted before the message could be delivered."
WRITTEN_AFTER_DELETION: Final = "The channel was deleted before the message was written."
PAUSED_BY_STAFF: Final = "Staff paused the channel's delivery"

Told = MessageAdded | MessageEdited | MessageDeleted | CaseStatusChanged
"""What a channel's receiver is told of."""
Outgoing = Told | RuleWebhookCalled
KINDS: Final[dict[type[Event], Kind]] = {
    MessageAdded: "message_new",
    MessageEdited: "message_edited",
    MessageDeleted: "message_deleted",
    CaseStatusChanged: "case_status",
    RuleWebhookCalled: "rule_webhook",
}
"""What goes out if the event says that it does."""
LATER: Final = (MessageEdited, MessageDeleted)
"""What happens to a message."""
TOLD: Final = frozenset(HANDLED)
"""The events that people are told of."""

FIELDS: Final = [name for name in Delivery.__struct_fields__ if name != "attempt_id"]
"""What a new row and what is sent of it have in common."""

OTHER_CHANGES: Final = DECISIONS | REPLAYS | RULE_CHANGES
"""Each says which lanes it changed."""


class Dispatcher(Protocol):
    """What sends in this process. Called on the writer's thread."""

    owner: str

    def grant(self, channel_id: int) -> int | None:
        """The token under which a new head may be sent at once, None if it has to wait its turn."""
        ...

    def enqueued(self, fresh: Sequence[Delivery], changed: frozenset[int]) -> None:
        """Committed: new deliveries, and the channels whose lanes changed."""
        ...


class Arrivals(Protocol):
    """Who waits in this process for something new to go out. Called on the writer's thread."""

    def came(self, channel_ids: Collection[int]) -> None:
        """Committed: something goes out on these channels."""
        ...


class Outbox:
    """An inline projection of the writer."""

    def __init__(
        self,
        zone: tzinfo,
        stream_ids: StreamIds,
        links: FileLinks,
        clean_html: Callable[[str], str],
        clock: Callable[[], int] = lambda: time.time_ns() // 1000,
        restores: Sequence[tuple[int, str]] = (),
    ) -> None:
        """`clean_html`: makes what was received fit to be shown. `restores`: of the log, as `backup.restores` has them."""
        self._clean_html = clean_html
        self._zone = zone
        self._links = links
        self._clock = clock
        self._now = 0
        """When the batch began, by the clock that senders go by: on PostgreSQL not this process' own, which may be wrong."""
        self._changed_at = 0
        """What that clock said when the first of the batch's changes of lanes was carried out."""
        # It must differ between installations and move with one: so does the secret that this is made from.
        self._installation = stream_ids.keyed_hash("webhook-id").hex()
        self._restored = [
            (position, stream_ids.keyed_hash(f"webhook-id/{word}").hex())
            for position, word in restores
        ]
        self._dispatcher: Dispatcher | None = None
        self._fresh: list[Delivery] = []
        self._changed: set[int] = set()
        self._others: set[int] = set()
        """Channels that another process may have to be told of."""
        self._arrivals: Arrivals | None = None
        self._arrived: set[int] = set()
        """Channels that something new goes out on."""

    def attach(self, dispatcher: Dispatcher | None) -> None:
        self._dispatcher = dispatcher

    def tell(self, arrivals: Arrivals) -> None:
        """Who waits here for what goes out."""
        self._arrivals = arrivals

    def apply(
        self,
        connection: Connection,
        events: Sequence[Recorded],
        beginning: BatchStart,
        changes: Changes,
    ) -> None:
        # A batch that was rolled back is applied again: nothing of it may be left.
        self._fresh, self._changed, self._others, self._arrived = [], set(), set(), set()
        self._now = beginning.at or self._clock()
        self._changed_at = 0
        messages: list[Recorded] = []
        """And what else goes out."""
        told: list[Recorded] = []
        for recorded in events:
            event = recorded.event
            if type(event) in KINDS:
                if event.outgoing:  # type: ignore[attr-defined]
                    messages.append(recorded)
                continue
            if type(event) in TOLD:
                told.append(recorded)
            if (change := LANE_CHANGES.get(type(event))) is not None:
                # The messages before it found the lane as it was then.
                self._enqueue_now(connection, messages)
                messages = []
                change(connection, event, self._time(connection, recorded))
                self._changed.add(event.channel_id)  # type: ignore[attr-defined]
            elif (decision := OTHER_CHANGES.get(type(event))) is not None:
                self._enqueue_now(connection, messages)
                messages = []
                now = self._time(connection, recorded)
                self._changed.update(decision(connection, recorded, now))
        self._enqueue(connection, messages, changes)
        if told:
            self._tell(connection, told)
        notify(connection, self._others | self._changed)

    def _time(self, connection: Connection, recorded: Recorded) -> int:
        """Of a change of lanes. Not ahead of the clock that senders go by, as the log's time may be; asked for once a batch."""
        self._changed_at = self._changed_at or database_now(connection, self._clock())
        return min(recorded.envelope.at, self._changed_at)

    def committed(self, events: Sequence[Recorded]) -> None:
        if self._dispatcher and (self._fresh or self._changed):
            self._dispatcher.enqueued(self._fresh, frozenset(self._changed))
        if self._arrivals and self._arrived:
            self._arrivals.came(self._arrived)
        self._fresh, self._changed = [], set()

    def delivery_id(self, recorded: Recorded) -> str | None:
        """Of what goes out; None of what does not."""
        event = recorded.event
        goes_out = type(event) in KINDS and event.outgoing  # type: ignore[attr-defined]
        return self._webhook_id(recorded) if goes_out else None

    def delivery_ids(self, recorded: Recorded) -> set[str]:
        """All that deliveries of it can have: of what goes out, and of the notice that tells of it."""
        notice = recorded.stream_id, recorded.version, notices.NOTICES
        ids = {webhook_id(*notice, installation=self._installation_at(recorded.position))}
        return ids | ({own} if (own := self.delivery_id(recorded)) else set())

    def made_again(self, recorded: Recorded, lane: LaneRow) -> dict[str, Any]:
        """The row of what goes out, as it was when it was new but for its place in the case. `lane`: as it was then."""
        return self._row(recorded, self._webhook_id(recorded), lane, Place(0, "", True), 0)

    def changed(self, channel_ids: Collection[int]) -> None:
        """Committed by others than the log's events: these lanes have something new. On the writer's thread or any other."""
        if self._dispatcher:
            self._dispatcher.enqueued((), frozenset(channel_ids))

    def _enqueue_now(self, connection: Connection, messages: list[Recorded]) -> None:
        changes = Changes()
        self._enqueue(connection, messages, changes)
        changes.flush(connection)

    def _enqueue(self, connection: Connection, messages: list[Recorded], changes: Changes) -> None:
        messages = known_to_receivers(connection, messages)
        if not messages:
            return
        events: list[Outgoing] = [recorded.event for recorded in messages]  # type: ignore[misc]
        found = lane_rows(connection, {event.channel_id for event in events})
        self._arrived |= found.keys()
        places = _Places(connection, events, found)
        idle: dict[int, int] = {}
        for recorded, event in zip(messages, events, strict=True):
            lane = found[event.channel_id]
            delivery_id = self._webhook_id(recorded)
            place = places.next(event, lane, delivery_id)
            row = self._row(recorded, delivery_id, lane, place, self._now)
            changes.insert(deliveries, row)
            if lane.polled_until > recorded.envelope.at:
                self._others.add(lane.channel_id)
            if row["due_at"] is None:
                continue
            delivery = Delivery(**{name: row[name] for name in FIELDS})
            self._fresh.append(delivery)
            if not self._begin(changes, delivery, lane):
                if not lane.owner:
                    idle.setdefault(lane.channel_id, delivery.due_at)
                if not self._dispatcher or lane.owner != self._dispatcher.owner:
                    self._others.add(lane.channel_id)
        wake(connection, idle)

    def _tell(self, connection: Connection, told: Sequence[Recorded]) -> None:
        if notices.enqueue(connection, told, self._installation_at, self._zone, self._now):
            self._changed.add(notices.NOTICES)

    def _begin(self, changes: Changes, delivery: Delivery, lane: LaneRow) -> bool:
        """The quick way: with its intent in the same commit, the first POST follows the event at once."""
        dispatcher = self._dispatcher
        if dispatcher is None or lane.owner != dispatcher.owner or lane.state != "active":
            return False
        if lane.failures or lane.paused_until or dispatcher.grant(lane.channel_id) != lane.token:
            return False
        changes.insert(attempts, attempt_row(delivery, lane.token, delivery.due_at))
        return True

    def _row(
        self, recorded: Recorded, delivery_id: str, lane: LaneRow, place: Place, now: int
    ) -> dict[str, Any]:
        event: Outgoing = recorded.event  # type: ignore[assignment]
        options, dead = lane.options, lane.state == "deleted"
        # The log's time never goes back, so it may be ahead of the clock that the sender goes by.
        waits = place.waits or dead or options.polling
        return new_delivery(
            recorded,
            delivery_id,
            channel_id=event.channel_id,
            case_id=event.case_id,
            message_id=0 if isinstance(event, CaseStatusChanged) else event.message_id,
            kind=KINDS[type(event)],
            queue=queue_of(options, lane.channel_id, event.case_id),
            place=place,
            due_at=None if waits else min(recorded.envelope.at, now),
            **self._content(event, recorded.envelope, options.format),
            dead_because=WRITTEN_AFTER_DELETION if dead else None,
        )

    def _content(self, event: Outgoing, envelope: Envelope, form: Format) -> dict[str, Any]:
        if isinstance(event, RuleWebhookCalled):
            return {
                "content_type": event.content_type,
                "variables": json.encode(event.url_values).decode(),
                "body": event.body.encode(),
            }
        body = render(KINDS[type(event)], self._fields(event, envelope, form), form)
        return {"content_type": CONTENT_TYPES[form], "body": body}

    def _fields(self, event: Told, envelope: Envelope, form: Format) -> Fields:
        match event:
            case MessageAdded():
                return self._message_fields(event, envelope.at, form)
            case MessageEdited():
                return edited_fields(
                    message_id=event.message_id,
                    case_id=event.case_id,
                    user_id=event.user_id,
                    custom_user_id=event.custom_user_id,
                    content=event.content or plain_text(event.content_html),
                    content_html=self._clean_html(event.content_html) if form == "json" else None,
                    note=event.note,
                    who=envelope.who,
                    created_at=envelope.at,
                    zone=self._zone,
                )
            case MessageDeleted():
                return deleted_fields(
                    message_id=event.message_id,
                    case_id=event.case_id,
                    user_id=event.user_id,
                    custom_user_id=event.custom_user_id,
                    note=event.note,
                    who=envelope.who,
                    created_at=envelope.at,
                    zone=self._zone,
                )
            case CaseStatusChanged():
                return status_fields(
                    case_id=event.case_id,
                    user_id=event.user_id,
                    custom_user_id=event.custom_user_id,
                    old_status=event.old,
                    status=event.new,
                    who=event.by or envelope.who,
                    created_at=envelope.at,
                    zone=self._zone,
                )

    def _message_fields(self, event: MessageAdded, at: int, form: Format) -> Fields:
        return message_fields(
            message_id=event.message_id,
            case_id=event.case_id,
            staff_id=event.staff_id,
            user_id=event.case_user_id,
            custom_user_id=event.custom_user_id,
            content=event.content or plain_text(event.content_html),
            content_html=self._clean_html(event.content_html) if form == "json" else None,
            note=event.kind == "note",
            sent_via_rule=bool(event.rule_id),
            created_at=event.sent_at or event.created_at or at,
            zone=self._zone,
            attachments=event.attachments,
            address=self._address,
        )

    def _address(self, file: FileRef) -> str:
        return self._links.url(file.token, file.file_name)

    def _webhook_id(self, recorded: Recorded) -> str:
        channel_id: int = recorded.event.channel_id  # type: ignore[attr-defined]
        place = recorded.stream_id, recorded.version, channel_id
        return webhook_id(*place, installation=self._installation_at(recorded.position))

    def _installation_at(self, position: int) -> str:
        """Behind a restored backup another one: what was said there the first time, and is lost, has had these places already,
        and a receiver that drops ids it knows would drop what is said there now.
        """
        for since, installation in self._restored:
            if position > since:
                return installation
        return self._installation


def known_to_receivers(connection: Connection, messages: list[Recorded]) -> list[Recorded]:
    """Without edits and deletions of what never went out: its kind was switched off when it was said."""
    later = {
        recorded.event.message_id for recorded in messages if isinstance(recorded.event, LATER)
    }
    if not later:
        return messages
    query = select(deliveries.c.message_id).where(
        deliveries.c.message_id.in_(later), deliveries.c.kind == MESSAGE_NEW
    )
    known = set(connection.scalars(query))
    known |= {each.event.message_id for each in messages if isinstance(each.event, MessageAdded)}
    return [
        recorded
        for recorded in messages
        if not isinstance(recorded.event, LATER) or recorded.event.message_id in known
    ]


class _Places:
    """Where what a batch enqueues comes to stand, one after the other."""

    def __init__(
        self, connection: Connection, events: list[Outgoing], found: dict[int, LaneRow]
    ) -> None:
        wanted = {(event.case_id, event.channel_id): found[event.channel_id] for event in events}
        rows = [
            (case_id, channel_id, queue_of(lane.options, channel_id, case_id))
            for (case_id, channel_id), lane in wanted.items()
        ]
        self._last = places(connection, rows)
        self._waited_for = {
            queue
            for case_id, channel_id, queue in rows
            if queue and self._last[case_id, channel_id].waits
        }

    def next(self, event: Outgoing, lane: LaneRow, delivery_id: str) -> Place:
        place = event.case_id, event.channel_id
        last = self._last[place]
        queue = queue_of(lane.options, lane.channel_id, event.case_id)
        self._last[place] = Place(last.sequence + 1, delivery_id, True)
        waits = queue in self._waited_for
        if queue is not None and lane.state != "deleted":
            self._waited_for.add(queue)
        return last._replace(waits=waits)


def _created(connection: Connection, event: ChannelCreated, at: int) -> None:
    row = new_lane(event.channel_id, event.webhook_url, event.channel_type, event.webhook, at)
    connection.execute(insert(lanes).values(row))
    if event.webhook.shadow_url:
        shadow.begin(connection, event.channel_id, event.webhook.shadow_url, at)


def _changed(connection: Connection, event: ChannelChanged, at: int) -> None:
    row = lane_rows(connection, [event.channel_id])[event.channel_id]
    values = {
        "webhook_url": event.webhook_url,
        "channel_type": event.channel_type,
        "options": webhook_options.stored(event.webhook),
    }
    set_lane(connection, event.channel_id, values)
    was, now = row.options, event.webhook
    if (was.order, was.polling) != (now.order, now.polling):
        reorder(connection, event.channel_id, now, at)
        set_lane(connection, event.channel_id, {"due_at": at})
    if was.shadow_url != now.shadow_url:
        shadow.begin(connection, event.channel_id, now.shadow_url, at)
    reached = (row.webhook_url, was.networks, was.headers)
    if reached != (event.webhook_url, now.networks, now.headers):
        start_anew(connection, event.channel_id, at)


def _disabled(connection: Connection, event: ChannelWasDisabled, at: int) -> None:
    set_lane(connection, event.channel_id, {"state": "disabled", "state_since": at})


def _enabled(connection: Connection, event: ChannelWasEnabled, at: int) -> None:
    """A pause outlives it: whoever paused the delivery meant something else than whoever disabled the channel."""
    row = lane_rows(connection, [event.channel_id])[event.channel_id]
    state = "active" if row.pause_reason is None else "paused"
    set_lane(connection, event.channel_id, {"state": state, "state_since": at})
    if state == "active":
        start_anew(connection, event.channel_id, at)


def _paused(connection: Connection, event: ChannelDeliveryPaused, at: int) -> None:
    reason = event.reason
    if event.by == "staff":
        reason = f"{PAUSED_BY_STAFF}: {reason}" if reason else f"{PAUSED_BY_STAFF}."
    values: dict[str, Any] = {"pause_reason": reason, "warned": 0, "notice_at": None}
    if lane_rows(connection, [event.channel_id])[event.channel_id].state == "active":
        values |= {"state": "paused", "state_since": at}
    set_lane(connection, event.channel_id, values)


def _resumed(connection: Connection, event: ChannelDeliveryResumed, at: int) -> None:
    values: dict[str, Any] = {"pause_reason": None}
    paused = lane_rows(connection, [event.channel_id])[event.channel_id].state == "paused"
    if paused:
        values |= {"state": "active", "state_since": at}
    set_lane(connection, event.channel_id, values)
    if paused:
        start_anew(connection, event.channel_id, at)


def _deleted(connection: Connection, event: ChannelWasDeleted, at: int) -> None:
    end_lane(connection, event.channel_id, CHANNEL_DELETED)


def _signed_anew(connection: Connection, event: Event, at: int) -> None:
    """Nothing of its rows: the secret is kept beside the event, and whoever sends has to read it."""


LANE_CHANGES: Final[dict[type[Event], Callable[[Connection, Any, int], None]]] = {
    ChannelCreated: _created,
    ChannelChanged: _changed,
    ChannelSecretMade: _signed_anew,
    ChannelSecretRevoked: _signed_anew,
    RuleWebhookSecretMade: _signed_anew,
    RuleWebhookSecretRevoked: _signed_anew,
    ChannelWasDisabled: _disabled,
    ChannelWasEnabled: _enabled,
    ChannelWasDeleted: _deleted,
    ChannelDeliveryPaused: _paused,
    ChannelDeliveryResumed: _resumed,
}
