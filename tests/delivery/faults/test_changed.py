"""Channels that are disabled, moved to another URL and given another secret while everything goes out."""

import time
from pathlib import Path

from correspondence import Correspondence
from invariants import HEED_SECONDS, all_delivered
from nursery import Nursery
from webhook_receiver import Receiver, status

SEED = 20261122


async def test_a_channel_may_be_disabled_moved_and_rotated_under_load(
    nursery: Nursery, receiver: Receiver, data_dir: Path
) -> None:
    kanal = nursery.kanal(data_dir)
    await kanal.start()
    async with Correspondence(receiver, [kanal], SEED) as desk:
        await desk.open(channels=2, cases=3)
        channel = desk.channels[0]
        async with desk.writing(writers=2, pause=0.03):
            await receiver.wait_for(10)
            async with desk.disabled(channel):
                # The other channel goes on.
                await receiver.wait_for(len(receiver.received) + 30)
            await receiver.wait_for(len(receiver.received) + 10)

            made = await desk.call("POST", f"custom_channels/{channel}/secrets.json")
            desk.secrets[channel].append(made["secret"]["secret"])
            await receiver.wait_for(len(receiver.received) + 10)

            # What fails at the old URL is sent to the new one.
            receiver.then(*[status(500)] * 4)
            await receiver.wait_for(len(receiver.received) + 4)
            moved = {"custom_channel": {"webhook_url": receiver.url.replace("/hook", "/new")}}
            await desk.call("PUT", f"custom_channels/{channel}.json", moved)
            moved_at = time.monotonic()
            await receiver.wait_for(len(receiver.received) + 20)
        await desk.until_all_ended()
        # After another URL what failed is tried at once.
        evidence = await desk.check(first_delay=0.0)
    assert not all_delivered(evidence)
    moved_cases = {str(case_id) for case_id in desk.cases[:3]}
    late = [
        request.path
        for request in receiver.received
        if request.form["object[case_id]"] in moved_cases
        and request.started > moved_at + HEED_SECONDS
    ]
    assert set(late) <= {"/new"}
    assert any(request.path == "/new" for request in receiver.received)
