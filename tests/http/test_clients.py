"""Programs that were written for Omnidesk, as they behave: what each sends, and what it needs to find in the answers."""

import asyncio
import json
import math
import re
import uuid
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import pytest
from aiohttp import FormData
from served_api import Api

pytestmark = pytest.mark.asyncio(loop_scope="module")

JSON_TYPE = {"Content-Type": "application/json"}


def unique() -> str:
    return f"u{uuid.uuid4().hex[:12]}"


async def channel_of(api: Api) -> str:
    rows = await api.items("custom_channels.json", "custom_channel")
    return f"cch{rows[0]['channel_id'] if rows else await api.channel()}"


async def test_a_form_that_sends_every_key_with_the_unset_ones_empty(shared_api: Api) -> None:
    """PHP, multipart with brackets; the answer is checked by keys."""
    email = f"{unique()}@example.com"
    set_ones = {"user_email": email, "subject": "Invoice", "content": "Where is it?"}
    unset = (
        *("user_phone", "user_custom_id", "user_full_name", "company_name", "channel"),
        *("content_html", "language_id", "group_id", "staff_id", "priority", "status"),
        *("cc_emails", "bcc_emails", "created_at"),
    )
    form = FormData(default_to_multipart=True)
    for name, value in {**dict.fromkeys(unset, ""), **set_ones}.items():
        form.add_field(f"case[{name}]", value)
    form.add_field("case[custom_fields]", "")
    form.add_field("case[labels][]", "")
    made = await shared_api.call("POST", "cases.json", data=form)
    assert made.status == 201, made.text
    case = made.json["case"]
    assert case["subject"] == "Invoice"
    assert {"recipient", "language_id", "labels", "updated_at"} <= case.keys()
    user = (await shared_api.get(f"users/{case['user_id']}.json"))["user"]
    assert (user["user_email"], user["user_phone"]) == (email, "")
    assert "user_screen_name" in user

    null = {"case_id": case["case_id"], "subject": None, "status": None, "custom_fields": []}
    changed = await shared_api.put(f"cases/{case['case_id']}.json", {"case": null})
    assert changed["case"] == {key: case[key] for key in changed["case"]}


async def test_a_form_in_brackets_and_paths_without_json(shared_api: Api) -> None:
    """Ruby, urlencoded; it parses only what says that it is JSON at the end of the media type."""
    channel = await channel_of(shared_api)
    made = await shared_api.call(
        "POST",
        "cases",
        data={
            "case[user_custom_id]": unique(),
            "case[channel]": channel,
            "case[content]": "Hello & good=day + ü",
        },
    )
    assert made.status == 201
    assert made.headers["Content-Type"].endswith("json")
    case_id = made.json["case"]["case_id"]
    noted = await shared_api.call(
        "POST", f"cases/{case_id}/notes.json", data={"note[content]": "N"}
    )
    assert noted.json["message"]["note"] is True
    first, _ = await shared_api.items(f"cases/{case_id}/messages", "message")
    assert first["content"] == "Hello & good=day + ü"
    group = await shared_api.post("groups", {"group": {"group_title": unique()}})
    assert await shared_api.get(f"groups/{group['group']['group_id']}") == group
    missing = await shared_api.call("GET", "groups/999999")
    assert (missing.status, missing.headers["Content-Type"]) == (404, "application/json")
    assert "error" in missing.json


async def test_a_bot_whose_ids_are_numbers_and_whose_subject_is_blanks(shared_api: Api) -> None:
    """Python; it reads JSON whatever the status, and opens the case anew when it is gone."""
    channel = await channel_of(shared_api)
    telegram_id = uuid.uuid4().int % 10**12
    opened = {
        "case": {
            "user_custom_id": telegram_id,
            "channel": channel,
            "subject": "    ",
            "content": "/start",
        }
    }
    case = (await shared_api.post("cases.json", opened))["case"]
    written = {
        "message": {
            "user_id": case["user_id"],
            "user_custom_id": telegram_id,
            "content": "Anybody there?",
        }
    }
    path = f"cases/{case['case_id']}/messages.json"
    message = (await shared_api.post(path, written))["message"]
    assert (message["user_id"], message["staff_id"]) == (case["user_id"], 0)
    assert (await shared_api.call("DELETE", f"cases/{case['case_id']}.json")).status == 200
    gone = await shared_api.call("POST", path, written)
    assert gone.json["error"] == "case_not_found"
    again = (await shared_api.post("cases.json", opened))["case"]
    assert again["user_id"] == case["user_id"]


async def test_a_bridge_that_knows_cases_by_number_and_sets_the_status_itself(
    shared_api: Api,
) -> None:
    channel = await channel_of(shared_api)
    given = {"user_custom_id": unique(), "channel": channel, "content": "Hello"}
    case = (await shared_api.post("cases.json", {"case": given}))["case"]
    number = case["case_number"]
    for _ in range(2):
        opened = await shared_api.put(f"cases/{number}.json", {"case": {"status": "open"}})
        assert opened["case"]["status"] == "open"
        sent = {"message": {"content": "More", "user_id": str(case["user_id"])}}
        await shared_api.post(f"cases/{number}/messages.json", sent)
    reply = {"case_id": number, "message": {"content": "Answer", "staff_id": "1"}}
    await shared_api.post(f"cases/{number}/messages.json", reply)
    head = shared_api.head()
    waiting = await shared_api.put(f"cases/{number}.json", {"case": {"status": "waiting"}})
    assert waiting["case"]["status"] == "waiting"
    assert shared_api.head() == head


async def test_a_bot_that_ends_its_paths_with_a_slash(shared_api: Api) -> None:
    """A redirect would make a GET of its POST."""
    channel = await channel_of(shared_api)
    given = {"user_custom_id": unique(), "channel": channel, "content": "Hi", "status": "open"}
    made = await shared_api.call("POST", "cases.json/", {"case": given}, allow_redirects=False)
    assert made.status == 201
    case_id = made.json["case"]["case_id"]
    written = await shared_api.call(
        "POST",
        f"cases/{case_id}/messages.json/",
        {"message": {"content": "More", "user_id": made.json["case"]["user_id"]}},
        allow_redirects=False,
    )
    assert written.status == 201


async def test_a_client_whose_base_address_ends_with_a_slash(shared_api: Api) -> None:
    channel = await channel_of(shared_api)
    given = {"user_custom_id": unique(), "channel": channel, "content": "Hi"}
    made = await shared_api.call("POST", "/cases.json", {"case": given}, allow_redirects=False)
    assert made.status == 201
    query = f"user_custom_id={given['user_custom_id']}&subject=^//^"
    async with shared_api._session.get(f"{shared_api.address}//api//cases.json?{query}") as found:
        assert json.loads(await found.text()) == {"total_count": 0}
    nowhere = await shared_api.call("GET", "/nothing//here.json")
    assert nowhere.refusal == (404, "path_not_found")


async def test_a_library_that_sends_a_json_type_and_empty_bodies_everywhere(
    shared_api: Api,
) -> None:
    """PHP, typed strictly: numbers are numbers, flags are flags, in every object."""
    channel = await channel_of(shared_api)
    given = {"user_custom_id": unique(), "channel": channel, "content": "Hi", "group_id": "0"}
    case = (await shared_api.post("cases.json", {"case": given}))["case"]
    path = f"cases/{case['case_id']}"
    for method, at, body, flags in (
        ("PUT", f"{path}/trash.json", b"[]", (True, False)),
        ("PUT", f"{path}/restore.json", b"{}", (False, False)),
        ("PUT", f"{path}/spam.json", b"", (False, True)),
        ("PUT", f"{path}/restore.json", b"null", (False, False)),
        ("GET", f"{path}.json", b"", (False, False)),
    ):
        answer = await shared_api.call(method, at, headers=JSON_TYPE, data=body)
        assert answer.status == 200, answer.text
        shown = answer.json["case"]
        assert (shown["deleted"], shown["spam"]) == flags
    listed = await shared_api.call("GET", "cases.json?limit=2", headers=JSON_TYPE)
    total = listed.json.pop("total_count")
    assert type(total) is int
    for key, item in listed.json.items():
        if key == "total_count":
            continue
        kinds = {
            int: ("case_id", "user_id", "staff_id", "group_id", "parent_case_id", "language_id"),
            str: ("case_number", "subject", "status", "priority", "channel", "recipient"),
            bool: ("deleted", "spam"),
        }
        for kind, names in kinds.items():
            assert {type(item["case"][name]) for name in names} == {kind}
    trashed = await shared_api.call("PUT", f"{path}/trash.json", headers=JSON_TYPE, data=b"[]")
    assert trashed.status == 200
    deleted = await shared_api.call("DELETE", f"{path}.json", headers=JSON_TYPE, data=b"[]")
    assert deleted.status == 200


async def test_an_export_that_asks_for_page_0_first(shared_api: Api) -> None:
    """Python; every key of every case has to be there, none of these null."""
    channel = await channel_of(shared_api)
    user = unique()
    given = {"user_custom_id": user, "channel": channel, "content": "Hi"}
    for _ in range(3):
        await shared_api.post("cases.json", {"case": given})
    query = f"user_custom_id={user}&from_time=2014-01-01&to_time=2099-12-01 00:00:00&limit=2"
    found: dict[int, Any] = {}
    first = await shared_api.get(f"cases.json?{query}&page=0")
    for page in range(1, math.ceil(first["total_count"] / 2) + 1):
        for key, item in (await shared_api.get(f"cases.json?{query}&page={page}")).items():
            if key != "total_count":
                found[item["case"]["case_id"]] = item["case"]
    assert len(found) == first["total_count"] == 3
    dates = ("created_at", "updated_at", "last_response_at")
    texts = ("subject", "recipient", "cc_emails", "bcc_emails", "priority", "status")
    for case in found.values():
        assert all(type(case[name]) is str for name in texts)
        assert all(parsedate_to_datetime(case[name]).tzinfo for name in dates)
        assert (case["closed_at"], case["closing_speed"]) == ("-", "-")
        assert type(case["parent_case_id"]) is int


async def test_an_etl_that_asks_for_80_pages_at_once(shared_api: Api) -> None:
    """It indexes every key but total_count by the entity, and stops when the header is not there."""
    channel = await channel_of(shared_api)
    user = unique()
    given = {"user_custom_id": user, "channel": channel, "content": "Hi"}
    await asyncio.gather(*(shared_api.post("cases.json", {"case": given}) for _ in range(7)))
    query = {"user_custom_id[]": user, "from_time": "0", "show_merged_cases": "True", "limit": "3"}

    async def page(number: int) -> list[int]:
        answer = await shared_api.call("GET", "cases.json", params={**query, "page": str(number)})
        assert int(answer.headers["api_calls_left"]) > 0
        return [
            item["case"]["case_id"] for key, item in answer.json.items() if key != "total_count"
        ]

    pages = await asyncio.gather(*(page(number) for number in range(1, 81)))
    ids = [case_id for each in pages for case_id in each]
    assert len(ids) == len(set(ids)) == 7
    assert pages[3:] == [[]] * 77


async def test_a_client_that_compares_whole_answers_as_texts(shared_api: Api) -> None:
    """C#; PHP's pretty print: four blanks, one item a line, no blank at the ends."""
    empty = await shared_api.call("GET", f"cases.json?user_custom_id={unique()}")
    assert empty.text == '{\n    "total_count": 0\n}'
    channel = await channel_of(shared_api)
    user = unique()
    given = {"user_custom_id": user, "channel": channel, "content": "Привет / hi", "subject": "П/1"}
    made = await shared_api.call("POST", "cases.json", {"case": given})
    for answer in (
        made,
        await shared_api.call("GET", f"cases.json?user_custom_id={user}&deleted=False"),
        await shared_api.call("GET", f"users/{made.json['case']['user_id']}.json"),
        await shared_api.call("GET", f"cases/{made.json['case']['case_id']}/messages.json"),
    ):
        assert answer.text == json.dumps(answer.json, indent=4, ensure_ascii=False)
    when = made.json["case"]["created_at"]
    assert re.fullmatch(r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} [\d:]{8} \+0300", when)


async def test_one_value_in_brackets_where_one_is_taken(shared_api: Api) -> None:
    channel = await channel_of(shared_api)
    given = {"user_custom_id": unique(), "channel": channel, "content": "Hi", "subject": "A"}
    await shared_api.post("cases.json", {"case": given})
    query = f"user_custom_id={given['user_custom_id']}&sort[]=status_asc&page[]=1&subject[0]=^A^"
    assert (await shared_api.get(f"cases.json?{query}"))["total_count"] == 1
    assert (await shared_api.call("GET", "cases.json?sort[]=status_asc&sort[]=x")).status == 400


async def test_flags_in_every_spelling(shared_api: Api) -> None:
    email = f"{unique()}@example.com"
    await shared_api.post("users.json", {"user": {"user_email": email}})
    for flag, shown in (
        ("1", True),
        ("True", True),
        ("true", True),
        ("0", False),
        ("False", False),
    ):
        query = {"user_email": email, "amount_of_cases": flag}
        answer = await shared_api.call("GET", "users.json", params=query)
        assert ("amount_of_cases" in answer.json["0"]["user"]) is shown, flag


async def test_two_equal_posts_are_two_cases(shared_api: Api) -> None:
    """Without an Idempotency-Key nothing tells a repetition from a second case."""
    channel = await channel_of(shared_api)
    given = {"case": {"user_custom_id": unique(), "channel": channel, "content": "Hi"}}
    one, two = await asyncio.gather(*(shared_api.post("cases.json", given) for _ in range(2)))
    assert one["case"]["case_id"] != two["case"]["case_id"]
    assert one["case"]["user_id"] == two["case"]["user_id"]


@pytest.mark.parametrize(("bracket", "quoted"), [("[]", False), ("[0]", True), ("[1]", False)])
async def test_files_in_every_spelling_of_their_field(
    shared_api: Api, bracket: str, quoted: bool
) -> None:
    """Their names are UTF-8 or, from Python, percent-encoded. The URL of a file is fetched without credentials."""
    form = FormData(quote_fields=quoted, default_to_multipart=True)
    form.add_field("case[user_email]", f"{unique()}@example.com")
    form.add_field("case[subject]", "Contract")
    form.add_field("case[content]", "See the file")
    file = b"%PDF-1.4 " + unique().encode()
    name = f"case[attachments]{bracket}"
    form.add_field(name, file, filename="договор.pdf", content_type="application/pdf")
    made = await shared_api.call("POST", "cases.json", data=form)
    assert made.status == 201, made.text
    [shown] = made.json["case"]["attachments"]
    assert shown.keys() >= {"file_id", "file_name", "file_size", "mime_type", "url"}
    assert (shown["file_name"], shown["file_size"]) == ("договор.pdf", len(file))
    async with aiohttp.ClientSession() as anybody, anybody.get(shown["url"]) as response:
        assert await response.read() == file


async def test_wrappers_that_are_missing_or_have_another_name(shared_api: Api) -> None:
    """Some libraries send the fields of a staff member bare; the published sample of labels has the plural."""
    email = f"{unique()}@example.com"
    staff = (await shared_api.post("staff.json", {"staff": {"staff_email": email}}))["staff"]
    path = f"staff/{staff['staff_id']}.json"
    assert (await shared_api.put(path, {"staff_full_name": "Ann"}))["staff"][
        "staff_full_name"
    ] == "Ann"
    title = unique()
    made = await shared_api.post("labels.json", {"labels": {"label_title": title}})
    assert made["label"]["label_title"] == title
    channel = await channel_of(shared_api)
    given = {"user_custom_id": unique(), "channel": channel, "content": "Hi", "lables": [1]}
    case = (await shared_api.post("cases.json", {"case": given}))["case"]
    assert case["labels"] == []
    phone = {"user_phone": f"+7916{uuid.uuid4().int % 10**7:07}"}
    linked = await shared_api.put(f"users/{case['user_id']}/link.json", phone)
    other = [each for each in linked["user"]["linked_users"] if each != case["user_id"]]
    unlinked = await shared_api.put(f"users/{case['user_id']}/unlink.json", {"user_id": other[0]})
    assert other[0] not in unlinked["user"]["linked_users"]


async def test_a_library_that_acts_on_several_cases_at_once(shared_api: Api) -> None:
    """Ids that failed are simply not in the answer; the calls for one and for several read their own key."""
    channel = await channel_of(shared_api)
    given = {"case": {"user_custom_id": unique(), "channel": channel, "content": "Hi"}}
    ids = [(await shared_api.post("cases.json", given))["case"]["case_id"] for _ in range(3)]
    several = ",".join(map(str, [*ids, 900001, 900002]))
    for method, verb in (("PUT", "/spam"), ("PUT", "/restore"), ("PUT", "/trash"), ("DELETE", "")):
        path = f"cases/{several}{verb}.json"
        answer = await shared_api.call(method, path, headers=JSON_TYPE, data=b"[]")
        assert (answer.status, answer.json) == (200, {"case_success_id": ids}), verb
    [case_id] = [(await shared_api.post("cases.json", given))["case"]["case_id"]]
    one = await shared_api.put(f"cases/{case_id}/trash.json", [])
    assert one["case_success_id"] == [case_id]
    assert one["case"]["deleted"] is True


async def test_a_client_that_asks_page_by_page_until_it_has_the_total(shared_api: Api) -> None:
    channel = await channel_of(shared_api)
    user = unique()
    given = {"case": {"user_custom_id": user, "channel": channel, "content": "Hi"}}
    for status in ("open", "closed", "open"):
        given["case"]["status"] = status
        await shared_api.post("cases.json", given)
    found: list[Any] = []
    page, total = 1, 1
    while len(found) < total:
        query = [("status[]", "open"), ("status[]", "waiting"), ("user_custom_id", user)]
        query += [("limit", "1"), ("page", str(page)), ("sort", "created_at_asc")]
        answer = await shared_api.call("GET", "cases.json", params=query)
        total = answer.json["total_count"]
        found += [item["case"] for key, item in answer.json.items() if key != "total_count"]
        page += 1
        assert page < 9
    assert [case["status"] for case in found] == ["open", "open"]
