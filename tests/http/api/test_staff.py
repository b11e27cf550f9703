"""Colleagues, their roles and their API keys."""

from served_api import EMAIL, Api

BOB = {"staff_email": "Bob@example.com", "staff_full_name": "Bob"}


async def test_a_new_colleagues_first_key_is_shown_once_and_works(api: Api) -> None:
    key = {"Idempotency-Key": "one"}
    made = (await api.post("staff.json", {"staff": BOB}, headers=key))["staff"]
    secret = made.pop("api_key")
    assert (await api.post("staff.json", {"staff": BOB}, headers=key))["staff"] == made
    assert await api.get("staff/2.json") == {"staff": made}
    assert secret not in (await api.call("GET", "events.json")).text
    listed = await api.items("staff.json", "staff")
    assert [each["staff_email"] for each in listed] == [EMAIL, "Bob@example.com"]
    for email in ("Bob@example.com", "bob@EXAMPLE.com"):
        async with api.as_staff(email, secret) as bob:
            assert (await bob.get("staff.json"))["total_count"] == 2
    assert await api.get("staff.json?page=2") == {"total_count": 2}


async def test_an_administrator_may_be_made(api: Api) -> None:
    bob = {**BOB, "role": "administrator"}
    secret = (await api.post("staff.json", {"staff": bob}))["staff"]["api_key"]
    async with api.as_staff("bob@example.com", secret) as other:
        await other.channel()


async def test_a_disabled_colleagues_key_rests_until_they_are_enabled(api: Api) -> None:
    secret = (await api.post("staff.json", {"staff": BOB}))["staff"]["api_key"]
    async with api.as_staff("bob@example.com", secret) as bob:
        await bob.get("cases.json")
        replace = {"staff": {"replace_staff_id": 1}}
        disabled = (await api.put("staff/2/disable.json", replace))["staff"]
        assert (disabled["active"], disabled["status"]) == (False, "offline")
        refused = await bob.call("GET", "cases.json")
        assert refused.refusal == (401, "unauthorized")
        assert (await api.put("staff/2/enable.json", []))["staff"]["active"] is True
        await bob.get("cases.json")


async def test_a_revoked_key_fails_at_the_next_request_and_the_others_go_on(api: Api) -> None:
    await api.channel()
    await api.case()
    first = (await api.post("staff.json", {"staff": BOB}))["staff"]["api_key"]
    made = await api.post("staff/2/keys.json", {"key": {"name": "new phone"}})
    second = made["key"].pop("api_key")
    assert made == {"key": {"key_id": 3, "staff_id": 2, "name": "new phone"}}
    assert (await api.get("staff/2.json"))["staff"]["key_ids"] == [2, 3]
    async with (
        api.as_staff("bob@example.com", first) as old,
        api.as_staff("bob@example.com", second) as new,
    ):
        await old.message(1)
        revoked = await api.call("DELETE", "staff/2/keys/2.json")
        assert (revoked.status, revoked.text) == (200, "")
        head = api.head()
        body = {"message": {"content": "x"}}
        for method, path, given in [
            ("POST", "cases/1/messages.json", body),
            ("GET", "cases.json", None),
        ]:
            refused = await old.call(method, path, given)
            assert refused.refusal == (401, "unauthorized")
        assert api.head() == head
        await new.message(1)
    assert (await api.get("staff/2.json"))["staff"]["key_ids"] == [3]


async def test_whoever_has_lost_all_keys_can_be_given_a_new_one(api: Api) -> None:
    await api.post("staff.json", {"staff": BOB})
    await api.call("DELETE", "staff/2/keys/2.json")
    secret = (await api.post("staff/2/keys.json", {}))["key"]["api_key"]
    async with api.as_staff("bob@example.com", secret) as bob:
        await bob.get("cases.json")


async def test_one_may_revoke_ones_own_key_and_gets_an_answer(api: Api) -> None:
    secret = (await api.post("staff/1/keys.json", {}))["key"]["api_key"]
    async with api.as_staff(EMAIL, secret) as other:
        assert (await other.call("DELETE", "staff/1/keys/2.json")).status == 200
        assert (await other.call("GET", "cases.json")).refusal == (401, "unauthorized")
    await api.post("staff.json", {"staff": {**BOB, "role": "owner"}})
    assert (await api.put("staff/1/disable.json"))["staff"]["active"] is False
    assert (await api.call("GET", "cases.json")).refusal == (401, "unauthorized")


async def test_the_last_administrator_stays(api: Api) -> None:
    head = api.head()
    for method, path in [("PUT", "staff/1/disable.json"), ("DELETE", "staff/1/keys/1.json")]:
        assert (await api.call(method, path)).refusal == (400, "last_administrator")
    assert api.head() == head


async def test_a_colleague_is_changed_with_and_without_the_wrapper(api: Api) -> None:
    await api.post("staff.json", {"staff": BOB})
    changes = {"staff_full_name": "Bob B.", "staff_signature": "--\r\nBob", "thumbnail": "b.png"}
    changed = (await api.put("staff/2.json", {"staff": changes}))["staff"]
    assert changed.items() >= changes.items()
    bare = (await api.put("staff/2.json", {"staff_signature_chat": "B", "staff_full_name": None}))[
        "staff"
    ]
    assert bare == {
        **changed,
        "staff_signature_chat": "B",
        "updated_at": bare["updated_at"],
    }
    head = api.head()
    assert (await api.put("staff/2.json", changes))["staff"] == bare
    assert (await api.put("staff/2.json", []))["staff"] == bare
    assert api.head() == head
    refused = await api.call("PUT", "staff/2.json", {"staff": {"staff_email": "nothing"}})
    assert refused.refusal == (400, "wrong_email")
    refused = await api.call("PUT", "staff/2.json", {"staff": {"staff_email": f" {EMAIL.upper()}"}})
    assert refused.refusal == (400, "email_already_exist")
    for missing in ("77", "x", "0"):
        refused = await api.call("PUT", f"staff/{missing}.json", changes)
        assert refused.refusal == (404, "staff_not_found")


async def test_a_new_e_mail_takes_the_keys_along_at_once(api: Api) -> None:
    secret = (await api.post("staff.json", {"staff": BOB}))["staff"]["api_key"]
    await api.channel()
    await api.case()
    async with (
        api.as_staff("bob@example.com", secret) as old,
        api.as_staff("robert@example.com", secret) as new,
    ):
        await old.message(1)
        assert (await new.call("GET", "cases.json")).refusal == (401, "unauthorized")
        await api.put("staff/2.json", {"staff": {"staff_email": "Robert@Example.com"}})
        for call in (
            old.call("GET", "cases.json"),
            old.call("POST", "cases/1/messages.json", {"message": {"content": "x"}}),
        ):
            assert (await call).refusal == (401, "unauthorized")
        await new.message(1)
    again = await api.post("staff.json", {"staff": BOB})
    assert again["staff"]["staff_id"] == 3


async def test_a_deleted_colleague_is_gone_but_old_cases_name_them(api: Api) -> None:
    secret = (await api.post("staff.json", {"staff": BOB}))["staff"]["api_key"]
    await api.channel()
    await api.case()
    await api.put("cases/1.json", {"case": {"staff_id": 2, "status": "closed"}})
    deleted = await api.call("DELETE", "staff/2.json", {"staff": {"replace_staff_id": 1}})
    assert (deleted.status, deleted.text) == (200, "")
    async with api.as_staff("bob@example.com", secret) as bob:
        assert (await bob.call("GET", "cases.json")).refusal == (401, "unauthorized")
    assert [each["staff_id"] for each in await api.items("staff.json", "staff")] == [1]
    for method, path in [
        ("GET", "staff/2.json"),
        ("PUT", "staff/2/enable.json"),
        ("POST", "staff/2/keys.json"),
        ("DELETE", "staff/2.json"),
    ]:
        assert (await api.call(method, path, {})).refusal == (404, "staff_not_found")
    assert (await api.get("cases/1.json"))["case"]["staff_id"] == 2
    # A client that sends all it knows means "as it is".
    opened = await api.put("cases/1.json", {"case": {"staff_id": 2, "status": "open"}})
    assert opened["case"]["staff_id"] == 1
    again = (await api.post("staff.json", {"staff": BOB}))["staff"]
    async with api.as_staff("bob@example.com", again["api_key"]) as bob:
        await bob.get("cases.json")


async def test_who_leaves_says_who_takes_over(api: Api) -> None:
    await api.post("staff.json", {"staff": BOB})
    for staff in ({"replace_staff_id": "1"}, {"staff": {"replace_staff_id": 1}}):
        disabled = (await api.put("staff/2/disable.json", staff))["staff"]
        assert (disabled["replace_staff_id"], disabled["handing_over"]) == (1, True)
    enabled = (await api.put("staff/2/enable.json", []))["staff"]
    assert (enabled["replace_staff_id"], enabled["handing_over"]) == (0, False)
    head = api.head()
    for replacement, refusal in {
        2: (400, "incorrect_replacement"),
        77: (404, "staff_not_found"),
        "x": (400, "invalid_parameters"),
    }.items():
        for method, path in (
            ("PUT", "staff/2/disable.json"),
            ("DELETE", "staff/2.json"),
            ("DELETE", f"staff/2.json?replace_staff_id={replacement}"),
        ):
            given = None if "?" in path else {"staff": {"replace_staff_id": replacement}}
            assert (await api.call(method, path, given)).refusal == refusal
    assert (await api.call("DELETE", "staff/1.json")).refusal == (400, "last_administrator")
    assert api.head() == head
    assert (await api.call("DELETE", "staff/2.json?replace_staff_id=1")).status == 200
