"""The example chat and a real Kanal, each a program of its own, played by a visitor and by staff."""

import asyncio
import base64
import json
import os
import re
import shlex
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import aiohttp
import pytest
from standardwebhooks import Webhook

from kanal.bootstrap import opened
from kanal.settings import Settings

ROOT = Path(__file__).parents[2]
OWN_CHAT = ROOT / "examples" / "own_chat"
DEMO = ROOT / "demo" / "demo.py"
EMAIL = "anna@shop.example"
API_KEY = "the-key-of-anna"
# Kanal and the chat start as separate programs, up to four times in a test, on a machine that may be
# busy with other tests.
PATIENCE_SECONDS = 60.0
pytestmark = pytest.mark.timeout(4 * PATIENCE_SECONDS)

Message = dict[str, Any]


class Program:
    """A program that runs beside the test; what it prints is kept in `printed`."""

    def __init__(self, command: list[str], settings: dict[str, str], folder: Path) -> None:
        self.printed = ""
        self._more = threading.Condition()
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def says(self, pattern: str) -> str:
        """The pattern's first group, once it was printed."""
        with self._more:
            said = self._more.wait_for(
                lambda: re.search(pattern, self.printed) or self._process.poll() is not None,
                PATIENCE_SECONDS,
            )
        assert isinstance(said, re.Match), f"{pattern!r} is not in what it printed:\n{self.printed}"
        return said[1]

    def end(self) -> int:
        """Its exit status after SIGTERM."""
        self._process.terminate()
        return self.ended()

    def ended(self) -> int:
        """Its exit status, when it has ended by itself."""
        status = self._process.wait(PATIENCE_SECONDS)
        self._reader.join(PATIENCE_SECONDS)
        return status

    def _read(self) -> None:
        assert self._process.stdout
        with self._process.stdout as lines:
            for line in lines:
                with self._more:
                    self.printed += line
                    self._more.notify_all()
        with self._more:
            self._more.notify_all()


class Kanal:
    """It keeps its port when it is started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = "0"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def start(self) -> None:
        settings = {
            "KANAL_PORT": self._port,
            "KANAL_DATA_DIR": str(self._folder / "data"),
            "KANAL_WEBHOOK_ALLOW": "127.0.0.0/8",
            "KANAL_ADMIN_EMAIL": EMAIL,
            "KANAL_ADMIN_API_KEY": API_KEY,
        }
        command = [sys.executable, "-m", "kanal", "serve"]
        self._program = Program(command, settings, self._folder)
        self.url = self._program.says(r"listens on (http://\S+)")
        self._port = self.url.rpartition(":")[2]

    def end(self) -> None:
        assert self._program.end() == 0


class Staff:
    """Anna, over the API."""

    def __init__(self, kanal_url: str) -> None:
        authorization = aiohttp.encode_basic_auth(EMAIL, API_KEY)
        self._session = aiohttp.ClientSession(kanal_url, headers={"Authorization": authorization})

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def call(self, method: str, path: str, body: Any = None, **query: str) -> Any:
        async with self._session.request(
            method, f"/api/{path}.json", json=body, params=query
        ) as answer:
            assert answer.ok, await answer.text()
            return await answer.json(content_type=None)

    async def answer(self, case: int, text: str) -> None:
        await self.call("POST", f"cases/{case}/messages", {"message": {"content": text}})

    async def note(self, case: int, text: str) -> None:
        await self.call("POST", f"cases/{case}/note", {"note": {"content": text}})

    async def case_of(self, channel: "Channel") -> int:
        """The channel's one case."""
        (case,) = await self.cases(channel)
        return int(case["case_id"])

    async def cases(self, channel: "Channel") -> list[dict[str, Any]]:
        return _items("case", await self.call("GET", "cases", channel=channel.key))

    async def contents(self, case: int) -> list[tuple[str, str]]:
        """Of each message: who wrote it, and what."""
        listed = await self.call("GET", f"cases/{case}/messages")
        return [
            ("user" if message["user_id"] else "staff", message["content"])
            for message in _items("message", listed)
        ]

    async def make_channel(self) -> "Channel":
        fields = {"title": "Own chat", "webhook_url": "http://127.0.0.1:9/", "channel_type": "sync"}
        made = await self.call("POST", "custom_channels", {"custom_channel": fields})
        channel = made["custom_channel"]
        return Channel(channel["channel_api_key"], channel["secret"])

    async def direct(self, channel: "Channel", webhook_url: str) -> None:
        change = {"custom_channel": {"webhook_url": webhook_url}}
        await self.call("PUT", f"custom_channels/{channel.key}", change)


def _items(name: str, listed: dict[str, Any]) -> list[dict[str, Any]]:
    return [listed[str(index)][name] for index in range(len(listed) - 1)]


class Channel(NamedTuple):
    key: str
    secret: str


class Chat:
    """The example. It keeps its port and its database when it is started again."""

    def __init__(self, kanal_url: str, channel: Channel, folder: Path) -> None:
        self.channel = channel
        self._folder = folder
        self._settings = {
            "OWN_CHAT_KANAL_URL": kanal_url,
            "OWN_CHAT_EMAIL": EMAIL,
            "OWN_CHAT_API_KEY": API_KEY,
            "OWN_CHAT_CHANNEL": channel.key,
            "OWN_CHAT_WEBHOOK_SECRET": channel.secret,
            "OWN_CHAT_PORT": "0",
        }

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def start(self) -> None:
        command = [sys.executable, str(OWN_CHAT / "chat.py")]
        self._program = Program(command, self._settings, self._folder)
        self.url = self._program.says(r"Running on (http://\S+)")
        self._settings["OWN_CHAT_PORT"] = self.url.rpartition(":")[2]

    def end(self) -> None:
        assert self._program.end() == 0

    async def webhook(
        self, content: str, *, to: str, id: str = "msg_1", secret: str = "", **changed: str
    ) -> int:
        """Send one as Kanal does, signed with the channel's secret or another; the answer's status.

        `changed` replaces headers after signing, `_` for `-`.
        """
        now = datetime.now(UTC)
        body = urlencode(
            {
                "type": "message_new",
                "object[message_id]": "1",
                "object[case_id]": "1",
                "object[staff_id]": "1",
                "object[user_id]": "1",
                "object[custom_user_id]": to,
                "object[content]": content,
                "object[note]": "0",
                "object[sent_via_rule]": "0",
                "object[created_at]": "Thu, 26 Apr 2018 20:17:10 +0300",
            }
        )
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "webhook-id": id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": Webhook(secret or self.channel.secret).sign(id, now, body),
        }
        headers |= {name.replace("_", "-"): value for name, value in changed.items()}
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.url}/webhook", data=body, headers=headers) as answer,
        ):
            return answer.status


class Visitor:
    """A browser with the chat's page open."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url
        self._written = 0

    async def writes(self, text: str, id: str = "") -> None:
        self._written += 1
        message = {"id": id or str(self._written), "text": text}
        async with self._session.post(f"{self._url}/messages", json=message) as answer:
            assert answer.status == 201

    async def posts_form(self, **fields: str) -> int:
        async with self._session.post(f"{self._url}/messages", data=fields) as answer:
            return answer.status

    async def sees(self, text: str, state: str = "", after: int = 0) -> list[Message]:
        """The messages that the stream has shown when this one came, in this state."""
        shown: dict[int, Message] = {}
        headers = {"Last-Event-ID": str(after)} if after else {}
        async with (
            asyncio.timeout(PATIENCE_SECONDS),
            self._session.get(f"{self._url}/stream", headers=headers) as stream,
        ):
            assert stream.status == 200
            async for line in stream.content:
                if line.startswith(b"data: "):
                    message = json.loads(line.removeprefix(b"data: "))
                    shown[message["id"]] = message
                    if (message["text"], message["state"]) == (text, state):
                        return [shown[id] for id in sorted(shown)]
        raise AssertionError(f"{text!r} did not come; the stream showed {shown}")


@asynccontextmanager
async def visiting(url: str) -> AsyncIterator[Visitor]:
    # Browsers keep cookies of addresses without a name; aiohttp calls that unsafe.
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        async with session.get(url) as page:
            assert page.status == 200
        yield Visitor(session, url)


@pytest.fixture(scope="module")
def kanal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kanal]:
    with Kanal(tmp_path_factory.mktemp("kanal")) as kanal:
        yield kanal


@pytest.fixture
async def anna(kanal: Kanal) -> AsyncIterator[Staff]:
    async with Staff(kanal.url) as staff:
        yield staff


@pytest.fixture
async def chat(kanal: Kanal, anna: Staff, tmp_path: Path) -> AsyncIterator[Chat]:
    with Chat(kanal.url, await anna.make_channel(), tmp_path) as chat:
        await anna.direct(chat.channel, f"{chat.url}/webhook")
        yield chat


@pytest.fixture
async def visitor(chat: Chat) -> AsyncIterator[Visitor]:
    async with visiting(chat.url) as visitor:
        yield visitor


async def test_the_bot_answers_what_it_knows_without_troubling_people(
    visitor: Visitor, chat: Chat, anna: Staff
) -> None:
    await visitor.writes("When are you open?")
    await visitor.writes("Где заказ 1001?")
    shown = await visitor.sees("Заказ 1001 в пути и приедет завтра.")
    assert [each["author"] for each in shown] == ["visitor", "bot"] * 2
    assert await anna.cases(chat.channel) == []


async def test_a_visitor_who_asks_for_a_person_is_answered_live(
    visitor: Visitor, chat: Chat, anna: Staff
) -> None:
    await visitor.writes("Where is order 9999?")
    await visitor.writes("Позовите оператора 🙂")
    await visitor.sees("Позовите оператора 🙂", "delivered")
    case = await anna.case_of(chat.channel)
    ((author, transcript),) = await anna.contents(case)
    assert author == "user"
    assert transcript.startswith("Visitor: Where is order 9999?\nBot: I cannot find order 9999.")
    assert transcript.endswith("\nVisitor: Позовите оператора 🙂")

    watching = asyncio.create_task(visitor.sees("  Hello,\r\nthis is <b>Anna</b> ☕ "))
    await anna.answer(case, "  Hello,\r\nthis is <b>Anna</b> ☕ ")
    assert (await watching)[-1]["author"] == "staff"

    await visitor.writes("It was a present")
    await visitor.sees("It was a present", "delivered")
    assert (await anna.contents(case))[-1] == ("user", "It was a present")


async def test_what_the_bot_does_not_know_goes_to_people(
    visitor: Visitor, chat: Chat, anna: Staff
) -> None:
    await visitor.writes("Do you take gold?")
    await visitor.sees("Do you take gold?", "delivered")
    assert len(await anna.cases(chat.channel)) == 1


async def test_notes_of_staff_are_not_shown(visitor: Visitor, chat: Chat, anna: Staff) -> None:
    await visitor.writes("human")
    await visitor.sees("human", "delivered")
    case = await anna.case_of(chat.channel)
    await anna.note(case, "A regular customer")
    await anna.answer(case, "Good morning")
    shown = await visitor.sees("Good morning")
    assert "A regular customer" not in [each["text"] for each in shown]


async def test_a_case_that_staff_open_begins_a_conversation(
    visitor: Visitor, chat: Chat, anna: Staff
) -> None:
    await visitor.writes("human")
    await visitor.sees("human", "delivered")
    first = await anna.case_of(chat.channel)
    user = (await anna.call("GET", f"cases/{first}"))["case"]["user_id"]
    external_id = (await anna.call("GET", f"users/{user}"))["user"]["user_custom_id"]
    opened = await anna.call(
        "POST",
        "cases",
        {
            "case": {
                "user_custom_id": external_id,
                "channel": chat.channel.key,
                "staff_id": 1,
                "subject": "A present",
                "content": "You have won",
            }
        },
    )
    await visitor.sees("You have won")
    await visitor.writes("What is it?")
    await visitor.sees("What is it?", "delivered")
    assert (await anna.contents(opened["case"]["case_id"]))[-1] == ("user", "What is it?")


async def test_a_webhook_that_comes_twice_is_shown_once_even_after_a_restart(
    visitor: Visitor, chat: Chat, anna: Staff
) -> None:
    external_id = await handed_over(visitor, chat, anna)
    assert await chat.webhook("Once", to=external_id, id="msg_twice") == 200
    assert await chat.webhook("Once", to=external_id, id="msg_twice") == 200
    chat.end()
    chat.start()
    assert await chat.webhook("Once", to=external_id, id="msg_twice") == 200
    assert await chat.webhook("Last", to=external_id, id="msg_other") == 200
    shown = await visitor.sees("Last")
    assert [each["text"] for each in shown].count("Once") == 1


async def test_only_the_holder_of_the_channels_secret_can_send_webhooks(
    visitor: Visitor, chat: Chat, anna: Staff
) -> None:
    external_id = await handed_over(visitor, chat, anna)
    forged = f"whsec_{base64.b64encode(bytes(32)).decode()}"
    assert await chat.webhook("Forged", to=external_id, secret=forged) == 401
    assert await chat.webhook("Another id", to=external_id, webhook_id="msg_2") == 401
    assert await chat.webhook("Old", to=external_id, webhook_timestamp="1614265330") == 401
    assert await chat.webhook("No signature", to=external_id, webhook_signature="v1") == 401
    assert await chat.webhook("Good", to=external_id) == 200
    assert [each["text"] for each in (await visitor.sees("Good"))][2:] == ["Good"]


async def test_a_restart_forgets_nothing_and_misses_no_answer(
    visitor: Visitor, chat: Chat, anna: Staff
) -> None:
    await visitor.writes("human")
    await visitor.sees("human", "delivered")
    case = await anna.case_of(chat.channel)
    chat.end()
    await anna.answer(case, "Are you there?")
    chat.start()
    shown = await visitor.sees("Are you there?")
    assert [each["author"] for each in shown] == ["visitor", "bot", "staff"]
    await visitor.writes("Yes")
    await visitor.sees("Yes", "delivered")
    assert (await anna.contents(case))[-1] == ("user", "Yes")


async def test_a_page_that_connects_again_gets_only_what_is_new(visitor: Visitor) -> None:
    await visitor.writes("When are you open?")
    seen = await visitor.sees("We are open Monday to Saturday, 9:00 to 20:00.")
    await visitor.writes("Thanks")
    new = await visitor.sees("You are welcome!", after=seen[-1]["revision"])
    assert [each["text"] for each in new] == ["Thanks", "You are welcome!"]


async def test_a_visitor_sees_only_their_own_conversation(visitor: Visitor, chat: Chat) -> None:
    await visitor.writes("When are you open?")
    async with visiting(chat.url) as other:
        await other.writes("Thanks")
        shown = await other.sees("You are welcome!")
    assert [each["text"] for each in shown] == ["Thanks", "You are welcome!"]


async def test_a_message_that_the_page_repeats_is_kept_once(visitor: Visitor) -> None:
    await visitor.writes("Thanks", id="same")
    await visitor.writes("Thanks", id="same")
    await visitor.writes("hello")
    shown = await visitor.sees("Hello! I know our opening hours, delivery and where your order is.")
    assert [each["author"] for each in shown] == ["visitor", "bot"] * 2


async def test_another_site_cannot_write_in_a_visitors_name(visitor: Visitor) -> None:
    assert await visitor.posts_form(id="1", text="I quit") == 415


async def test_what_is_written_while_kanal_is_down_arrives_once_and_in_order(
    tmp_path: Path,
) -> None:
    with Kanal(tmp_path) as kanal:
        async with Staff(kanal.url) as anna:
            channel = await anna.make_channel()
            with Chat(kanal.url, channel, tmp_path) as chat:
                async with visiting(chat.url) as visitor:
                    kanal.end()
                    await visitor.writes("human")
                    await visitor.writes("quickly")
                    await visitor.sees("human", "late")
                    chat.end()
                    chat.start()
                    kanal.start()
                    await visitor.sees("quickly", "delivered")
            contents = await anna.contents(await anna.case_of(channel))
            assert contents == [("user", "Visitor: human"), ("user", "quickly")]


async def test_a_message_waits_while_the_channel_is_disabled(
    visitor: Visitor, chat: Chat, anna: Staff
) -> None:
    await anna.call("PUT", f"custom_channels/{chat.channel.key}/disable")
    await visitor.writes("human")
    await visitor.sees("human", "late")
    await anna.call("PUT", f"custom_channels/{chat.channel.key}/enable")
    await visitor.sees("human", "delivered")
    await anna.case_of(chat.channel)


async def test_when_the_case_is_deleted_the_next_message_opens_another(
    visitor: Visitor, chat: Chat, anna: Staff
) -> None:
    await visitor.writes("human")
    await visitor.sees("human", "delivered")
    first = await anna.case_of(chat.channel)
    await anna.call("DELETE", f"cases/{first}")
    await visitor.writes("Still there?")
    await visitor.sees("Still there?", "delivered")
    (second,) = [each for each in await anna.cases(chat.channel) if each["case_id"] != first]
    ((_, transcript),) = await anna.contents(second["case_id"])
    assert transcript.endswith("\nVisitor: Still there?")


async def handed_over(visitor: Visitor, chat: Chat, anna: Staff) -> str:
    """The visitor's id in Kanal, after they asked for a person."""
    await visitor.writes("human")
    await visitor.sees("human", "delivered")
    case = (await anna.cases(chat.channel))[0]
    user = await anna.call("GET", f"users/{case['user_id']}")
    return str(user["user"]["user_custom_id"])


def demo(folder: Path, kanal_port: int, chat_port: int, programs_port: int) -> Program:
    ports = {
        "KANAL_PORT": str(kanal_port),
        "OWN_CHAT_PORT": str(chat_port),
        "DEMO_PROGRAMS_PORT": str(programs_port),
    }
    return Program([sys.executable, str(DEMO), "--cases", "6"], ports, folder)


async def carry_out(line: str) -> None:
    """What this use of curl does, on machines that have none."""
    curl, silent, user, login, url, data, field = shlex.split(line.replace("\\\n", ""))
    assert (curl, silent, user, data) == ("curl", "-s", "-u", "--data-urlencode")
    headers = {"Authorization": aiohttp.encode_basic_auth(*login.split(":"))}
    name, _, value = field.partition("=")
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(url, data={name: value}) as answer,
    ):
        assert answer.status == 201


@contextmanager
def free_ports(count: int) -> Iterator[list[int]]:
    """Ports that nobody has at the moment; taken until the block ends."""
    with ExitStack() as stack:
        sockets = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)
        ]
        yield [each.getsockname()[1] for each in sockets]


async def test_the_demo_is_filled_once_and_what_it_prints_works(tmp_path: Path) -> None:
    with free_ports(3) as ports:
        pass
    address, seen = f"http://127.0.0.1:{ports[0]}", []
    for _ in range(2):
        with demo(tmp_path, *ports) as running:
            login = running.says(r"curl -s -u '(\S+)'")
            running.says("(Ctrl-C) ends everything")
            assert len(re.findall(r"@birchclay.example +password \S+", running.printed)) == 3
            async with visiting(f"http://127.0.0.1:{ports[1]}") as visitor:
                await visitor.writes("human")
                await carry_out(running.says(r"(curl .*/messages\.json \\\n.*)\n"))
                await visitor.sees("Hello, this is Anna. How can I help?")
            seen.append(await looked_at(address, login))
            assert running.end() == 0
        with socket.create_server(("127.0.0.1", ports[0])):
            pass  # nobody listens there any more
    first, second = seen
    # What the first start made is there, with one more case of the visitor's.
    assert second["cases"] == first["cases"] + 1
    assert first["rules"] == second["rules"] > 0
    assert first["answered"] > 0
    assert first["failing"] > 0
    assert first["held"] > 0
    settings = Settings.load(
        data_dir=tmp_path / "data" / "demo" / "kanal", timezone=ZoneInfo("Europe/Moscow")
    )
    with opened(settings) as store:
        work = store.rebuild()
        assert len(list(work.run())) > 0
        assert work.differences == []


async def looked_at(address: str, login: str) -> dict[str, int]:
    """Some of what the demo shows, counted."""
    headers = {"Authorization": aiohttp.encode_basic_auth(*login.split(":", 1))}
    async with aiohttp.ClientSession(address, headers=headers) as session:

        async def total(path: str) -> Any:
            async with session.get(f"/api/{path}") as answer:
                assert answer.status == 200, await answer.text()
                return await answer.json()

        figures = (await total("stats_channels.json?group_by=total&period=last_30_days"))["0"]
        cases = await total("cases.json?limit=1&show_active_chats=1&show_merged_cases=1")
        return {
            "cases": cases["total_count"],
            "answered": figures["stats"]["first_response"]["count"],
            # Whether one of them runs for so few cases depends on the day.
            "rules": (await total("rules.json"))["total_count"],
            "failing": (await total("deliveries.json?state=pending&channel=cch5"))["total_count"],
            "held": (await total("deliveries.json?state=held&limit=1"))["total_count"],
        }


def test_the_demo_says_which_port_is_taken(tmp_path: Path) -> None:
    with free_ports(3) as ports, demo(tmp_path, *ports) as taken:
        assert taken.ended() == 1
    assert f"port {ports[0]}: Address already in use" in taken.printed
    assert f"KANAL_PORT={ports[0] + 1} make demo" in taken.printed
