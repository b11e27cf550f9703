"""A case's changelog: what was changed, by whom, and how one asks for a part of it."""

from typing import Any

from served_api import Api

FILTERS: list[tuple[str, list[str]]] = [
    (
        "",
        [
            "status",
            "status",
            "staff",
            "group",
            "priority",
            "subject",
            "labels",
            "labels",
            "language",
            "rating",
        ],
    ),
    ("?status=open", ["status"]),
    ("?status=waiting,open", ["status"]),
    ("?status=closed,open", []),
    ("?status=a%0Db", []),
    ("?status=any,any", ["status", "status"]),
    ("?staff=empty,1", ["staff"]),
    ("?staff=1", ["staff"]),
    ("?staff=empty", []),
    ("?labels=1&priority=high", ["priority", "labels"]),
    ("?labels=empty", ["labels"]),
    ('?subject=empty,"Card,+paid"', ["subject"]),
    ("?subject=Card", []),
    ("?show_chat_activation=1", []),
    ("?fixed_chat_staff=1&language=2", ["language"]),
    ("?rules[]=5&rules[]=6", []),
    ("?page=2&limit=3", ["group", "priority", "subject"]),
    ("?page=9", []),
]


async def changes(api: Api, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await api.get(f"cases/1/changelog.json{query}"))["changelog"]
    return found


async def test_each_change_says_who_made_it_and_from_what_to_what(api: Api) -> None:
    await api.channel()
    await api.post("groups.json", {"group": {"group_title": "Sales"}})
    await api.post("labels.json", {"label": {"label_title": "VIP"}})
    case = await api.case()
    assert await changes(api) == []
    await api.message(1)
    await api.message(1, user_id=case["user_id"])
    for field, value in (
        ("staff_id", 1),
        ("group_id", 1),
        ("priority", "high"),
        ("subject", "Card, paid"),
        ("add_labels", [1]),
        ("delete_labels", [1]),
        ("language_id", 2),
    ):
        await api.put("cases/1.json", {"case": {field: value}})
    await api.put("cases/1/rate.json", {"rate": {"rating": "high"}})
    found = await changes(api)
    assert [tuple(each.values())[1:] for each in found] == [
        ("status", "staff_1", "open", "waiting"),
        ("status", f"user_{case['user_id']}", "waiting", "open"),
        ("staff", "staff_1", "0", "1"),
        ("group", "staff_1", "0", "1"),
        ("priority", "staff_1", "normal", "high"),
        ("subject", "staff_1", "", "Card, paid"),
        ("labels", "staff_1", "", "1"),
        ("labels", "staff_1", "1", ""),
        ("language", "staff_1", "0", "2"),
        ("rating", "staff_1", "", "high"),
    ]
    for query, kinds in FILTERS:
        assert [each["event"] for each in await changes(api, query)] == kinds, query
    for query in (
        "?status[]=waiting",
        "?status[]=",
        "?page[]=1&limit[0]=1&status[]=open&status[]=waiting",
    ):
        kinds = [each["event"] for each in await changes(api, query)]
        assert kinds == (["status"] if "waiting" in query else [each["event"] for each in found])
    number = (await api.get("cases/1.json"))["case"]["case_number"]
    assert (await api.get(f"cases/{number}/changelog.json"))["changelog"] == found
    missing = await api.call("GET", "cases/9/changelog.json")
    assert missing.refusal == (404, "case_not_found")


async def test_custom_fields_and_chats_have_changes_of_their_own(api: Api) -> None:
    await api.channel(channel_type="sync")
    field = {"title": "Order", "field_type": "text", "field_level": "case"}
    await api.post("custom_fields.json", {"custom_field": field})
    await api.case(custom_fields={"cf_1": "77"})
    await api.put("cases/1.json", {"case": {"staff_id": 1, "custom_fields": {"cf_1": "78"}}})
    found = await changes(api, "?custom_fields=any")
    assert [(each["old_value"], each["value"]) for each in found][-1] == ("cf_1: 77", "cf_1: 78")
    [started] = await changes(api, "?show_chat_activation=1")
    assert started["event"] == "chat_activation"
