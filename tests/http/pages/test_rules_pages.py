"""The pages of rules: put together without a script, refused beside the input, tried, and told of."""

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from served_api import Api
from visiting import Seen, Visitor, form_in, visitor

from kanal.automation.rules import RuleRunner
from kanal.projections.registry import CORE

pytestmark = pytest.mark.asyncio(loop_scope="module")

DRAFT, TEST, WHAT_IF = "/rules/draft", "/rules/test", "/rules/what_if"


@pytest.fixture(scope="module")
def shared_database_url() -> str:
    """What these pages ask of either database the tests of the API ask."""
    return ""


@pytest_asyncio.fixture(loop_scope="module")
async def anna(shared_api: Api) -> AsyncIterator[Visitor]:
    async with visitor(shared_api.address) as anna:
        await anna.sign_in()
        yield anna


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
