"""Profiles: one for each identity, with details, contacts and links."""

import re
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
    (
        {"user_telegram": " @Ann ", "user_email": "ann@example.com"},
        {
            **dict.fromkeys(("user_telegram", "user_telegram_data", "telegram_id"), "@Ann"),
            "type": "telegram",
            "user_email": "ann@example.com",
            "user_phone": "",
        },
    ),
    (
        {"user_whatsapp_phone": "8 916 123-45-68"},
        {
            "type": "whatsapp",
            "user_whatsapp_phone": "+79161234568",
            "user_phone": "8 916 123-45-68",
        },
    ),
    ({"user_facebook": 123}, {"type": "facebook", "facebook_id": 123, "user_facebook": "123"}),
    ({"user_facebook": "ann.e"}, {"facebook_id": 0, "user_screen_name": "ann.e"}),
    *[
        ({f"user_{type_}": "Ann"}, {"type": type_, f"user_{type_}": "Ann"})
        for type_ in (
            *("viber", "vkontakte", "odnoklassniki", "instagram", "skype"),
            *("line", "slack", "mattermost", "avito"),
        )
    ],
]


async def test_a_profile_is_of_its_identitys_type(api: Api) -> None:
    await api.channel()
    for given, shown in PROFILES:
        made = (await api.post("users.json", {"user": given}))["user"]
        assert made.items() >= shown.items()
        assert made.pop("password")
        again = (await api.get(f"users/{made['user_id']}.json"))["user"]
        assert again == {**made, "linked_users": again["linked_users"]}


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
    ({"user_telegram_data": "ann"}, "identity_already_exist"),
]


async def test_an_identity_that_has_a_profile_is_not_given_another(api: Api) -> None:
    await api.channel()
    await api.case()
    await api.post("users.json", {"user": {"user_email": "ann@example.com"}})
    await api.post("users.json", {"user": {"user_phone": "+79161234567"}})
    await api.post("users.json", {"user": {"user_telegram": "@Ann"}})
    head = api.head()
    for given, code in TAKEN:
        refused = await api.call("POST", "users.json", {"user": given})
        assert refused.refusal == (400, code)
    assert api.head() == head


async def test_the_profile_of_an_e_mail_or_phone_gets_another_one(api: Api) -> None:
    await api.channel()
    await api.case(user_email="ann@example.com")
    for given in ({"user_email": "ann@example.com"}, {"user_phone": "+79161234567"}):
        await api.post("users.json", {"user": given})
    both = {"user_email": "new@example.com", "user_phone": "+79161234568"}
    shown = [(await api.put(f"users/{each}.json", {"user": both}))["user"] for each in (1, 2, 3)]
    assert [(user["user_email"], user["user_phone"]) for user in shown] == [
        ("ann@example.com", ""),
        ("new@example.com", ""),
        ("", "+79161234568"),
    ]
    assert [user["linked_users"] for user in shown] == [[1, 2], [], []]
    await api.post("users.json", {"user": {"user_email": "ann@example.com"}})
    for user, given, code in (
        (2, {"user_email": "ann@example.com"}, (400, "email_already_exist")),
        (2, {"user_email": "ann"}, (400, "wrong_email")),
        (3, {"user_phone": "x"}, (400, "wrong_phone")),
    ):
        assert (await api.call("PUT", f"users/{user}.json", {"user": given})).refusal == code


async def test_profiles_are_linked_by_hand_and_parted_again(api: Api) -> None:
    await api.channel()
    for external_id in ("a", "b"):
        await api.case(user_custom_id=external_id)
    linked = [
        (await api.put("users/1/link.json", body))["user"]["linked_users"]
        for body in (
            {"user_id": "2"},
            {"user_id": 2},
            {"user": {"user_email": "ann@example.com"}},
            {"user_email": "ANN@example.com"},
            {"user_phone": "8 916 123-45-67", "user_email": ""},
        )
    ]
    assert linked == [[1, 2], [1, 2], [1, 2, 3], [1, 2, 3], [1, 2, 3, 4]]
    for body, expected in (
        ({"user_id": 3}, [1, 2, 4]),
        ({"user_id": "3"}, [1, 2, 4]),
        ({"user_id": 2}, [1, 4]),
        ({"user": {"user_id": 4}}, []),
    ):
        parted = (await api.put("users/1/unlink.json", body))["user"]
        assert parted["linked_users"] == expected
    # What was undone does not come back with the next case.
    again = await api.case(user_custom_id="a", user_email="ann@example.com")
    assert "identity_conflict" not in again
    assert (await api.get("users/1.json"))["user"]["linked_users"] == []
    head = api.head()
    for path, body, refusal in (
        ("users/1/link.json", {}, (400, "invalid_parameters")),
        ("users/1/link.json", {"user_id": 99}, (404, "user_not_found")),
        ("users/99/link.json", {"user_id": 1}, (404, "user_not_found")),
        ("users/1/link.json", {"user_phone": "x"}, (400, "wrong_phone")),
        ("users/1/unlink.json", [], (400, "invalid_parameters")),
        ("users/1/unlink.json", {"user_id": 99}, (404, "user_not_found")),
    ):
        assert (await api.call("PUT", path, body)).refusal == refusal, path
    assert api.head() == head


async def test_a_user_is_blocked_disabled_restored_and_deleted(api: Api) -> None:
    await api.channel()
    await api.case()
    blocked = (await api.put("users/1/block.json", []))["user"]
    assert (blocked["active"], blocked["deleted"]) == (False, False)
    assert (await api.case())["spam"]
    disabled = (await api.put("users/1/disable.json", []))["user"]
    assert (disabled["active"], disabled["deleted"]) == (False, True)
    restored = (await api.put("users/1/restore.json"))["user"]
    assert (restored["active"], restored["deleted"]) == (True, False)
    assert not (await api.case())["spam"]
    deleted = await api.call("DELETE", "users/1.json", [])
    assert (deleted.status, deleted.text) == (200, "")
    assert await api.get("users.json") == {"total_count": 0}
    for method, path in (
        ("GET", "users/1.json"),
        ("DELETE", "users/1.json"),
        *(("PUT", f"users/1/{what}.json") for what in ("block", "disable", "restore")),
    ):
        assert (await api.call(method, path)).refusal == (404, "user_not_found")
    assert (await api.case())["user_id"] == 2


async def test_a_code_links_whoever_presents_it(api: Api) -> None:
    await api.channel()
    given = {"user_email": "ann@example.com", "user_full_name": "Ann"}
    code = (await api.post("users/identification.json", {"user": given}))["code"]
    assert re.fullmatch(r"o_[\w-]{1,62}", code)
    case = await api.case(user_identification_code=code)
    assert (await api.get("users/1.json"))["user"]["linked_users"] == [1, case["user_id"]]
    other = {"user_telegram": "ann", "user_identification_code": code}
    made = (await api.post("users.json", {"user": other}))["user"]
    assert made["linked_users"] == [1, 2, 3]
    conflict = (await api.case(user_custom_id="u2", user_identification_code=code))[
        "identity_conflict"
    ]
    assert conflict["user"]["user_id"] == 2
    again = (await api.post("users/identification.json", {"user_email": "ann@example.com"}))["code"]
    await api.call("DELETE", "users/1.json")
    for wrong in (f"{code}x", "o_1_FFFFFFFF_AAAAAAAAAAAAAAAA", "x", again):
        refused = await api.call(
            "POST", "users.json", {"user": {"user_viber": "v", "user_identification_code": wrong}}
        )
        assert refused.refusal == (400, "wrong_identification_code"), wrong
    nobody = await api.call("POST", "users/identification.json", {"user": {"user_note": "x"}})
    assert nobody.refusal == (400, "user_identity_required")


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
