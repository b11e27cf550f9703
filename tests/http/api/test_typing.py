"""Who is typing is told and asked over the API, and nothing of it is an event."""

from served_api import Api


async def test_users_and_staff_are_seen_typing_and_the_log_knows_nothing(api: Api) -> None:
    await api.channel(channel_type="sync", webhook_typing=True)
    case = await api.case()
    assert await api.get("cases/1/typing.json") == {"total_count": 0}
    head = api.head()
    path = "cases/1/typing.json"
    said = await api.call("POST", path, {"typing": {"user_id": str(case["user_id"])}})
    assert said.status == 200
    assert said.json["typing"]["user_id"] == case["user_id"]
    again = await api.call("POST", path, {"user_id": case["user_id"]})
    assert again.json == said.json
    own = await api.call("POST", f"cases/{case['case_number']}/typing.json")
    assert own.json["typing"]["staff_id"] == 1
    typing = await api.items(path, "typing")
    assert [(each["user_id"], each["staff_id"]) for each in typing] == [(1, 0), (0, 1)]
    assert api.head() == head


async def test_typing_in_a_merged_case_is_typing_where_its_messages_go(api: Api) -> None:
    await api.channel()
    await api.case()
    await api.case()
    await api.put("cases/2/merge.json", {"case": {"parent_case_id": 1}})
    said = await api.call("POST", "cases/2/typing.json", {"user_id": 1})
    assert said.status == 200
    assert await api.get("cases/1/typing.json") == await api.get("cases/2/typing.json")
    assert (await api.get("cases/1/typing.json"))["total_count"] == 1


async def test_who_may_not_write_there_does_not_type_there(api: Api) -> None:
    await api.channel()
    await api.case()
    await api.case(user_custom_id="u2", user_email="b@example.com")
    linked = await api.case(
        user_custom_id=None, channel="email", user_email="b@example.com", content="x"
    )
    staff = {"staff_email": "bob@example.com", "staff_full_name": "Bob"}
    await api.post("staff.json", {"staff": staff})
    await api.put("staff/2/disable.json")
    for case_id, body, refusal in [
        (9, {}, (404, "case_not_found")),
        (1, {"user_id": 1, "staff_id": 1}, (400, "ambiguous_author")),
        (1, {"user_id": 99}, (404, "user_not_found")),
        (1, {"user_id": 2}, (403, "user_has_not_access")),
        (1, {"staff_id": 99}, (404, "staff_not_found")),
        (1, {"staff_id": 2}, (400, "staff_not_active")),
    ]:
        refused = await api.call("POST", f"cases/{case_id}/typing.json", {"typing": body})
        assert refused.refusal == refusal
    theirs = await api.call("POST", "cases/2/typing.json", {"user_id": linked["user_id"]})
    assert theirs.status == 200
    await api.put("cases/1/trash.json")
    trashed = await api.call("POST", "cases/1/typing.json")
    assert trashed.refusal == (404, "case_not_found")
    missing = await api.call("GET", "cases/9/typing.json")
    assert missing.refusal == (404, "case_not_found")
