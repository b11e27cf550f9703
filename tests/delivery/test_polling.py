"""A channel whose receiver asks: nothing is POSTed, until it is told to."""

import pytest
from delivering import Desk
from webhook_receiver import Receiver

from kanal.delivery import polling
from kanal.domain import channels
from kanal.domain.deliveries import retry, skip
from kanal.domain.errors import ChannelPolled


async def test_nothing_is_posted_before_polling_is_turned_off(desk: Desk) -> None:
    async with Receiver() as receiver, desk.sending():
        channel_id = await desk.channel(receiver.url, polling=True)
        case_id = await desk.case(channel_id)
        for number in (1, 2, 3):
            await desk.say(case_id, f"Polled {number}")
        # Another channel of the same receiver, so that it is known that the sender has had its turn.
        await desk.say(await desk.case(await desk.channel(receiver.url)), "POSTed")
        (posted,) = await receiver.wait_for(1)
        assert posted.form["object[content]"] == "POSTed"
        first, *_ = await desk.deliveries()
        taken = await desk.writer.run(
            lambda connection: polling.acknowledge(connection, channel_id, first["position"], 1)
        )
        assert taken == 1
        assert (await desk.states())[:3] == ["delivered", "pending", "pending"]

        await desk.do(channels.change_channel, channel_id=channel_id, webhook={"polling": False})
        await desk.until_delivered()
        contents = [each.form["object[content]"] for each in receiver.received[1:]]
        assert contents == ["Polled 2", "Polled 3"]

        await desk.do(channels.change_channel, channel_id=channel_id, webhook={"polling": True})
        await desk.say(case_id, "Polled 4")
        last = (await desk.deliveries())[-1]
        assert last["due_at"] is None
        await desk.decide(skip, last["delivery_id"])
        with pytest.raises(ChannelPolled, match="from an earlier cursor"):
            await desk.decide(retry, last["delivery_id"])
