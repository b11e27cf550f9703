"""The second webhook: people's own receiver of notices, on a lane of its own with all that deliveries are promised.

Its channel is number 0, which no channel has. What becomes of its own deliveries makes no notice.
"""

from collections.abc import Callable, Sequence
from datetime import tzinfo
from typing import Any, Final

from sqlalchemy import Connection, delete, insert, select, update

from kanal.delivery import kept_secrets, ledger
from kanal.delivery.body import CONTENT_TYPES, Fields, render, rfc_2822
from kanal.delivery.queues import places, queue_of
from kanal.delivery.signing import webhook_id
from kanal.delivery.tables import attempts, deliveries, lanes
from kanal.domain.notices import Notice, notice_of
from kanal.domain.stream import Recorded
from kanal.domain.webhook_options import WebhookOptions
from kanal.eventlog.projection import Changes
from kanal.eventlog.tables import channel_secrets

NOTICES: Final = 0
"""The channel of the lane."""
OPTIONS: Final = WebhookOptions(order="channel", format="json")


def set_up(connection: Connection, url: str, secret: str, now: int) -> None:
    """The lane as the settings want it; without a URL nothing more is enqueued, and what waits is held."""
    row = ledger.lane_rows(connection, [NOTICES]).get(NOTICES)
    own = lanes.c.channel_id == NOTICES
    if row is None and url:
        connection.execute(
            insert(lanes).values(ledger.new_lane(NOTICES, url, "async", OPTIONS, now))
        )
    elif row is not None:
        state = "active" if url else "disabled"
        values: dict[str, Any] = {"state": state, "webhook_url": url or row.webhook_url}
        if (state, url or row.webhook_url) != (row.state, row.webhook_url):
            values |= {"failures": 0, "paused_until": 0, "charged_at": now, "open_since": now}
            values |= {"state_since": now, "due_at": now, "failing_since": None}
        connection.execute(update(lanes).where(own).values(values))
    connection.execute(delete(channel_secrets).where(channel_secrets.c.channel_id == NOTICES))
    if url:
        kept_secrets.keep(connection, NOTICES, secret, now)


def enqueue(
    connection: Connection,
    told: Sequence[Recorded],
    installation_at: Callable[[int], str],
    zone: tzinfo,
    now: int,
) -> bool:
    """Whether there is a receiver of notices, and anything to tell it. `installation_at`: of a position, for `webhook_id`."""
    lane = ledger.lane_rows(connection, [NOTICES]).get(NOTICES)
    notices = [(recorded, notice) for recorded in told if (notice := notice_of(recorded))]
    if lane is None or lane.state != "active" or not notices:
        return False
    queue = queue_of(OPTIONS, NOTICES, 0)
    place = places(connection, [(0, NOTICES, queue)])[0, NOTICES]
    changes = Changes()
    for recorded, notice in notices:
        delivery_id = webhook_id(
            recorded.stream_id,
            recorded.version,
            NOTICES,
            installation=installation_at(recorded.position),
        )
        row = ledger.new_delivery(
            recorded,
            delivery_id,
            channel_id=NOTICES,
            kind="notice",
            queue=queue,
            place=place,
            due_at=None if place.waits else min(recorded.envelope.at, now),
            content_type=CONTENT_TYPES[OPTIONS.format],
            body=render("notice", _fields(connection, notice, zone), OPTIONS.format),
        )
        changes.insert(deliveries, row)
        place = place._replace(sequence=place.sequence + 1, previous_id=delivery_id, waits=True)
    changes.flush(connection)
    connection.execute(update(lanes).where(lanes.c.channel_id == NOTICES).values(due_at=now))
    return True


def _fields(connection: Connection, notice: Notice, zone: tzinfo) -> Fields:
    failure = notice.failure
    query = select(attempts.c.excerpt).where(attempts.c.attempt_id == failure.attempt_id)
    return {
        "notice_id": notice.notice_id,
        "kind": notice.kind,
        "sentence": notice.sentence,
        "channel_id": max(0, notice.channel_id),
        "case_id": failure.case_id,
        "message_id": failure.message_id,
        "delivery_id": failure.delivery_id,
        "class": failure.outcome_class,
        "http_status": failure.http_status,
        "excerpt": (failure.attempt_id and connection.scalar(query)) or "",
        "who": notice.who,
        "created_at": rfc_2822(notice.at, zone),
    }
