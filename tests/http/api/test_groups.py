"""Groups of staff."""

from served_api import CONTENT, Api

CASE = {"user_custom_id": "u1", "channel": "cch1", **CONTENT}


async def test_groups_are_made_shown_and_listed(api: Api) -> None:
    given = {"group_title": "Sales ", "group_from_name": "We", "group_signature": "Yours\r\n"}
    made = (await api.post("groups.json", {"group": given}))["group"]
    assert made.items() >= given.items()
    assert list(made) == [
        "group_id",
        "group_title",
        "group_from_name",
        "group_signature",
        "active",
        "replace_group_id",
        "handing_over",
        "created_at",
        "updated_at",
    ]
    assert await api.get("groups/1.json") == await api.get("groups/1") == {"group": made}
    assert await api.items("groups.json", "group") == [made]
    assert await api.get("groups.json?page=2") == {"total_count": 1}


async def test_a_group_is_changed_disabled_and_enabled(api: Api) -> None:
    made = (await api.post("groups.json", {"group": {"group_title": "Sales"}}))["group"]
    await api.post("groups.json", {"group_title": "Support"})
    changed = (await api.put("groups/1", {"group_title": "Sellers", "group_signature": ""}))[
        "group"
    ]
    assert changed == {**made, "group_title": "Sellers", "updated_at": changed["updated_at"]}
    disabled = (await api.put("groups/1/disable.json", {"group": {"replace_group_id": 2}}))["group"]
    assert (disabled["active"], disabled["replace_group_id"]) == (False, 2)
    assert disabled["handing_over"] is True
    await api.channel()
    refused = await api.call("POST", "cases.json", {"case": {**CASE, "group_id": 1}})
    assert refused.refusal == (400, "group_not_active")
    enabled = (await api.put("groups/1/enable.json", []))["group"]
    assert (enabled["active"], enabled["replace_group_id"]) == (True, 0)
    head = api.head()
    for method, path in [("PUT", "groups/1/disable.json"), ("DELETE", "groups/1.json")]:
        for replacement, refusal in {
            1: (400, "incorrect_replacement"),
            77: (404, "group_not_found"),
        }.items():
            given = {"group": {"replace_group_id": replacement}}
            assert (await api.call(method, path, given)).refusal == refusal
    for method, path in [
        ("PUT", "groups/77.json"),
        ("PUT", "groups/77/disable.json"),
        ("PUT", "groups/x/enable.json"),
        ("DELETE", "groups/77.json"),
    ]:
        assert (await api.call(method, path, {})).refusal == (404, "group_not_found")
    assert api.head() == head


async def test_a_group_with_cases_that_are_not_closed_is_deleted_only_with_a_replacement(
    api: Api,
) -> None:
    for title in ("Sales", "Support", "Night"):
        await api.post("groups.json", {"group": {"group_title": title}})
    await api.channel()
    await api.case(group_id=1)
    await api.put("cases/1/trash.json")
    refused = await api.call("DELETE", "groups/1.json")
    assert refused.refusal == (400, "replacement_required")
    assert refused.json["fields"] == {"replace_group_id": "is required"}
    deleted = await api.call("DELETE", "groups/1.json", {"group": {"replace_group_id": 2}})
    assert (deleted.status, deleted.text) == (200, "")
    await api.case(group_id=3)
    await api.put("cases/2.json", {"case": {"status": "closed"}})
    assert (await api.call("DELETE", "groups/3.json")).status == 200
    assert (await api.get("cases/2.json"))["case"]["group_id"] == 3
    assert [each["group_id"] for each in await api.items("groups.json", "group")] == [2]
    assert (await api.call("GET", "groups/3")).refusal == (404, "group_not_found")
    reopened = await api.put("cases/2.json", {"case": {"status": "open"}})
    assert reopened["case"]["group_id"] == 0
