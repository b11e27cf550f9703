"""The sender between a real log and a real receiver, on both databases."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from delivering import Desk, in_half_an_hour, never_in_time, open_database
from sqlalchemy import Connection, select, update
from standardwebhooks import Webhook
from webhook_receiver import (
    Line,
    Reaction,
    Received,
    Receiver,
    closed_port,
    delayed,
    hang,
    reset,
    status,
)

from kanal.delivery.lanes import FIRST_WIDTH
from kanal.delivery.outbox import CHANNEL_DELETED
from kanal.delivery.resolver import Resolver
from kanal.delivery.schedule import SECOND
from kanal.delivery.sender import Sender
from kanal.delivery.tables import NEVER, lanes
from kanal.delivery.verdict import Delivery
from kanal.domain import channels
from kanal.domain.deliveries import DeliveryDeadLettered
from kanal.eventlog.tables import channel_secrets
from kanal.eventlog.writer import LogUnavailable

OK = status(200)


def case_of(request: Received) -> str:
    return request.form["object[case_id]"]


def contents(requests: list[Received]) -> list[str]:
    return [request.form["object[content]"] for request in requests]


def by_content(**reactions: Reaction) -> Reaction:
    """The reaction to the first word of a message; 200 for others."""

    async def react(request: Received, line: Line) -> None:
        word = request.form["object[content]"].split()[0]
        await reactions.get(word, OK)(request, line)

    return react


def first_taken(requests: list[Received], refused: set[int]) -> dict[str, list[str]]:
    """Case -> ids in the order in which they were first answered with success."""
    taken: dict[str, list[str]] = defaultdict(list)
    for index, request in enumerate(requests):
        delivery_id = request.headers["webhook-id"]
        if index not in refused and delivery_id not in taken[case_of(request)]:
            taken[case_of(request)].append(delivery_id)
    return taken


async def test_a_message_arrives_signed_numbered_and_once(desk: Desk, receiver: Receiver) -> None:
    channel_id = await desk.channel(receiver.url)
    case_id = await desk.case(channel_id)
    async with desk.sending():
        await desk.say(case_id, "One")
        await desk.say(case_id, "Two")
        await receiver.wait_for(2)
        await desk.until_delivered()

    def secret(connection: Connection) -> str:
        return str(connection.scalar(select(channel_secrets.c.secret)))

    signer = Webhook(await desk.database.read(secret))
    rows = await desk.deliveries()
    for request, row in zip(receiver.received, rows, strict=True):
        # The library's own check would also want the body to be JSON.
        at = datetime.fromtimestamp(int(request.headers["webhook-timestamp"]), UTC)
        signature = signer.sign(row["delivery_id"], at, request.body.decode())
        assert request.headers["webhook-signature"] == signature
        assert request.headers["webhook-id"] == row["delivery_id"]
        assert request.headers["content-type"] == "application/x-www-form-urlencoded"
        assert request.headers["kanal-sequence"] == str(row["sequence"])
        assert request.body == row["body"]
    assert receiver.received[1].headers["kanal-previous-id"] == rows[0]["delivery_id"]
    assert [row["attempts"] for row in rows] == [1, 1]


async def test_a_channel_may_ask_for_all_of_its_messages_in_their_order(
    desk: Desk, receiver: Receiver
) -> None:
    dice = random.Random(5)

    async def react(request: Received, line: Line) -> None:
        await (status(500) if dice.random() < 0.3 else OK)(request, line)

    receiver.default = react
    channel_id = await desk.channel(receiver.url, order="channel")
    case_ids = [await desk.case(channel_id) for _ in range(3)]
    async with desk.sending():
        for number in range(12):
            await desk.say(case_ids[number % 3], f"number {number}")
        await desk.until_delivered()
    expected = [f"number {number}" for number in range(12)]
    assert list(dict.fromkeys(contents(receiver.received))) == expected
    assert contents(receiver.received) == sorted(contents(receiver.received), key=expected.index)
    assert [row["sequence"] for row in await desk.deliveries()] == [1 + n // 3 for n in range(12)]


async def test_a_channel_may_ask_for_no_order(desk: Desk, receiver: Receiver) -> None:
    receiver.default = by_content(first=status(404))
    case_id = await desk.case(await desk.channel(receiver.url, order="none"))
    for text in ("first", "second", "third"):
        await desk.say(case_id, text)

    async def others_delivered() -> bool:
        return await desk.states() == ["pending", "delivered", "delivered"]

    async with desk.sending(schedule=in_half_an_hour):
        await desk.until(others_delivered)


async def test_another_order_holds_for_what_waits_already(desk: Desk, receiver: Receiver) -> None:
    channel_id = await desk.channel(receiver.url)
    case_ids = [await desk.case(channel_id) for _ in range(2)]
    for number in range(8):
        await desk.say(case_ids[number // 4], f"number {number}")
    for order, heads in (("none", 8), ("channel", 1), ("case", 2), ("channel", 1)):
        await desk.do(channels.change_channel, channel_id=channel_id, webhook={"order": order})
        due = [row["due_at"] for row in await desk.deliveries() if row["due_at"]]
        assert len(due) == heads
    async with desk.sending():
        await desk.until_delivered()
    assert contents(receiver.received) == [f"number {number}" for number in range(8)]


async def test_what_was_enqueued_before_the_start_is_sent(desk: Desk, receiver: Receiver) -> None:
    case_id = await desk.case(await desk.channel(receiver.url))
    for number in range(3):
        await desk.say(case_id, f"number {number}")
    async with desk.sending():
        await desk.until_delivered()
    assert contents(receiver.received) == ["number 0", "number 1", "number 2"]


async def test_each_case_keeps_its_order_while_the_endpoint_fails_at_random(
    desk: Desk, receiver: Receiver
) -> None:
    dice = random.Random(4)
    refused: set[int] = set()

    async def react(request: Received, line: Line) -> None:
        if dice.random() < 0.3:
            refused.add(receiver.received.index(request))
            await dice.choice([status(500), status(404), status(408), status(302)])(request, line)
        else:
            await OK(request, line)

    receiver.default = react
    channel_id = await desk.channel(receiver.url)
    case_ids = [await desk.case(channel_id) for _ in range(6)]
    async with desk.sending():
        await asyncio.gather(
            *(desk.say(case_ids[number % 6], f"number {number}") for number in range(60))
        )
        await desk.until_delivered()
    expected: dict[str, list[str]] = defaultdict(list)
    for row in await desk.deliveries():
        expected[str(row["case_id"])].append(row["delivery_id"])
    assert first_taken(receiver.received, refused) == expected
    assert receiver.overlapping(case_of) == 0
    # Exactly as many requests as attempts: none is hidden, none is made without an intent.
    assert len(await desk.attempts()) == len(receiver.received)
    assert len(receiver.received) == 60 + len(refused)


async def test_a_retry_has_the_same_id_and_bytes_and_a_signature_of_its_own(
    desk: Desk, receiver: Receiver
) -> None:
    receiver.then(reset(), status(500), status(503))
    case_id = await desk.case(await desk.channel(receiver.url))
    async with desk.sending():
        await desk.say(case_id, "Hello")
        await desk.until_delivered()
    assert len(receiver.received) == 4
    assert len({request.headers["webhook-id"] for request in receiver.received}) == 1
    assert len({request.body for request in receiver.received}) == 1
    (row,) = await desk.deliveries()
    assert (row["attempts"], row["failures"], row["http_status"]) == (4, 3, 200)
    classes = [attempt["outcome_class"] for attempt in await desk.attempts()]
    assert classes == ["reset", "http_status", "http_status", "ok"]
    assert [attempt["number"] for attempt in await desk.attempts()] == [1, 2, 3, 4]
    (lane,) = await desk.lanes()
    assert (lane["failures"], lane["paused_until"]) == (0, 0)


async def test_a_refused_message_holds_up_only_its_case(desk: Desk, receiver: Receiver) -> None:
    receiver.default = by_content(bad=status(422))
    channel_id = await desk.channel(receiver.url)
    bad, good = await desk.case(channel_id), await desk.case(channel_id)
    async with desk.sending(schedule=in_half_an_hour):
        await desk.say(bad, "bad one")
        await desk.say(bad, "behind it")
        for number in range(5):
            await desk.say(good, f"good {number}")

        async def good_delivered() -> bool:
            return (await desk.states()).count("delivered") == 5

        await desk.until(good_delivered)
    assert "behind it" not in contents(receiver.received)
    assert contents(receiver.received).count("bad one") == 1


async def test_a_message_that_the_receiver_always_breaks_on_does_not_stop_its_channel(
    desk: Desk, receiver: Receiver
) -> None:
    receiver.default = by_content(poison=status(500))
    channel_id = await desk.channel(receiver.url)
    case_ids = [await desk.case(channel_id) for _ in range(5)]
    async with desk.sending():
        await desk.say(case_ids[0], "poison")
        for case_id in case_ids[1:]:
            await desk.say(case_id, "good one")
            await desk.say(case_id, "good two")

        async def good_delivered() -> bool:
            return (await desk.states()).count("delivered") == 8

        await desk.until(good_delivered)
    (lane,) = await desk.lanes()
    assert lane["failures"] <= 2


async def test_channels_do_not_wait_for_one_that_hangs(desk: Desk, receiver: Receiver) -> None:
    receiver.by_path["/slow"] = hang()
    slow = await desk.channel(receiver.url.replace("/hook", "/slow"))
    healthy = await desk.channel(receiver.url)
    async with desk.sending(in_flight=8, per_channel=8, seconds=0.1):
        for _ in range(20):
            await desk.say(await desk.case(slow), "slow")
        for number in range(20):
            await desk.say(await desk.case(healthy), f"number {number}")

        async def healthy_delivered() -> bool:
            return (await desk.states()).count("delivered") == 20

        await desk.until(healthy_delivered)


async def test_a_dead_endpoint_gets_few_probes_however_much_waits(desk: Desk) -> None:
    channel_id = await desk.channel(f"http://127.0.0.1:{closed_port()}/")
    for _ in range(30):
        await desk.say(await desk.case(channel_id), "Hello")
    async with desk.sending(schedule=in_half_an_hour):

        async def paused() -> bool:
            (lane,) = await desk.lanes()
            return bool(lane["failures"] and lane["paused_until"])

        await desk.until(paused)
    (lane,) = await desk.lanes()
    assert lane["failures"] == 1
    assert [row["outcome_class"] for row in await desk.attempts()] == ["refused"] * FIRST_WIDTH


async def test_a_channel_drains_in_order_when_its_endpoint_is_back(
    desk: Desk, receiver: Receiver
) -> None:
    channel_id = await desk.channel(receiver.url)
    case_ids = [await desk.case(channel_id) for _ in range(10)]
    down = status(503)
    receiver.default = down
    async with desk.sending():
        for number in range(30):
            await desk.say(case_ids[number % 10], f"number {number}")
        await receiver.wait_for(5)
        receiver.default = OK
        await desk.until_delivered()
    assert receiver.overlapping(case_of) == 0


async def test_a_wish_to_be_left_alone_holds_for_the_whole_channel(
    desk: Desk, receiver: Receiver
) -> None:
    receiver.default = status(429, headers={"Retry-After": "3600"})
    channel_id = await desk.channel(receiver.url)
    async with desk.sending(schedule=wishful):
        await desk.say(await desk.case(channel_id), "One")

        async def paused() -> bool:
            return bool((await desk.lanes())[0]["paused_until"])

        await desk.until(paused)
        await desk.say(await desk.case(channel_id), "Two")
    assert contents(receiver.received) == ["One"]
    (lane,) = await desk.lanes()
    assert lane["paused_until"] - lane["charged_at"] >= 3600 * 1_000_000


def wishful(**given: object) -> int:
    return int(str(given["failed_at"])) + int(str(given["retry_after"] or 0))


async def test_a_receiver_that_is_gone_is_asked_again_only_the_next_day(
    desk: Desk, receiver: Receiver
) -> None:
    receiver.default = status(410)
    channel_id = await desk.channel(receiver.url)
    async with desk.sending():
        await desk.say(await desk.case(channel_id), "One")

        async def paused() -> bool:
            return bool((await desk.lanes())[0]["paused_until"])

        await desk.until(paused)
        (lane,) = await desk.lanes()
        assert lane["paused_until"] - lane["charged_at"] == 86_400 * 1_000_000
        receiver.default = OK
        await desk.do(
            channels.change_channel, channel_id=channel_id, webhook_url=f"{receiver.url}2"
        )
        await desk.until_delivered()


async def test_a_disabled_channel_holds_until_it_is_enabled(desk: Desk, receiver: Receiver) -> None:
    channel_id = await desk.channel(receiver.url)
    case_id = await desk.case(channel_id)
    async with desk.sending():
        await desk.say(case_id, "before")
        await desk.until_delivered()
        await desk.do(channels.disable_channel, channel_id=channel_id)
        await desk.say(case_id, "held one")
        await desk.say(case_id, "held two")
        other = await desk.channel(receiver.url)
        await desk.say(await desk.case(other), "other channel")
        await receiver.wait_for(2)
        assert contents(receiver.received) == ["before", "other channel"]
        await desk.do(channels.enable_channel, channel_id=channel_id)
        await desk.until_delivered()
    assert contents(receiver.received)[2:] == ["held one", "held two"]


async def test_what_waits_on_a_deleted_channel_is_dead_with_the_reason(
    desk: Desk, receiver: Receiver
) -> None:
    receiver.default = status(500)
    channel_id = await desk.channel(receiver.url)
    case_id = await desk.case(channel_id)
    async with desk.sending(schedule=in_half_an_hour):
        await desk.say(case_id, "One")
        await desk.say(case_id, "Two")
        await receiver.wait_for(1)
        await desk.do(channels.delete_channel, channel_id=channel_id)
    rows = await desk.deliveries()
    assert [(row["state"], row["reason"]) for row in rows] == [("dead", CHANNEL_DELETED)] * 2
    assert len(receiver.received) == 1


async def test_what_arrives_while_its_channel_is_deleted_is_delivered(
    desk: Desk, receiver: Receiver
) -> None:
    may_answer = asyncio.Event()

    async def react(request: Received, line: Line) -> None:
        await may_answer.wait()
        await OK(request, line)

    receiver.default = react
    channel_id = await desk.channel(receiver.url)
    case_id = await desk.case(channel_id)
    async with desk.sending():
        await desk.say(case_id, "One")
        await desk.say(case_id, "Two")
        await receiver.wait_for(1)
        await desk.do(channels.delete_channel, channel_id=channel_id)
        may_answer.set()
    rows = await desk.deliveries()
    assert [(row["state"], row["reason"]) for row in rows] == [
        ("delivered", None),
        ("dead", CHANNEL_DELETED),
    ]


async def test_a_refused_address_waits_for_another_url(desk: Desk, receiver: Receiver) -> None:
    channel_id = await desk.channel("http://10.1.2.3/hook")
    case_id = await desk.case(channel_id)
    async with desk.sending():
        await desk.say(case_id, "One")
        await desk.say(case_id, "Two")

        async def refused() -> bool:
            return (await desk.deliveries())[0]["outcome_class"] == "blocked_by_policy"

        await desk.until(refused)
        assert (await desk.lanes())[0]["paused_until"] == NEVER
        assert await desk.states() == ["pending", "pending"]
        await desk.do(channels.change_channel, channel_id=channel_id, webhook_url=receiver.url)
        await desk.until_delivered()
    assert contents(receiver.received) == ["One", "Two"]
    assert [row["failures"] for row in await desk.deliveries()] == [0, 0]


async def test_settings_that_allow_more_are_tried_at_the_next_start(
    desk: Desk, receiver: Receiver
) -> None:
    channel_id = await desk.channel(receiver.url)
    await desk.say(await desk.case(channel_id), "One")
    async with desk.sending(allow=()):

        async def refused() -> bool:
            return (await desk.deliveries())[0]["outcome_class"] == "blocked_by_policy"

        await desk.until(refused)
    async with desk.sending():
        await desk.until_delivered()


async def test_a_new_url_is_used_for_what_failed_at_the_old_one(
    desk: Desk, receiver: Receiver
) -> None:
    receiver.by_path["/old"] = status(500)
    channel_id = await desk.channel(receiver.url.replace("/hook", "/old"))
    async with desk.sending(schedule=in_half_an_hour):
        await desk.say(await desk.case(channel_id), "One")
        await receiver.wait_for(1)
        await desk.do(channels.change_channel, channel_id=channel_id, webhook_url=receiver.url)
        await desk.until_delivered()
    assert [request.path for request in receiver.received] == ["/old", "/hook"]


async def test_past_the_horizon_a_message_is_dead_lettered_and_the_next_has_its_turn(
    desk: Desk, receiver: Receiver
) -> None:
    receiver.default = by_content(bad=status(400))
    case_id = await desk.case(await desk.channel(receiver.url))
    async with desk.sending(schedule=never_in_time):
        await desk.say(case_id, "bad one")
        await desk.say(case_id, "good one")

        async def ended() -> bool:
            return await desk.states() == ["dead", "delivered"]

        await desk.until(ended)
    row = (await desk.deliveries())[0]
    assert row["reason"] == (
        "Tried for 14 days without success. The receiver answered HTTP 400, which is not a success."
    )
    events = desk.database.events_after(0)
    (decided,) = [each for each in events if isinstance(each.event, DeliveryDeadLettered)]
    assert decided.event.delivery_id == row["delivery_id"]
    assert decided.envelope.cause == row["position"]


async def test_a_dead_endpoint_costs_messages_their_turn_only_after_the_horizon(
    desk: Desk, receiver: Receiver
) -> None:
    receiver.default = status(500)
    channel_id = await desk.channel(receiver.url)
    async with desk.sending(schedule=never_in_time):
        await desk.say(await desk.case(channel_id), "One")
        await desk.say(await desk.case(channel_id), "Two")

        async def ended() -> bool:
            return await desk.states() == ["dead", "dead"]

        await desk.until(ended)


async def test_kanals_own_fault_is_not_charged(desk: Desk, receiver: Receiver) -> None:
    channel_id = await desk.channel(receiver.url.replace("127.0.0.1", "receiver.test"))
    await desk.say(await desk.case(channel_id), "One")
    lookups = Resolver(limit=0)
    async with desk.sending(resolver=lookups):

        async def tried() -> bool:
            return bool((await desk.deliveries())[0]["attempts"])

        await desk.until(tried)
    (row,), (lane,) = await desk.deliveries(), await desk.lanes()
    assert (row["outcome_class"], row["failures"]) == ("local_fault", 0)
    assert (lane["failures"], lane["paused_until"]) == (0, 0)


async def test_on_an_idle_healthy_channel_the_intent_is_in_the_events_own_commit(
    desk: Desk, receiver: Receiver
) -> None:
    case_id = await desk.case(await desk.channel(receiver.url))
    async with desk.sending(seconds=0):
        await desk.say(case_id, "The lane is taken")
        await desk.until_delivered()
        receiver.default = hang()
        await desk.say(case_id, "At once")
        (row,) = [row for row in await desk.deliveries() if row["state"] == "pending"]
        (attempt,) = [row for row in await desk.attempts() if not row["ended_at"]]
        assert attempt["delivery_id"] == row["delivery_id"]
        assert attempt["started_at"] == row["due_at"]
        # It is due from the beginning of the batch on, which is a moment before its event.
        assert 0 <= row["created_at"] - row["due_at"] < SECOND
        await receiver.wait_for(2)
    (lane,) = await desk.lanes()
    assert lane["owner"] == ""


async def test_what_came_with_its_intent_is_sent_once_although_it_is_read_as_a_head_before(
    desk: Desk, receiver: Receiver
) -> None:
    case_id = await desk.case(await desk.channel(receiver.url))
    async with desk.sending() as sender:
        await desk.say(case_id, "The lane is taken")
        await desk.until_delivered()
        late = Late(sender)
        desk.outbox.attach(late)
        await desk.say(case_id, "At once")
        (lane,) = sender.lanes.values()
        lane.more = True
        sender.look_at([lane.channel_id])
        # The heads are read, and an intent for what has one is refused.
        await desk.until(late.was_read_as_head)
        desk.outbox.attach(sender)
        late.tell()
        await desk.until_delivered()
    assert contents(receiver.received) == ["The lane is taken", "At once"]
    assert [row["number"] for row in await desk.attempts()] == [1, 1]


class Late:
    """The sender hears of what is committed only when it has seen it in the database."""

    def __init__(self, sender: Sender) -> None:
        self.owner = sender.owner
        self.grant = sender.grant
        self._sender = sender
        self._told: list[tuple[Sequence[Delivery], frozenset[int]]] = []

    def enqueued(self, fresh: Sequence[Delivery], changed: frozenset[int]) -> None:
        self._told.append((fresh, changed))

    def tell(self) -> None:
        for fresh, changed in self._told:
            self._sender.enqueued(fresh, changed)

    async def was_read_as_head(self) -> bool:
        new = {delivery.delivery_id for fresh, _ in self._told for delivery in fresh}
        return any(new & lane.known.keys() for lane in self._sender.lanes.values())


async def test_a_stop_lets_posts_finish_and_nothing_is_sent_twice(
    desk: Desk, receiver: Receiver
) -> None:
    receiver.default = delayed(0.2, OK)
    channel_id = await desk.channel(receiver.url)
    for number in range(12):
        await desk.say(await desk.case(channel_id), f"number {number}")
    async with desk.sending():
        await receiver.wait_for(4)
    assert {row["outcome_class"] for row in await desk.attempts()} == {"ok"}
    assert (await desk.states()).count("delivered") == len(receiver.received)
    receiver.default = OK
    async with desk.sending():
        await desk.until_delivered()
    assert len(receiver.received) == 12


async def test_an_attempt_that_outlived_its_sender_is_unknown_and_made_again(
    desk: Desk, receiver: Receiver
) -> None:
    receiver.default = hang()
    case_id = await desk.case(await desk.channel(receiver.url))
    async with desk.sending(seconds=0):
        await desk.say(case_id, "One")
        await desk.say(case_id, "Two")
        await receiver.wait_for(1)
    receiver.default = OK
    async with desk.sending():
        await desk.until_delivered()
    assert contents(receiver.received) == ["One", "One", "Two"]
    row = (await desk.deliveries())[0]
    made = [each for each in await desk.attempts() if each["delivery_id"] == row["delivery_id"]]
    assert {each["number"]: each["outcome_class"] for each in made} == {1: "unknown", 2: "ok"}
    assert (row["attempts"], row["failures"]) == (2, 0)


async def test_two_processes_on_postgresql_share_channels_without_overlap(
    postgres_url: str, data_dir: Path, receiver: Receiver
) -> None:
    receiver.default = delayed(0.002, OK)
    async with (
        Desk(open_database(postgres_url, data_dir)) as one,
        Desk(open_database(postgres_url, data_dir)) as other,
    ):
        channel_ids = [await one.channel(receiver.url) for _ in range(4)]
        case_ids = [await one.case(channel_id) for channel_id in channel_ids for _ in range(3)]
        async with one.sending(), other.sending():
            for number in range(10):
                for case_id in case_ids:
                    await (one, other)[number % 2].say(case_id, f"number {number}")
            await one.until_delivered()
    assert receiver.overlapping(case_of) == 0
    assert len(receiver.received) == 120
    for case_id in case_ids:
        own = [each for each in receiver.received if case_of(each) == str(case_id)]
        assert contents(own) == [f"number {number}" for number in range(10)]


async def test_a_lane_moves_to_the_process_that_is_left(
    postgres_url: str, data_dir: Path, receiver: Receiver
) -> None:
    async with (
        Desk(open_database(postgres_url, data_dir)) as one,
        Desk(open_database(postgres_url, data_dir)) as other,
    ):
        case_id = await one.case(await one.channel(receiver.url))
        async with one.sending():
            await one.say(case_id, "to one")
            await one.until_delivered()
            async with other.sending():
                await other.say(case_id, "to one by notice")
                await one.until_delivered()
        async with other.sending():
            await one.say(case_id, "to other")
            await other.until_delivered()
    tokens = [row["token"] for row in await attempts_of(postgres_url, data_dir)]
    assert tokens == [1, 1, 2]


async def test_lanes_of_a_restored_backup_have_no_owner(
    postgres_url: str, data_dir: Path, receiver: Receiver
) -> None:
    async with Desk(open_database(postgres_url, data_dir)) as desk:
        await desk.say(await desk.case(await desk.channel(receiver.url)), "Moved from SQLite")

        def as_backed_up(connection: Connection) -> None:
            connection.execute(update(lanes).values(owner="m/1/2/x", token=4, lease_until=NEVER))

        await desk.writer.run(as_backed_up)
        async with desk.sending():
            await desk.until_delivered()
        assert (await desk.lanes())[0]["token"] == 5


async def test_lost_connections_to_the_database_stop_nothing_for_long(
    postgres_url: str, data_dir: Path, receiver: Receiver
) -> None:
    async with Desk(open_database(postgres_url, data_dir)) as desk:
        case_ids = [await desk.case(await desk.channel(receiver.url)) for _ in range(3)]
        async with desk.sending():
            for number in range(3):
                await desk.say(case_ids[number], "before")
                await break_connections(postgres_url)
                # The writer learns of it from the first that it refuses.
                with suppress(LogUnavailable):
                    await desk.say(case_ids[number], "meanwhile")
                await desk.say(case_ids[number], "after")
            await desk.until_delivered()
    for case_id in case_ids:
        own = [each for each in receiver.received if case_of(each) == str(case_id)]
        first = list(dict.fromkeys(contents(own)))
        assert first in (["before", "after"], ["before", "meanwhile", "after"])


async def break_connections(url: str) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


async def attempts_of(url: str, folder: Path) -> list[dict[str, int]]:
    async with Desk(open_database(url, folder)) as desk:
        return await desk.attempts()


async def test_a_lease_shorter_than_an_attempt_is_refused(desk: Desk) -> None:
    with pytest.raises(ValueError, match="lease"):
        async with desk.sending(lease_seconds=15.0):
            pass
