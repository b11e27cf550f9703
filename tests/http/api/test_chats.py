"""Chats over the API: accepted, completed, reopened, listed; and the statuses that say who takes them."""

from served_api import Api

BOB = {"staff_email": "bob@example.com", "staff_full_name": "Bob"}


async def test_a_chat_is_accepted_completed_by_either_side_and_reopened(api: Api) -> None:
    await api.channel(channel_type="sync")
    await api.post("staff.json", {"staff": BOB})
    case = await api.case()
    assert (case["chat"], case["staff_id"]) == ("waiting", 0)
    [chat] = await api.items("chats.json?state=waiting", "chat")
    assert chat == {
        "case_id": 1,
        "user_id": case["user_id"],
        "channel": "cch1",
        "state": "waiting",
        "staff_id": 0,
        "since": case["created_at"],
        "last_activity_at": case["created_at"],
        "offered_to": 0,
        "offered_until": "-",
    }
    accepted = (await api.put("cases/1/chat/accept.json", {"chat": {"staff_id": "2"}}))["case"]
    assert (accepted["chat"], accepted["staff_id"], accepted["status"]) == ("active", 2, "open")
    head = api.head()
    await api.put("cases/1/chat/accept.json", {"staff_id": 2})
    assert api.head() == head
    taken = await api.call("PUT", "cases/1/chat/accept.json")
    assert taken.refusal == (400, "chat_already_accepted")
    assert [c["staff_id"] for c in await api.items("chats.json?staff_id=2", "chat")] == [2]
    done = (await api.put(f"cases/{case['case_number']}/chat/complete.json", []))["case"]
    assert (done["chat"], done["status"]) == ("completed", "open")
    assert await api.get("chats.json") == {"total_count": 0}
    late = await api.call("PUT", "cases/1/chat/accept.json")
    assert late.refusal == (400, "chat_completed")
    await api.put("staff/2/status.json", {"staff": {"status_id": 1}})
    await api.put("cases/1.json", {"case": {"status": "open"}})
    await api.message(1, user_id=case["user_id"])
    assert (await api.get("cases/1.json"))["case"]["chat"] == "active"
    by_user = {"chat": {"user_id": case["user_id"]}}
    await api.put("cases/1/chat/complete.json", by_user)
    both = await api.call("PUT", "cases/1/chat/complete.json", {"user_id": 1, "staff_id": 1})
    assert both.refusal == (400, "ambiguous_author")
    events = await api.items("events.json?case_id=1", "event")
    ends = [e["data"] for e in events if e["type"] == "case.chat_completed.1"]
    assert [(end["by"], end["staff_id"]) for end in ends] == [("staff", 1), ("user", 0)]


async def test_what_is_no_chat_can_be_neither_accepted_nor_completed(api: Api) -> None:
    await api.channel()
    await api.case()
    for call in ("accept", "complete"):
        refused = await api.call("PUT", f"cases/1/chat/{call}.json")
        assert refused.refusal == (400, "case_is_not_a_chat")
        unknown = await api.call("PUT", f"cases/9/chat/{call}.json")
        assert unknown.refusal == (404, "case_not_found")


async def test_the_options_of_chats_are_checked(api: Api) -> None:
    await api.channel(chat_idle_minutes="5", webhook_typing=1)
    for name, value in [
        ("chat_idle_minutes", -1),
        ("chat_idle_minutes", 10_000_000),
        ("chat_offer_seconds", 0),
        ("chat_offer_seconds", 3601),
        ("chat_limit", "many"),
        ("webhook_typing", "perhaps"),
    ]:
        refused = await api.call("PUT", "custom_channels/1.json", {name: value})
        assert refused.refusal == (400, "invalid_parameters")
        assert list(refused.json["fields"]) == [name]
    changed = await api.put("custom_channels/1.json", {"chat_limit": 3, "chat_idle_minutes": 0})
    options = {
        "chat_idle_minutes": 0,
        "chat_offer_seconds": 30,
        "chat_limit": 3,
        "webhook_typing": True,
        "webhook_order": "case",
        "webhook_replies": True,
        "webhook_notes": True,
        "webhook_rule_messages": True,
        "webhook_format": "form",
        "webhook_on_exhausted": "skip",
        "webhook_edits": False,
        "webhook_deletions": False,
        "webhook_statuses": False,
        "webhook_polling": False,
        "webhook_shadow_url": "",
        "webhook_signature": "v1",
        "webhook_headers": [],
        "webhook_timeout": 0,
        "webhook_rate_limit": 0,
        "webhook_networks": [],
    }
    assert changed["custom_channel"].items() >= options.items()


async def test_statuses_are_listed_made_changed_and_taken_away(api: Api) -> None:
    listed = await api.get("staff_statuses.json")
    assert listed["count"] == 3
    assert listed["0"] == {
        "staff_statuses": {"status_id": 1, "status": "Online", "active": True, "takes_chats": True}
    }
    made = await api.post("staff_statuses.json", {"staff_statuses": {"status": "Обед"}})
    lunch = {"status_id": 101, "status": "Обед", "active": True, "takes_chats": False}
    assert made == {"staff_status": lunch}
    changed = await api.put("staff_statuses/101.json", {"takes_chats": True, "status": "Lunch"})
    assert changed == {"staff_status": {**lunch, "status": "Lunch", "takes_chats": True}}
    deleted = await api.call("DELETE", "staff_statuses/101.json")
    assert (deleted.status, deleted.text) == (200, "")
    assert (await api.get("staff_statuses.json"))["3"]["staff_statuses"]["active"] is False
    fixed = await api.call("DELETE", "staff_statuses/1.json")
    assert fixed.refusal == (400, "staff_status_fixed")
    for method in ("PUT", "DELETE"):
        unknown = await api.call(method, "staff_statuses/999.json", {})
        assert unknown.refusal == (404, "staff_status_not_found")
    nameless = await api.call("POST", "staff_statuses.json", {"staff_status": {"status": ""}})
    assert nameless.json["fields"] == {"status": "is required"}


async def test_everybody_chooses_their_own_status_and_administrators_that_of_all(api: Api) -> None:
    secret = (await api.post("staff.json", {"staff": BOB}))["staff"]["api_key"]
    async with api.as_staff("bob@example.com", secret) as bob:
        chosen = (await bob.put("staff/2/status.json", {"status_id": 3}))["staff"]
        assert (chosen["status"], chosen["status_id"]) == ("online", 3)
        refused = await bob.call("PUT", "staff/1/status.json", {"status_id": 1})
        assert refused.refusal == (403, "staff_has_not_access")
    chosen = (await api.put("staff/2/status.json", {"staff": {"status_id": 2}}))["staff"]
    assert (chosen["status"], chosen["status_id"]) == ("offline", 2)
    renamed = {"staff_full_name": "Robert", "status_id": "1"}
    changed = (await api.put("staff/2.json", {"staff": renamed}))["staff"]
    assert (changed["staff_full_name"], changed["status_id"]) == ("Robert", 1)
    unknown = await api.call("PUT", "staff/2/status.json", {"staff": {"status_id": 101}})
    assert unknown.refusal == (404, "staff_status_not_found")
    missing = await api.call("PUT", "staff/2/status.json", {"staff": {}})
    assert missing.json["fields"] == {"status_id": "is required"}
