"""A browser without a script: it keeps cookies, follows redirects, and sends the forms that it sees."""

import contextlib
import re
from collections.abc import AsyncIterator
from html import unescape
from io import BytesIO
from typing import Any, NamedTuple
from urllib.parse import urlencode

import aiohttp
from served_api import EMAIL, PASSWORD

TOKEN = re.compile(r'name="token" content="([0-9a-f]+)"')
FORM_TYPE = "application/x-www-form-urlencoded"


class Seen(NamedTuple):
    status: int
    headers: Any
    text: str
    path: str
    """Where redirects led."""

    @property
    def words(self) -> str:
        return unescape(self.text)


class Visitor:
    def __init__(self, address: str, session: aiohttp.ClientSession) -> None:
        self.address = address
        self.session = session
        self.token = ""

    async def get(self, path: str, **kwargs: Any) -> Seen:
        async with self.session.get(self.address + path, **kwargs) as answer:
            seen = Seen(answer.status, answer.headers, await answer.text(), answer.url.path_qs)
        found = TOKEN.search(seen.text)
        self.token = found[1] if found else self.token
        return seen

    async def post(
        self, path: str, fields: Any = (), *, token: str | None = None, **kwargs: Any
    ) -> Seen:
        """As a page of Kanal sends it. `token`: instead of the one of this session."""
        pairs = [("token", self.token if token is None else token), *dict(fields).items()]
        body = BytesIO(urlencode(pairs, doseq=True).encode())
        headers = {"Origin": self.address, "Content-Type": FORM_TYPE, **kwargs.pop("headers", {})}
        async with self.session.post(
            self.address + path, data=body, headers=headers, **kwargs
        ) as answer:
            return Seen(answer.status, answer.headers, await answer.text(), answer.url.path_qs)

    async def sign_in(self, email: str = EMAIL, password: str = PASSWORD, **fields: str) -> Seen:
        seen = await self.post("/sign-in", {"email": email, "password": password, **fields})
        found = TOKEN.search(seen.text)
        self.token = found[1] if found else ""
        return seen


@contextlib.asynccontextmanager
async def visitor(address: str, language: str = "en") -> AsyncIterator[Visitor]:
    jar = aiohttp.CookieJar(unsafe=True)  # cookies of a numeric host
    headers = {"Accept-Language": language}
    async with aiohttp.ClientSession(cookie_jar=jar, headers=headers) as session:
        yield Visitor(address, session)
