"""Signing in with an authenticator: set up, asked for, lost, taken away."""

import asyncio
import re
import time
from functools import partial
from pathlib import Path

import pytest
from served_api import PASSWORD, Api, serving
from visiting import GOOD, Seen, Visitor, invited, join, visitor

from kanal.bootstrap import Store
from kanal.http import second_factor
from kanal.http.second_factor import STEP, code_of

pytestmark = pytest.mark.asyncio(loop_scope="module")


def code_in(secret: str, steps: int = 0) -> str:
    return code_of(secret, int(time.time()) // STEP + steps)


async def set_up(person: Visitor, password: str = GOOD) -> tuple[str, list[str]]:
    """The secret, and the recovery codes."""
    shown = await person.post("/account/second-factor/begin")
    [secret] = re.findall(r'class="code wrapped">([A-Z2-7 ]+)<', shown.text)
    secret = secret.replace(" ", "")
    assert re.search(r'<svg class="qr" [^>]+><path d="M4 4.5h1', shown.text)
    path = "/account/second-factor"
    wrong = await person.post(path, {"code": "000000", "current": password})
    assert (wrong.status, "code of this moment" in wrong.text) == (400, True)
    # One step behind, so that the code of now is still good for signing in.
    code = code_in(secret, -1)
    stolen = await person.post(path, {"code": code, "current": "not hers"})
    assert (stolen.status, "not your password" in stolen.text) == (403, True)
    done = await person.post(path, {"code": code, "current": password})
    return secret, codes_in(done)


def codes_in(seen: Seen) -> list[str]:
    [codes] = re.findall(r'id="recovery-codes"[^>]*>([^<]+)<', seen.text)
    return str(codes).split("\n")[:-1]


def used(store: Store, staff_id: int) -> int:
    with store.database.reading() as connection:
        return second_factor.recovery_codes_left(connection, staff_id)


async def test_whoever_has_an_authenticator_is_asked_for_a_code(shared_api: Api) -> None:
    api = shared_api
    email = "stepper@example.com"
    async with visitor(api.address) as here, visitor(api.address) as there:
        staff_id = await join(api, here, email)
        assert (await there.sign_in(email, GOOD)).path == "/inbox"
        secret, codes = await set_up(here)
        # Whoever knew the password alone is signed out.
        assert (await there.get("/inbox")).path.startswith("/sign-in?")
        assert "10 recovery codes are left" in (await here.get("/account")).text
        half = await there.sign_in(email, GOOD, next="/staff?x=1")
        assert half.path.startswith("/sign-in/code?next=")
        assert (await there.get("/inbox")).path.startswith("/sign-in?")
        wrong = await there.post("/sign-in/code", {"code": "000000", "next": "/staff?x=1"})
        assert (wrong.status, 'value="/staff?x=1"' in wrong.text) == (403, True)
        # The one with which it was turned on is used up.
        for code in (code_in(secret, -1), "", "x"):
            assert (await there.post("/sign-in/code", {"code": code})).status == 403
        code = code_in(secret)
        right = await there.post("/sign-in/code", {"code": code, "next": "/staff?x=1"})
        assert right.path == "/staff?x=1"
        assert {cookie.key for cookie in there.session.cookie_jar} == {"kanal", "kanal-known"}
    async with visitor(api.address) as again:
        await again.sign_in(email, GOOD)
        assert (await again.post("/sign-in/code", {"code": code})).status == 403
        # A recovery code, however it is spelled, once.
        spelled = codes[0].upper().replace(" ", "-")
        assert (await again.post("/sign-in/code", {"code": spelled})).path == "/inbox"
        assert used(api.store, staff_id) == 9
        await again.get("/account")
        renew = partial(again.post, "/account/second-factor/codes")
        refused = await renew({"current": "not hers"})
        assert (refused.status, "not your password" in refused.text) == (403, True)
        renewed = codes_in(await renew({"current": GOOD}))
        assert (len(renewed), set(renewed) & set(codes)) == (10, set())
        assert used(api.store, staff_id) == 10
    async with visitor(api.address) as once_more:
        await once_more.sign_in(email, GOOD)
        for void in codes[:2]:
            assert (await once_more.post("/sign-in/code", {"code": void})).status == 403
        assert (await once_more.post("/sign-in/code", {"code": renewed[0]})).path == "/inbox"
        # Nobody gets round it by a link for a new password.
        link = await invited(api, staff_id)
        joined = await once_more.post(link, {"password": GOOD, "again": GOOD})
        assert joined.path.startswith("/sign-in/code")
        assert (await once_more.get("/inbox")).path.startswith("/sign-in?")
    names = [each["type"] for each in await api.items("events.json?order=desc", "event")]
    told = ("second_factor_turned_on", "recovery_code_used", "recovery_codes_renewed")
    assert {f"staff.{each}.1" for each in told} <= set(names)


async def test_half_of_the_way_is_nobodys_session_and_guesses_are_counted(shared_api: Api) -> None:
    api = shared_api
    email = "guessed.codes@example.com"
    async with visitor(api.address) as person:
        await join(api, person, email)
        secret, _ = await set_up(person)
    async with visitor(api.address) as thief:
        assert (await thief.get("/sign-in/code")).path == "/sign-in"
        assert (await thief.post("/sign-in/code", {"code": code_in(secret)})).path == "/sign-in"
        statuses = []
        for number in range(11):
            # The right password again and again is no success.
            if number < 10:
                await thief.sign_in(email, GOOD)
            statuses.append((await thief.post("/sign-in/code", {"code": "123456"})).status)
        assert statuses == [403] * 10 + [429]
        held = await thief.post("/sign-in/code", {"code": code_in(secret)})
        assert (held.status, "Too many attempts" in held.text) == (429, True)
        # However often the right password is typed.
        assert (await thief.sign_in(email, GOOD)).path.startswith("/sign-in/code")
        assert (await thief.post("/sign-in/code", {"code": code_in(secret)})).status == 429
        # What says whose turn it is is signed.
        url = f"{api.address}/sign-in/code"
        for forged in ("1.99999999999999999.00", "1", "x.y.z", "1.2.3.4", "\xff"):
            async with thief.session.get(url, cookies={"kanal-step": forged}) as answer:
                assert answer.url.path == "/sign-in"


async def test_where_everybody_needs_it_nothing_is_seen_before(tmp_path: Path) -> None:
    async with serving(tmp_path, second_step="required") as api, visitor(api.address) as anna:
        asked = await anna.sign_in()
        assert (asked.path, "Everybody here needs it" in asked.text) == ("/account", True)
        assert (await anna.get("/settings")).path == "/account"
        assert (await anna.post("/keys", {"name": "x"})).status == 403
        # What a script asks for is refused, with the way; a page that is open asks for nothing by itself.
        streamed = await anna.get("/live", headers={"Accept": "text/event-stream"})
        part = await anna.get("/inbox", headers={"X-Kanal-Part": "1"})
        for refused in (streamed, part):
            assert (refused.status, refused.path in ("/live", "/inbox")) == (403, True)
            assert 'data-refused="second_step_required"' in refused.text
            assert 'href="/account#second-factor" data-way' in refused.text
        assert " data-still" in asked.text
        await set_up(anna, PASSWORD)
        assert (await anna.get("/settings")).path == "/settings"
        shown = await anna.get("/account")
        assert "Everybody here needs it" not in shown.text
        assert " data-still" not in shown.text


async def test_it_is_taken_away_by_its_owner_or_whoever_manages_staff(shared_api: Api) -> None:
    api = shared_api
    email = "loser@example.com"
    async with visitor(api.address) as anna, visitor(api.address) as person:
        staff_id = await join(api, person, email)
        await set_up(person)
        off = "/account/second-factor/off"
        refused = await person.post(off, {"current": "not theirs"})
        assert (refused.status, "not your password" in refused.text) == (403, True)
        assert (await person.post(off, {"current": GOOD})).path == "/account?done=saved"
        assert (await person.get("/account/second-factor")).path == "/account"
        async with visitor(api.address) as elsewhere:
            assert (await elsewhere.sign_in(email, GOOD)).path == "/inbox"
        await set_up(person)
        await anna.sign_in()
        assert "two steps" in (await anna.get("/staff")).text
        taken = f"/staff/{staff_id}/second-factor"
        assert (await person.post("/staff/1/second-factor")).status == 403
        assert (await anna.post(taken)).path == "/staff?done=saved"
        assert "two steps" not in (await anna.get("/staff")).text.partition("loser@")[2][:400]
        async with visitor(api.address) as elsewhere:
            assert (await elsewhere.sign_in(email, GOOD)).path == "/inbox"
        await set_up(person)
        # A new password from the command line does without it only when that is said.
        for too, led in ((False, "/sign-in/code?next=/inbox"), (True, "/inbox")):
            reset = partial(api.store.reset_password, email, second_factor_too=too)
            [step] = await asyncio.to_thread(lambda steps=reset: list(steps()))
            async with visitor(api.address) as elsewhere:
                assert (await elsewhere.sign_in(email, step["password"])).path == led
        assert (await anna.post(f"/staff/{staff_id}/state", {"action": "disable"})).status == 200
        await api.call("DELETE", f"staff/{staff_id}.json")
        assert used(api.store, staff_id) == 0
    names = [each["type"] for each in await api.items("events.json?order=desc", "event")]
    assert names.count("staff.second_factor_turned_off.1") == 3
