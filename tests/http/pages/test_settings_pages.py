"""Pages of macros, labels, custom fields, groups, business hours and response targets: made, refused beside the input, changed, gone."""

import re
from typing import Any

import pytest
from aiohttp import ClientResponse
from served_api import Api
from visiting import Visitor, form_in, join, visitor

from kanal.http.pages.visit import now

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOUR = 3600 * 1_000_000
CURSOR = re.compile(r"cursor=([\w-]+)")


@pytest.fixture(scope="module")
def shared_database_url() -> str:
    """What these pages ask of either database the tests of the API ask."""
    return ""


async def last(api: Api, path: str, entity: str) -> dict[str, Any]:
    *_, item = await api.items(f"{path}.json", entity)
    return dict(item)


async def test_a_label_is_added_renamed_refused_and_deleted(shared_api: Api, anna: Visitor) -> None:
    await anna.get("/labels")
    assert "refund" in (await anna.post("/labels", {"label_title": "refund"})).words
    again = await anna.post("/labels", {"label_title": "Refund"})
    assert (again.status, "There is such a label already." in again.words) == (400, True)
    assert 'value="Refund"' in again.text
    await anna.post("/labels/1", {"label_title": "money back"})
    assert (await last(shared_api, "labels", "label"))["label_title"] == "money back"
    empty = await anna.post("/labels/1", {"label_title": ""})
    assert (empty.status, "This is needed." in empty.words) == (400, True)
    assert "money back" not in (await anna.post("/labels/1/delete")).words
    assert (await anna.get("/labels/1")).status == 404


async def test_a_choice_has_options_that_keep_their_keys(shared_api: Api, anna: Visitor) -> None:
    await anna.get("/fields/new")
    fields = {"title": "Tariff", "field_type": "select", "field_level": "user"}
    refused = await anna.post("/fields", fields)
    assert (refused.status, "A choice needs at least one option." in refused.words) == (400, True)
    assert 'value="Tariff"' in refused.text
    await anna.post("/fields", {**fields, "more": "Basic\nGold\n"})
    given = form_in(await anna.get("/fields/1"), "/fields/1")
    assert (given["options[o1]"], given["options[o2]"]) == ("Basic", "Gold")
    # One that is added does not take the key of one that is taken away: some have that.
    await anna.post("/fields/1", {**given, "options[o2]": "", "more": "Platinum"})
    field = await last(shared_api, "custom_fields", "custom_field")
    assert field["field_data"] == {"1": "Basic", "3": "Platinum"}
    # Nor does one that comes later, and a form from before cannot give it another meaning.
    given = form_in(await anna.get("/fields/1"), "/fields/1")
    await anna.post("/fields/1", {**given, "options[o3]": ""})
    stale = await anna.post("/fields/1", {**given, "options[o3]": "Diamond"})
    assert (stale.status, "taken away meanwhile" in stale.words) == (400, True)
    await anna.post("/fields/1", {**given, "options[o3]": "", "more": "Silver"})
    field = await last(shared_api, "custom_fields", "custom_field")
    assert field["field_data"] == {"1": "Basic", "4": "Silver"}
    # What was added since a page was loaded stays, and what that page adds gets another key.
    given = form_in(await anna.get("/fields/1"), "/fields/1")
    for more in ("Bronze", "Iron"):
        await anna.post("/fields/1", {**given, "more": more})
    mistaken = await anna.post("/fields/1", {**given, "options[o4]": "", "title": " "})
    await anna.post("/fields/1", {**form_in(mistaken, "/fields/1"), "title": "Tariff"})
    field = await last(shared_api, "custom_fields", "custom_field")
    assert field["field_data"] == {"1": "Basic", "5": "Bronze", "6": "Iron"}
    await anna.post("/fields/1/state", {"action": "disable"})
    assert not (await last(shared_api, "custom_fields", "custom_field"))["active"]
    await anna.post("/fields/1/state", {"action": "delete"})
    assert await shared_api.items("custom_fields.json", "custom_field") == []


async def test_a_group_hands_its_cases_over_when_it_goes(shared_api: Api, anna: Visitor) -> None:
    api = shared_api
    await api.channel()
    await anna.get("/groups/new")
    for title in ("Sales", "Support"):
        await anna.post("/groups", {"group_title": title, "group_signature": "Bye"})
    case = await api.case()
    await api.put(f"cases/{case['case_id']}.json", {"case": {"group_id": 1}})
    await anna.post("/groups/1", {"group_title": "Sales team"})
    refused = await anna.post("/groups/1/state", {"action": "delete", "replace_group_id": "0"})
    assert (refused.status, "say which group gets them" in refused.words) == (400, True)
    assert (await anna.post("/groups/1/state", {"action": "disable"})).path == "/groups?done=saved"
    assert not (await api.get("groups/1.json"))["group"]["active"]
    await anna.post("/groups/1/state", {"action": "delete", "replace_group_id": "2"})
    titles = [group["group_title"] for group in await api.items("groups.json", "group")]
    assert titles == ["Support"]


async def test_business_hours_are_typed_as_people_write_them(
    shared_api: Api, anna: Visitor
) -> None:
    given = form_in(await anna.get("/hours/new"), "/hours")
    wrong = {**given, "title": "Ours", "zone": "Mars", "hours[mon]": "nine", "holidays": "someday"}
    refused = await anna.post("/hours", wrong)
    assert refused.status == 400
    assert form_in(refused, "/hours") == wrong
    assert refused.text.count('class="field-error"') == 3
    await anna.post("/hours", {**given, "title": "Ours", "holidays": "2026-12-25\n01-01"})
    hours = await last(shared_api, "business_hours", "business_hours")
    assert (hours["hours"]["mon"], hours["hours"]["sun"]) == (["09:00-18:00"], [])
    assert hours["holidays"] == ["01-01", "2026-12-25"]
    path = f"/hours/{hours['business_hours_id']}"
    given = form_in(await anna.get(path), path)
    await anna.post(path, {**given, "holidays": "", "hours[mon]": "10:00-12:00, 13:00-15:00"})
    hours = await last(shared_api, "business_hours", "business_hours")
    assert (hours["holidays"], hours["hours"]["mon"]) == ([], ["10:00-12:00", "13:00-15:00"])
    await anna.post(f"{path}/delete")
    assert await shared_api.items("business_hours.json", "business_hours") == []


async def test_a_response_target_is_in_minutes_hours_or_days(
    shared_api: Api, anna: Visitor
) -> None:
    given = form_in(await anna.get("/targets/new"), "/targets")
    assert (await anna.post("/targets", {**given, "title": "Urgent"})).status == 400
    typed = {**given, "title": "Urgent", "first_response": "2", "first_response_unit": "hours"}
    refused = await anna.post("/targets", {**typed, "resolution": "soon"})
    assert (refused.status, "This must be a whole number." in refused.words) == (400, True)
    await anna.post("/targets", {**typed, "priorities[]": ["high", "critical"]})
    target = await last(shared_api, "response_targets", "response_target")
    assert (target["first_response_minutes"], target["priorities"]) == (120, ["high", "critical"])
    path = f"/targets/{target['response_target_id']}"
    given = form_in(await anna.get(path), path)
    assert (given["first_response"], given["first_response_unit"]) == ("2", "hours")
    given.pop("priorities[]")
    await anna.post(path, {**given, "first_response": "3", "hours": "clock"})
    target = await last(shared_api, "response_targets", "response_target")
    assert (target["first_response_minutes"], target["priorities"]) == (180, [])
    await anna.post(f"{path}/delete")
    assert await shared_api.items("response_targets.json", "response_target") == []


async def test_a_macro_is_put_together_like_a_rule(shared_api: Api, anna: Visitor) -> None:
    given = form_in(await anna.get("/macros/new"), "/macros")
    more = await anna.post("/macros/draft", {**given, "title": "Thanks", "edit": "add-action:"})
    given = form_in(more, "/macros")
    typed = {**given, "actions[1][type]": "status", "actions[1][choice]": "closed"}
    refused = await anna.post("/macros", typed)
    assert (refused.status, "Write the text of the message." in refused.words) == (400, True)
    await anna.post("/macros", {**typed, "actions[0][text]": "Thank you!", "shared": "1"})
    found = (await shared_api.get("macros.json"))["common"]["0"]["data"]
    [(macro_id, macro)] = found.items()
    assert [each["action_destination"] for each in macro["actions"]] == ["Thank you!", "3"]
    path = f"/macros/{macro_id}"
    given = form_in(await anna.get(path), path)
    await anna.post(path, {**given, "title": "Many thanks"})
    assert "Many thanks" in (await anna.get("/macros")).words
    await anna.post(f"{path}/delete")
    assert (await shared_api.get("macros.json"))["common"] == []


async def test_who_may_not_change_settings_is_neither_offered_it_nor_let(shared_api: Api) -> None:
    role = {"title": "Looks", "custom_channels": "see", "standard_channels": "see"}
    made = await shared_api.post("roles.json", {"role": role})
    async with visitor(shared_api.address) as looks:
        await join(shared_api, looks, "looks@example.com", role_id=made["role"]["role_id"])
        for path in ("rules", "macros", "labels", "fields", "groups", "hours", "targets"):
            shown = await looks.get(f"/{path}")
            assert (shown.status, f"/{path}/new" in shown.text) == (200, False)
            assert (await looks.post(f"/{path}", {"title": "x"})).status == 403
            assert (await looks.get(f"/{path}/1/edit")).status in (403, 404)


async def test_the_inbox_says_what_is_due_and_lists_what_is_overdue(
    shared_api: Api, anna: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = shared_api
    await api.channel()
    target = {"title": "T", "first_response_minutes": 60, "hours": "clock"}
    made = await api.post("response_targets.json", {"response_target": target})
    long_ago = "Thu, 26 Apr 2018 20:17:10 +0300"
    late = await api.case(user_custom_id="late", subject="Late", created_at=long_ago)
    await api.case(user_custom_id="soon", subject="Soon")
    await api.get("stats_channels.json")  # waits for what was written before
    inbox = (await anna.get("/inbox?view=all")).words
    assert (inbox.count(" overdue</span>"), inbox.count("due in 1 hr")) == (1, 1)
    listed = (await anna.get("/inbox?view=overdue")).words
    assert ("Late" in listed, "Soon" in listed) == (True, False)
    monkeypatch.setattr("kanal.http.pages.live.SILENCE_BEATS", 1)
    monkeypatch.setattr("kanal.http.pages.live.BEAT_SECONDS", 0.05)
    async with anna.session.get(f"{api.address}/live?after={head(api)}") as stream:
        await heard(stream, b"still here")
        # An hour later nothing has happened, and what waited is late: an open page is told.
        monkeypatch.setattr("kanal.http.pages.live.now", lambda: now() + HOUR)
        await heard(stream, b"event: change")
    monkeypatch.setattr("kanal.http.pages.inbox.now", lambda: now() + HOUR)
    monkeypatch.setattr("kanal.http.pages.inbox.ROWS", 1)
    first = (await anna.get("/inbox?view=overdue")).words
    [further] = CURSOR.findall(first)
    second = (await anna.get(f"/inbox?view=overdue&cursor={further}")).words
    assert [("Late" in page, "Soon" in page) for page in (first, second)] == [
        (True, False),
        (False, True),
    ]
    monkeypatch.undo()
    await api.message(late["case_id"], content="Sorry")
    await api.get("stats_channels.json")
    assert "Late" not in (await anna.get("/inbox?view=overdue")).words
    assert "view=overdue" not in (await anna.get("/inbox")).text
    path = f"response_targets/{made['response_target']['response_target_id']}.json"
    await api.call("DELETE", path)


async def test_a_filter_is_made_by_what_is_chosen_and_stands_beside_the_inbox(
    shared_api: Api, anna: Visitor
) -> None:
    api = shared_api
    await api.channel()
    mine = await api.case(user_custom_id="f1", subject="Mine, urgent")
    await api.case(user_custom_id="f2", subject="Not mine, urgent")
    await api.put(f"cases/{mine['case_id']}.json", {"case": {"staff_id": 1, "priority": "high"}})
    await anna.get("/filters/new")
    chosen = {"status[]": ["open"], "staff_id[]": ["me"], "priority[]": ["high", "critical"]}
    made = await anna.post("/filters", {"filter_name": "Hot", "subject": "urgent", **chosen})
    assert ("Mine, urgent" in made.text, "Not mine" in made.text) == (True, False)
    [path] = set(re.findall(r"/filters/\d+", made.text))
    filter_id = path.rpartition("/")[2]
    # What a program has set stays when the page changes the rest.
    conditions = {"status": "open,waiting", "staff_id": "me", "from_time": "2018-01-01"}
    conditions |= {"group_id": {"1": 0.0}}
    await api.put(f"filters/{filter_id}.json", {"filter": {"conditions": conditions}})
    shown = await anna.get(path)
    assert "from_time" in shown.words
    given = form_in(shown, path)
    assert (given["status[]"], given["staff_id[]"]) == (["open", "waiting"], ["me"])
    assert given.pop("group_id[]") == ["0"]
    refused = await anna.post(path, {**given, "filter_name": " "})
    assert (refused.status, "This is needed." in refused.words) == (400, True)
    assert (await anna.post(path, {**given, "staff_id[]": ["9" * 5000]})).status == 400
    await anna.post(path, {**given, "filter_name": "Nobody’s", "staff_id[]": ["0"]})
    row = (await api.get(f"filters/{filter_id}.json"))["filter"]
    assert (row["filter_name"], row["conditions"]) == (
        "Nobody’s",
        {"status": ["open", "waiting"], "staff_id": [0], "from_time": "2018-01-01"},
    )
    assert path not in (await anna.post(f"{path}/delete")).text
    assert (await anna.get(path)).status == 404


async def heard(stream: ClientResponse, words: bytes) -> None:
    while words not in (line := await stream.content.readline()):
        assert line


def head(api: Api) -> int:
    """The position of the log."""
    with api.store.database.reading() as connection:
        return api.store.database.head(connection)
