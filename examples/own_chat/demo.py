"""`make demo`: Kanal and the example chat beside each other on this machine, ready to be tried.

What they keep, their keys included, is in ./data/demo; remove that folder to start afresh.
"""

import asyncio
import json
import os
import re
import secrets
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

CHAT = Path(__file__).parent / "chat.py"
FOLDER = Path("data/demo")
KEYS = FOLDER / "keys.json"
KANAL_LOG = FOLDER / "kanal.log"
HOST = "127.0.0.1"
KANAL_PORT = int(os.environ.get("KANAL_PORT") or 8080)
CHAT_PORT = int(os.environ.get("OWN_CHAT_PORT") or 8090)
KANAL = f"http://{HOST}:{KANAL_PORT}"
OWN_CHAT = f"http://{HOST}:{CHAT_PORT}"
EMAIL = "anna@shop.example"

# The first start makes the database; a busy machine needs its time for that.
START_SECONDS = 60
# Kanal ends within 10 seconds.
END_SECONDS = 15
POLL_SECONDS = 0.1

READY = """
The chat, as a visitor sees it:     {chat}
    Ask the bot something, then write "human".
The help desk, as staff see it:     {kanal}
    Sign in as {email}, password {password}.
The same over the API:              {kanal}/api/cases.json
    curl -s -u '{login}' {kanal}/api/cases.json

When a visitor is handed over, the line that answers them appears here. Ctrl-C ends both.
"""
OPENED = """
Case {case} is open. Answer it, and watch the page:
    curl -s -u '{login}' {kanal}/api/cases/{case}/messages.json \\
        --data-urlencode 'message[content]=Hello, this is Anna. How can I help?'
A note stays among staff, so the page does not show it:
    curl -s -u '{login}' {kanal}/api/cases/{case}/note.json \\
        --data-urlencode 'note[content]=A regular customer'
"""


class CannotGoOn(Exception):
    """A sentence for the person at the terminal."""


def main() -> None:
    try:
        check_free("KANAL_PORT", KANAL_PORT)
        check_free("OWN_CHAT_PORT", CHAT_PORT)
        asyncio.run(demonstrate())
    except CannotGoOn as error:
        sys.exit(f"demo: {error}")
    except asyncio.CancelledError:
        print("\nBoth have ended.")


async def demonstrate() -> None:
    """Until Ctrl-C, SIGTERM, or the end of one of the two programs."""
    this = asyncio.current_task()
    assert this
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, this.cancel)
    keys = load_keys()
    login = f"{EMAIL}:{keys['api_key']}"
    async with (
        kanal_running(keys) as kanal,
        aiohttp.ClientSession(
            KANAL, headers={"Authorization": aiohttp.encode_basic_auth(*login.split(":", 1))}
        ) as api,
    ):
        await wait_until_ready(kanal, api)
        await connect_channel(api, keys)
        async with chat_running(keys) as chat:
            ended = asyncio.create_task(kanal.wait())
            told = asyncio.create_task(tell(chat, login, keys["password"]))
            try:
                await asyncio.wait([ended, told], return_when=asyncio.FIRST_COMPLETED)
            finally:
                told.cancel()
                ended.cancel()
    which = f"Kanal (see {KANAL_LOG})" if ended.done() and not ended.cancelled() else "the chat"
    raise CannotGoOn(f"{which} ended by itself")


async def tell(chat: Process, login: str, password: str) -> None:
    """What the chat says and what to do about it, until it ends."""
    assert chat.stdout
    async for line in chat.stdout:
        if line.startswith(b"Running on"):
            names = {"chat": OWN_CHAT, "kanal": KANAL, "login": login, "email": EMAIL}
            print(READY.format(**names, password=password), flush=True)
            continue
        print(line.decode(), end="", flush=True)
        if opened := re.match(rb"case (\d+) opened", line):
            print(OPENED.format(case=int(opened[1]), kanal=KANAL, login=login), flush=True)


async def wait_until_ready(kanal: Process, api: aiohttp.ClientSession) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + START_SECONDS
    while kanal.returncode is None and loop.time() < deadline:
        try:
            async with api.get("/readyz") as answer:
                if answer.status == 200:
                    return
        except aiohttp.ClientError:
            pass  # it does not listen yet
        await asyncio.sleep(POLL_SECONDS)
    raise CannotGoOn(f"Kanal does not start; {KANAL_LOG} says why")


async def connect_channel(api: aiohttp.ClientSession, keys: dict[str, str]) -> None:
    """A channel whose answers come to the chat: the one of the last time, or a new one.

    Kanal shows the signing secret once, in the answer that made the channel.
    """
    fields = {
        "title": "Chat of the shop",
        "webhook_url": f"{OWN_CHAT}/webhook",
        "channel_type": "sync",
        "icon": "fa-comments",
    }
    if "channel" in keys:
        path = f"/api/custom_channels/{keys['channel']}.json"
        async with api.put(path, json={"custom_channel": fields}) as answer:
            if answer.status == 200:
                return
            if answer.status != 404:
                raise CannotGoOn(f"Kanal refuses the channel: {await answer.text()}")
    async with api.post("/api/custom_channels.json", json={"custom_channel": fields}) as answer:
        if answer.status != 201:
            raise CannotGoOn(f"Kanal refuses the channel: {await answer.text()}")
        made: dict[str, Any] = (await answer.json())["custom_channel"]
    keys |= {"channel": made["channel_api_key"], "webhook_secret": made["secret"]}
    save_keys(keys)


def load_keys() -> dict[str, str]:
    FOLDER.mkdir(parents=True, exist_ok=True, mode=0o700)
    if KEYS.exists():
        keys: dict[str, str] = json.loads(KEYS.read_text())
        if "password" not in keys:
            raise CannotGoOn(f"{KEYS} is of an older demo: remove {FOLDER}")
        return keys
    if (FOLDER / "kanal").exists():
        raise CannotGoOn(f"{KEYS} is missing, and Kanal does not tell keys twice: remove {FOLDER}")
    keys = {"api_key": secrets.token_urlsafe(32), "password": secrets.token_urlsafe(12)}
    save_keys(keys)
    return keys


def save_keys(keys: Mapping[str, str]) -> None:
    new = KEYS.with_suffix(".new")
    new.touch(mode=0o600)
    new.write_text(json.dumps(keys, indent=4))
    new.replace(KEYS)


@asynccontextmanager
async def kanal_running(keys: Mapping[str, str]) -> AsyncIterator[Process]:
    settings = {
        "KANAL_HOST": HOST,
        "KANAL_PORT": str(KANAL_PORT),
        "KANAL_DATA_DIR": str(FOLDER / "kanal"),
        "KANAL_WEBHOOK_ALLOW": "127.0.0.0/8",  # the chat is on this machine
        "KANAL_ADMIN_EMAIL": EMAIL,
        "KANAL_ADMIN_API_KEY": keys["api_key"],
        "KANAL_ADMIN_PASSWORD": keys["password"],
    }
    with KANAL_LOG.open("wb") as log:
        async with running([sys.executable, "-m", "kanal", "serve"], settings, log.fileno()) as it:
            yield it


@asynccontextmanager
async def chat_running(keys: Mapping[str, str]) -> AsyncIterator[Process]:
    settings = {
        "OWN_CHAT_KANAL_URL": KANAL,
        "OWN_CHAT_EMAIL": EMAIL,
        "OWN_CHAT_API_KEY": keys["api_key"],
        "OWN_CHAT_CHANNEL": keys["channel"],
        "OWN_CHAT_WEBHOOK_SECRET": keys["webhook_secret"],
        "OWN_CHAT_HOST": HOST,
        "OWN_CHAT_PORT": str(CHAT_PORT),
        "OWN_CHAT_DATABASE": str(FOLDER / "own_chat.db"),
    }
    async with running([sys.executable, str(CHAT)], settings, PIPE) as it:
        yield it


@asynccontextmanager
async def running(
    command: list[str], settings: Mapping[str, str], output: int
) -> AsyncIterator[Process]:
    """A program with these settings and no others; ended with SIGTERM."""
    own = ("KANAL_", "OWN_CHAT_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    process = await asyncio.create_subprocess_exec(
        *command,
        env=environment | dict(settings),
        stdout=output,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C is for this program, which then ends them in order
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            async with asyncio.timeout(END_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def check_free(variable: str, port: int) -> None:
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((HOST, port))
        except OSError as error:
            raise CannotGoOn(
                f"port {port}: {error.strerror}. Choose another one: {variable}={port + 1} make demo"
            ) from error


if __name__ == "__main__":
    main()
