"""Delivery health is what a plain look at every row of the outbox says."""

from math import ceil
from random import Random

import pytest
from folding import engine_of
from sqlalchemy import insert

from kanal.delivery import health
from kanal.delivery.health import Health
from kanal.delivery.tables import deliveries

SECOND = 1_000_000
EVERY = {"previous_id": "", "attempts": 1, "failures": 0, "template_version": 1} | {
    "content_type": "x",
    "body": b"x",
    "case_id": 1,
}


def rows(random: Random, amount: int) -> list[dict[str, object]]:
    """Of two channels, in the log's order, with positions left out and several at one moment."""
    made, position, at = [], 0, 100 * SECOND
    for number in range(amount):
        position += random.randint(1, 9)
        at += random.choice([0, 0, SECOND, 40 * SECOND])
        state = random.choices(["delivered", "dead", "pending", "held"], [8, 1, 1, 1])[0]
        arrived = at + random.randint(1, 900_000) if state == "delivered" else None
        made.append(
            {
                **EVERY,
                "delivery_id": str(number),
                "position": position,
                "sequence": number,
                "message_id": number,
                "channel_id": random.randint(1, 2),
                "kind": random.choice(["message_new", "message_new", "case_status"]),
                "created_at": at,
                "state": state,
                "delivered_at": arrived,
                "turn": position if state in ("pending", "held") else None,
                "replay_id": random.choice([None, None, 1]),
            }
        )
    return made


def ranked(times: list[int], share: float) -> int:
    """The least of them that so great a share does not exceed."""
    return sorted(times)[ceil(share * len(times)) - 1] if times else 0


def recounted(stored: list[dict[str, object]], channel_id: int, since: int, until: int) -> Health:
    own: list[dict[str, object]] = [
        row
        for row in stored
        if row["channel_id"] == channel_id and since <= int(str(row["created_at"])) < until
    ]
    arrived = [
        row
        for row in own
        if row["delivered_at"] and row["kind"] == "message_new" and not row["replay_id"]
    ][-health.SAMPLE :]
    times = sorted(
        (int(str(row["delivered_at"])) - int(str(row["created_at"]))) // 1000 for row in arrived
    )
    return Health(
        deliveries=len(own),
        failed=sum(row["state"] == "dead" for row in own),
        waiting=sum(row["turn"] is not None for row in own),
        timed=len(times),
        median=ranked(times, 0.5),
        p99=ranked(times, 0.99),
    )


def test_health_is_that_of_every_row_in_the_period(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "SAMPLE", 100)
    random = Random(1)
    stored = rows(random, 800)
    engine = engine_of(database_url)
    with engine.connect() as connection:
        deliveries.create(connection, checkfirst=True)
        connection.execute(insert(deliveries), stored)
        ends = [0, 10**12, *(random.choice(stored)["created_at"] for _ in range(12))]
        for _ in range(12):
            since, until = sorted(int(str(each)) for each in random.sample(ends, 2))
            found = health.of_channels(connection, [1, 2, 3], since, until)
            assert found == {
                channel_id: recounted(stored, channel_id, since, until) for channel_id in (1, 2, 3)
            }
    engine.dispose()
