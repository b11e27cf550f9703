"""A real `kanal serve` in a process of its own, for tests that start it, talk to it, kill it and start it again."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

START_SECONDS = 60
"""It takes two; a machine that does other work as well may need many times that."""
EMAIL = "admin@example.com"
KEY = "a key that the operator gave"


class Kanal:
    """One installation; its process may be stopped, killed and started any number of times."""

    def __init__(self, data_dir: Path, database_url: str = "", **settings: str) -> None:
        self.environment = {
            **os.environ,
            "KANAL_DATA_DIR": str(data_dir),
            "KANAL_DATABASE_URL": database_url,
            "KANAL_PORT": "0",
            "KANAL_ADMIN_EMAIL": EMAIL,
            "KANAL_ADMIN_API_KEY": KEY,
            "KANAL_WEBHOOK_ALLOW": "127.0.0.0/8",
            "KANAL_LOG_FORMAT": "json",
            **settings,
        }
        self.log = data_dir / "serve.log"
        self.output = ""
        """What this process has printed since its start."""
        self.address = ""
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Returns when it says where it listens."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "kanal",
                "serve",
                env=self.environment,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        assert self._process.stdout
        self.output = ""
        try:
            async with asyncio.timeout(START_SECONDS):
                while "listens on" not in self.output:
                    line = (await self._process.stdout.readline()).decode()
                    assert line, self.log.read_text()[-3000:]
                    self.output += line
        except BaseException:
            await self.kill()
            raise
        self.address = self.output.rpartition("listens on ")[2].split()[0]

    async def kill(self) -> None:
        await self._end(signal.SIGKILL)

    async def stop(self) -> int:
        """The exit code."""
        return await self._end(signal.SIGTERM)

    async def command(self, *arguments: str) -> tuple[int, str]:
        """Another `kanal` command on this installation: exit code and all that it printed."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "kanal",
            *arguments,
            env=self.environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, output.decode()

    @contextlib.asynccontextmanager
    async def client(self, email: str = EMAIL, key: str = KEY) -> AsyncIterator["Client"]:
        headers = {"Authorization": aiohttp.encode_basic_auth(email, key)}
        async with aiohttp.ClientSession(headers=headers) as session:
            yield Client(self, session)

    async def _end(self, number: signal.Signals) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
        async with asyncio.timeout(START_SECONDS):
            return await process.wait()


class Client:
    """Calls of one staff member."""

    def __init__(self, kanal: Kanal, session: aiohttp.ClientSession) -> None:
        self._kanal = kanal
        self._session = session

    async def __call__(self, method: str, path: str, json: Any = None, **kwargs: Any) -> Any:
        """The answer's JSON. Fails on any status but 2xx."""
        status, body = await self.answer(method, path, json=json, **kwargs)
        assert 200 <= status < 300, (method, path, status, body)
        return body

    async def answer(self, method: str, path: str, **kwargs: Any) -> tuple[int, Any]:
        url = f"{self._kanal.address}/api/{path}"
        async with self._session.request(method, url, **kwargs) as response:
            text = await response.text()
            return response.status, await response.json() if text else None

    def logged(self, error: Any) -> list[str]:
        """What Kanal's log has of an error that was answered."""
        error_id = error.get("error_id", "-") if isinstance(error, dict) else "-"
        return [line for line in self._kanal.log.read_text().splitlines() if error_id in line]

    async def text(self, path: str) -> str:
        async with self._session.get(f"{self._kanal.address}/api/{path}") as response:
            assert response.status == 200, path
            return await response.text()
