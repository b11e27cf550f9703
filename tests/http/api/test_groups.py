"""Groups of staff."""

from served_api import Api


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
        "created_at",
        "updated_at",
    ]
    assert await api.get("groups/1.json") == await api.get("groups/1") == {"group": made}
    assert await api.items("groups.json", "group") == [made]
    assert await api.get("groups.json?page=2") == {"total_count": 1}
