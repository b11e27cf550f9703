"""A Kanal that serves its API in this process, and callers who use it over a socket, as programs do."""

import contextlib
import json
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import aiohttp
import argon2
import argon2.profiles

from kanal.bootstrap import Role, Store, appoint_first_administrator, opened, running
from kanal.settings import Settings

EMAIL = "admin@example.com"
KEY = "the administrator's own key"
PASSWORD = "the administrator's own password"

QUICK_HASHER = argon2.PasswordHasher.from_parameters(argon2.profiles.CHEAPEST)
"""A real one takes a third of a second, which hundreds of installations would pay."""

CONTENT = {"content": "Hello"}


class Answer(NamedTuple):
    status: int
    headers: Any
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def refusal(self) -> tuple[int, str]:
        """Status and code of an answer that is an error in the form of the API."""
        body = self.json
        assert body["message"].endswith("."), self.text
        return self.status, body["error"]


class Api:
    """One caller. Paths are those under /api/."""

    def __init__(self, address: str, store: Store, session: aiohttp.ClientSession) -> None:
        self.address = address
        self.store = store
        self._session = session

    async def call(self, method: str, path: str, body: Any = None, **kwargs: Any) -> Answer:
        if body is not None:
            # A stream: aiohttp warns of large bodies that are bytes.
            kwargs["data"] = BytesIO(json.dumps(body, ensure_ascii=False).encode())
            kwargs["headers"] = {"Content-Type": "application/json", **kwargs.get("headers", {})}
        url = f"{self.address}/api/{path}"
        async with self._session.request(method, url, **kwargs) as response:
            return Answer(response.status, response.headers, await response.text())

    async def raw(self, path: str, data: bytes, headers: dict[str, str]) -> Answer:
        """These very bytes, as JSON if nothing else is said, on a connection of their own."""
        headers = {"Content-Type": "application/json", "Connection": "close", **headers}
        session, url = self._session, f"{self.address}/api/{path}"
        async with session.post(url, data=BytesIO(data), headers=headers) as response:
            return Answer(response.status, response.headers, await response.text())

    async def get(self, path: str) -> Any:
        return await self._succeed(200, "GET", path)

    async def post(self, path: str, body: Any, **kwargs: Any) -> Any:
        return await self._succeed(201, "POST", path, body, **kwargs)

    async def put(self, path: str, body: Any = None) -> Any:
        return await self._succeed(200, "PUT", path, body)

    async def items(self, path: str, entity: str) -> list[Any]:
        """The items of a list, in its order."""
        return items(await self.get(path), entity)

    def as_staff(self, email: str, key: str) -> contextlib.AbstractAsyncContextManager["Api"]:
        return caller(self.address, self.store, email, key)

    def head(self) -> int:
        """The log's last position: what is refused must not move it."""
        database = self.store.database
        with database.reading() as connection:
            return database.head(connection)

    # -- what most tests begin with --------------------------------------------------------------

    async def channel(self, **fields: Any) -> int:
        given = {
            "title": "App",
            "webhook_url": "https://example.com/hook",
            "channel_type": "async",
            **fields,
        }
        made = await self.post("custom_channels.json", {"custom_channel": given})
        return int(made["custom_channel"]["channel_id"])

    async def case(self, **fields: Any) -> Any:
        given = {"user_custom_id": "u1", "channel": "cch1", **CONTENT, **fields}
        return (await self.post("cases.json", {"case": given}))["case"]

    async def message(self, case_id: object, **fields: Any) -> Any:
        given = {"message": {**CONTENT, **fields}}
        return (await self.post(f"cases/{case_id}/messages.json", given))["message"]

    async def _succeed(self, status: int, method: str, path: str, *body: Any, **kwargs: Any) -> Any:
        given = await self.call(method, path, *body, **kwargs)
        assert given.status == status, (method, path, given.text)
        return given.json


def items(listing: dict[str, Any], entity: str) -> list[Any]:
    return [listing[str(at)][entity] for at in range(len(listing) - 1)]


@contextlib.asynccontextmanager
async def caller(
    address: str, store: Store, email: str = EMAIL, key: str = KEY
) -> AsyncIterator[Api]:
    authorization = aiohttp.encode_basic_auth(email, key, encoding="utf-8")
    async with aiohttp.ClientSession(headers={"Authorization": authorization}) as session:
        yield Api(address, store, session)


def settings_of(data_dir: Path, database_url: str) -> Settings:
    return Settings(
        data_dir=data_dir,
        database_url=database_url,
        port=0,
        admin_email=EMAIL,
        admin_api_key=KEY,
        admin_password=PASSWORD,
        timezone=ZoneInfo("Europe/Moscow"),
    )


def set_up(data_dir: Path, database_url: str) -> None:
    """An installation with its first administrator, closed again."""
    with opened(settings_of(data_dir, database_url)) as store:
        appoint_first_administrator(store, QUICK_HASHER)


@contextlib.asynccontextmanager
async def serving(
    data_dir: Path,
    database_url: str = "",
    role: Role = "api",
    hasher: argon2.PasswordHasher = QUICK_HASHER,
    **settings: Any,
) -> AsyncIterator[Api]:
    """The first administrator calls; nothing else is there yet. `settings`: other than those of all tests."""
    with opened(settings_of(data_dir, database_url).model_copy(update=settings)) as store:
        appoint_first_administrator(store, QUICK_HASHER)
        async with (
            running(store, role, hasher) as kanal,
            caller(kanal.address, store) as api,
        ):
            yield api
