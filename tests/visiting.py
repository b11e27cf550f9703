"""A browser without a script: it keeps cookies, follows redirects, and sends the forms that it sees."""

import contextlib
import re
from collections.abc import AsyncIterator
from html import unescape
from html.parser import HTMLParser
from io import BytesIO
from typing import Any, NamedTuple
from urllib.parse import urlencode

import aiohttp
from served_api import EMAIL, PASSWORD, Api

TOKEN = re.compile(r'name="token" content="([0-9a-f]+)"')
FORM_TYPE = "application/x-www-form-urlencoded"
INVITATION = re.compile(r"/join/[\w-]+")
GOOD = "a good password"
"""That colleagues choose."""


class Seen(NamedTuple):
    status: int
    headers: Any
    text: str
    path: str
    """Where redirects led."""

    @property
    def words(self) -> str:
        return unescape(self.text)


class _Form(HTMLParser):
    """What a browser would send of the form with that address, before anybody typed."""

    def __init__(self, action: str) -> None:
        super().__init__()
        self.fields: list[tuple[str, str]] = []
        self._action = action
        self._within = False
        self._select = self._text = ""
        self._begun = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        name, value = given.get("name") or "", given.get("value") or ""
        if tag == "form":
            self._within = given.get("action") == self._action
        elif not self._within:
            return
        elif tag == "select":
            self._select = name
        elif tag == "option" and self._select:
            known = [each for each, _ in self.fields]
            if "selected" in given or self._select not in known:
                self.fields = [pair for pair in self.fields if pair[0] != self._select]
                self.fields.append((self._select, value))
        elif tag == "textarea":
            self._text, self._begun = name, ""
        elif tag == "input" and name not in ("", "token"):
            self.fields += [(name, value)] if _sent(given) else []

    def handle_data(self, data: str) -> None:
        self._begun += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea" and self._text:
            self.fields.append((self._text, self._begun.removeprefix("\n")))
            self._text = ""
        elif tag == "select":
            self._select = ""
        elif tag == "form":
            self._within = False


def _sent(input_: dict[str, str | None]) -> bool:
    return input_.get("type") not in ("checkbox", "radio") or "checked" in input_


def form_in(seen: Seen, action: str) -> dict[str, Any]:
    """Its fields; of those whose names end with `[]`, a list."""
    form = _Form(action)
    form.feed(seen.text)
    fields: dict[str, Any] = {}
    for name, value in form.fields:
        if name.endswith("[]"):
            fields.setdefault(name, []).append(value)
        else:
            fields[name] = value
    return fields


class Visitor:
    def __init__(self, address: str, session: aiohttp.ClientSession) -> None:
        self.address = address
        self.session = session
        self.token = ""

    def cookie(self, name: str = "kanal") -> Any:
        """The one of its session, if no other is asked for."""
        [found] = [each for each in self.session.cookie_jar if each.key == name]
        return found

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


async def invited(api: Api, staff_id: int) -> str:
    """The link that an administrator gives a colleague."""
    async with visitor(api.address) as anna:
        await anna.sign_in()
        await anna.get("/staff")
        seen = await anna.post(f"/staff/{staff_id}/invitation")
    [link] = set(INVITATION.findall(seen.text))
    return str(link)


async def join(api: Api, newcomer: Visitor, email: str, **fields: Any) -> int:
    """Make a colleague of them, signed in; their staff_id."""
    made = await api.post("staff.json", {"staff": {"staff_email": email, **fields}})
    staff_id = int(made["staff"]["staff_id"])
    await newcomer.post(await invited(api, staff_id), {"password": GOOD, "again": GOOD})
    await newcomer.get("/account")
    return staff_id
