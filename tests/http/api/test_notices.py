"""Notices: what staff are told of delivery, and what each of them has read."""

from served_api import Api


async def kinds(api: Api, query: str = "") -> list[tuple[int, str, bool]]:
    found = await api.items(f"notices.json{query}", "notice")
    return [(each["channel_id"], each["kind"], each["read"]) for each in found]


async def test_notices_are_listed_filtered_and_read_by_each_staff_member_alone(api: Api) -> None:
    for channel_id in (await api.channel(), await api.channel()):
        await api.put(f"custom_channels/{channel_id}/pause.json", {"reason": "Moving"})
    await api.put("custom_channels/1/resume.json")
    newest, *_ = await api.items("notices.json", "notice")
    assert newest["sentence"] == "Delivery to channel cch1 was resumed by staff member 1."
    assert await kinds(api) == [
        (1, "resumed", False),
        (2, "paused", False),
        (1, "paused", False),
    ]
    assert await kinds(api, "?channel=cch2") == [(2, "paused", False)]
    assert await kinds(api, "?kind=paused&limit=1&page=2") == [(1, "paused", False)]
    assert (await api.get("notices.json?kind=failing"))["total_count"] == 0

    head = api.head()
    read = await api.put(f"notices/{newest['notice_id']}/read.json")
    assert read["notice"] == newest | {"read": True}
    assert (await api.put(f"notices/{newest['notice_id']}/read.json")) == read
    assert api.head() == head + 1
    assert await kinds(api, "?unread=1") == [(2, "paused", False), (1, "paused", False)]
    assert await kinds(api, "?unread=0") == [(1, "resumed", True)]
    assert (await api.call("PUT", "notices/read_all.json")).text == ""
    assert await kinds(api, "?unread=1") == []
    await api.put("custom_channels/2/resume.json")
    assert await kinds(api, "?unread=1") == [(2, "resumed", False)]
    await api.call("PUT", "notices/read_all.json")
    assert await kinds(api, "?unread=1") == []

    staff = {"staff_email": "ann@example.com", "staff_full_name": "Ann", "staff_role": "staff"}
    made = await api.post("staff.json", {"staff": staff})
    async with api.as_staff("ann@example.com", made["staff"]["api_key"]) as ann:
        assert len(await kinds(ann, "?unread=1")) == 4
    for path in ("999", "x"):
        unknown = await api.call("PUT", f"notices/{path}/read.json")
        assert unknown.refusal == (404, "notice_not_found")
    assert (await api.call("GET", "notices.json?kind=lost")).refusal == (400, "invalid_parameters")
