"""Who comes in, which forms are taken, and what every page says of itself to the browser."""

import asyncio
import re
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import argon2
import argon2.profiles
import pytest
from delivering import LOOPBACK
from open_log import DEADLINE
from served_api import EMAIL, PASSWORD, Api, serving
from visiting import GOOD, form_in, join, visitor

from kanal.domain.staff import disable_staff
from kanal.http import second_factor, sessions
from kanal.http.pages.rendering import POLICY
from kanal.http.pages.resetting import resetting
from kanal.http.pages.routes import PAGES
from kanal.http.pages.throttle import OF_ADDRESS

pytestmark = pytest.mark.asyncio(loop_scope="module")

OTHER = "another password of hers"
INVITATION = re.compile(r"/join/[\w-]+")
FOREIGN = {"Origin": "https://evil.example"}


async def test_nobody_sees_a_page_before_they_signed_in(shared_api: Api) -> None:
    async with visitor(shared_api.address) as stranger:
        for page in PAGES:
            path = re.sub(r"\{\w+\}", "1", page.path)
            if page.method == "GET":
                seen = await stranger.get(path, allow_redirects=False)
                assert (seen.status, seen.headers["Location"]) == (303, f"/sign-in?next={path}")
            else:
                assert (await stranger.post(path)).status == 401
        assert (await stranger.get("/")).path == "/sign-in?next=/inbox"


async def test_the_right_password_opens_and_a_wrong_one_says_no_more_than_that(
    shared_api: Api,
) -> None:
    async with visitor(shared_api.address) as anna:
        wrong = await anna.sign_in(password="wrong")
        unknown = await anna.sign_in(email="nobody@example.com")
        assert wrong.status == unknown.status == 403
        assert wrong.text == unknown.text.replace("nobody@example.com", EMAIL)
        foreign = await anna.post(
            "/sign-in", {"email": EMAIL, "password": PASSWORD}, headers=FOREIGN
        )
        assert foreign.status == 403
        seen = await anna.sign_in(email=f" {EMAIL.upper()} ")
        assert (seen.status, seen.path) == (200, "/start")
        cookie = anna.cookie()
        for each in (cookie, anna.cookie("kanal-known")):
            assert each["httponly"]
            assert (each["samesite"], each["path"], each["secure"]) == ("Lax", "/", "")
        with shared_api.store.database.reading() as connection:
            [row] = sessions.of_staff(connection, 1, 0)
        assert row.session_id == sessions.id_of(cookie.value)
        out = await anna.post("/sign-out")
        assert out.path == "/sign-in?done=signed_out"
        assert (await anna.get("/inbox")).path.startswith("/sign-in")


async def test_behind_a_trusted_proxy_that_speaks_https_cookies_are_for_this_host_alone(
    tmp_path: Path,
) -> None:
    trusting: dict[str, Any] = {
        "trusted_proxies": LOOPBACK,
        "public_url": "https://desk.example/help",
    }
    async with serving(tmp_path, **trusting) as api, visitor(api.address) as anna:
        fields = {"email": EMAIL, "password": PASSWORD}
        headers = {"X-Forwarded-Proto": "https", "Origin": "https://desk.example"}
        seen = await anna.post("/sign-in", fields, headers=headers, allow_redirects=False)
        assert (seen.status, seen.headers["Location"]) == (303, "/help/inbox")
        given = seen.headers["Set-Cookie"]
        assert given.startswith("__Host-kanal=")
        assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(given.split("; "))
        plain = await anna.post("/sign-in", fields, allow_redirects=False)
        assert plain.headers["Set-Cookie"].startswith("kanal=")


async def test_after_signing_in_one_is_where_one_wanted_to_be_and_never_elsewhere(
    shared_api: Api,
) -> None:
    for wanted, led in {
        "/staff?x=1": "/staff?x=1",
        "//evil.example": "/start",
        "/\\evil.example": "/start",
        "https://evil.example": "/start",
        "/a\nb": "/start",
    }.items():
        async with visitor(shared_api.address) as anna:
            mistyped = await anna.sign_in(password="wrong", next=wanted)
            typed = form_in(mistyped, "/sign-in")
            assert (mistyped.status, typed["next"]) == (403, wanted)
            assert (await anna.sign_in(next=wanted)).path == led
            asked = await anna.get("/sign-in", params={"next": wanted})
            assert asked.path == led


async def test_a_form_is_taken_only_from_a_page_of_the_same_session(shared_api: Api) -> None:
    async with visitor(shared_api.address) as anna:
        await anna.sign_in()
        await anna.get("/account")
        take = partial(anna.post, "/account", {"theme": "dark"})
        assert (await take()).status == 200
        for refused in (
            await take(token=""),
            await take(token="0" * 64),
            await take(headers=FOREIGN),
            await take(headers={"Origin": "null"}),
            await take(headers={"Sec-Fetch-Site": "cross-site"}),
            await take(headers={"Sec-Fetch-Site": "same-site"}),
        ):
            assert refused.status == 403
            assert "does not come from a page of this session" in refused.text
        assert (await take(headers={"Sec-Fetch-Site": "same-origin"})).status == 200
        assert 'data-theme="dark"' in (await anna.get("/account")).text
        assert (await anna.post("/account", {"theme": "", "language": "ru"})).status == 200
        assert 'lang="ru"' in (await anna.get("/inbox")).text
        await anna.post("/account")


async def test_every_page_forbids_what_does_not_come_from_here(shared_api: Api) -> None:
    async with visitor(shared_api.address) as anna:
        pages = [await anna.get("/sign-in"), await anna.sign_in()]
        pages += [
            await anna.get(path) for path in ("/account", "/staff", "/cases/999", "/channels")
        ]
        for seen in pages:
            assert seen.headers["Content-Security-Policy"] == POLICY
            assert seen.headers["X-Content-Type-Options"] == "nosniff"
            assert seen.headers["Cache-Control"] == "no-store"
            assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", seen.text)
            for address in re.findall(r'(?:src|href|action)="([^"]*)"', seen.text):
                assert address.startswith(("/", "#", "?")), address
        [sheet] = re.findall(r'href="(/static/[^"]+\.css)"', pages[0].text)
        got = await anna.get(sheet)
        assert got.headers["Content-Type"] == "text/css; charset=utf-8"
        assert "immutable" in got.headers["Cache-Control"]
        for wrong in ("/static/x/../kanal.css", "/static/x/none.css"):
            assert (await anna.get(wrong)).status == 404
        assert (await anna.get("/cases/999")).status == 404
        assert (await anna.get("/inbox?view=filter:77")).status == 404


async def test_sessions_are_listed_and_ended_one_by_one_and_all_together(shared_api: Api) -> None:
    address = shared_api.address
    async with visitor(address) as here, visitor(address) as there, visitor(address) as elsewhere:
        for each in (here, there, elsewhere):
            await each.sign_in()
            await each.get("/account")
        seen = await here.get("/account")
        [theirs] = [
            each
            for each in re.findall(r'name="session" value="([0-9a-f]{64})"', seen.text)
            if each == sessions.id_of(there.cookie().value)
        ]
        assert "this one" in seen.text
        await here.post("/account/sessions", {"session": theirs})
        assert (await there.get("/account")).path.startswith("/sign-in")
        assert (await elsewhere.get("/account")).path == "/account"
        await here.post("/account/sessions")
        assert (await elsewhere.get("/account")).path.startswith("/sign-in")
        assert (await here.get("/account")).path == "/account"


async def test_a_colleague_joins_by_a_link_that_is_good_once_and_leaves_when_disabled(
    shared_api: Api,
) -> None:
    async with visitor(shared_api.address) as anna, visitor(shared_api.address) as vera:
        await anna.sign_in()
        fields = {"staff_email": "vera@example.com", "staff_full_name": "Vera", "role": "staff"}
        made = await anna.post("/staff", fields)
        [link] = set(INVITATION.findall(made.text))
        assert "Choose a password" in (await vera.get(link)).text
        differing = await vera.post(link, {"password": OTHER, "again": "x"})
        assert differing.status == 400
        assert (await vera.post(link, {"password": "short", "again": "short"})).status == 400
        joined = await vera.post(link, {"password": OTHER, "again": OTHER})
        assert joined.path == "/inbox"
        assert (await vera.get(link)).status == 404
        [changed] = await shared_api.items("events.json?order=desc&limit=1", "event")
        assert (changed["type"], changed["data"]["by_link"]) == ("staff.password_changed.1", True)
        await vera.get("/inbox")
        assert (await vera.post("/channels", {"title": "x", "channel_type": "sync"})).status == 403
        assert (await vera.get("/system")).status == 403
        staff_id = next(
            each["staff_id"]
            for each in await shared_api.items("staff.json", "staff")
            if each["staff_email"] == "vera@example.com"
        )
        # Whoever makes a link for a colleague's password leaves word of it; it is good once, whoever is quicker.
        again = INVITATION.findall((await anna.post(f"/staff/{staff_id}/invitation")).text)[0]
        [made_link] = await shared_api.items("events.json?order=desc&limit=1", "event")
        assert (made_link["type"], made_link["data"]) == (
            "staff.invited.1",
            {"staff_id": int(staff_id)},
        )
        fields = {"password": OTHER, "again": OTHER}
        both = await asyncio.gather(*(vera.post(again, fields) for _ in range(2)))
        assert sorted(seen.status for seen in both) == [200, 404]
        # A referer of this host leads nowhere else.
        hostile = {"Referer": f"{shared_api.address}//evil.example/x"}
        led = await anna.post("/inbox/change", headers=hostile, allow_redirects=False)
        assert (led.status, led.headers["Location"]) == (303, "/inbox?done=changed")
        await anna.post(f"/staff/{staff_id}/state", {"action": "disable"})
        assert (await vera.get("/inbox")).path.startswith("/sign-in")
        assert (await vera.sign_in("vera@example.com", OTHER)).status == 403
        await shared_api.call("DELETE", f"staff/{staff_id}.json")


async def test_a_new_password_needs_the_old_one_and_ends_other_sessions(shared_api: Api) -> None:
    async with visitor(shared_api.address) as here, visitor(shared_api.address) as there:
        await here.sign_in()
        await there.sign_in()
        await here.get("/account")
        fields = {"current": "wrong", "password": OTHER, "again": OTHER}
        assert (await here.post("/account/password", fields)).status == 403
        changed = await here.post("/account/password", {**fields, "current": PASSWORD})
        assert changed.path == "/account?done=saved"
        assert (await there.get("/account")).path.startswith("/sign-in")
        assert (await there.sign_in()).status == 403
        assert (await there.sign_in(password=OTHER)).status == 200
        back = {"current": OTHER, "password": PASSWORD, "again": PASSWORD}
        assert (await here.post("/account/password", back)).status == 200


class Deliberate(argon2.PasswordHasher):
    """Says that it compares, and does so when it is told."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.comparing, self.go = threading.Event(), threading.Event()
        self.go.set()

    def verify(self, *args: Any, **kwargs: Any) -> Any:
        self.comparing.set()
        assert self.go.wait(DEADLINE)
        return super().verify(*args, **kwargs)


async def test_what_ends_sessions_ends_those_that_are_just_being_begun(tmp_path: Path) -> None:
    hasher = Deliberate.from_parameters(argon2.profiles.CHEAPEST)
    assert isinstance(hasher, Deliberate)
    async with serving(tmp_path, hasher=hasher) as api, visitor(api.address) as thief:
        email, writer = "robbed@example.com", api.store.writer
        async with visitor(api.address) as robbed:
            staff_id = await join(api, robbed, email)
        forget = partial(sessions.end_others, staff_id=staff_id)
        await writer.run(forget)

        async def tried(meanwhile: Callable[[], object]) -> str:
            hasher.comparing.clear()
            hasher.go.clear()
            trying = asyncio.create_task(thief.sign_in(email, GOOD))
            assert await asyncio.to_thread(hasher.comparing.wait, DEADLINE)
            await asyncio.to_thread(meanwhile)
            hasher.go.set()
            return (await trying).path

        def second_step() -> None:
            begin = partial(second_factor.begin, staff_id=staff_id, secret="A" * 32)
            confirm = partial(second_factor.confirm, staff_id=staff_id, step=0, codes=["a"])
            for task in (begin, confirm, forget):
                writer.run_and_wait(task)

        def disabled() -> None:
            writer.submit_and_wait(partial(disable_staff, staff_id=staff_id))
            writer.run_and_wait(partial(sessions.end_all, staff_id=staff_id))

        def another_password() -> None:
            assert list(resetting(api.store.database, writer, hasher, email))

        begins_anew = "/sign-in?next="
        assert (await tried(second_step)).startswith(begins_anew)
        await writer.run(partial(second_factor.forget, staff_id=staff_id))
        assert (await tried(disabled)).startswith(begins_anew)
        await api.put(f"staff/{staff_id}/enable.json")
        assert (await tried(another_password)).startswith(begins_anew)
        with api.store.database.reading() as connection:
            assert sessions.of_staff(connection, staff_id, 0) == []


async def test_who_guesses_is_made_to_wait(shared_api: Api) -> None:
    async with visitor(shared_api.address) as guesser:
        statuses = [
            (await guesser.sign_in(email="guessed@example.com", password="x")).status
            for _ in range(11)
        ]
        assert statuses == [403] * 10 + [429]
        held = await guesser.sign_in(email="Guessed@Example.com", password="x")
        assert (held.status, int(held.headers["Retry-After"]) > 600) == (429, True)


async def test_who_guesses_keeps_nobody_out_who_shares_their_address(tmp_path: Path) -> None:
    async with (
        serving(tmp_path) as api,
        visitor(api.address) as anna,
        visitor(api.address) as guesser,
    ):
        await anna.sign_in()
        for number in range(OF_ADDRESS.tries):
            assert (await guesser.sign_in(f"guess{number}@example.com", "x")).status == 403
        assert (await guesser.sign_in()).status == 429
        # In a browser in which one has been, and where one is signed in.
        await anna.get("/account")
        await anna.post("/sign-out")
        assert (await anna.sign_in()).status == 200
        await anna.get("/account")
        fields = {"current": PASSWORD, "password": OTHER, "again": OTHER}
        changed = await anna.post("/account/password", fields)
        assert changed.path == "/account?done=saved"
        await anna.get("/account")
        await anna.post("/sign-out")
        assert (await anna.sign_in(password=OTHER)).status == 200


async def test_guesses_at_once_are_no_more_than_guesses_in_a_row(shared_api: Api) -> None:
    async with visitor(shared_api.address) as guesser:
        guesses = [guesser.sign_in("at.once@example.com", f"guess {n}") for n in range(30)]
        statuses = sorted([each.status for each in await asyncio.gather(*guesses)])
        assert statuses == [403] * 10 + [429] * 20


async def test_a_stranger_sends_some_kilobytes_and_no_files(shared_api: Api) -> None:
    ours = {"Sec-Fetch-Site": "same-origin"}
    async with visitor(shared_api.address) as stranger:
        post, address = stranger.session.post, shared_api.address
        for path, read in {"/sign-in": True, "/join/nobody": False}.items():
            files = aiohttp.FormData()
            files.add_field("password", b"x" * 1000, filename="x")
            async with post(address + path, data=files, headers=ours) as answer:
                assert answer.status == (415 if read else 404)
            async with post(address + path, data={"x": "x" * 40_000}, headers=ours) as answer:
                assert answer.status == (413 if read else 404)
                assert ("too much at once" in await answer.text()) == read


async def test_octets_that_are_no_text_are_no_fault_of_ours(shared_api: Api) -> None:
    host, port = shared_api.address.removeprefix("http://").split(":")
    right = f"email={EMAIL}&password={PASSWORD}".replace(" ", "+").replace("'", "%27").encode()

    async def status(line: bytes, *headers: bytes, body: bytes = b"") -> int:
        reader, writer = await asyncio.open_connection(host, int(port))
        kind = b"Content-Type: application/x-www-form-urlencoded"
        length = b"Content-Length: %d" % len(body)
        lines = [line + b" HTTP/1.1", b"Host: kanal", b"Connection: close", kind, length, *headers]
        writer.write(b"\r\n".join([*lines, b"", body]))
        async with asyncio.timeout(DEADLINE):
            answer = await reader.readline()
        writer.close()
        return int(answer.split()[1])

    ours = b"Sec-Fetch-Site: same-origin"
    async with visitor(shared_api.address) as anna:
        await anna.sign_in()
        cookie = anna.cookie()
    session = f"Cookie: kanal={cookie.value}".encode()
    foreign = b"X-Kanal-Token: \xff"
    assert await status(b"GET /inbox", b"Cookie: kanal=\xff") == 303
    assert await status(b"GET /sign-in", b"Accept-Language: \xff") == 200
    assert await status(b"POST /sign-in", ours, b"User-Agent: \xff", body=right) == 303
    assert await status(b"POST /sign-in", b"Origin: http://[", body=right) == 403
    assert await status(b"POST /account", ours, session, foreign) == 403
    assert await status(b"GET /join/%FF") == 404
