"""What sending has come to, as Prometheus is shown it; and how long its attempts are kept."""

from pathlib import Path

from delivering import Desk, in_half_an_hour, open_database
from prometheus_client import CollectorRegistry
from sqlalchemy import Connection, update
from webhook_receiver import Receiver, status

from kanal.delivery.ledger import attempt_row, lane_rows
from kanal.delivery.meter import Meter
from kanal.delivery.outcome import Outcome, OutcomeClass
from kanal.delivery.retention import OldAttempts
from kanal.delivery.schedule import DAY
from kanal.delivery.tables import NEVER, attempts, lanes
from kanal.delivery.verdict import Delivery
from kanal.domain.channel_delivery import pause_delivery
from kanal.http.delivery_metrics import DeliveryMetrics


async def test_numbers_of_sending_are_counted_and_what_waits_is_looked_up(
    database_url: str, data_dir: Path
) -> None:
    registry, meter = CollectorRegistry(), Meter()
    posting = 0
    metrics = DeliveryMetrics(registry, meter, lambda: posting, 256)

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"kanal_delivery_{name}", labels)

    async with (
        Desk(open_database(database_url, data_dir)) as desk,
        Receiver() as receiver,
    ):
        receiver.by_path["/down"] = status(503)
        receiver.by_path["/never"] = status(422, headers={"webhook-delivery": "abort-message"})
        channels = [
            await desk.channel(receiver.url.replace("/hook", path))
            for path in ("/hook", "/down", "/never", "/paused")
        ]
        await desk.do(pause_delivery, channel_id=channels[3])
        cases = [await desk.case(channel_id) for channel_id in channels]
        for case_id in cases:
            await desk.say(case_id, "One")

        def left_open(connection: Connection) -> None:
            lane = lane_rows(connection, channels[:1])[channels[0]]
            row = {"owner": "gone", "token": 4, "lease_until": 0}
            own = lanes.c.channel_id == lane.channel_id
            connection.execute(update(lanes).where(own).values(row))
            connection.execute(attempts.insert().values(attempt_row(first, 4, 1)))

        found = (await desk.deliveries())[0]
        names = [name for name in Delivery.__struct_fields__ if name in found]
        first = Delivery(**{name: found[name] for name in names})
        await desk.writer.run(left_open)
        async with desk.sending(schedule=in_half_an_hour, meter=meter) as sender:

            async def settled() -> bool:
                rows = await desk.deliveries()
                return [row["state"] for row in rows if row["outcome_class"] != "unknown"] == [
                    *("delivered", "pending", "dead", "pending")
                ] and rows[1]["outcome_class"] is not None

            await desk.until(settled)
            posting = sender.posting
            await metrics.look(desk.database)

            assert value("attempts_total", **{"class": "ok"}) == 1
            assert value("attempts_total", **{"class": "http_status"}) == 2
            assert value("seconds_count") == 1
            assert value("seconds_bucket", le="+Inf") == 1
            assert (value("lease_expiries_total"), value("unknown_outcomes_total")) == (1, 1)
            assert (value("dead_letters_total"), value("late_outcomes_total")) == (1, 0)
            again = Outcome(outcome_class=OutcomeClass.OK, started_at=1, ended_at=2, resent=True)
            meter.attempted(again)
            assert value("resends_total") == 1
            assert (value("in_flight"), value("capacity")) == (0, 256)
            states = {
                state: value("lanes", state=state) for state in ("ready", "failing", "paused")
            }
            assert states == {"ready": 0, "failing": 1, "paused": 1}
            down, paused = str(channels[1]), str(channels[3])
            assert value("breaker", channel=down) == 2
            assert value("breaker", channel=paused) == 0
            assert (value("oldest_seconds", channel=down) or 0) > 0
            assert value("oldest_seconds", channel=str(channels[0])) is None

        # Attempts of what has ended are forgotten, those of what waits are not.
        duty = OldAttempts(desk.database, desk.writer, 90 * DAY)

        def age(connection: Connection) -> None:
            for row in rows:
                aged = f"{row['started_at'] - 91 * DAY:014x}{row['attempt_id'][14:]}"
                own = attempts.c.attempt_id == row["attempt_id"]
                connection.execute(update(attempts).where(own).values(attempt_id=aged))

        rows = [row for row in await desk.attempts() if row["started_at"] > 91 * DAY]
        await duty.act(0)
        assert len(await desk.attempts()) == len(rows)
        await desk.writer.run(age)
        duty = OldAttempts(desk.database, desk.writer, 90 * DAY)
        (item,) = await desk.database.read(duty.due, None, desk.writer.clock())
        await duty.act(item)
        assert [row["channel_id"] for row in await desk.attempts()] == [channels[1]]
        assert await desk.database.read(duty.due, None, desk.writer.clock()) == []
        assert [row["outcome_class"] for row in await desk.deliveries() if row["attempts"]]
        forever = OldAttempts(desk.database, desk.writer, 0)
        assert await desk.database.read(forever.due, None, NEVER) == []
