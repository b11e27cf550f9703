"""What staff do in a conversation and with its person, as forms do it: no script, one served Kanal."""

import re
from typing import Any

import pytest
from aiohttp import FormData
from served_api import Api
from visiting import Seen, form_in, join, visitor

from kanal.http.pages.drafts import MAX_DRAFT

pytestmark = pytest.mark.asyncio(loop_scope="module")

TAG = re.compile(r"<(?:input|select|textarea)[^>]*name=\"([^\"]+)\"[^>]*>")
CURSOR = re.compile(r"cursor=([\w-]+)")
FILE = re.compile(r'class="(?:file|picture)" href="([^"]+)"')
UNDO = re.compile(r"/messages/(\d+)/undo")
HIDDEN = re.compile(r'name="(was\[[^"]+\])" value="([^"]*)"')


@pytest.fixture(scope="module")
def shared_database_url() -> str:
    """Forms do not differ with the database; what they search and write is tested on both elsewhere."""
    return ""


def was(seen: Seen) -> dict[str, str]:
    """What a page says that it shows."""
    return dict(HIDDEN.findall(seen.words))


async def field(api: Api, kind: str, level: str, **more: Any) -> str:
    given = {"title": f"{level} {kind}", "field_type": kind, "field_level": level, **more}
    made = await api.post("custom_fields.json", {"custom_field": given})
    return f"cf_{made['custom_field']['field_id']}"


async def colleague(api: Api, name: str) -> tuple[int, Any]:
    """Their staff_id, and how they call the API."""
    given = {"staff_email": f"{name}@example.com", "staff_full_name": name.title()}
    made = (await api.post("staff.json", {"staff": given}))["staff"]
    return made["staff_id"], api.as_staff(f"{name}@example.com", made["api_key"])


async def test_a_case_is_changed_in_place_and_only_in_what_differs(shared_api: Api) -> None:
    api = shared_api
    channel = f"cch{await api.channel(title='Changing')}"
    case = await api.case(channel=channel, user_custom_id="c", subject="Before")
    path = f"/cases/{case['case_id']}"
    keys = {
        kind: await field(api, kind, "case") for kind in ("text", "textarea", "checkbox", "date")
    }
    keys["select"] = await field(api, "select", "case", field_data={"a": "First", "b": "Second"})
    values = {
        "text": "One",
        "textarea": "Two\r\nlines",
        "checkbox": "1",
        "date": "2026-02-28",
        "select": "b",
    }
    async with visitor(api.address) as anna:
        await anna.sign_in()

        async def changed(shown: Seen, **fields: str) -> Any:
            entered = {
                f"custom_fields[{keys[n]}]" if n in keys else n: v for n, v in fields.items()
            }
            done = await anna.post(f"{path}/change", {**was(shown), **entered})
            assert (done.status, done.path) == (200, path)
            return (await api.get(f"{path[1:]}.json"))["case"]

        old = await anna.get(path)
        assert "custom_fields" in str(TAG.findall(old.text))
        after = await changed(old, subject="After", priority="high", **values)
        assert (after["subject"], after["priority"], after["status"]) == ("After", "high", "open")
        assert {n: after["custom_fields"][k] for n, k in keys.items()} == {
            **values,
            "checkbox": True,
        }
        assert "Second" in (await anna.get(path)).words
        # The same page, minutes later: what it shows of the rest is not said again.
        after = await changed(old, subject="Before", priority="normal", status="waiting")
        assert (after["subject"], after["priority"], after["status"]) == (
            "After",
            "high",
            "waiting",
        )
        empty = dict.fromkeys(values, "") | {"checkbox": "0"}
        after = await changed(await anna.get(path), subject="", **empty)
        assert (after["subject"], after["custom_fields"]) == ("", {keys["checkbox"]: False})
        wrong = {f"custom_fields[{keys['date']}]": "tomorrow"}
        assert (await anna.post(f"{path}/change", wrong)).status == 400


async def test_a_file_on_a_page_opens_to_who_sees_the_case_and_to_nobody_else(
    shared_api: Api,
) -> None:
    """The address that receivers get opens to everybody, so no page has it."""
    api = shared_api
    channel = f"cch{await api.channel(title='Files', restricted=True)}"
    other = await api.case(channel=channel, user_custom_id="without files")
    form = FormData(default_to_multipart=True)
    for name, value in (("channel", channel), ("user_custom_id", "with a file")):
        form.add_field(f"case[{name}]", value)
    form.add_field("case[attachments][]", b"%PDF-1.4", filename="План/1 {a}.pdf")
    case = (await api.call("POST", "cases.json", data=form)).json["case"]
    [file] = case["attachments"]
    token = file["url"].split("/")[-2]
    async with visitor(api.address) as anna, visitor(api.address) as bob:
        await anna.sign_in()
        await join(api, bob, "bob.files@example.com")
        for path in (f"/cases/{case['case_id']}", f"/cases/{case['case_id']}/past"):
            page = await anna.get(path)
            assert token not in page.text
            [address] = FILE.findall(page.text)
            assert address.startswith(f"/cases/{case['case_id']}/files/{file['file_id']}/")
        got = await anna.get(address)
        assert (got.status, got.text) == (200, "%PDF-1.4")
        assert got.headers["Cache-Control"] == "private, no-cache"
        assert "sandbox" in got.headers["Content-Security-Policy"]
        fresh = {"If-None-Match": got.headers["ETag"]}
        assert (await anna.get(address, headers=fresh)).status == 304
        wrong = address.replace(f"/cases/{case['case_id']}/", f"/cases/{other['case_id']}/")
        assert (await anna.get(wrong)).status == 404
        assert (await bob.get(address)).status == 404
        async with visitor(api.address) as nobody:
            assert (await nobody.get(address)).path.startswith("/sign-in")


async def test_a_case_is_merged_into_another_and_taken_out_again(shared_api: Api) -> None:
    api = shared_api
    channel = f"cch{await api.channel(title='Merging')}"
    first, second = [
        (await api.case(channel=channel, user_custom_id="m"))["case_id"] for _ in range(2)
    ]
    stranger = (await api.case(channel=channel, user_custom_id="n"))["case_id"]
    async with visitor(api.address) as anna:
        await anna.sign_in()
        assert f'<option value="{first}">' in (await anna.get(f"/cases/{second}")).text
        merge = {"action": "merge", "number": str(stranger)}
        refused = await anna.post(f"/cases/{second}/change", merge)
        assert (refused.status, "cannot be merged" in refused.words) == (400, True)
        await anna.post(f"/cases/{second}/change", {"action": "merge", "into": str(first)})
        assert f"/cases/{second}/change" in (await anna.get(f"/cases/{first}")).text
        assert "goes there" in (await anna.get(f"/cases/{second}")).words
        unmerge = {"action": "unmerge", "back": str(first)}
        seen = await anna.post(f"/cases/{second}/change", unmerge)
        assert (seen.path, f"/cases/{second}/change" in seen.text) == (f"/cases/{first}", False)
        assert (await api.get(f"cases/{second}.json"))["case"]["parent_case_id"] == 0


async def test_a_person_is_found_linked_changed_and_unlinked(shared_api: Api) -> None:
    api = shared_api
    here, there = [f"cch{await api.channel(title=title)}" for title in ("Here", "There")]
    case = await api.case(channel=here, user_custom_id="p1", user_full_name="Paula Here")
    other = await api.case(
        channel=there, user_custom_id="p2", user_full_name="Paula Elsewhere", subject="Far away"
    )
    path, person = f"/cases/{case['case_id']}", f"/people/{case['user_id']}"
    key = await field(api, "text", "user")
    async with visitor(api.address) as anna:
        await anna.sign_in()
        assert "Nobody found" in (await anna.get(f"{person}/link?q=Nobody")).words
        found = await anna.get(f"{person}/link?q=paula&case={case['case_id']}")
        assert ("Paula Elsewhere" in found.text, "linked already" in found.text) == (True, True)
        link = {"other": str(other["user_id"]), "case": str(case["case_id"])}
        assert (await anna.post(f"{person}/link", link)).path == f"{path}?done=saved"
        shown = await anna.get(path)
        assert "Far away" in shown.text
        assert (
            "Cases of Paula Here" in (await anna.get(f"/inbox?view=person:{case['user_id']}")).words
        )
        assert "Far away" in (await anna.get(f"/inbox?view=person:{case['user_id']}")).words
        entered = {
            "user_full_name": "Paula P",
            "company_name": "Acme",
            f"custom_fields[{key}]": "VIP",
        }
        await anna.post(person, {**was(shown), **entered})
        user = (await api.get(f"users/{case['user_id']}.json"))["user"]
        assert (user["user_full_name"], user["company_name"]) == ("Paula P", "Acme")
        assert user["custom_fields"] == {key: "VIP"}
        emptied = {**was(await anna.get(path)), **dict.fromkeys(entered, "")}
        await anna.post(person, emptied)
        user = (await api.get(f"users/{case['user_id']}.json"))["user"]
        assert (user["user_full_name"], user["company_id"], user["custom_fields"]) == ("", 0, {})
        await anna.post(f"{person}/unlink", link)
        assert "Far away" not in (await anna.get(path)).text
        for nobody, status in (("person:0", 404), ("person:999999", 200), ("person:x", 404)):
            assert (await anna.get(f"/inbox?view={nobody}")).status == status


async def test_staff_begin_a_case_with_somebody_they_know(shared_api: Api) -> None:
    api = shared_api
    closed = await api.channel(title="Closing", webhook_replies=False)
    channel = f"cch{await api.channel(title='Beginning')}"
    known = await api.case(
        channel=channel, user_custom_id="b1", user_full_name="Bella", user_email="bella@example.com"
    )
    await api.case(channel=f"cch{closed}", user_custom_id="b2", user_email="bella@example.com")
    await api.call("PUT", f"custom_channels/cch{closed}/disable.json")
    await api.post("users.json", {"user": {"user_email": "bella@example.com"}})
    async with visitor(api.address) as anna:
        await anna.sign_in()
        found = await anna.get("/cases/new?q=bella")
        assert found.text.count("/cases/new?user=") == 3
        chosen = await anna.get(f"/cases/new?user={known['user_id']}")
        assert chosen.text.count('type="radio"') == 3
        assert chosen.text.count("required disabled>") == 1
        assert "nobody is sent it" in chosen.words
        words = {"user": str(known["user_id"]), "subject": "From us", "content": ""}
        empty = await anna.post("/cases/new", words)
        assert (empty.status, 'value="From us"' in empty.text) == (400, True)
        begun = await anna.post("/cases/new", {**words, "content": "Hello Bella"})
        assert re.fullmatch(r"/cases/\d+\?done=begun", begun.path)
        assert "Hello Bella" in begun.words
        case = (await api.get(f"cases/{begun.path.split('?')[0].rsplit('/')[-1]}.json"))["case"]
        assert (case["channel"], case["subject"], case["staff_id"]) == (channel, "From us", 1)
        assert (await anna.post("/cases/new", {"user": "99999", "content": "x"})).status == 404


async def test_a_case_that_is_begun_and_not_sent_is_kept_for_its_author(shared_api: Api) -> None:
    api = shared_api
    channel = f"cch{await api.channel(title='Drafting')}"
    dora = {"channel": channel, "user_custom_id": "dora", "user_full_name": "Dora"}
    user_id = (await api.case(**dora))["user_id"]
    whose = {"person": str(user_id), "user": str(user_id)}
    begun = {**whose, "subject": "Half", "content": "I was"}
    path = f"/cases/new?user={user_id}"
    async with visitor(api.address) as anna, visitor(api.address) as other:
        await anna.sign_in()
        await join(api, other, "drafts@example.com")
        assert (await anna.post("/cases/new/draft", begun)).status == 200
        assert form_in(await anna.get(path), "/cases/new").items() >= begun.items()
        listed = await anna.get("/cases/new")
        assert ("Begun and not sent" in listed.words, f'href="{path}"' in listed.text) == (
            True,
            True,
        )
        assert "I was" not in (await other.get(path)).text + (await other.get("/cases/new")).text
        long = {**begun, "content": "x" * (MAX_DRAFT + 1)}
        assert (await anna.post("/cases/new/draft", long)).status == 413
        assert (await anna.post("/cases/new/draft", {**begun, "person": "99999"})).status == 404
        await anna.post("/cases/new", {**begun, "content": "I was here"})
        assert form_in(await anna.get(path), "/cases/new")["content"] == ""
        assert "Begun and not sent" not in (await anna.get("/cases/new")).words


async def test_a_reply_is_taken_back_or_sent_at_once_without_a_script(shared_api: Api) -> None:
    api = shared_api
    channel = await api.channel(title="Undoing")
    case = await api.case(channel=f"cch{channel}", user_custom_id="undo")
    path = f"/cases/{case['case_id']}"
    async with visitor(api.address) as anna:
        await anna.sign_in()
        await anna.get(path)
        settings = f"custom_channels/cch{channel}.json"
        await api.put(settings, {"custom_channel": {"undo_seconds": 60}})
        words = {"kind": "reply", "content": "Too early", "status": "closed"}
        sent = await anna.post(f"{path}/say", words)
        assert (sent.path, "Goes out in" in sent.words) == (f"{path}?done=waits", True)
        [message] = UNDO.findall(sent.text)
        await anna.post(f"{path}/draft", {"content": "begun since"})
        back = await anna.post(f"{path}/messages/{message}/undo")
        assert back.path == f"{path}?done=undone"
        assert "\nToo early\n\nbegun since</textarea>" in back.words
        assert (await anna.post(f"{path}/messages/{message}/undo")).status == 404
        assert (await anna.post(f"{path}/messages/{message}/send")).status == 404
        # What was begun for staff alone does not become a part of the reply.
        [message] = UNDO.findall((await anna.post(f"{path}/say", words)).text)
        await anna.post(f"{path}/draft", {"kind": "note", "content": "Only for us"})
        back = await anna.post(f"{path}/messages/{message}/undo")
        assert "\nToo early\n\nOnly for us</textarea>" in back.words
        assert 'value="note" checked' in back.text
        again = await anna.post(f"{path}/say", words)
        [message] = UNDO.findall(again.text)
        now = await anna.post(f"{path}/messages/{message}/send")
        assert (now.path, "/undo" in now.text) == (f"{path}?done=sent", False)
        late = await anna.post(f"{path}/messages/{message}/undo")
        assert (late.status, "gone out already" in late.words) == (400, True)
        longer = {"custom_channel": {"undo_seconds": 61}}
        assert (await api.call("PUT", settings, longer)).status == 400
    assert (await api.get(f"{path[1:]}.json"))["case"]["status"] == "closed"


async def test_who_answers_what_somebody_has_answered_meanwhile_is_told_first(
    shared_api: Api,
) -> None:
    api = shared_api
    case = await api.case(channel=f"cch{await api.channel(title='Both')}", user_custom_id="both")
    path = f"/cases/{case['case_id']}"
    boris, as_boris = await colleague(api, "boris")
    async with visitor(api.address) as anna:
        await anna.sign_in()
        [seen] = re.findall(r'name="seen" value="(\d+)"', (await anna.get(path)).text)
        async with as_boris as theirs:
            await theirs.message(case["case_id"], content="Boris was quicker", staff_id=boris)
        words = {"kind": "reply", "content": "Mine, unsent", "status": "closed", "seen": seen}
        warned = await anna.post(f"{path}/say", words)
        assert (warned.status, "Somebody else has answered" in warned.words) == (400, True)
        assert "Boris was quicker" in warned.words.partition("composer")[2]
        assert "\nMine, unsent</textarea>" in warned.text
        said = await api.items(f"{path[1:]}/messages.json", "message")
        assert [each["content"] for each in said][1:] == ["Boris was quicker"]
        # A note disturbs nobody, and who knows of it sends.
        await anna.post(f"{path}/say", {**words, "kind": "note", "status": ""})
        [seen] = re.findall(r'name="seen" value="(\d+)"', warned.text)
        assert (await anna.post(f"{path}/say", {**words, "seen": seen})).path == f"{path}?done=sent"


async def test_alerts_are_of_the_account_and_can_be_turned_off(shared_api: Api) -> None:
    async with visitor(shared_api.address) as anna, visitor(shared_api.address) as elsewhere:
        await anna.sign_in()
        await elsewhere.sign_in()
        assert 'data-alerts="sound title"' in (await anna.get("/account")).text
        await anna.post("/account", {"theme": "dark"})
        await anna.post("/account/alerts", {"notice": "1"})
        seen = await elsewhere.get("/account")
        assert ('data-alerts="notice"' in seen.text, 'data-theme="dark"' in seen.text) == (
            True,
            True,
        )
        await elsewhere.post("/account/alerts")
        assert 'data-alerts=""' in (await anna.get("/account")).text
        await anna.post("/account", {})


async def test_whoever_watches_is_told_of_customers_in_their_cases_and_nobody_s(
    shared_api: Api,
) -> None:
    api = shared_api
    channel = f"cch{await api.channel(title='Watching')}"
    own, hers, nobody_s = [
        await api.case(channel=channel, user_custom_id=f"w{n}", user_full_name=f"W{n}")
        for n in range(3)
    ]
    other = (await api.items("staff.json", "staff"))[-1]["staff_id"]
    await api.put(f"cases/{own['case_id']}.json", {"case": {"staff_id": 1}})
    await api.put(f"cases/{hers['case_id']}.json", {"case": {"staff_id": other}})
    async with visitor(api.address) as anna:
        await anna.sign_in()
        async with anna.session.get(f"{api.address}/live?watch=1") as stream:
            assert (await stream.content.readline()).startswith(b"retry:")
            for case in (hers, own, nobody_s):
                await api.message(case["case_id"], user_id=case["user_id"])
            told = b""
            while b'"W0"' not in told or b'"W2"' not in told:
                line = await stream.content.readline()
                assert line
                told += line if line.startswith(b'data: {"cases":[{') else b""
        assert b"W1" not in told


async def test_chats_spam_and_trash_have_views_of_their_own(
    shared_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = shared_api
    monkeypatch.setattr("kanal.http.pages.inbox.ROWS", 2)
    channel = f"cch{await api.channel(title='Views', channel_type='sync')}"
    made = [
        (await api.case(channel=channel, user_custom_id=f"v{n}", subject=f"Viewed {n}"))["case_id"]
        for n in range(3)
    ]
    async with visitor(api.address) as anna:
        await anna.sign_in()

        async def shown(view: str) -> list[int]:
            text = (await anna.get(f"/inbox?view={view}")).text
            return [case_id for case_id in made if f'id="case-{case_id}"' in text]

        assert await shown("chats") == made[:2]
        [further] = CURSOR.findall((await anna.get("/inbox?view=chats")).words)
        assert await shown(f"chats&cursor={further}") == made[2:]
        # It is of that order alone.
        assert (await anna.get(f"/inbox?view=open&cursor={further}")).status == 400
        for view, action in (("spam", "spam"), ("trash", "trash")):
            await anna.post("/inbox/change", {"case[]": str(made[0]), "action": action})
            assert [await shown(view), await shown("chats")] == [made[:1], made[1:]]
            assert 'value="restore"' in (await anna.get(f"/inbox?view={view}")).text
            await anna.post("/inbox/change", {"case[]": str(made[0]), "action": "restore"})
            assert await shown(view) == []
