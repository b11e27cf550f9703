"""Cases: who they are of, what their answers show, how they are found and changed."""

from served_api import CONTENT, Api

EXTERNAL_IDS = ["000123", "0", " both ends ", "a,b", "line\r\nbreak", "😀", "Ё" * 255, "%41+&=#"]


async def test_the_same_external_id_is_the_same_user_and_on_another_channel_another(
    api: Api,
) -> None:
    await api.channel()
    await api.channel()
    first = await api.case()
    again = await api.case()
    other = await api.case(channel="cch2")
    assert (first["case_id"], again["case_id"]) == (1, 2)
    assert first["user_id"] == again["user_id"] != other["user_id"]
    assert (first["channel"], first["recipient"]) == ("cch1", "App")


async def test_external_ids_are_kept_byte_for_byte(api: Api) -> None:
    await api.channel()
    cases = {given: await api.case(user_custom_id=given) for given in EXTERNAL_IDS}
    assert len({case["user_id"] for case in cases.values()}) == len(EXTERNAL_IDS)
    for given, case in cases.items():
        user = (await api.get(f"users/{case['user_id']}.json"))["user"]
        assert (user["user_custom_id"], user["user_custom_channel"]) == (given, "cch1")
        answer = await api.call("GET", "cases.json", params={"user_custom_id": given})
        assert [row["case"]["case_id"] for row in list(answer.json.values())[:-1]] == [
            case["case_id"]
        ]


async def test_a_number_as_external_id_is_its_digits(api: Api) -> None:
    await api.channel()
    as_number = await api.case(user_custom_id=55)
    as_text = await api.case(user_custom_id="55")
    assert as_number["user_id"] == as_text["user_id"]


async def test_what_is_told_of_a_user_is_kept_and_brought_up_to_date(api: Api) -> None:
    await api.channel()
    told = {
        "user_full_name": "Анна Пример",
        "company_name": "Example",
        "company_position": "Buyer",
        "user_note": "Likes\r\ntea ",
    }
    case = await api.case(**told, user_email=" Ann@Example.COM ", user_phone="+7 (916) 123-45-67")
    user = (await api.get(f"users/{case['user_id']}.json"))["user"]
    assert user.items() >= told.items()
    assert (user["user_email"], user["user_phone"]) == ("Ann@Example.COM", "+7 (916) 123-45-67")
    await api.case(company_name="Other", user_full_name="")
    user = (await api.get(f"users/{case['user_id']}.json"))["user"]
    assert user["company_name"] == "Other"
    assert user["user_full_name"] == "Анна Пример"


async def test_a_contact_of_another_id_of_the_channel_is_not_linked_and_the_answer_says_so(
    api: Api,
) -> None:
    await api.channel()
    first = await api.case(user_email="ann@example.com", user_phone="+79161234567")
    given = {
        "user_custom_id": "u2",
        "channel": "cch1",
        "user_email": "ANN@example.com",
        "user_phone": "8 916 123-45-67",
        **CONTENT,
    }
    key = {"Idempotency-Key": "one"}
    refused = (await api.post("cases.json", {"case": given}, headers=key))["case"]
    conflict = refused["identity_conflict"]
    assert list(conflict) == ["email", "phone"]
    for each in conflict.values():
        message = each.pop("message")
        assert "not linked" in message
        assert "example" not in message.lower()
        assert each == {"user_id": first["user_id"], "channel": "cch1"}
    assert refused["user_id"] != first["user_id"]
    again = (await api.post("cases.json", {"case": given}, headers=key))["case"]
    assert list(again["identity_conflict"]) == ["email", "phone"]
    assert again["case_id"] == refused["case_id"]
    assert "identity_conflict" not in (await api.get(f"cases/{refused['case_id']}.json"))["case"]
    events = await api.items(f"events.json?user_id={refused['user_id']}", "event")
    assert [e["type"] for e in events].count("user.link_refused.1") == 2
    assert (await api.get("users/1.json"))["user"]["linked_users"] == []


async def test_one_contact_on_two_channels_makes_one_person(api: Api) -> None:
    await api.channel()
    await api.channel()
    first = await api.case(user_email="ann@example.com")
    other = await api.case(channel="cch2", user_email="Ann@example.com ")
    assert "identity_conflict" not in other
    both = [first["user_id"], other["user_id"]]
    for user_id in both:
        assert (await api.get(f"users/{user_id}.json"))["user"]["linked_users"] == both


async def test_a_user_without_a_custom_channel_is_known_by_e_mail_or_phone(api: Api) -> None:
    for given, channel, user_id in [
        ({"user_email": "ann@example.com"}, "email", 1),
        ({"user_phone": "+79161234567"}, "call", 2),
        ({"user_email": "ANN@example.com", "channel": "web"}, "web", 1),
        ({"user_phone": "+79161234567", "user_email": "ann@example.com"}, "email", 1),
    ]:
        made = (await api.post("cases.json", {"case": {**given, **CONTENT}}))["case"]
        assert (made["channel"], made["user_id"]) == (channel, user_id), given
    assert (await api.get("users/2.json"))["user"]["linked_users"] == [1, 2]


async def test_a_case_that_staff_open_waits_for_the_user(api: Api) -> None:
    await api.channel()
    case = await api.case(staff_id=1)
    assert (case["status"], case["staff_id"]) == ("waiting", 1)
    [message] = await api.items("cases/1/messages.json", "message")
    assert (message["staff_id"], message["user_id"]) == (1, 0)
    assert message["message_type"] == "reply_staff"


async def test_a_new_case_takes_what_is_given_and_ignores_what_nobody_knows(api: Api) -> None:
    await api.channel()
    await api.post("groups.json", {"group": {"group_title": "Sales"}})
    given = {
        "subject": "  Тема ",
        "priority": "high",
        "status": "closed",
        "group_id": "1",
        "language_id": 2,
        "recipient": "help@example.com",
    }
    case = await api.case(**given, lables=[1], case_id=77, sent_via_rule=1, user_whatsapp_phone="")
    assert case["case_id"] == 1
    assert case.items() >= {**given, "group_id": 1}.items()
    assert case["closing_speed"] == 0
    assert case["closed_at"] == case["created_at"]


async def test_a_case_is_found_under_each_form_of_its_path(api: Api) -> None:
    await api.channel()
    case = await api.case()
    del case["attachments"]
    for name in ("1", case["case_number"]):
        for form in ("{}.json", "{}", "{}/", "{}.json/"):
            found = await api.get("cases/" + form.format(name))
            assert found["case"] == case, form
        await api.call("POST", f"cases/{name}/messages.json/", {"message": CONTENT})
        case = (await api.get("cases/1.json"))["case"]
    assert (await api.get("cases/1/messages"))["total_count"] == 3


async def test_a_case_is_changed_and_null_means_as_it_was(api: Api) -> None:
    await api.channel()
    await api.post("groups.json", {"group": {"group_title": "Sales"}})
    await api.case(subject="Before")
    changes = {"status": "closed", "priority": "critical", "group_id": "1", "staff_id": 1}
    changes["language_id"] = 2
    changed = (await api.put("cases/1.json", {"case": {**changes, "subject": None}}))["case"]
    assert changed.items() >= {**changes, "group_id": 1, "subject": "Before"}.items()
    assert changed["closed_at"] != "-"
    head = api.head()
    for nothing in ({"case": {**changes, "case_id": 1, "custom_fields": []}}, [], {}, None):
        assert (await api.put("cases/1.json", nothing))["case"] == changed
    assert api.head() == head
    free = (await api.put("cases/1.json", {"case": {"staff_id": 0, "status": "open"}}))["case"]
    assert (free["staff_id"], free["closed_at"], free["closing_speed"]) == (0, "-", "-")


async def test_copies_are_given_as_a_text_or_as_a_list(api: Api) -> None:
    await api.channel()
    for given in ("a@example.com, B@Example.com", ["a@example.com", "B@Example.com"]):
        case = await api.case(cc_emails=given, bcc_emails=["c@example.com", ""])
        assert (case["cc_emails"], case["bcc_emails"]) == (
            "a@example.com,B@Example.com",
            "c@example.com",
        )
    body = {"case": {"user_custom_id": "u1", "channel": "cch1", "cc_emails": "a@", **CONTENT}}
    assert (await api.call("POST", "cases.json", body)).refusal == (400, "wrong_email")


async def test_a_case_is_rated(api: Api) -> None:
    await api.channel()
    assert "rating" not in await api.case(staff_id=1)
    rate = {"rating": "high", "rating_comment": "cool", "rated_staff_id": "1"}
    rated = (await api.put("cases/1/rate.json", {"rate": rate}))["case"]
    assert rated.items() >= {**rate, "rated_staff_id": 1}.items()
    head = api.head()
    assert (await api.put("cases/1/rate.json", {"rate": rate}))["case"] == rated
    assert api.head() == head
    rated = (await api.put("cases/1/rate.json", {"rate": {"rating": "low"}}))["case"]
    assert (rated["rating"], rated["rating_comment"], rated["rated_staff_id"]) == ("low", "", 1)
    for wrong, refusal in [
        ({}, (400, "incorrect_rating")),
        ({"rating": "best"}, (400, "incorrect_rating")),
        ({"rating": "low", "rating_comment": "x" * 4097}, (400, "too_long")),
        ({"rating": "low", "rated_staff_id": 9}, (404, "staff_not_found")),
    ]:
        assert (await api.call("PUT", "cases/1/rate.json", {"rate": wrong})).refusal == refusal
    missing = await api.call("PUT", "cases/9/rate.json", {"rate": rate})
    assert missing.refusal == (404, "case_not_found")


async def test_trash_and_spam_are_not_listed_until_restored(api: Api) -> None:
    await api.channel()
    await api.case()
    assert (await api.put("cases/1/trash.json"))["case"]["deleted"] is True
    assert (await api.put("cases/1/spam.json", []))["case"]["spam"] is True
    assert await api.get("cases.json") == {"total_count": 0}
    assert (await api.get("cases.json?deleted=1"))["total_count"] == 1
    restored = (await api.put("cases/1/restore.json"))["case"]
    assert (restored["deleted"], restored["spam"]) == (False, False)
    assert (await api.get("cases.json"))["total_count"] == 1


async def test_who_writes_to_a_case_in_the_trash_is_told_where_it_is(api: Api) -> None:
    await api.channel()
    await api.case()
    await api.put("cases/1/trash.json")
    refused = await api.call("POST", "cases/1/note.json", {"note": {"content": "x"}})
    assert refused.refusal == (404, "case_not_found")
    assert "in the trash" in refused.json["message"]


async def test_a_deleted_case_is_not_found_by_any_call(api: Api) -> None:
    await api.channel()
    await api.case()
    deleted = await api.call("DELETE", "cases/1.json")
    assert (deleted.status, deleted.json) == (200, {"case_success_id": [1]})
    for method, path in [
        ("GET", "cases/1.json"),
        ("GET", "cases/1/messages.json"),
        ("GET", f"cases/1.json?as_of={api.head() - 1}"),
        ("PUT", "cases/1.json"),
        ("PUT", "cases/1/restore.json"),
        ("DELETE", "cases/1.json"),
    ]:
        assert (await api.call(method, path)).refusal == (404, "case_not_found")
    assert await api.get("cases.json") == {"total_count": 0}


async def test_several_cases_are_changed_by_one_call(api: Api) -> None:
    await api.channel()
    numbers = [(await api.case())["case_number"] for _ in range(4)]
    await api.call("DELETE", "cases/4.json")
    for action, key in (("trash", "deleted"), ("spam", "spam")):
        path = f"cases/3,{numbers[0]},9,4,x,1,/{action}.json"
        assert await api.put(path) == {"case_success_id": [3, 1]}
        for case_id, is_set in ((1, True), (2, False), (3, True)):
            assert (await api.get(f"cases/{case_id}.json"))["case"][key] is is_set
    assert await api.put("cases/1,2,3/restore", []) == {"case_success_id": [1, 2, 3]}
    assert (await api.get("cases.json"))["total_count"] == 3
    one = await api.put("cases/2/trash.json")
    assert (one["case"]["case_id"], one["case_success_id"]) == (2, [2])
    assert (await api.call("DELETE", "cases/1,2,77.json")).json == {"case_success_id": [1, 2]}
    assert (await api.get("cases.json"))["total_count"] == 1
    many = ",".join(map(str, range(1, 12)))
    for method, path in (("PUT", f"cases/{many}/trash.json"), ("DELETE", f"cases/{many}.json")):
        assert (await api.call(method, path)).refusal == (400, "too_many_cases")
    assert (await api.call("PUT", "cases/,/trash.json")).refusal == (404, "case_not_found")


async def test_what_is_written_to_a_merged_case_goes_to_its_parent(api: Api) -> None:
    await api.channel()
    first, second = await api.case(), await api.case()
    merge = {"case": {"parent_case_id": first["case_number"]}}
    merged = (await api.put("cases/2/merge.json", merge))["case"]
    assert (merged["parent_case_id"], merged["status"]) == (1, "closed")
    assert (await api.put("cases/2/merge.json", {"case": {"parent_case_id": 1}}))["case"] == merged
    for _ in range(2):
        await api.message(2, user_id=second["user_id"])
    assert (await api.get("cases/1/messages.json"))["total_count"] == 3
    assert [case["case_id"] for case in await api.items("cases.json", "case")] == [1]
    everything = await api.items("cases.json?show_merged_cases=1", "case")
    assert [case["case_id"] for case in everything] == [2, 1]
    assert (await api.put("cases/2/unmerge.json"))["case"]["parent_case_id"] == 0
    assert (await api.put("cases/2/unmerge.json"))["case"]["parent_case_id"] == 0
    await api.message(2, user_id=second["user_id"])
    assert (await api.get("cases/2/messages.json"))["total_count"] == 2


async def test_cases_of_two_users_are_not_merged(api: Api) -> None:
    await api.channel()
    await api.case()
    await api.case(user_custom_id="u2")
    for parent, refusal in [
        (2, (400, "cannot_merge")),
        (1, (400, "cannot_merge")),
        (9, (404, "case_not_found")),
        ("x", (404, "case_not_found")),
        (None, (400, "invalid_parameters")),
    ]:
        body = {"case": {"parent_case_id": parent}}
        assert (await api.call("PUT", "cases/1/merge.json", body)).refusal == refusal


QUERIES: list[tuple[str, list[int]]] = [
    ("", [4, 3, 2, 1]),
    ("?sort=created_at_asc", [1, 2, 3, 4]),
    ("?sort=updated_at_desc", [1, 4, 3, 2]),
    ("?sort=priority_desc&limit=1", [2]),
    ("?sort=status_asc", [4, 2, 1, 3]),
    ("?channel=cch1", [2, 1]),
    ("?channel[]=cch1&channel[]=email", [4, 2, 1]),
    ("?channel[0]=cch2", [3]),
    ("?channel=cch1,cch2", [3, 2, 1]),
    ("?channel=cch77", []),
    ("?status=open", [4, 2]),
    ("?status[]=waiting&status[]=closed", [3, 1]),
    ("?user_id=1", [1]),
    ("?user_id=1&user_id=2", [2, 1]),
    ("?user_custom_id=u1", [3, 1]),
    ("?user_custom_id[]=u1&user_custom_id[]=u2", [3, 2, 1]),
    ("?user_custom_id=u1&channel=cch2", [3]),
    ("?user_email=ANN@", [4]),
    ("?staff_id=1", [3]),
    ("?staff_id=0", [4, 2, 1]),
    ("?priority=high", [2]),
    ("?subject=прив", [2]),
    ("?from_time=2020-01-01&to_time=2099-12-31+23:59:59", [4, 3, 2, 1]),
    ("?from_time=4070908800", []),
    ("?to_time=Mon,+05+May+2014+00:15:17+0300", []),
    ("?from_updated_time=2020-01-01T00:00:00Z", [4, 3, 2, 1]),
    ("?limit=3", [4, 3, 2]),
    ("?limit=3&page=2", [1]),
    ("?limit=3&page=0", [4, 3, 2]),
    ("?limit=3&page=3", []),
    ("?page=501", []),
    ("?status=&channel[]=&user_id=", [4, 3, 2, 1]),
    ("?unknown=1&show_active_chats=True", [4, 3, 2, 1]),
]


async def test_pages_go_on_where_the_one_before_ended_whatever_has_moved(api: Api) -> None:
    await api.channel()
    for _ in range(5):
        await api.case()
    path, seen = "cases.json?sort=updated_at_asc&limit=2&page=1", []
    while True:
        page = await api.call("GET", path)
        assert page.json["total_count"] >= 5
        seen += [row["case"]["case_id"] for row in list(page.json.values())[:-1]]
        if "Link" not in page.headers:
            break
        path = page.headers["Link"].removeprefix("</api/").removesuffix('>; rel="next"')
        if len(seen) == 2:
            await api.put("cases/2.json", {"case": {"priority": "high"}})
            await api.case()
    assert seen == [1, 2, 3, 4, 5, 2, 6]
    cursor = path.partition("cursor=")[2]
    assert (await api.get(f"cases.json?sort=updated_at_asc&cursor={cursor}"))["total_count"] == 6
    for wrong in ("x", "Ж", cursor[:-2] + "AA", cursor + "A" * 999, "A" * 44):
        refused = await api.call("GET", f"cases.json?sort=updated_at_asc&cursor={wrong}")
        assert refused.refusal == (400, "wrong_cursor"), wrong
    refused = await api.call("GET", f"cases.json?cursor={cursor}")
    assert refused.refusal == (400, "wrong_cursor")


async def test_cases_are_filtered_sorted_and_paged(api: Api) -> None:
    await api.channel()
    await api.channel()
    await api.case()
    await api.case(user_custom_id="u2", priority="high", subject="ПРИВЕТ")
    await api.case(channel="cch2", status="closed", staff_id=1)
    await api.post("cases.json", {"case": {"user_email": "ann@example.com", **CONTENT}})
    await api.message(1)
    for query, ids in QUERIES:
        found = await api.get(f"cases.json{query}")
        total = found.pop("total_count")
        assert [row["case"]["case_id"] for row in found.values()] == ids, query
        assert list(found) == [str(at) for at in range(len(ids))]
        assert total >= len(ids)
    past = await api.call("GET", "cases.json?channel=cch1&page=2")
    assert past.text == '{\n    "total_count": 2\n}'
