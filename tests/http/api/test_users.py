"""Profiles: one for each identity, with details, contacts and links."""

from typing import Any

from served_api import Api

QUERIES: list[tuple[str, list[int]]] = [
    ("", [1, 2, 3, 4]),
    ("?user_email=ann", [1, 3]),
    ("?user_email=^ANN@example.com^", [1, 3]),
    ("?user_phone=916 123", [4]),
    ("?user_custom_id=u1", [1, 2]),
    ("?user_custom_id=u1&user_custom_channel=cch2", [2]),
    ("?user_custom_channel[]=1&user_custom_channel[]=cch2", [1, 2]),
    ("?language_id=2", [3]),
    ("?from_time=2020-01-01&to_time=2099-01-01", [1, 2, 3, 4]),
    ("?to_time=2020-01-01", []),
    ("?from_last_contact_time=2020-01-01", [1]),
    ("?limit=3&page=2", [4]),
]


async def test_users_are_filtered_and_paged(api: Api) -> None:
    await api.channel()
    await api.channel()
    await api.case(user_email="Ann@example.com")
    for given in (
        {"user_custom_id": "u1", "user_custom_channel": "cch2"},
        {"user_email": "ann@example.com", "language_id": 2},
        {"user_phone": "+7 916 123-45-67"},
    ):
        await api.post("users.json", {"user": given})
    for query, ids in QUERIES:
        found = await api.items(f"users.json{query}", "user")
        assert [user["user_id"] for user in found] == ids, query
    assert await api.get("users.json?page=2") == {"total_count": 4}
    amounts = await api.items("users.json?amount_of_cases=True", "user")
    assert [user["amount_of_cases"] for user in amounts] == [1, 0, 0, 0]
    assert [user["linked_users"] for user in amounts] == [[1, 3], [], [1, 3], []]


PROFILES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (
        {"user_custom_id": 55, "user_custom_channel": "cch1"},
        {"type": "custom", "user_custom_id": "55", "user_screen_name": "55"},
    ),
    (
        {"user_custom_id": "056", "user_custom_channel": 1},
        {"type": "custom", "user_custom_channel": "cch1", "user_email": ""},
    ),
    (
        {"user_email": " Ann@Example.com"},
        {"type": "email", "user_email": "Ann@Example.com", "user_phone": ""},
    ),
    (
        {"user_phone": "8 (916) 123-45-67"},
        {"type": "phone", "user_phone": "+79161234567", "user_screen_name": "+79161234567"},
    ),
]


async def test_a_profile_is_of_its_identitys_type(api: Api) -> None:
    await api.channel()
    for given, shown in PROFILES:
        made = (await api.post("users.json", {"user": given}))["user"]
        assert made.items() >= shown.items()
        assert await api.get(f"users/{made['user_id']}.json") == {"user": made}


async def test_a_refused_link_is_told_by_the_answer_and_by_its_repeat(api: Api) -> None:
    await api.channel()
    await api.case(user_email="ann@example.com")
    given = {
        "user_custom_id": "u2",
        "user_custom_channel": "cch1",
        "user_email": "ann@example.com",
    }
    key = {"Idempotency-Key": "one"}
    made = (await api.post("users.json", {"user": given}, headers=key))["user"]
    assert made["identity_conflict"]["email"]["user_id"] == 1
    again = (await api.post("users.json", {"user": given}, headers=key))["user"]
    assert again == made
    shown = (await api.get(f"users/{made['user_id']}.json"))["user"]
    assert "identity_conflict" not in shown
    assert (shown["user_email"], shown["linked_users"]) == ("", [])


TAKEN: list[tuple[dict[str, Any], str]] = [
    ({"user_custom_id": "u1", "user_custom_channel": "cch1"}, "user_custom_id_already_exist"),
    ({"user_email": "ANN@example.com "}, "email_already_exist"),
    ({"user_phone": "8 916 123-45-67"}, "phone_already_exist"),
]


async def test_an_identity_that_has_a_profile_is_not_given_another(api: Api) -> None:
    await api.channel()
    await api.case()
    await api.post("users.json", {"user": {"user_email": "ann@example.com"}})
    await api.post("users.json", {"user": {"user_phone": "+79161234567"}})
    head = api.head()
    for given, code in TAKEN:
        refused = await api.call("POST", "users.json", {"user": given})
        assert refused.refusal == (400, code)
    assert api.head() == head


async def test_a_profiles_details_are_changed(api: Api) -> None:
    await api.channel()
    await api.case(user_full_name="Ann")
    changes = {"company_name": "Example", "user_note": "VIP", "language_id": 2}
    changed = (await api.put("users/1.json", {"user": {**changes, "user_full_name": ""}}))["user"]
    assert changed.items() >= {**changes, "user_full_name": "Ann"}.items()
    head = api.head()
    assert (await api.put("users/1.json", {"user": changes}))["user"] == changed
    assert (await api.put("users/1.json", []))["user"] == changed
    assert api.head() == head
