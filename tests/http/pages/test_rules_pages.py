"""The pages of rules: put together without a script, refused beside the input, tried, and told of."""

import asyncio
import contextlib
import os
import re
import signal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from open_log import DEADLINE
from served_api import Api
from visiting import Seen, Visitor, form_in

from kanal.automation.rules import RuleRunner
from kanal.projections.registry import CORE

pytestmark = pytest.mark.asyncio(loop_scope="module")

DRAFT, TEST, WHAT_IF = "/rules/draft", "/rules/test", "/rules/what_if"


@pytest.fixture(scope="module")
def shared_database_url() -> str:
    """What these pages ask of either database the tests of the API ask."""
    return ""


async def edited(anna: Visitor, seen: Seen, button: str, **typed: Any) -> Seen:
    fields = {**form_in(seen, "/rules"), **typed, "edit": button}
    return await anna.post(DRAFT, fields)


async def test_a_rule_is_put_together_button_by_button_and_says_what_it_does(
    shared_api: Api, anna: Visitor
) -> None:
    api = shared_api
    store = api.store
    rules = RuleRunner(store.database, store.stream_ids, store.writer, CORE)
    await rules.begin()
    await api.channel(title="App")
    await api.post("labels.json", {"label": {"label_title": "refund"}})
    seen = await anna.get("/rules/new?kind=incoming")
    seen = await edited(anna, seen, "add-group:", **{"conditions[parts][0][value]": "money"})
    fields = form_in(seen, "/rules")
    assert fields["conditions[parts][0][value]"] == "money"
    inner = "conditions[parts][1][parts][0]"
    seen = await edited(anna, seen, "refresh:", **{f"{inner}[field]": "status"})
    seen = await edited(anna, seen, "add-condition:1", **{f"{inner}[values][]": ["open"]})
    seen = await edited(anna, seen, "remove-condition:1.1")
    seen = await edited(anna, seen, "add-action:")
    seen = await edited(anna, seen, "up-action:1", **{"actions[1][type]": "add_labels"})
    fields = form_in(seen, "/rules")
    assert (fields["actions[0][type]"], fields["actions[1][type]"]) == ("add_labels", "add_note")

    wrong = await anna.post("/rules", fields)
    assert wrong.status == 400
    assert "Choose one of them." in wrong.words
    assert "Write the text of the note." in wrong.words
    assert form_in(wrong, "/rules") == fields

    whole = {
        **fields,
        "title": "Refunds",
        "channels[]": ["cch1"],
        "once_per_case": "1",
        "active": "1",
        "actions[0][choices][]": ["1"],
        "actions[1][text]": "Asked for money: [user_name]",
    }
    kept = await anna.post("/rules", {**whole, "once": "x"})
    rule_id = int(re.findall(r"/rules/(\d+)\?done=saved", kept.path)[0])
    assert (await anna.post("/rules", {**whole, "once": "x"})).path == kept.path
    rule = (await api.get(f"rules/{rule_id}.json"))["rule"]
    assert rule["conditions"] == {
        "all": [
            {"field": "text", "operator": "contains", "value": "money"},
            {"any": [{"field": "status", "operator": "is", "value": ["open"]}]},
        ]
    }
    assert [each["action_destination"] for each in rule["actions"]] == [[1], ""]
    assert (rule["channels"], rule["once_per_case"], rule["active"]) == (["cch1"], True, True)
    assert "Asked for money" in kept.words
    assert (await anna.get(f"/rules/{rule_id}/edit")).status == 200

    # What it did stands on its page, with why.
    case = await api.case(user_custom_id="r", content="My money!", subject="Paid twice")
    await rules.follow()
    rule_page = await anna.get(f"/rules/{rule_id}")
    assert "Paid twice" in rule_page.words
    why = re.findall(rf"/rules/{rule_id}/firings/\d+", rule_page.text)[0]
    told = (await anna.get(why)).words
    assert "Labels were changed" in told
    assert "My money!" in told
    assert f"/cases/{case['case_id']}" in told


async def test_a_draft_is_tried_on_a_case_and_on_the_last_days_before_it_is_kept(
    shared_api: Api, anna: Visitor
) -> None:
    api = shared_api
    case = await api.case(user_custom_id="t", content="A parcel", subject="Parcel")
    fields = {
        "kind": "incoming",
        "title": "Draft",
        "conditions[match]": "all",
        "conditions[parts][0][field]": "text",
        "conditions[parts][0][operator]": "contains",
        "conditions[parts][0][value]": "parcel",
        "conditions[parts][1][field]": "priority",
        "conditions[parts][1][operator]": "is",
        "conditions[parts][1][values][]": ["high"],
        "actions[0][type]": "email_to_user",
        "actions[0][text]": "On its way, [case_number]",
    }
    tried = await anna.post(TEST, {**fields, "test_case": str(case["case_id"])})
    assert "It would not run for this case" in tried.words
    assert (tried.words.count("does not hold"), tried.words.count(" holds")) >= (2, 1)
    assert "There is no such case." in (await anna.post(TEST, {**fields, "test_case": "999"})).words
    head = api.head()
    fields["conditions[parts][1][values][]"] = ["normal"]
    found = (await anna.post(WHAT_IF, {**fields, "days": "2"})).words
    assert "Going through the log" in found
    assert f"On its way, {case['case_number']}" in found
    assert "What it would have done" in found
    assert found.rstrip().endswith("</html>")
    assert api.head() == head


async def test_rules_are_ordered_within_their_kind_switched_off_and_deleted(
    shared_api: Api, anna: Visitor
) -> None:
    api = shared_api
    note = {"action_type": "add_note", "content": "x"}
    made = []
    for kind in ("changed", "incoming", "changed"):
        rule = {"kind": kind, "title": f"Of {kind}", "actions": [note], "active": False}
        made.append((await api.post("rules.json", {"rule": rule}))["rule"]["rule_id"])
    first, between, last = made
    order = [rule["rule_id"] for rule in await api.items("rules.json", "rule")]
    await anna.post("/rules/order", {"rule": last, "move": "up"})
    moved = [rule["rule_id"] for rule in await api.items("rules.json", "rule")]
    assert moved == [*order[:-3], last, between, first]
    await anna.post("/rules/order", {"order[]": [first, last]})
    assert [rule["rule_id"] for rule in await api.items("rules.json", "rule")] == order
    await anna.post(f"/rules/{between}/state", {"action": "enable"})
    assert (await api.get(f"rules/{between}.json"))["rule"]["active"]
    for rule_id in made:
        await anna.post(f"/rules/{rule_id}/state", {"action": "delete"})
    assert [rule["rule_id"] for rule in await api.items("rules.json", "rule")] == order[:-3]


async def test_a_time_that_is_emptied_is_asked_for_and_not_kept(
    shared_api: Api, anna: Visitor
) -> None:
    note = {"action_type": "add_note", "content": "x"}
    timed = {"kind": "timed", "title": "Later", "since": "unanswered", "after_minutes": 240}
    given = {"rule": {**timed, "actions": [note], "active": False}}
    rule_id = (await shared_api.post("rules.json", given))["rule"]["rule_id"]
    editor = f"/rules/{rule_id}"
    fields = form_in(await anna.get(f"{editor}/edit"), editor)
    assert (fields["amount"], fields["unit"]) == ("4", "hours")
    refused = await anna.post(editor, {**fields, "amount": ""})
    assert (refused.status, "This is needed." in refused.words) == (400, True)
    await shared_api.call("DELETE", f"rules/{rule_id}.json")


async def test_who_leaves_a_what_if_ends_it(shared_api: Api, anna: Visitor) -> None:
    api = shared_api
    question = {"kind": "incoming", "actions": [{"action_type": "add_note", "content": "x"}]}
    async with asyncio.timeout(DEADLINE):
        asking = asyncio.create_task(
            api.call("POST", "rules/what_if.json", {"what_if": {"rule": question}})
        )
        search = await _search_begins()
        asking.cancel()
        await _ends(search)
        fields = {"title": "x", "actions[0][type]": "add_note", "actions[0][text]": "x"}
        form = aiohttp.FormData({**fields, "token": anna.token})
        headers = {"Origin": anna.address}
        async with anna.session.post(anna.address + WHAT_IF, data=form, headers=headers) as page:
            seen = b""
            while b"Going through the log" not in seen:
                seen += (more := await page.content.readany())
                assert more, seen
            search = await _search_begins()
            page.close()
        await _ends(search)


async def test_a_what_if_is_about_the_rule_as_it_was_when_it_was_asked(shared_api: Api) -> None:
    api = shared_api
    await api.case(user_custom_id="w", content="A zebra")
    zebra = {"field": "text", "operator": "contains", "value": "zebra"}
    note = {"action_type": "add_note", "content": "x"}
    given = {"kind": "incoming", "title": "Zebra", "conditions": zebra, "actions": [note]}
    rule_id = (await api.post("rules.json", {"rule": given}))["rule"]["rule_id"]
    question = {"rule_id": rule_id, "rule": {"title": "Other"}}
    async with asyncio.timeout(DEADLINE):
        asking = asyncio.create_task(api.call("POST", "rules/what_if.json", {"what_if": question}))
        search = await _search_begins()
        never = {"conditions": {**zebra, "value": "no such animal"}}
        await api.put(f"rules/{rule_id}.json", {"rule": never})
        os.kill(search, signal.SIGCONT)
        found = (await asking).json["what_if"]
    assert (found["version"], found["runs"], found["live_runs"]) == (1, 1, 1)
    assert (await api.get(f"rules/{rule_id}.json"))["rule"]["version"] == 2
    await api.call("DELETE", f"rules/{rule_id}.json")


async def test_a_webhooks_secret_is_rotated_on_the_rules_page(
    shared_api: Api, anna: Visitor
) -> None:
    call = {"action_type": "webhook", "action_destination": {"url": "https://example.com/x"}}
    given = {"kind": "incoming", "title": "Hook", "actions": [call]}
    made = (await shared_api.post("rules.json", {"rule": given}))["rule"]
    [(webhook_id, first)] = made["webhook_secrets"].items()
    path = f"/rules/{made['rule_id']}/webhooks/{webhook_id}/secrets"
    rotated = await anna.post(path, {"expires_in_hours": "24"})
    assert rotated.words.count("whsec_") == 1
    assert first not in rotated.words
    page = await anna.get(f"/rules/{made['rule_id']}")
    assert "whsec_" not in page.words
    [older] = re.findall(r'name="fingerprint" value="(\w+)"', page.text)
    await anna.post(f"{path}/delete", {"fingerprint": older})
    assert 'name="fingerprint"' not in (await anna.get(f"/rules/{made['rule_id']}")).text
    # Saved again as it is shown, the webhook stays the same one.
    editor = f"/rules/{made['rule_id']}"
    fields = form_in(await anna.get(f"{editor}/edit"), editor)
    await anna.post(editor, {**fields, "title": "Hooked"})
    changed = (await shared_api.get(f"rules/{made['rule_id']}.json"))["rule"]
    assert changed["actions"] == made["actions"]
    await shared_api.call("DELETE", f"rules/{made['rule_id']}.json")


def _searching() -> list[int]:
    """The processes that look for answers of what-ifs in this one."""
    found = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid() and b"what_if" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return found


async def _search_begins() -> int:
    """The process, stopped so that it cannot end by itself."""
    while not (found := await asyncio.to_thread(_searching)):
        pass
    os.kill(found[0], signal.SIGSTOP)
    return found[0]


async def _ends(process: int) -> None:
    while process in await asyncio.to_thread(_searching):
        pass
