"""Copies to a second URL: the same bytes and id, in order, compared, and without any effect on deliveries."""

import pytest
from delivering import Desk, in_half_an_hour
from standardwebhooks import Webhook
from webhook_receiver import Receiver, hang, status

from kanal.delivery import shadow
from kanal.delivery.shadow import Seen
from kanal.domain import channels, webhook_options
from kanal.eventlog.tables import channel_secrets


@pytest.fixture(autouse=True)
def written_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadow, "WRITE_SECONDS", 0.01)


async def seen(desk: Desk, channel_id: int = 1) -> Seen | None:
    return await desk.database.read(shadow.look, channel_id, 10)


async def compared(desk: Desk, count: int) -> Seen:
    async def all_of_them() -> bool:
        found = await seen(desk)
        return found is not None and sum(found.shadow[2:]) >= count

    await desk.until(all_of_them)
    found = await seen(desk)
    assert found
    return found


async def test_each_attempt_is_copied_in_order_and_compared(desk: Desk) -> None:
    async with Receiver() as main, Receiver() as second:
        channel_id = await desk.channel(main.url, shadow_url=second.url, format="json")
        case_id = await desk.case(channel_id)
        main.then(status(200), status(500), status(200))
        second.then(status(200), status(200), status(503, b"Too early"))
        async with desk.sending():
            for number in (1, 2):
                await desk.say(case_id, f"{number}")
            await desk.until_delivered()
            found = await compared(desk, 3)
        assert [each.body for each in second.received] == [each.body for each in main.received]
        for first, copy in zip(main.received, second.received, strict=True):
            assert first.headers["webhook-id"] == copy.headers["webhook-id"]
            assert (first.headers.get("kanal-shadow"), copy.headers["kanal-shadow"]) == (None, "1")
            (secret,) = await desk._rows(channel_secrets, channel_secrets.c.created_at)
            Webhook(secret["secret"]).verify(copy.body, copy.headers)
        counts = found.shadow
        assert (counts.same, counts.better, counts.worse, counts.not_sent) == (1, 1, 1, 0)
        worse, better = found.differences
        assert (worse.comparison, better.comparison) == ("worse", "better")
        assert (worse.main_status, worse.shadow_status, worse.excerpt) == (200, 503, "Too early")
        assert found.main.p50 is not None
        assert found.second.p95 is not None


async def test_a_second_url_that_hangs_costs_deliveries_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shadow, "WAITING_LIMIT", 3)
    async with Receiver() as main, Receiver(hang()) as second:
        channel_id = await desk.channel(main.url, shadow_url=second.url)
        async with desk.sending(schedule=in_half_an_hour):
            for _ in range(10):
                await desk.say(await desk.case(channel_id), "Hello")
            await desk.until_delivered()
            # Four are under way and three wait.
            assert (await compared(desk, 3)).shadow.not_sent == 3
            (lane,) = await desk.lanes()
            assert (lane["failures"], lane["paused_until"]) == (0, 0)
            await second.wait_for(4)
        found = await seen(desk)
        assert found
        assert found.shadow.not_sent == 10
        assert [row["attempts"] for row in await desk.deliveries()] == [1] * 10


async def test_the_second_url_takes_over_or_is_dropped(desk: Desk) -> None:
    async with Receiver() as main, Receiver() as second:
        channel_id = await desk.channel(main.url, shadow_url=second.url)
        case_id = await desk.case(channel_id)
        async with desk.sending() as sender:

            async def follows() -> bool:
                """The sender has heard of the last change."""
                (row,) = await desk.lanes()
                lane = sender.lanes[channel_id].row
                same = webhook_options.stored(lane.options) == row["options"]
                return same and lane.webhook_url == row["webhook_url"]

            await desk.say(case_id, "To both")
            await compared(desk, 1)
            await desk.do(channels.switch_to_shadow, channel_id=channel_id)
            await desk.until(follows)
            await desk.say(case_id, "To the second")
            await second.wait_for(2)
            await desk.until_delivered()
            assert await seen(desk) is None
            again = {"shadow_url": main.url}
            await desk.do(channels.change_channel, channel_id=channel_id, webhook=again)
            found = await seen(desk)
            assert found
            assert (found.shadow.url, sum(found.shadow[2:])) == (main.url, 0)
            await desk.do(channels.drop_shadow, channel_id=channel_id)
            await desk.until(follows)
            await desk.say(case_id, "To the second alone")
            await second.wait_for(3)
            await desk.until_delivered()
        assert len(main.received) == 1
        assert "kanal-shadow" not in second.received[1].headers


async def test_only_so_many_results_are_kept(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadow, "KEPT", 2)
    async with Receiver() as main, Receiver(status(404)) as second:
        channel_id = await desk.channel(main.url, shadow_url=second.url)
        async with desk.sending():
            for _ in range(5):
                await desk.say(await desk.case(channel_id), "Hello")
            found = await compared(desk, 5)
        assert found.shadow.worse == 5
        assert len(found.differences) == 2
