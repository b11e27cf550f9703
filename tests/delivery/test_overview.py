"""Deliveries as people see them, with what came of them."""

from pathlib import Path

from delivering import Desk, in_half_an_hour, open_database
from webhook_receiver import Receiver, status

from kanal.delivery.overview import DeliveryRow, Filter, listed


async def seen(desk: Desk, wanted: Filter = Filter()) -> list[DeliveryRow]:  # noqa: B008 immutable
    rows, total = await desk.database.read(listed, wanted, 100, 0)
    assert total == len(rows)
    return rows


async def test_a_failure_shows_its_outcome_and_the_channels_next_probe(
    database_url: str, data_dir: Path
) -> None:
    async with Desk(open_database(database_url, data_dir)) as desk, Receiver() as receiver:
        receiver.by_path["/down"] = status(503)
        receiver.by_path["/picky"] = status(422)
        paths = ("/down", "/picky", "/hook")
        for path in paths:
            channel_id = await desk.channel(receiver.url.replace("/hook", path))
            await desk.say(await desk.case(channel_id), path)
        private = await desk.channel("http://10.0.0.1/")
        await desk.say(await desk.case(private), "private")
        async with desk.sending(schedule=in_half_an_hour):

            async def all_tried() -> bool:
                return all(row["outcome_class"] for row in await desk.deliveries())

            await desk.until(all_tried)
        refused, taken, picky, down = await seen(desk)
        rows = {row["channel_id"]: row for row in await desk.lanes()}

    assert (down.state, down.http_status, down.attempts) == ("pending", 503, 1)
    assert down.sentence == "The receiver answered HTTP 503, which is not a success."
    assert down.next_attempt_at == rows[down.channel_id]["paused_until"]
    assert (picky.state, picky.http_status) == ("pending", 422)
    assert picky.next_attempt_at is not None
    assert picky.outcome_at is not None
    assert picky.next_attempt_at > picky.outcome_at
    assert (taken.state, taken.outcome_class, taken.next_attempt_at) == ("delivered", "ok", None)
    assert taken.delivered_at == taken.outcome_at
    assert (refused.state, refused.outcome_class) == ("pending", "blocked_by_policy")
    assert refused.next_attempt_at is None
