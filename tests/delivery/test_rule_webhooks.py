"""Webhooks of rules go out as a channel's deliveries do: once each, in order, isolated, signed, and nothing is lost."""

import json
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from delivering import Desk, in_half_an_hour, soon
from sqlalchemy import delete
from standardwebhooks import Webhook
from webhook_receiver import Receiver, hang, redirect, status

from kanal.delivery import kept_headers, kept_secrets, overview
from kanal.delivery.recovery import LOST, Recovery
from kanal.delivery.rule_lanes import REMOVED
from kanal.delivery.signing import new_secret
from kanal.delivery.tables import deliveries, lanes
from kanal.domain.actions import Action
from kanal.domain.conditions import Cause
from kanal.domain.deliveries import hold, retry, skip
from kanal.domain.errors import WebhookRemoved
from kanal.domain.firings import fire_rule
from kanal.domain.lanes import lane_of
from kanal.domain.rule_webhooks import read_webhook
from kanal.domain.rules import change_rule, create_rule, delete_rule, disable_rule, enable_rule
from kanal.domain.variables import VARIABLES

SECRET = new_secret()
BODY = {"case": "[case_id]", "said": "[last_message]"}


def action(url: str, **given: Any) -> Action:
    """With a secret header."""
    webhook = read_webhook({"url": f"{url}/[case_id]", "body": BODY, **given})
    return Action("webhook", {**webhook, "headers": [{"name": "X-Key", "fingerprint": "f"}]})


async def rule(desk: Desk, *actions: Action) -> int:
    """Its webhooks have ids from 1; each has the same secret."""

    def keep(connection: Any, _: int) -> None:
        for number in range(1, len(actions) + 1):
            kept_secrets.keep(connection, lane_of(number), SECRET, at=1)
            kept_headers.keep(connection, lane_of(number), {"X-Key": "only here"})

    command = partial(create_rule, kind="incoming", title="R", actions=list(actions))
    done = await desk.writer.submit(
        command, who="staff:1", origin="api", request="test", beside=keep
    )
    return int(done.result)


async def fire(desk: Desk, case_id: int, cause: int, said: str = "Hi") -> None:
    values = dict.fromkeys(VARIABLES, "") | {"case_id": str(case_id), "last_message": said}
    happened = Cause(cause, case_id, "user_message", 2, "user", said)
    known = {"matches": lambda *_: True, "values": values}
    await desk.do(fire_rule, rule_id=1, cause=happened, **known)


async def test_a_call_arrives_once_signed_with_its_own_secret_in_its_method(
    desk: Desk, receiver: Receiver
) -> None:
    case_id = await desk.case(await desk.channel("http://127.0.0.1:9/none"))
    await rule(
        desk,
        action(receiver.url, method="PUT"),
        action(receiver.url, method="GET", body=None),
    )
    await fire(desk, case_id, 1, 'He said "no"')
    await fire(desk, case_id, 1)
    async with desk.sending():
        await desk.until_delivered()
    put, get = sorted(receiver.received, key=lambda each: each.method, reverse=True)
    assert (put.method, put.path) == ("PUT", f"/hook/{case_id}")
    assert json.loads(put.body) == {"case": str(case_id), "said": 'He said "no"'}
    assert put.headers["content-type"] == "application/json"
    assert put.headers["x-key"] == "only here"
    assert (get.method, get.body, "content-type" in get.headers) == ("GET", b"", False)
    rows = await desk.deliveries()
    assert {row["delivery_id"] for row in rows} == {
        each.headers["webhook-id"] for each in receiver.received
    }
    for each in receiver.received:
        sent_id, moment = each.headers["webhook-id"], int(each.headers["webhook-timestamp"])
        at = datetime.fromtimestamp(moment, UTC)
        signed = Webhook(SECRET).sign(sent_id, at, each.body.decode())
        assert each.headers["webhook-signature"] == signed


async def test_calls_of_a_case_keep_their_order_and_no_other_lane_waits_for_them(
    desk: Desk, receiver: Receiver
) -> None:
    channel = await desk.channel(f"{receiver.url}/channel")
    first, second = await desk.case(channel), await desk.case(channel)
    await rule(desk, action(f"{receiver.url}/dead"), action(f"{receiver.url}/well"))
    receiver.by_path = {f"/hook/dead/{case_id}": hang() for case_id in (first, second)}
    for number in range(3):
        for case_id in (first, second):
            await fire(desk, case_id, 10 * number + case_id, f"{number}")
            await desk.say(case_id, f"{number}")
    async with desk.sending(schedule=in_half_an_hour, timeout=1.0, seconds=0):
        await receiver.wait_until(
            lambda: sum("/dead" not in each.path for each in receiver.received) == 12
        )
    well = [each for each in receiver.received if "/well" in each.path]
    for case_id in (first, second):
        said = [json.loads(each.body)["said"] for each in well if each.path.endswith(f"/{case_id}")]
        assert said == ["0", "1", "2"]
    numbers = [each.headers["kanal-sequence"] for each in well]
    assert sorted(numbers) == ["1", "1", "2", "2", "3", "3"]
    assert receiver.overlapping(lambda each: each.path) == 0


async def test_what_fails_is_tried_again_at_the_address_that_the_rule_has_now(
    desk: Desk, receiver: Receiver
) -> None:
    case_id = await desk.case(await desk.channel("http://127.0.0.1:9/none"))
    await rule(desk, action(f"{receiver.url}/old"))
    await fire(desk, case_id, 1)
    receiver.then(redirect("/elsewhere"), status(500))
    async with desk.sending(schedule=soon):
        await receiver.wait_for(2)
        new = action(f"{receiver.url}/new", webhook_id=1, method="PUT")
        await desk.do(change_rule, rule_id=1, actions=[new])
        await desk.until_delivered()
    assert [each.path for each in receiver.received if "elsewhere" in each.path] == []
    last = receiver.received[-1]
    assert (last.method, last.path) == ("PUT", f"/hook/new/{case_id}")
    assert len({each.headers["webhook-id"] for each in receiver.received}) == 1
    assert len({each.body for each in receiver.received}) == 1


async def test_a_disabled_rules_calls_wait_and_those_of_a_removed_webhook_end(
    desk: Desk, receiver: Receiver
) -> None:
    case_id = await desk.case(await desk.channel("http://127.0.0.1:9/none"))
    await rule(desk, action(receiver.url), action(receiver.url))
    await fire(desk, case_id, 1)
    await desk.do(disable_rule, rule_id=1)
    rows, _ = await desk.database.read(overview.listed, overview.Filter(channel_id=-1), 10, 0)
    assert [(row.state, row.reason) for row in rows] == [("held", "The rule is disabled.")]
    await desk.do(change_rule, rule_id=1, actions=[action(receiver.url, webhook_id=2)])
    [first, second] = sorted(await desk.deliveries(), key=lambda row: -row["channel_id"])
    assert (first["state"], first["reason"], second["state"]) == ("dead", REMOVED, "pending")
    with pytest.raises(WebhookRemoved):
        await desk.decide(retry, first["delivery_id"])
    await desk.decide(hold, second["delivery_id"])
    await desk.do(enable_rule, rule_id=1)
    async with desk.sending():
        await desk.decide(retry, second["delivery_id"])
        await receiver.wait_for(1)
        await desk.until(partial(_is, desk, second, "delivered"))
    await fire(desk, case_id, 2)
    [third] = [row for row in await desk.deliveries() if row["state"] == "pending"]
    await desk.decide(skip, third["delivery_id"])
    await fire(desk, case_id, 3)
    await desk.do(delete_rule, rule_id=1)
    assert sorted(await desk.states()) == ["dead", "dead", "dead", "delivered"]
    assert {row["state"] for row in await desk.lanes() if row["channel_id"] < 0} == {"deleted"}


async def _is(desk: Desk, row: Any, state: str) -> bool:
    return any(
        each["state"] == state
        for each in await desk.deliveries()
        if each["delivery_id"] == row["delivery_id"]
    )


async def test_lost_calls_and_lanes_are_made_again_from_the_log(desk: Desk) -> None:
    case_id = await desk.case(await desk.channel("http://127.0.0.1:9/none"))
    await rule(desk, action("http://127.0.0.1:9"), action("http://127.0.0.1:9"))
    for cause in (1, 2):
        await fire(desk, case_id, cause)
    recovery = Recovery(desk.database, desk.writer, desk.outbox)
    await desk.database.in_thread(recovery.keep_mark)
    before, lanes_before = await desk.deliveries(), await desk.lanes()

    def lose(connection: Any) -> None:
        connection.execute(delete(deliveries))
        connection.execute(delete(lanes).where(lanes.c.channel_id == -1))

    await desk.writer.run(lose)
    assert not await desk.database.in_thread(recovery.is_whole)
    await desk.database.in_thread(lambda: list(recovery.make_again()))
    names = ("delivery_id", "sequence", "previous_id", "variables", "content_type", "body", "queue")

    def shown(rows: list[Any]) -> list[Any]:
        return sorted(tuple(row[name] for name in names) for row in rows)

    after = await desk.deliveries()
    assert shown(after) == shown(before)
    assert {row["reason"] for row in after} == {LOST}
    for was, now in zip(lanes_before, await desk.lanes(), strict=True):
        for name in ("channel_id", "webhook_url", "method", "rule_id", "state", "options"):
            assert was[name] == now[name]
