"""Processes that die: killed at each step of a delivery, at random, one of two again and again; and ended in order."""

import asyncio
import random
import signal
import time
from pathlib import Path

import pytest
from correspondence import Correspondence
from invariants import all_delivered
from nursery import Fate, Nursery
from webhook_receiver import Line, Received, Receiver, delayed, status

pytestmark = pytest.mark.timeout(120)  # processes start and die, on a machine that may be busy

SEED = 20261122

STEPS = {
    "a lane is claimed, not committed": "after kanal.delivery.ledger:claim",
    "the lane is claimed": "before kanal.delivery.sender:Sender.adopt",
    "the intent is written": "before kanal.delivery.post:WebhookClient.post",
    "a connection is being made": "after kanal.delivery.address_guard:AddressGuard.socket_factory",
    "the answer has come": "after kanal.delivery.post:WebhookClient.post",
    "the outcome is written, not committed": "after kanal.delivery.ledger:write 2",
    "the outcome is recorded": "before kanal.delivery.lanes:Lane.learned",
}
"""Once the request is sent the receiver itself kills the sender."""

OK = status(200)
RANDOM_KILLS = 2
END_SECONDS = 15
"""Much more than the three that it has, on a machine that may be busy."""
KILLS_OF_ONE = 3


async def test_killed_at_each_step_or_at_random_it_loses_and_reorders_nothing(
    nursery: Nursery, receiver: Receiver, database_url: str, data_dir: Path
) -> None:
    dice = random.Random(SEED)
    kanal = nursery.kanal(data_dir, database_url)
    await kanal.start()
    async with Correspondence(receiver, [kanal], SEED) as desk:
        await desk.open(channels=2, cases=3)
        async with desk.writing(writers=2, pause=0.05):
            await receiver.wait_for(5)
            await kanal.kill()
            desk.crashes += 1
            for step in STEPS.values():
                await kanal.start(fate=Fate(dies=step))
                async with asyncio.timeout(20):
                    assert await kanal.ended == -signal.SIGKILL, step
                desk.crashes += 1

            async def kill(_: Received, line: Line) -> None:
                kanal.send_signal(signal.SIGKILL)
                await line.ended()

            receiver.then(kill)
            await kanal.start()
            async with asyncio.timeout(20):
                assert await kanal.ended == -signal.SIGKILL
            desk.crashes += 1
            for _ in range(RANDOM_KILLS):
                await kanal.start()
                await receiver.wait_for(len(receiver.received) + dice.randint(1, 20))
                await kanal.kill()
                desk.crashes += 1
            await kanal.start()
        await desk.until_all_ended()
        evidence = await desk.check()
        assert not all_delivered(evidence)


async def test_one_of_two_processes_may_be_killed_again_and_again(
    nursery: Nursery, receiver: Receiver, postgres_url: str, data_dir: Path
) -> None:
    dice = random.Random(SEED)
    receiver.default = delayed(0.005, OK)
    kept, killed = (nursery.kanal(data_dir / name, postgres_url) for name in ("kept", "killed"))
    await kept.start()
    async with Correspondence(receiver, [kept, killed], SEED) as desk:
        await desk.open(channels=6, cases=2)
        async with desk.writing(writers=2, pause=0.05):
            for _ in range(KILLS_OF_ONE):
                await killed.start()
                await receiver.wait_for(len(receiver.received) + dice.randint(5, 25))
                await killed.kill()
                desk.crashes += 1
            await killed.start()
            # The rate is back: what is written from now on arrives, whoever has the lane.
            await receiver.wait_for(len(receiver.received) + 30)
        await desk.until_all_ended()
        evidence = await desk.check()
        assert not all_delivered(evidence)


async def test_told_to_end_under_load_it_ends_in_time_without_a_loss_or_a_repeat(
    nursery: Nursery, receiver: Receiver, database_url: str, data_dir: Path
) -> None:
    receiver.default = delayed(0.05, OK)
    kanal = nursery.kanal(data_dir, database_url, KANAL_SHUTDOWN_SECONDS="3")
    await kanal.start()
    async with Correspondence(receiver, [kanal], SEED) as desk:
        await desk.open(channels=2, cases=4)
        async with desk.writing(writers=3, pause=0.01):
            for _ in range(2):
                await receiver.wait_for(len(receiver.received) + 30)
                began = time.monotonic()
                assert await kanal.stop() == 0
                assert time.monotonic() - began < END_SECONDS
                await kanal.start()
        await desk.until_all_ended()
        evidence = await desk.check()
        assert not all_delivered(evidence)
        assert evidence.counts()["duplicates"] == 0
        assert len(receiver.received) == len(evidence.log)
