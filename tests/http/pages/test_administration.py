"""Pages that administrators look at and decide on: figures, the log, cases as they were, rights."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import visiting
from served_api import Api
from visiting import Seen, Visitor, visitor

pytestmark = pytest.mark.asyncio(loop_scope="module")

TODAY = "2026-01-05"


def plain(seen: Seen) -> str:
    """What a reader reads, in one line."""
    return " ".join(re.sub(r"<[^>]+>", " ", seen.words).split())


async def join(api: Api, newcomer: Visitor, name: str, **role: Any) -> int:
    """A colleague who is signed in."""
    email = f"{name}@example.com"
    return await visiting.join(api, newcomer, email, staff_full_name=name, **role)


async def test_settings_show_what_one_may_open(shared_api: Api) -> None:
    async with visitor(shared_api.address) as anna, visitor(shared_api.address) as plain_staff:
        await anna.sign_in()
        await join(shared_api, plain_staff, "plain")
        every = await anna.get("/settings")
        few = await plain_staff.get("/settings")
        paths = ["/channels", "/staff", "/access", "/roles", "/audit", "/system"]
        assert [path for path in paths if f'href="{path}"' in every.text] == paths
        assert [path for path in paths if f'href="{path}"' in few.text] == paths[:2]
        for path in paths[2:]:
            assert (await plain_staff.get(path)).status == 403
        assert 'href="/settings"' in (await anna.get("/roles")).text.partition('id="main"')[2]


async def test_figures_are_drawn_said_and_tabled(shared_api: Api) -> None:
    api = shared_api
    await api.channel(title="Figures")
    await api.channel(title="Quiet")
    month_before = await api.case(created_at="2025-12-05 10:00:00", user_custom_id="before")
    case = await api.case(created_at=f"{TODAY} 10:00:00", user_custom_id="counted")
    await api.message(case["case_id"], staff_id=1, created_at=f"{TODAY} 10:20:00")
    rating = {"rate": {"rating": "high", "rating_comment": "<b>Thanks</b>"}}
    await api.call("PUT", f"cases/{month_before['case_id']}/rate.json", rating)
    january = "period=custom&since=2026-01-01&until=2026-01-31"
    async with visitor(api.address) as anna:
        await anna.sign_in()
        seen = await anna.get(f"/statistics?{january}")
        words = plain(seen)
        assert "New cases 1 0% before: 1" in words
        assert "First response, median 20 mins" in words
        assert "New: between 0 and 1." in words
        assert "Mon, 5 Jan 2026 1 0 0 1" in words
        assert seen.text.count('class="drawing"') == seen.text.count("<desc ") >= 4
        by_hour = await anna.get(f"/statistics?period=custom&since={TODAY}&until={TODAY}")
        assert "Mon, 5 Jan, 10:00" in by_hour.words
        # Nobody has chosen hours, so the next period is shown by what fits it.
        assert not re.search(r'<option value="(day|hour)" selected', by_hour.text)
        weeks = plain(await anna.get("/statistics?period=custom&since=2026-01-01&until=2026-12-31"))
        assert "Thu, 1 Jan 2026 – Wed, 7 Jan 2026 1 0 0 0" in weeks
        staff = await anna.get(f"/statistics?view=staff&{january}")
        assert "20 mins" in plain(staff)
        channels = plain(await anna.get(f"/statistics?view=channels&{january}&channel=cch1"))
        assert "How answers arrive" in channels
        ratings = await anna.get("/statistics?view=ratings&period=today")
        assert "<b>Thanks</b>" in ratings.words
        assert "<b>Thanks</b>" not in ratings.text
        table = await anna.get(f"/statistics/days.csv?{january}")
        assert table.headers["Content-Type"].startswith("text/csv")
        assert "2026-01-05,,1," in table.text
        assert (await anna.get("/statistics/none.csv")).status == 404
        for wrong in ("until=2025-01-01", "until=x", "until=", "until=2028-01-01"):
            refused = await anna.get(f"/statistics?period=custom&since=2026-01-01&{wrong}")
            assert (refused.status, "Choose a first and a last day" in refused.text) == (400, True)
            assert 'name="since" value="2026-01-01"' in refused.text


async def test_the_log_is_read_by_sentences_and_looked_through(shared_api: Api) -> None:
    api = shared_api
    channel = f"cch{await api.channel(title='Logged')}"
    case = await api.case(channel=channel, user_custom_id="logged", subject="Looked for")
    await api.put(f"cases/{case['case_id']}.json", {"case": {"status": "closed"}})
    await api.message(case["case_id"], content='{"who":"rule:9"}')
    async with visitor(api.address) as anna:
        await anna.sign_in()
        of_case = await anna.get(f"/audit?case={case['case_number']}")
        words = plain(of_case)
        assert f"Case {case['case_number']} was opened on Logged: Looked for" in words
        assert "status Open → Closed" in words
        positions = re.findall(r'href="/audit/(\d+)"', of_case.text)
        assert positions == sorted(positions, key=int, reverse=True)
        for query, there in {
            f"case={case['case_id']}&subject=case": True,
            f"case={case['case_id']}&subject=staff": False,
            f"case={case['case_id']}&who=staff:1": True,
            f"case={case['case_id']}&who=rule:9": False,
            f"case={case['case_id']}&until=2020-01-01": False,
            f"channel={channel}&subject=case&who=staff:1": True,
            f"user={case['user_id']}": True,
        }.items():
            found = await anna.get(f"/audit?{query}")
            assert (found.status, "Looked for" in found.text) == (200, there), query
        # Days are those of the reader's zone, which here is far ahead.
        anna.session.cookie_jar.update_cookies({"kanal_zone": "Pacific/Kiritimati"})
        today = datetime.now(ZoneInfo("Pacific/Kiritimati")).date().isoformat()
        found = await anna.get(f"/audit?channel={channel}&since={today}&until={today}")
        assert "Looked for" in found.text
        for field in ("case=x", "user=-", "since=yesterday", "subject=nothing"):
            refused = await anna.get(f"/audit?{field}")
            assert (refused.status, "This cannot be read" in refused.text) == (200, True)
            assert 'aria-invalid="true"' in refused.text
        # A page ends where the next one begins.
        for number in range(15):
            await api.case(channel=channel, user_custom_id=f"log{number}")
        newest = await anna.get("/audit")
        first = re.findall(r'href="/audit/(\d+)"', newest.text)
        [before] = re.findall(r"before=(\d+)", newest.text)
        earlier = await anna.get(f"/audit?before={before}")
        second = re.findall(r'href="/audit/(\d+)"', earlier.text)
        assert (len(first), int(first[-1])) == (50, int(before) + 1)
        assert int(second[0]) == int(before)
        event = await anna.get(f"/audit/{positions[0]}")
        assert '"type": "' in event.words
        assert (await anna.get("/audit/999999")).status == 404


async def test_whoever_does_not_see_all_cases_reads_the_log_of_one(shared_api: Api) -> None:
    api = shared_api
    channel_id, other = [await api.channel(title=title) for title in ("Of auditors", "Of others")]
    seen = await api.case(channel=f"cch{channel_id}", user_custom_id="seen")
    hidden = await api.case(channel=f"cch{other}", user_custom_id="hidden")
    role = {"title": "Auditor", "channels": {f"cch{channel_id}": "see"}, "rights": ["audit"]}
    made = await api.post("roles.json", {"role": role})
    async with visitor(api.address) as auditor:
        await join(api, auditor, "auditor", role_id=made["role"]["role_id"])
        whole = await auditor.get("/audit")
        assert ("Name a case" in whole.text, 'href="/audit/' in whole.text) == (True, False)
        assert 'href="/audit/' in (await auditor.get(f"/audit?case={seen['case_id']}")).text
        assert (await auditor.get(f"/audit?case={hidden['case_id']}")).status == 404
        assert (await auditor.get(f"/cases/{hidden['case_id']}/past")).status == 404
        assert (await auditor.get("/audit/1")).status == 404
        assert (await auditor.get(f"/cases/{seen['case_id']}/viewers")).status == 403


async def test_a_case_is_shown_as_it_was_at_each_of_its_events(shared_api: Api) -> None:
    api = shared_api
    channel = f"cch{await api.channel(title='Of slides')}"
    words = {"subject": "At first", "content": "First words"}
    case = await api.case(channel=channel, user_custom_id="slides", **words)
    case_id = case["case_id"]
    message = await api.message(case_id, content="Second words")
    path = f"cases/{case_id}"
    size = {"title": "Size", "field_type": "select", "field_data": {"1": "Small", "2": "Large"}}
    made = await api.post("custom_fields.json", {"custom_field": {**size, "field_level": "case"}})
    values = {f"cf_{made['custom_field']['field_id']}": "2"}
    await api.put(f"{path}.json", {"case": {"custom_fields": values}})
    await api.put(f"{path}.json", {"case": {"subject": "Later"}})
    changed = {"message": {"content": "Edited words"}}
    await api.put(f"{path}/messages/{message['message_id']}.json", changed)
    async with visitor(api.address) as anna:
        await anna.sign_in()
        last = await anna.get(f"/cases/{case_id}/past")
        [steps] = map(int, re.findall(r"<strong>|(\d+) of \1<", last.text) or [0])
        assert steps >= 5
        assert "Edited words" in last.text
        assert "Size Large" in plain(last)
        first = await anna.get(f"/cases/{case_id}/past?step=1")
        assert ("At first" in first.text, "Second words" in first.text) == (True, False)
        assert "data-composer" not in first.text
        for step in (0, steps + 1, 10**9):
            assert (
                f"{steps} of {steps}" in (await anna.get(f"/cases/{case_id}/past?step={step}")).text
            )
        before = await anna.get(f"/cases/{case_id}/past?step={steps - 1}")
        assert ("Second words" in before.text, "Later" in before.text) == (True, True)
        [position] = set(re.findall(r'href="/audit/(\d+)"', before.text))
        same = await anna.get(f"/cases/{case_id}/past?position={position}")
        assert f"{steps - 1} of {steps}" in same.text
        assert (await anna.get("/cases/999999/past")).status == 404


async def test_levels_are_given_to_one_person_and_roles_to_several(shared_api: Api) -> None:
    api = shared_api
    first, second = [await api.channel(title=title) for title in ("One", "Two")]
    case = await api.case(channel=f"cch{second}", user_custom_id="of two")
    async with visitor(api.address) as anna, visitor(api.address) as boris:
        await anna.sign_in()
        staff_id = await join(api, boris, "boris")
        assert "Name" in plain(await anna.get(f"/access?staff={staff_id}"))
        row = f"/access/{staff_id}"
        await anna.post(row, {f"levels[cch{second}]": "none", f"levels[cch{first}]": "answer"})
        [made] = [
            role for role in await api.items("roles.json", "role") if role["title"] == "boris"
        ]
        assert (made["custom_channels"], made["channels"]) == ("answer", {f"cch{second}": "none"})
        assert (await boris.get(f"/cases/{case['case_id']}")).status == 404
        # Their own role is changed, not doubled.
        await anna.post(row, {f"levels[cch{first}]": "manage", "standard": "see"})
        roles = [each for each in await api.items("roles.json", "role") if each["title"] == "boris"]
        assert [each["standard_channels"] for each in roles] == ["see"]
        assert roles[0]["channels"] == {f"cch{first}": "manage", f"cch{second}": "none"}
        seen = plain(await anna.get(f"/cases/{case['case_id']}/viewers"))
        assert ("Owner" in seen, "boris" in seen) == (True, False)
        yesterday = (datetime.now(UTC) - timedelta(2)).date().isoformat()
        assert "Nobody was here yet" in (await anna.get(f"/access?day={yesterday}")).text
        then = await anna.get(f"/cases/{case['case_id']}/viewers?day={yesterday}")
        assert "was not there yet" in then.text
        assert "This cannot be read" in (await anna.get("/access?day=soon")).text
        assert (await anna.post("/access/1", {f"levels[cch{first}]": "see"})).status == 400
        assert (await boris.post("/access/1", {"role_id": "2"})).status == 403


async def test_a_role_is_made_changed_and_deleted_with_a_hand_over(shared_api: Api) -> None:
    api = shared_api
    other, channel_id = [await api.channel(title=title) for title in ("Others", "Of roles")]
    form = {
        "title": "Night shift",
        "custom_channels": "see",
        f"channels[cch{channel_id}]": "answer",
        f"channels[cch{other}]": "",
        "cases": "own",
        "of_groups": "some",
        "groups[]": ["0"],
        "rights[]": ["see_statistics", "audit", "nonsense"],
    }

    async def made() -> Any:
        return (await api.items("roles.json", "role"))[-1]

    async with visitor(api.address) as anna, visitor(api.address) as vera:
        await anna.sign_in()
        await anna.get("/roles/new")
        assert (await anna.post("/roles", form)).path == "/roles?done=saved"
        role = await made()
        assert (role["title"], role["custom_channels"], role["cases"]) == (
            "Night shift",
            "see",
            "own",
        )
        assert (role["channels"], role["groups"]) == ({f"cch{channel_id}": "answer"}, [0])
        assert role["rights"] == ["audit", "see_statistics"]
        path = f"/roles/{role['role_id']}"
        shown = await anna.get(path)
        assert re.search(r'value="audit" checked', shown.text)
        empty = await anna.post(path, {**form, "title": " ", "cases": "all"})
        assert (empty.status, "has a title" in empty.text) == (400, True)
        assert re.search(r'name="cases" value="all" checked', empty.text)
        # What is not ticked any more is taken away.
        await anna.post(path, {"title": "Night shift", "of_groups": "all"})
        role = await made()
        assert (role["rights"], role["all_groups"], role["channels"]) == ([], True, {})
        staff_id = await join(api, vera, "vera.night", role_id=role["role_id"])
        assert (await anna.post(f"{path}/delete")).status == 400
        await anna.post(f"{path}/delete", {"replace_role_id": "2"})
        assert (await api.get(f"staff/{staff_id}.json"))["staff"]["role_id"] == 2
        assert (await anna.get(path)).status == 404
        assert (await anna.post("/roles/1", form)).status == 400
        assert (await vera.get("/roles")).status == 403


async def test_nobody_gives_on_pages_what_they_have_not(shared_api: Api) -> None:
    api = shared_api
    level = f"levels[cch{await api.channel(title='Of managers')}]"
    role = {"title": "Manager", "custom_channels": "see", "rights": ["manage_staff"]}
    made = await api.post("roles.json", {"role": role})
    async with visitor(api.address) as manager, visitor(api.address) as other:
        await join(api, manager, "manager", role_id=made["role"]["role_id"])
        staff_id = await join(api, other, "managed", role_id=made["role"]["role_id"])
        given = await manager.post(f"/access/{staff_id}", {level: "manage"})
        assert (given.status, "does not allow" in given.text) == (403, True)
        wanted = {"title": "Too much", "custom_channels": "manage"}
        refused = await manager.post("/roles", wanted)
        assert (refused.status, 'value="Too much"' in refused.text) == (403, True)
        assert (await manager.post(f"/access/{staff_id}", {"role_id": "1"})).status == 403


async def test_keys_are_shown_once_limited_listed_and_revoked(shared_api: Api) -> None:
    api = shared_api
    channel_id = await api.channel(title="Of keys")
    async with visitor(api.address) as anna, visitor(api.address) as vera:
        await anna.sign_in()
        staff_id = await join(api, vera, "vera.keys")
        form = {
            "name": "Till",
            "read_only": "1",
            "channels[]": [f"cch{channel_id}"],
            "once": "till",
        }
        made = await vera.post("/keys", {**form, "expires": "2099-01-01"})
        [key] = re.findall(r'id="made-key">([^<]+)<', made.text)
        async with api.as_staff("vera.keys@example.com", key) as till:
            [seen] = await till.items("custom_channels.json", "custom_channel")
            assert seen["channel_id"] == channel_id
            assert (await till.call("POST", "cases.json", {})).status == 403
        # The same form again makes no second one, and shows nothing.
        again = await vera.post("/keys", {**form, "expires": "2099-01-01"})
        assert ("made before" in again.text, "made-key" in again.text) == (True, False)
        words = plain(await vera.get("/account"))
        assert re.search(r"Till \w{8} only reading Of keys", words)
        for wrong in ({"name": " "}, {"expires": "2020-01-01"}, {"expires": "x"}):
            refused = await vera.post("/keys", {**form, "once": "", "name": "Kept", **wrong})
            assert (refused.status, 'aria-invalid="true"' in refused.text) == (400, True)
        assert (await vera.get("/keys")).status == 403
        assert (await vera.post("/keys", {"staff_id": "1", "name": ""})).status == 403
        await anna.get("/keys")
        given = await anna.post("/keys", {"staff_id": str(staff_id), "name": "From Anna"})
        assert "From Anna" in given.text
        every = await anna.get("/keys")
        of_vera = re.findall(r"/keys/(\d+)/revoke", (await vera.get("/account")).text)
        assert len(of_vera) == 3
        assert set(of_vera) < set(re.findall(r"/keys/(\d+)/revoke", every.text))
        await vera.post(f"/keys/{of_vera[1]}/revoke")
        async with api.as_staff("vera.keys@example.com", key) as till:
            assert (await till.call("GET", "staff.json")).status == 401
        [own, *_] = set(re.findall(r"/keys/(\d+)/revoke", every.text)) - set(of_vera)
        assert (await vera.post(f"/keys/{own}/revoke")).status == 403
        assert (await anna.post("/keys/999/revoke")).status == 404
