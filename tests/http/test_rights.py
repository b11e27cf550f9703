"""What limited staff see in lists and totals, and what becomes of their calls when cases and rights change meanwhile."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from folding import email
from served_api import EMAIL, KEY, Api, caller, items, settings_of

from kanal.bootstrap import appoint_first_administrator, opened, running
from kanal.domain.staff import create_staff
from kanal.http.keys import keep, new_key

CASES = {"app": 3, "forum": 2, "bot": 1}
"""How many there are on each channel."""


@contextlib.asynccontextmanager
async def colleague(api: Api, name: str, **role: Any) -> AsyncIterator[tuple[Api, int, int]]:
    """Who calls, their staff_id, the id of a role of their own."""
    made = (await api.post("roles.json", {"role": {"title": name, **role}}))["role"]
    email = f"{name}@example.com"
    given = {"staff_email": email, "role_id": made["role_id"]}
    staff = (await api.post("staff.json", {"staff": given}))["staff"]
    async with api.as_staff(email, staff["api_key"]) as calling:
        yield calling, staff["staff_id"], made["role_id"]


async def total(api: Api, path: str) -> tuple[list[int], int]:
    """Ids in the list's order, and what it says there are."""
    listing = await api.get(path)
    entity, key = {"case": ("case", "case_id"), "user": ("user", "user_id")}[path[:4]]
    return [each[key] for each in items(listing, entity)], listing["total_count"]


@pytest.mark.asyncio(loop_scope="module")
async def test_lists_totals_and_what_hangs_on_cases_are_within_the_scope(shared_api: Api) -> None:
    api = shared_api
    channels = {name: await api.channel(title=name) for name in CASES}
    key = {name: f"cch{channel_id}" for name, channel_id in channels.items()}
    group = (await api.post("groups.json", {"group": {"group_title": "G"}}))["group"]["group_id"]
    company = {"company": {"company_name": "C"}}
    company_id = (await api.post("companies.json", company))["company"]["company_id"]
    made: dict[str, list[Any]] = {}
    for name, amount in CASES.items():
        made[name] = [
            await api.case(
                channel=key[name], user_custom_id=str(at), subject=f"order {at}", company_name="C"
            )
            for at in range(amount)
        ]
        for case in made[name]:
            await api.message(case["case_id"])
    app = [case["case_id"] for case in made["app"]]
    forum = [case["case_id"] for case in made["forum"]]
    await api.put(f"cases/{app[0]}.json", {"case": {"group_id": group, "status": "closed"}})
    levels = {key["app"]: "answer", key["forum"]: "see"}
    async with colleague(api, "two", channels=levels) as (two, staff_id, role_id):
        seen = [*app, *forum]
        assert await total(two, "cases.json?sort=created_at_asc") == (seen, 5)
        assert await total(two, f"cases.json?channel={key['bot']}") == ([], 0)
        assert await total(two, "cases.json?status=closed,waiting") == (seen[::-1], 5)
        assert await total(two, "cases.json?limit=2&page=2") == (seen[::-1][2:4], 5)
        assert await total(two, "cases.json?subject=order 0") == ([forum[0], app[0]], 2)
        users = [case["user_id"] for case in made["app"] + made["forum"]]
        assert await total(two, "users.json") == (users, 5)
        listed = await two.items("custom_channels.json", "custom_channel")
        assert [each["channel_id"] for each in listed] == [channels["app"], channels["forum"]]
        assert (await two.get("deliveries.json"))["total_count"] == 5
        shown = await two.items("companies.json?amount_of_cases=1&amount_of_users=1", "company")
        assert [(c["company_id"], c["amount_of_cases"], c["amount_of_users"]) for c in shown] == [
            (company_id, 5, 5)
        ]
        # A person whose profiles stand on several channels shows but those that are seen.
        user, hidden = made["app"][0]["user_id"], made["bot"][0]["user_id"]
        await api.put(f"users/{user}/link.json", {"user": {"user_id": hidden}})
        assert (await two.get(f"users/{user}.json"))["user"]["linked_users"] == [user]
        assert (await api.get(f"users/{user}.json"))["user"]["linked_users"] == [user, hidden]
        refused = await two.call("PUT", f"users/{user}/unlink.json", {"user_id": hidden})
        assert refused.refusal == (404, "user_not_found")
        several = f"cases/{app[1]},{made['bot'][0]['case_id']}/spam.json"
        assert (await two.put(several))["case_success_id"] == [app[1]]
        await two.put(f"cases/{app[1]}/restore.json")

        # Of one group, and then one's own and nobody's: from the next call on.
        await api.put(f"roles/{role_id}.json", {"role": {"groups": [group]}})
        assert await total(two, "cases.json") == ([app[0]], 1)
        assert (await two.get("deliveries.json"))["total_count"] == 1
        outbox = await two.call("GET", f"custom_channels/{channels['app']}/outbox.json")
        assert outbox.refusal == (403, "staff_has_not_access")
        whole = {"all_groups": True, "cases": "own_and_unassigned"}
        await api.put(f"roles/{role_id}.json", {"role": whole})
        await api.put(f"cases/{app[1]}.json", {"case": {"staff_id": 1}})
        await api.put(f"cases/{app[2]}.json", {"case": {"staff_id": staff_id}})
        assert (await total(two, "cases.json"))[1] == 4
        assert await total(two, "cases.json?staff_id=1") == ([], 0)
        await api.put(f"roles/{role_id}.json", {"role": {"cases": "own"}})
        assert await total(two, "cases.json") == ([app[2]], 1)
        assert await total(two, "cases.json?filter=5") == ([], 0)
        assert (await two.call("GET", f"cases/{app[1]}.json")).status == 404
        [own] = await two.items("users.json?amount_of_cases=1&user_custom_id=2", "user")
        assert own["amount_of_cases"] == 1


@pytest.mark.asyncio(loop_scope="module")
async def test_what_changes_meanwhile_holds_for_the_call_under_way(shared_api: Api) -> None:
    api = shared_api
    channel = await api.channel()
    levels = {f"cch{channel}": "answer"}
    async with colleague(api, "own", channels=levels, cases="own_and_unassigned") as (own, *ids):
        staff_id, role_id = ids
        for _ in range(3):
            case = await api.case(channel=f"cch{channel}", user_custom_id="race")
            path = f"cases/{case['case_id']}"
            taken, said = await asyncio.gather(
                api.call("PUT", f"{path}.json", {"case": {"staff_id": 1}}),
                own.call("POST", f"{path}/messages.json", {"message": {"content": "x"}}),
            )
            assert taken.status == 200
            listed = await api.items(f"{path}/messages.json", "message")
            # Said before it was taken, or not at all.
            assert said.status in (201, 404)
            assert len(listed) == (2 if said.status == 201 else 1)
            events = await api.items(f"events.json?case={case['case_id']}", "event")
            names = [event["type"] for event in events]
            if said.status == 201:
                replied = [e["position"] for e in events if e["who"] == f"staff:{staff_id}"]
                assert min(replied) < events[names.index("case.assigned.1")]["position"]
        assert (
            await own.call("POST", f"{path}/note.json", {"note": {"content": "x"}})
        ).refusal == (*(404, "case_not_found"),)
        # The answer to giving a case away shows it for the last time.
        case = await api.case(channel=f"cch{channel}", user_custom_id="race")
        given = await own.put(f"cases/{case['case_id']}.json", {"case": {"staff_id": 1}})
        assert given["case"]["staff_id"] == 1
        assert (await own.call("GET", f"cases/{case['case_id']}.json")).status == 404

        refused = await api.call("DELETE", f"roles/{role_id}.json")
        assert refused.refusal == (400, "role_in_use")
        assert f"staff {staff_id}:" in refused.json["message"]
        # The channel is deleted: its cases are there for the role that names it, and the role can be changed.
        assert (await api.call("DELETE", f"custom_channels/{channel}.json")).status == 200
        before = (await total(own, "cases.json"))[1]
        changed = await api.put(f"roles/{role_id}.json", {"role": {"cases": "all"}})
        assert changed["role"]["channels"] == levels
        assert (await total(own, "cases.json"))[1] == before + 4
        # A demotion holds at once.
        await api.put(f"staff/{staff_id}/role.json", {"staff": {"role_id": 2}})
        assert (await own.call("POST", "roles.json", {"role": {"title": "x"}})).status == 403


@pytest.mark.asyncio(loop_scope="module")
async def test_a_restricted_channel_is_given_by_name(shared_api: Api) -> None:
    api = shared_api
    hidden = await api.channel(restricted=True)
    case = await api.case(channel=f"cch{hidden}", user_custom_id="r")
    path = f"cases/{case['case_id']}.json"
    plain = {"staff_email": "plain@example.com"}
    secret = (await api.post("staff.json", {"staff": plain}))["staff"]["api_key"]
    manager = {"rights": ["manage_staff"], "custom_channels": "manage", "standard_channels": "see"}
    async with (
        api.as_staff("plain@example.com", secret) as staff,
        colleague(api, "boss", **manager) as (boss, _, role_id),
    ):
        for each in (staff, boss):
            assert (await each.call("GET", path)).refusal == (404, "case_not_found")
            refused = await each.call("GET", f"custom_channels/{hidden}.json")
            assert refused.refusal == (404, "channel_not_found")
        open_ = {"custom_channel": {"restricted": False}}
        named = {"channels": {f"cch{hidden}": "manage"}}
        # Nobody gives themselves what they have not, and no administrator's key.
        for method, call, body in [
            ("PUT", f"roles/{role_id}.json", {"role": {"rights": ["manage_staff", "audit"]}}),
            ("PUT", "staff/1.json", {"staff": {"staff_email": "b@example.com"}}),
            ("PUT", "staff/1/disable.json", None),
            ("POST", "staff/1/keys.json", {"key": {"name": "mine"}}),
            ("POST", "staff.json", {"staff": {"staff_email": "c@example.com", "role": "owner"}}),
        ]:
            refusal = (await boss.call(method, call, body)).refusal
            assert refusal == (403, "staff_has_not_access"), (method, call)
        refused = await boss.call("PUT", f"roles/{role_id}.json", {"role": named})
        assert refused.refusal == (404, "channel_not_found")
        await api.put(f"roles/{role_id}.json", {"role": named})
        await boss.get(path)
        refused = await boss.call("PUT", f"custom_channels/{hidden}.json", open_)
        assert refused.refusal == (403, "staff_has_not_access")
        await api.put(f"custom_channels/{hidden}.json", open_)
        await staff.get(path)


@pytest.mark.asyncio(loop_scope="module")
async def test_who_could_see_a_case_then_is_who_was_shown_it_then(shared_api: Api) -> None:
    api = shared_api
    channel = await api.channel()
    case = (await api.case(channel=f"cch{channel}", user_custom_id="v"))["case_id"]
    levels = {f"cch{channel}": "see"}
    shown: dict[int, str] = {}
    async with colleague(api, "viewer", channels=levels) as (viewer, staff_id, role_id):

        async def look(level: str, call: str = "", body: Any = None) -> None:
            if call:
                await api.put(call, body)
            assert (await viewer.call("GET", f"cases/{case}.json")).status == 200 or not level
            shown[api.head()] = level

        role, here = f"roles/{role_id}.json", f"cases/{case}.json"
        await look("see")
        await look("", role, {"role": {"channels": {}}})
        await look("answer", role, {"role": {"custom_channels": "answer", "title": "Day"}})
        await look("", f"custom_channels/{channel}.json", {"restricted": True})
        await look("answer", role, {"role": {"channels": {f"cch{channel}": "answer"}}})
        await look("", role, {"role": {"cases": "own"}})
        await look("answer", here, {"case": {"staff_id": staff_id}})
        await look("manage", f"staff/{staff_id}/role.json", {"role_id": 1})
        await look("", f"staff/{staff_id}/disable.json")
        await api.call("DELETE", f"staff/{staff_id}.json")
        await api.call("DELETE", role)
    for position, level in shown.items():
        path = f"cases/{case}/viewers.json?as_of={position}"
        found = {each["staff_id"]: each for each in await api.items(path, "viewer")}
        assert found[1]["role_title"] == "owner"
        assert found.get(staff_id, {}).get("level", "") == level
    titles = [
        {each["role_title"] for each in await api.items(path, "viewer")}
        for path in (f"cases/{case}/viewers.json?as_of={at}" for at in shown)
    ]
    assert "viewer" in titles[0]
    assert "Day" in titles[2]
    now = await api.items(f"cases/{case}/viewers.json", "viewer")
    assert staff_id not in {each["staff_id"] for each in now}


async def test_who_was_administrator_first_is_the_owner_and_new_channels_are_theirs(
    tmp_path: Path,
) -> None:
    """Of a log from before there were owners, with KANAL_NEW_CHANNELS=administrators."""
    settings = settings_of(tmp_path, "").model_copy(update={"new_channels": "administrators"})
    with opened(settings) as store:
        made = new_key(store.stream_ids, KEY)
        for address, role in ((EMAIL, "administrator"), ("b@example.com", "staff")):
            store.writer.submit_and_wait(
                partial(
                    create_staff,
                    email=email(address),
                    full_name="",
                    role=role,
                    key_fingerprint=made.fingerprint,
                ),
                beside=lambda connection, new, address=address: keep(
                    connection,
                    staff_id=new.staff_id,
                    key_id=new.key_id,
                    email=address,
                    hash=made.hash,
                ),
            )
        assert appoint_first_administrator(store) is None
        async with (
            running(store, role="api") as kanal,
            caller(kanal.address, store) as api,
            api.as_staff("b@example.com", KEY) as staff,
        ):
            assert (await api.get("staff/1.json"))["staff"]["role_title"] == "owner"
            hidden, given = await api.channel(), await api.channel(restricted=False)
            listed = await staff.items("custom_channels.json", "custom_channel")
            assert [each["channel_id"] for each in listed] == [given]
            assert (await api.get(f"custom_channels/{hidden}.json"))["custom_channel"]["restricted"]


@pytest.mark.asyncio(loop_scope="module")
async def test_an_earlier_answer_is_not_given_to_whom_it_is_not_for_any_more(
    shared_api: Api,
) -> None:
    api = shared_api
    key = f"cch{await api.channel(title='Receipts')}"
    async with colleague(api, "receipts", channels={key: "answer"}) as (one, staff_id, role_id):
        body = {"case": {"user_custom_id": "u", "channel": key, "content": "x"}}
        once = {"headers": {"Idempotency-Key": "receipts-1"}}
        first = await one.call("POST", "cases.json", body, **once)
        again = await one.call("POST", "cases.json", body, **once)
        assert (first.status, again.text) == (201, first.text)
        await api.put(f"roles/{role_id}.json", {"role": {"channels": {key: "none"}}})
        assert (await one.call("POST", "cases.json", body, **once)).status in (403, 404)
        await api.put(f"roles/{role_id}.json", {"role": {"channels": {key: "answer"}}})
        keys = (await api.get(f"staff/{staff_id}.json"))["staff"]["key_ids"]
        await api.call("DELETE", f"staff/{staff_id}/keys/{keys[0]}.json")
        assert (await one.call("POST", "cases.json", body, **once)).status == 401


@pytest.mark.asyncio(loop_scope="module")
async def test_rules_are_written_by_those_who_may_answer_everywhere(shared_api: Api) -> None:
    api = shared_api
    key = f"cch{await api.channel(title='Rules')}"
    rule = {
        "rule": {
            "title": "R",
            "kind": "incoming",
            "actions": [{"action_type": "email_to_user", "action_destination": "Hi"}],
        }
    }
    given = {"channels": {key: "answer"}, "rights": ["manage_rules"]}
    async with colleague(api, "ruler", **given) as (one, _, _):
        assert (await one.call("POST", "rules.json", rule)).refusal[0] == 403
        made = (await api.post("rules.json", rule))["rule"]["rule_id"]
        for method, path, body in (
            ("PUT", f"rules/{made}.json", {"rule": {"title": "S"}}),
            ("PUT", f"rules/{made}/disable.json", None),
            ("PUT", f"rules/{made}/enable.json", None),
            ("DELETE", f"rules/{made}.json", None),
        ):
            assert (await one.call(method, path, body)).status == 403, (method, path)
        await api.call("DELETE", f"rules/{made}.json")


@pytest.mark.asyncio(loop_scope="module")
async def test_a_new_profile_tells_nothing_of_channels_that_are_not_seen(shared_api: Api) -> None:
    api = shared_api
    seen, unseen = [f"cch{await api.channel(title=title)}" for title in ("Seen", "Unseen")]
    other = {"user_custom_id": "o", "user_custom_channel": unseen, "user_email": "same@example.com"}
    await api.post("users.json", {"user": other})
    mine = {"user_custom_id": "m", "user_custom_channel": seen, "user_email": "same@example.com"}
    async with colleague(api, "profiles", channels={seen: "answer"}) as (one, _, _):
        made = (await one.post("users.json", {"user": mine}))["user"]
        shown = (await one.get(f"users/{made['user_id']}.json"))["user"]
    assert made["linked_users"] == shown["linked_users"]
    assert len(made["linked_users"]) < 2


@pytest.mark.asyncio(loop_scope="module")
async def test_a_limited_key_makes_no_staff(shared_api: Api) -> None:
    api = shared_api
    limits = {"api_key": {"name": "short", "expires_at": "2090-01-01"}}
    (owner,) = [
        each["staff_id"]
        for each in items(await api.get("staff.json"), "staff")
        if each["staff_email"] == EMAIL
    ]
    made = (await api.post(f"staff/{owner}/api_keys.json", limits))["api_key"]
    async with api.as_staff(EMAIL, made["key"]) as short:
        given = {"staff": {"staff_email": "n@example.com", "role_id": 3}}
        assert (await short.call("POST", "staff.json", given)).status == 403


@pytest.mark.asyncio(loop_scope="module")
async def test_nobody_sets_the_status_of_who_may_more(shared_api: Api) -> None:
    api = shared_api
    async with colleague(api, "setter", rights=["manage_staff"]) as (one, _, _):
        put = await one.call("PUT", "staff/1/status.json", {"staff": {"status_id": 1}})
    assert put.status == 403
