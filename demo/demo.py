"""`make demo`: a small company's help desk with five weeks behind it, and its website's chat, on this machine, ready to be tried.

What they keep, keys included, is in ./data/demo; remove that folder to start afresh.
"""

import argparse
import asyncio
import json
import os
import re
import shutil
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import company
from company import STAFF
from plan import BLOCKED_ID
from programs import Programs, answering, today

HERE = Path(__file__).parent
FILL = HERE / "fill.py"
CHAT = HERE.parent / "examples" / "own_chat" / "chat.py"
FOLDER = Path("data/demo")
NEW = FOLDER / "new"
"""While it is being filled; what is left of a fill that was cut off is made anew."""
KANAL_FOLDER = FOLDER / "kanal"
KEYS = FOLDER / "keys.json"
KANAL_LOG = FOLDER / "kanal.log"
HOST = "127.0.0.1"
KANAL_PORT = int(os.environ.get("KANAL_PORT") or 8080)
CHAT_PORT = int(os.environ.get("OWN_CHAT_PORT") or 8090)
PROGRAMS_PORT = int(os.environ.get("DEMO_PROGRAMS_PORT") or 8091)
KANAL = f"http://{HOST}:{KANAL_PORT}"
OWN_CHAT = f"http://{HOST}:{CHAT_PORT}"
PROGRAMS = f"http://{HOST}:{PROGRAMS_PORT}"
EMAIL = STAFF[0].email

# The first start makes the database; a busy machine needs its time for that.
START_SECONDS = 60
# Kanal ends within 10 seconds.
END_SECONDS = 15
POLL_SECONDS = 0.1

READY = """
The help desk, as staff see it:     {kanal}
{people}
The chat, as a visitor sees it:     {chat}
    Ask the bot something, then write "human".
The same over the API:              {kanal}/api/cases.json
    curl -s -u '{login}' {kanal}/api/cases.json

When a visitor is handed over, the line that answers them appears here. Ctrl-C ends everything.
"""
PERSON = "    {email:<26} password {password:<18} {role}"
ROLES = {
    "owner": "the owner: sees and may do everything",
    "staff": "staff: answers on all channels",
    "Wholesale": "sees nothing but the wholesale portal, which she manages",
}
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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, help="how many there are at the first start")
    cases = parser.parse_args().cases
    try:
        check_free("KANAL_PORT", KANAL_PORT)
        check_free("OWN_CHAT_PORT", CHAT_PORT)
        check_free("DEMO_PROGRAMS_PORT", PROGRAMS_PORT)
        asyncio.run(demonstrate(cases))
    except CannotGoOn as error:
        sys.exit(f"demo: {error}")
    except asyncio.CancelledError:
        print("\nAll have ended.")


async def demonstrate(cases: int | None) -> None:
    """Until Ctrl-C, SIGTERM, or the end of one of the programs."""
    this = asyncio.current_task()
    assert this
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, this.cancel)
    keys = load_keys() or await filled(cases)
    login = f"{EMAIL}:{keys['api_key']}"
    async with (
        answering(Programs(today(), today, [BLOCKED_ID]), PROGRAMS),
        kanal_running() as kanal,
        aiohttp.ClientSession(
            KANAL, headers={"Authorization": aiohttp.encode_basic_auth(*login.split(":", 1))}
        ) as api,
    ):
        await wait_until_ready(kanal, api)
        await connect_channels(api)
        async with chat_running(keys) as chat:
            ended = asyncio.create_task(kanal.wait())
            told = asyncio.create_task(tell(chat, login, keys["passwords"]))
            try:
                await asyncio.wait([ended, told], return_when=asyncio.FIRST_COMPLETED)
            finally:
                told.cancel()
                ended.cancel()
    which = f"Kanal (see {KANAL_LOG})" if ended.done() and not ended.cancelled() else "the chat"
    raise CannotGoOn(f"{which} ended by itself")


async def tell(chat: Process, login: str, passwords: Mapping[str, str]) -> None:
    """What the chat says and what to do about it, until it ends."""
    assert chat.stdout
    roles = {colleague.email: ROLES.get(colleague.role, colleague.role) for colleague in STAFF}
    people = [
        PERSON.format(email=email, password=password, role=roles[email])
        for email, password in passwords.items()
    ]
    async for line in chat.stdout:
        if line.startswith(b"Running on"):
            names = {"chat": OWN_CHAT, "kanal": KANAL, "login": login, "people": "\n".join(people)}
            print(READY.format(**names), flush=True)
            continue
        print(line.decode(), end="", flush=True)
        if opened := re.match(rb"case (\d+) opened", line):
            print(OPENED.format(case=int(opened[1]), kanal=KANAL, login=login), flush=True)


async def filled(cases: int | None) -> dict[str, Any]:
    """The company, made anew."""
    print("Five weeks of a small web shop are being made; this takes up to a minute, once.")
    shutil.rmtree(NEW, ignore_errors=True)
    command = [sys.executable, str(FILL), str(NEW), "--chat", OWN_CHAT, "--others", PROGRAMS]
    command += [] if cases is None else ["--cases", str(cases)]
    last = b""
    with KANAL_LOG.open("wb") as log:
        async with running(command, {}, PIPE, log.fileno()) as process:
            assert process.stdout
            async for line in process.stdout:
                last = line
                if re.fullmatch(rb"\d+ \d+\n", line) and sys.stdout.isatty():
                    done, of = map(int, line.split())
                    print(f"\r{done * 100 // of:3} %", end="", flush=True)
            if await process.wait():
                raise CannotGoOn(f"the company could not be made; {KANAL_LOG} says why")
    print("\r", end="")
    keys: dict[str, Any] = json.loads(last)
    NEW.rename(KANAL_FOLDER)
    save_keys(keys)
    return keys


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


async def connect_channels(api: aiohttp.ClientSession) -> None:
    """Of an earlier start too, at other ports."""
    for number, channel in enumerate(company.CHANNELS, start=1):
        program = channel.program
        url = f"{OWN_CHAT}/webhook" if program == "chat" else f"{PROGRAMS}/{program}"
        body = {"custom_channel": {"webhook_url": url}}
        async with api.put(f"/api/custom_channels/cch{number}.json", json=body) as answer:
            if answer.status not in (200, 404):  # whoever tries the demo may have deleted it
                raise CannotGoOn(f"Kanal refuses the channel: {await answer.text()}")


def load_keys() -> dict[str, Any]:
    """Empty before the first start."""
    FOLDER.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not KEYS.exists():
        if KANAL_FOLDER.exists():
            raise CannotGoOn(
                f"{KEYS} is missing, and Kanal does not tell keys twice: remove {FOLDER}"
            )
        return {}
    keys: dict[str, Any] = json.loads(KEYS.read_text())
    if "passwords" not in keys:
        raise CannotGoOn(f"{KEYS} is of an older demo: remove {FOLDER}")
    return keys


def save_keys(keys: Mapping[str, Any]) -> None:
    new = KEYS.with_suffix(".new")
    new.touch(mode=0o600)
    new.write_text(json.dumps(keys, indent=4, ensure_ascii=False))
    new.replace(KEYS)


@asynccontextmanager
async def kanal_running() -> AsyncIterator[Process]:
    settings = {
        "KANAL_HOST": HOST,
        "KANAL_PORT": str(KANAL_PORT),
        "KANAL_DATA_DIR": str(KANAL_FOLDER),
        "KANAL_WEBHOOK_ALLOW": "127.0.0.0/8",  # the company's programs are on this machine
        "KANAL_TIMEZONE": company.ZONE,
    }
    command = [sys.executable, "-m", "kanal", "serve"]
    with KANAL_LOG.open("wb") as log:
        async with running(command, settings, log.fileno(), asyncio.subprocess.STDOUT) as it:
            yield it


@asynccontextmanager
async def chat_running(keys: Mapping[str, Any]) -> AsyncIterator[Process]:
    settings = {
        "OWN_CHAT_KANAL_URL": KANAL,
        "OWN_CHAT_EMAIL": EMAIL,
        "OWN_CHAT_API_KEY": keys["api_key"],
        "OWN_CHAT_CHANNEL": "cch1",
        "OWN_CHAT_WEBHOOK_SECRET": keys["chat_secret"],
        "OWN_CHAT_HOST": HOST,
        "OWN_CHAT_PORT": str(CHAT_PORT),
        "OWN_CHAT_DATABASE": str(FOLDER / "own_chat.db"),
    }
    command = [sys.executable, str(CHAT)]
    async with running(command, settings, PIPE, asyncio.subprocess.STDOUT) as it:
        yield it


@asynccontextmanager
async def running(
    command: list[str], settings: Mapping[str, str], output: int, errors: int
) -> AsyncIterator[Process]:
    """A program with these settings and no others; ended with SIGTERM."""
    own = ("KANAL_", "OWN_CHAT_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    process = await asyncio.create_subprocess_exec(
        *command,
        env=environment | dict(settings),
        stdin=DEVNULL,
        stdout=output,
        stderr=errors,
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
