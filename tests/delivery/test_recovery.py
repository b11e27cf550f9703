"""A lost or rolled-back outbox is noticed and made again from the log, and nothing is sent again without a watermark."""

from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from delivering import Desk, Row
from sqlalchemy import delete, insert, update
from structlog.testing import capture_logs
from webhook_receiver import Receiver

from kanal.delivery.recovery import LOST, UNKNOWN, LossWatch, Recovery, WrongWatermark, recovering
from kanal.delivery.tables import attempts, deliveries, lanes, replays
from kanal.domain import channels
from kanal.domain.deliveries import skip
from kanal.eventlog import backup
from kanal.eventlog.migrate import migrate
from kanal.eventlog.sqlite import SqliteDatabase
from kanal.eventlog.tables import counters

GIVEN = ("delivery_id", "position", "sequence", "previous_id", "kind", "content_type", "body")
"""What a receiver sees of a delivery."""


def seen(rows: list[Row]) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in GIVEN) for row in rows]


def recovery_of(desk: Desk) -> Recovery:
    return Recovery(desk.database, desk.writer, desk.outbox)


async def lose(desk: Desk, *tables: Any, where: Any = ()) -> None:
    def task(connection: Any) -> None:
        for table in tables:
            connection.execute(delete(table).where(*where))

    await desk.writer.run(task)


async def look(desk: Desk) -> LossWatch:
    watch = LossWatch(recovery_of(desk), desk.database)
    await watch.look()
    return watch


async def recover(desk: Desk, since: str, **options: bool) -> dict[str, int]:
    def work() -> dict[str, Any]:
        *_, last = recovering(recovery_of(desk), since, **{"dry_run": False, **options})
        return last

    counts: dict[str, int] = (await desk.database.in_thread(work))["counts"]
    return counts


def set_options(connection: Any, options: str) -> None:
    connection.execute(update(lanes).values(options=options))


async def correspondence(desk: Desk, url: str, **options: Any) -> list[int]:
    """Two cases with three messages each, one after the other."""
    channel_id = await desk.channel(url, **options)
    cases = [await desk.case(channel_id) for _ in range(2)]
    for number in range(3):
        for case_id in cases:
            await desk.say(case_id, f"Case {case_id}, {number}")
    return cases


async def test_what_was_lost_is_made_again_and_held_until_a_watermark_says_what_is_sent(
    desk: Desk,
) -> None:
    async with Receiver() as receiver:
        cases = await correspondence(desk, receiver.url)
        await look(desk)
        async with desk.sending():
            await desk.until_delivered()
        before = await desk.deliveries()
        await lose(desk, deliveries, attempts)

        assert not recovery_of(desk).is_whole()
        watch = await look(desk)
        assert watch.undecided == 6
        held = await desk.deliveries()
        assert seen(held) == seen(before)
        assert {(row["state"], row["reason"]) for row in held} == {("held", LOST)}
        assert recovery_of(desk).is_whole()

        received = len(receiver.received)
        async with desk.sending():
            # What is written now waits behind them; other cases go on.
            await desk.say(cases[0], "Later")
            await desk.say(await desk.case(1), "Elsewhere")
            await receiver.wait_for(received + 1)
            assert receiver.received[-1].form["object[content]"] == "Elsewhere"

            since = str(before[3]["position"])
            assert await recover(desk, since, dry_run=True) == {
                "dead": 3,
                "pending": 3,
                "strays": 0,
            }
            assert (await look(desk)).undecided == 6
            assert await recover(desk, since) == {"dead": 3, "pending": 3, "strays": 0}
            await receiver.wait_for(received + 5)
        rows = await desk.deliveries()
        assert [row["state"] for row in rows] == ["dead"] * 3 + ["delivered"] * 5
        assert {row["reason"] for row in rows[:3]} == {UNKNOWN}
        ids = [each.headers["webhook-id"] for each in receiver.received[received + 1 :]]
        sent = [row for row in rows if row["delivery_id"] in ids and row["case_id"] == cases[0]]
        assert [each for each in ids if each in {row["delivery_id"] for row in sent}] == [
            row["delivery_id"] for row in sent
        ]
        assert (await look(desk)).undecided == 0
        # Again, it changes nothing.
        assert await recover(desk, since) == {"dead": 0, "pending": 0, "strays": 0}
        kinds = [each.event.NAME for each in desk.database.events_after(0)]
        assert kinds.count("deliveries.recovered.1") == 1


async def test_what_the_ledger_of_attempts_knows_is_not_asked(desk: Desk) -> None:
    async with Receiver() as receiver:
        await correspondence(desk, receiver.url)
        async with desk.sending():
            await desk.until_delivered()
        before = await desk.deliveries()
        await lose(desk, deliveries)
        assert (await look(desk)).undecided == 0
        after = await desk.deliveries()
        kept = ("state", "delivered_at", "attempts", "outcome_class", "http_status")
        assert [[row[name] for name in kept] for row in after] == [
            [row[name] for name in kept] for row in before
        ]
        assert seen(after) == seen(before)


async def test_a_gap_is_filled_with_the_numbers_that_it_had(desk: Desk) -> None:
    """Rows of an earlier time, and what was written since with numbers that were taken."""
    (first, second) = await correspondence(desk, "http://127.0.0.1:9/hook", order="channel")
    await look(desk)
    before = await desk.deliveries()
    await lose(desk, deliveries, where=[deliveries.c.position > before[1]["position"]])
    await desk.say(first, "With a number of one that is lost")
    assert not recovery_of(desk).is_whole()
    await look(desk)
    rows = await desk.deliveries()
    assert seen(rows[:6]) == seen(before)
    of_first = [row for row in rows if row["case_id"] == first]
    assert [row["sequence"] for row in of_first] == [1, 2, 3, 4]
    assert of_first[3]["previous_id"] == of_first[2]["delivery_id"]
    assert [row["state"] for row in rows] == ["pending"] * 2 + ["held"] * 4 + ["pending"]
    assert await recover(desk, "0") == {"dead": 0, "pending": 4, "strays": 0}
    rows = await desk.deliveries()
    assert [row["state"] for row in rows] == ["pending"] * 7
    assert [row["due_at"] is not None for row in rows] == [True] + [False] * 6
    assert second


async def test_channels_and_decisions_are_known_from_the_log_too(desk: Desk) -> None:
    (case_id, _) = await correspondence(desk, "http://127.0.0.1:9/hook", format="json")
    form = {"order": "none", "format": "form"}
    await desk.do(channels.change_channel, channel_id=1, webhook=form)
    await desk.say(case_id, "As a form")
    await desk.do(channels.disable_channel, channel_id=1)
    gone = await desk.channel("http://127.0.0.1:9/gone")
    await desk.say(await desk.case(gone), "To nobody")
    await desk.do(channels.delete_channel, channel_id=gone)
    rows = await desk.deliveries()
    now = await desk.look(rows[0]["delivery_id"], 1)
    await desk.do(skip, delivery=now)
    lanes_before, before = await desk.lanes(), await desk.deliveries()
    await lose(desk, deliveries, attempts, lanes)

    assert not recovery_of(desk).is_whole()
    # Cut off as soon as the rows are there: by then it is known what was given up.
    await desk.database.in_thread(lambda: next(recovery_of(desk).make_again()))
    await look(desk)
    same = ("channel_id", "webhook_url", "channel_type", "options", "state", "state_since")
    assert [[row[name] for name in same] for row in await desk.lanes()] == [
        [row[name] for name in same] for row in lanes_before
    ]
    rows = await desk.deliveries()
    assert seen(rows) == seen(before)
    assert [row["state"] for row in rows] == ["dead", *["held"] * 6, "dead"]
    assert await recover(desk, "now") == {"dead": 6, "pending": 0, "strays": 0}
    assert set(await desk.states()) == {"dead"}


async def test_replays_that_were_lost_are_there_again_and_go_no_further(desk: Desk) -> None:
    await correspondence(desk, "http://127.0.0.1:9/hook")
    for row in await desk.deliveries():
        await desk.decide(skip, row["delivery_id"])
    asked = [await desk.replay(channel_id=1, per_minute=60) for _ in range(2)]
    await look(desk)
    before = [await desk.replayed(replay_id) for replay_id in asked]
    await lose(desk, replays, where=[replays.c.replay_id == asked[0]])
    assert not recovery_of(desk).is_whole()
    await look(desk)
    after = [await desk.replayed(replay_id) for replay_id in asked]
    assert after[1] == before[1]
    assert after[0] == before[0]._replace(state="cancelled", ended_at=after[0].ended_at)
    assert recovery_of(desk).is_whole()


async def test_a_log_that_is_behind_its_deliveries_is_noticed_and_they_can_be_removed(
    desk: Desk,
) -> None:
    """There is one of a message that the log does not have, as after a restore of the log's table alone."""
    (_, case_id) = await correspondence(desk, "http://127.0.0.1:9/hook")
    assert (await look(desk)).strays == 0
    kept = await desk.deliveries()
    last = {**kept[-1], "delivery_id": "msg_stray", "message_id": 999, "sequence": 999}
    last["position"] += 1
    await desk.writer.run(lambda connection: connection.execute(insert(deliveries).values(last)))
    with capture_logs() as logs:
        assert (await look(desk)).strays == 1
    assert [each["event"] for each in logs] == ["log_behind_deliveries"]
    assert (await recover(desk, "now", dry_run=True))["strays"] == 1
    assert (await recover(desk, "now"))["strays"] == 1
    assert seen(await desk.deliveries()) == seen([*kept, last])
    # Its turn has come, and what is said now stands behind it.
    for row in kept:
        await desk.decide(skip, row["delivery_id"])
    await desk.say(case_id, "Behind it")
    waiting = (await desk.deliveries())[-2]
    assert waiting["due_at"] is None
    assert (await recover(desk, "now", drop_strays=True))["strays"] == 1
    rows = await desk.deliveries()
    assert seen(rows) == seen([*kept, waiting])
    assert rows[-1]["due_at"] is not None
    assert (await look(desk)).strays == 0


async def test_what_is_said_after_a_restore_takes_no_id_of_what_the_backup_did_not_have(
    desk: Desk, tmp_path: Path
) -> None:
    """Its receiver has that id already, with other words, and drops what it knows."""
    (case_id, _) = await correspondence(desk, "http://127.0.0.1:9/hook")
    archive = tmp_path / "kanal.zip"
    await desk.database.in_thread(lambda: list(backup.write(desk.database, archive)))
    before = await desk.deliveries()
    await desk.say(case_id, "Lost")
    lost = (await desk.deliveries())[-1]

    database = SqliteDatabase(tmp_path / "restored" / "kanal.db")
    migrate(database)
    list(backup.restore(database, archive))
    async with Desk(database) as restored:
        assert seen(await restored.deliveries()) == seen(before)
        await restored.say(case_id, "Said anew")
        anew = (await restored.deliveries())[-1]
        assert (anew["position"], anew["sequence"]) == (lost["position"], lost["sequence"])
        assert anew["delivery_id"] != lost["delivery_id"]
        watch = await look(restored)
        assert (watch.undecided, watch.strays) == (0, 0)


async def test_a_number_without_a_channel_is_no_loss(desk: Desk) -> None:
    await correspondence(desk, "http://127.0.0.1:9/hook")
    await look(desk)

    def taken(connection: Any) -> None:
        connection.execute(
            update(counters).where(counters.c.name == "channel").values(value=counters.c.value + 1)
        )

    await desk.writer.run(taken)
    assert recovery_of(desk).is_whole()


async def test_the_watch_goes_on_after_a_fault_and_its_end_raises_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kanal.delivery.recovery.LOOK_SECONDS", 0.01)
    await correspondence(desk, "http://127.0.0.1:9/hook")
    await look(desk)
    await lose(desk, deliveries)
    (options,) = {row["options"] for row in await desk.lanes()}
    await desk.writer.run(partial(set_options, options="{"))
    watch = LossWatch(recovery_of(desk), desk.database)
    with capture_logs() as logs:
        watch.start()

        async def failed() -> bool:
            return "outbox_not_looked_at" in {each["event"] for each in logs}

        await desk.until(failed)
        await desk.writer.run(partial(set_options, options=options))

        async def noticed() -> bool:
            return watch.undecided == 6

        await desk.until(noticed)
    await watch.close()


async def test_a_watermark_is_a_position_a_time_or_now(desk: Desk) -> None:
    await correspondence(desk, "http://127.0.0.1:9/hook")
    events = desk.database.events_after(0)
    found = recovery_of(desk)
    last = datetime.fromtimestamp(events[-1].envelope.at / 1_000_000, UTC)
    assert found.position_of("7") == 7
    assert found.position_of("now") == events[-1].position + 1
    assert found.position_of(last.isoformat()) == events[-1].position
    assert found.position_of("2000-01-01T00:00:00Z") == 1
    for wrong in ("yesterday", "2026-04-26T20:17:10", "-5", "9" * 30):
        with pytest.raises(WrongWatermark):
            found.position_of(wrong)
