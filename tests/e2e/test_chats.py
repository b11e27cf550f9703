"""A whole chat, from the customer's first word to the end, with a real receiver behind the Webhook URL."""

import asyncio
from pathlib import Path
from typing import Any

from delivering import LOOPBACK
from open_log import DEADLINE
from served_api import CONTENT, serving
from standardwebhooks import Webhook
from webhook_receiver import Receiver


async def test_a_chat_is_offered_typed_in_answered_and_ended(
    data_dir: Path, database_url: str
) -> None:
    async with (
        Receiver() as receiver,
        serving(data_dir, database_url, "all", webhook_allow=LOOPBACK) as api,
    ):
        given = {
            "title": "Chat",
            "webhook_url": receiver.url,
            "channel_type": "sync",
            "webhook_typing": True,
        }
        made = await api.post("custom_channels.json", {"custom_channel": given})
        await api.put("staff/1/status.json", {"status_id": 1})
        case = await api.case()

        async def offers() -> list[Any]:
            return await api.items("chats.json?offered_to=1", "chat")

        async with asyncio.timeout(DEADLINE):
            while not await offers():  # noqa: ASYNC110 asked as a program asks
                await asyncio.sleep(0.05)
        assert [chat["case_id"] for chat in await offers()] == [case["case_id"]]

        await api.call("POST", "cases/1/typing.json", {"typing": {"user_id": 1}})
        for _ in range(3):
            await api.call("POST", "cases/1/typing.json")
        [typing] = await receiver.wait_for(1)
        assert typing.form["type"] == "typing"
        assert typing.form["object[custom_user_id]"] == "u1"
        secret = made["custom_channel"]["secret"]
        Webhook(secret).verify(typing.body, typing.headers, json_parse=False)

        await api.message(1, staff_id=1)
        [_, reply] = await receiver.wait_for(2)
        assert reply.form["type"] == "message_new"
        assert reply.form["object[content]"] == CONTENT["content"]
        case = (await api.get("cases/1.json"))["case"]
        assert (case["chat"], case["status"], case["staff_id"]) == ("active", "waiting", 1)
        assert await api.get("cases.json") == {"total_count": 0}
        shown = await api.items("cases.json?show_active_chats=true", "case")
        assert [each["case_id"] for each in shown] == [1]

        await api.put("cases/1/chat/complete.json", {"chat": {"user_id": 1}})
        assert (await api.get("cases.json"))["total_count"] == 1
        await api.put("cases/1.json", {"case": {"status": "open"}})
        await api.message(1, user_id=1)
        assert (await api.get("cases/1.json"))["case"]["chat"] == "active"
        assert len(receiver.received) == 2
