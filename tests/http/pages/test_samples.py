"""The code that Kanal shows runs as it stands: on a channel's page and in the documents, in each language that this machine has.

The code is the same whatever the database, so one of them is enough.
"""

import asyncio
import os
import re
import shutil
import signal
import socket
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from open_log import DEADLINE
from served_api import EMAIL, KEY, Api, serving
from standardwebhooks import Webhook

from kanal.delivery.body import render
from kanal.delivery.signing import new_secret
from kanal.domain.webhook_options import Format
from kanal.http.pages.samples import Sample, samples
from kanal.projections import channels, runner
from kanal.projections.registry import CORE

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROOT = Path(__file__).parents[3]
COMMANDS = {
    "curl": ["sh", "-e"],
    "Python": [sys.executable, "-u"],
    "PHP": ["php"],
    "Node": ["node"],
}
PROGRAMS = {"curl": "curl", "Python": sys.executable, "PHP": "php", "Node": "node"}
REQUIRED = os.environ.get("KANAL_TEST_REQUIRE") == "all"
"""All but Node, which not every machine that tests has a package of, is there then."""
FENCED = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MESSAGE: dict[str, Any] = {
    "message_id": 2,
    "custom_user_id": "u & 1",
    "content": "Да & [ok]=1\nтак",
    "note": False,
}
"""What a receiver has to read out of either form."""


class Desk(NamedTuple):
    api: Api
    login: str
    """In place of EMAIL:API_KEY."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    async with serving(tmp_path_factory.mktemp("samples"), "") as api:
        issued = await api.post("staff/1/api_keys.json", {"api_key": {"name": "samples"}})
        yield Desk(api, f"{EMAIL}:{issued['api_key']['key']}")


def languages(*names: str) -> Iterator[str]:
    for name in names or COMMANDS:
        if shutil.which(PROGRAMS[name]):
            yield name
        elif REQUIRED and name != "Node":
            pytest.fail(f"{name} is not here")


def fenced(document: str, language: str) -> list[str]:
    text = (ROOT / document).read_text()
    return [code for kind, code in FENCED.findall(text) if kind == language]


async def shown(api: Api, key: str) -> dict[str, Sample]:
    """As the channel's page fills them in."""
    found = await api.store.database.read(
        lambda connection: channels.find(
            connection, runner.views(connection, CORE), int(key.removeprefix("cch"))
        )
    )
    assert found is not None
    return {each.title: each for each in samples(api.address, key, found)}


class Running(NamedTuple):
    process: Process
    printed: list[str]

    async def until(self, *words: str) -> str:
        """All these were printed."""
        output = self.process.stdout
        assert output is not None
        while not all(word in "".join(self.printed) for word in words):
            line = await output.readline()
            assert line, "".join(self.printed)
            self.printed.append(line.decode())
        return "".join(self.printed)


@asynccontextmanager
async def started(command: list[str], code: str, folder: Path) -> AsyncIterator[Running]:
    """Whatever it starts itself ends with it."""
    file = folder / "sample"
    file.write_text(code)
    process = await asyncio.create_subprocess_exec(
        *command, str(file), stdout=PIPE, stderr=STDOUT, start_new_session=True
    )
    try:
        async with asyncio.timeout(DEADLINE):
            yield Running(process, [])
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
        await process.communicate()


async def ran(command: list[str], code: str, folder: Path) -> str:
    """What it printed; it ended without a fault."""
    async with started(command, code, folder) as running:
        printed, _ = await running.process.communicate()
        assert running.process.returncode == 0, printed.decode()
    return printed.decode()


async def test_a_customer_writes_in_each_language(desk: Desk, tmp_path: Path) -> None:
    api = desk.api
    key = f"cch{await api.channel(title='Code')}"
    known = await shown(api, key)
    for name in languages():
        code = known[name].write.replace("EMAIL:API_KEY", desk.login)
        printed = await ran(COMMANDS[name], code, tmp_path)
        case, *_ = await api.items(f"cases.json?channel={key}", "case")
        assert case["subject"] == "Hello"
        told = f"Keep user_id {case['user_id']} and case_id {case['case_id']}"
        assert (f'"case_id": {case["case_id"]},' if name == "curl" else told) in printed, name
    assert len(await api.items(f"cases.json?channel={key}", "case")) >= 2


@pytest.mark.parametrize("form", ["form", "json"])
async def test_a_receiver_takes_what_is_signed_and_nothing_else(
    desk: Desk, tmp_path: Path, form: Format
) -> None:
    known = await shown(desk.api, f"cch{await desk.api.channel(webhook_format=form)}")
    for name in languages("Python", "PHP", "Node"):
        secret, port = new_secret(), free_port()
        code = known[name].take.replace("SECRET", secret).replace("9000", str(port))
        command = COMMANDS[name]
        if name == "PHP":
            command = ["php", "-d", "display_errors=stderr", "-S", f"127.0.0.1:{port}"]
        async with started(command, code, tmp_path) as receiver:
            await check_receiver(f"http://127.0.0.1:{port}/", secret, form)
            printed = await receiver.until("так")
            assert "Да & [ok]=1" in printed, printed
            assert "Warning" not in printed, printed
            if name != "PHP":
                assert ("u & 1" in printed, printed.count("так")) == (True, 1), printed


@pytest.mark.parametrize("name", ["curl", "Python", "PHP", "Node", "delivery.md"])
async def test_a_receiver_without_an_address_asks_and_acknowledges(
    desk: Desk, tmp_path: Path, name: str
) -> None:
    api = desk.api
    key = f"cch{await api.channel(webhook_url='', webhook_polling=True)}"
    case = await api.case(channel=key)
    await api.message(case["case_id"], content="Ok!")
    of_channel = f"deliveries.json?channel={key}"
    if name == "delivery.md":
        command, [_, code] = COMMANDS["Python"], fenced("docs/delivery.md", "python")
        names = {"EMAIL": EMAIL, "KEY": KEY, "KANAL": api.address, "CHANNEL": key}
        given = "".join(f"{name} = {value!r}\n" for name, value in names.items())
        code = f"{given}saved_cursor, take, save = str, print, print\n{code}"
    elif list(languages(name)):
        command = COMMANDS[name]
        code = (await shown(api, key))[name].take.replace("EMAIL:API_KEY", desk.login)
    else:
        return
    [delivery] = await api.items(of_channel, "delivery")
    if name == "curl":
        # Two commands: what the first one answers is filled into the second by hand.
        ask, _, acknowledge = code.partition("# then")
        cursor = re.search(r'"cursor": "([^"]+)"', await ran(command, ask, tmp_path))
        assert cursor
        acknowledge = "# then" + acknowledge.replace("CURSOR", cursor[1])
        assert '"acknowledged": 1' in await ran(command, acknowledge, tmp_path)
    else:
        async with started(command, code, tmp_path) as asking:
            await asking.until(delivery["delivery_id"], "Ok")
            while (await api.items(of_channel, "delivery"))[0]["state"] != "delivered":  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            await api.message(case["case_id"], content="And another one")
            await asking.until("another")
    delivered = await api.items(f"{of_channel}&state=delivered", "delivery")
    assert delivery["delivery_id"] in {each["delivery_id"] for each in delivered}


async def test_the_commands_of_the_documents_run_one_after_the_other(tmp_path: Path) -> None:
    """On a new installation, as whoever reads them begins."""
    commands = fenced("README.md", "sh")[2:] + fenced("docs/quickstart.md", "sh")
    script = "".join(each for each in commands if "KEY" in each)
    script = re.sub(r"^KEY=.*$", f'KEY="{EMAIL}:{KEY}"', script, flags=re.MULTILINE)
    # There is nobody behind that address, and inner ones are refused.
    script = script.replace("http://127.0.0.1:9000/webhook", "https://example.com/webhook")
    script = script.replace("curl -s", "curl -fs")
    assert script.count("curl -fs") >= 12
    async with serving(tmp_path / "data", "") as api:
        script = re.sub(r"^API=.*$", f"API={api.address}/api", script, flags=re.MULTILINE)
        await ran(["sh", "-e"], script, tmp_path)
        messages = await api.items("cases/1/messages.json", "message")
    assert [each["content"] for each in messages] == [
        *("My order has not arrived", "Ok!", "Thanks", "Called the courier"),
        "It is number 1234",
    ]


async def test_the_receivers_of_the_documents_take_what_is_signed(tmp_path: Path) -> None:
    secret = new_secret()
    seen: list[tuple[str, str]] = []
    [of_quickstart] = fenced("docs/quickstart.md", "python")
    known: set[str] = set()

    def remember(name: str) -> bool:
        return name not in known and not known.add(name)  # type: ignore[func-returns-value]

    def show(user: str, content: str) -> None:
        seen.append((user, content))

    names: dict[str, Any] = {"SECRET": secret, "remember": remember, "show": show, "web": web}
    exec(of_quickstart, names)  # noqa: S102 it is what is tested
    async with served(names["webhook"]) as url:
        await check_receiver(url, secret, "form", refused=500)
    assert seen == [(MESSAGE["custom_user_id"], MESSAGE["content"])]

    [of_delivery, _] = fenced("docs/delivery.md", "python")
    taken: list[Any] = []
    names = {"secret": secret, "take": taken.append, "Webhook": Webhook}
    exec(of_delivery, names)  # noqa: S102

    class Request(NamedTuple):
        body: bytes
        headers: dict[str, str]
        form: dict[str, Any]

    async def hook(request: web.Request) -> web.Response:
        given = Request(await request.read(), dict(request.headers), dict(await request.post()))
        # Frameworks read headers without regard to case.
        headers = {name.lower(): value for name, value in given.headers.items()}
        return web.Response(status=names["hook"](given._replace(headers=headers)))

    async with served(hook) as url:
        await check_receiver(url, secret, "form", refused=500)
    assert len(taken) == 1

    [of_php] = fenced("docs/quickstart.md", "php")
    for _ in languages("PHP"):
        port = free_port()
        command = ["php", "-d", "display_errors=stderr", "-S", f"127.0.0.1:{port}"]
        code = f"<?php\n$secret = '{secret}';\n{of_php}error_log($message['content']);\n"
        async with started(command, code, tmp_path) as receiver:
            await check_receiver(f"http://127.0.0.1:{port}/", secret, "form")
            await receiver.until("так")


@asynccontextmanager
async def served(handler: Callable[[web.Request], Any]) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/", handler)
    async with TestClient(TestServer(app)) as client:
        yield str(client.make_url("/"))


async def check_receiver(url: str, secret: str, form: Format, *, refused: int = 401) -> None:
    """What is signed rightly is taken, twice; what is not, or long ago, is refused."""
    body = render("message_new", MESSAGE, form)
    kind = "application/json" if form == "json" else "application/x-www-form-urlencoded"
    now = datetime.now(UTC)

    def signed(with_secret: str, at: datetime) -> dict[str, str]:
        return {
            "Content-Type": kind,
            "webhook-id": "msg_1",
            "webhook-timestamp": str(int(at.timestamp())),
            # While a secret is changed there are several.
            "webhook-signature": f"v1a,eA== {Webhook(with_secret).sign('msg_1', at, body.decode())}",
        }

    right = signed(secret, now)
    unsigned = {name: value for name, value in right.items() if name != "webhook-signature"}
    old = signed(secret, now - timedelta(minutes=6))
    wrong = [
        (body + b" ", right),
        (body, signed(new_secret(), now)),
        (body, old),
        (body, unsigned),
        (body, {"Content-Type": kind}),
    ]
    async with aiohttp.ClientSession() as session:
        for number, (sent, headers) in enumerate([(body, right), (body, right), *wrong]):
            status = await _post(session, url, sent, headers)
            assert status == (200 if number < 2 else refused), number


async def _post(
    session: aiohttp.ClientSession, url: str, body: bytes, headers: dict[str, str]
) -> int:
    while True:
        try:
            async with session.post(url, data=body, headers=headers) as answer:
                return answer.status
        except aiohttp.ClientConnectionError:
            await asyncio.sleep(0.02)  # it does not listen yet


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port
