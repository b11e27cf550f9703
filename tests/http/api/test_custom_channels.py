"""Custom channels: made, changed, disabled, deleted; the secret is shown once."""

from served_api import Api

NEW = {"title": "Our app", "webhook_url": "https://example.com/hook", "channel_type": "async"}


async def test_a_new_channel_is_answered_with_its_keys_and_once_its_secret(api: Api) -> None:
    made = await api.post("custom_channels.json", {"custom_channel": NEW})
    secret = made["custom_channel"].pop("secret")
    assert secret.startswith("whsec_")
    delivery = made["custom_channel"].pop("delivery")
    assert (delivery["state"], delivery["waiting"]) == ("ok", 0)
    assert made["custom_channel"] == {
        "channel_id": 1,
        "channel_api_key": "cch1",
        "title": "Our app",
        "channel_type": "async",
        "icon": "fa-question-circle",
        "webhook_url": "https://example.com/hook",
        "active": True,
        "chat_idle_minutes": 0,
        "chat_offer_seconds": 30,
        "chat_limit": 0,
        "undo_seconds": 0,
        "webhook_typing": False,
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
        "restricted": False,
        "webhook_signature": "v1",
        "webhook_headers": [],
        "webhook_timeout": 0,
        "webhook_rate_limit": 0,
        "webhook_networks": [],
    }
    made["custom_channel"]["delivery"] = delivery
    assert await api.get("custom_channels/1.json") == made
    assert await api.get("custom_channels/cch1.json") == made
    assert await api.items("custom_channels.json", "custom_channel") == [made["custom_channel"]]
    events = await api.call("GET", "events.json")
    assert secret not in events.text


async def test_a_repeated_creation_does_not_show_the_secret_again(api: Api) -> None:
    key = {"Idempotency-Key": "one"}
    made = await api.post("custom_channels.json", {"custom_channel": NEW}, headers=key)
    again = await api.post("custom_channels.json", {"custom_channel": NEW}, headers=key)
    del made["custom_channel"]["secret"]
    assert again == made


async def test_a_channel_is_changed_disabled_enabled_and_deleted(api: Api) -> None:
    await api.channel()
    changes = {"title": "Chat", "channel_type": "sync", "icon": "fa-bullhorn"}
    changed = await api.put("custom_channels/cch1.json", {"custom_channel": changes})
    assert changed["custom_channel"].items() >= changes.items()
    assert changed["custom_channel"]["webhook_url"] == "https://example.com/hook"
    paused = await api.put("custom_channels/1/pause.json", {"reason": "Moving"})
    assert paused["custom_channel"]["delivery"]["state"] == "paused"
    resumed = await api.put("custom_channels/1/resume.json")
    assert resumed["custom_channel"]["delivery"]["state"] == "ok"
    disabled = await api.put("custom_channels/1/disable.json", [])
    assert disabled["custom_channel"]["active"] is False
    enabled = await api.put("custom_channels/1/enable.json")
    assert enabled["custom_channel"]["active"] is True
    deleted = await api.call("DELETE", "custom_channels/1.json")
    assert (deleted.status, deleted.text) == (200, "")
    assert await api.get("custom_channels.json") == {"total_count": 0}
    gone = await api.call("GET", "custom_channels/1.json")
    assert gone.refusal == (404, "channel_not_found")
    kinds = [event["type"] for event in await api.items("events.json?channel=cch1", "event")]
    assert kinds == [
        "channel.created.1",
        "channel.changed.1",
        "channel.delivery_paused.1",
        "channel.delivery_resumed.1",
        "channel.disabled.1",
        "channel.enabled.1",
        "channel.deleted.1",
    ]


async def test_setting_what_is_set_already_is_no_event(api: Api) -> None:
    await api.channel()
    head = api.head()
    await api.put("custom_channels/1.json", {"custom_channel": {"title": "App"}})
    await api.put("custom_channels/1.json")
    await api.put("custom_channels/1/enable.json")
    assert api.head() == head


async def test_all_channels_are_listed_unless_a_page_is_asked_for(api: Api) -> None:
    for _ in range(3):
        await api.channel()
    for query, ids in [("", [1, 2, 3]), ("?limit=2", [1, 2]), ("?limit=2&page=2", [3])]:
        found = await api.items(f"custom_channels.json{query}", "custom_channel")
        assert [row["channel_id"] for row in found] == ids
    assert await api.get("custom_channels.json?page=9") == {"total_count": 3}


OPTIONS = {
    "webhook_order": "channel",
    "webhook_replies": False,
    "webhook_notes": False,
    "webhook_rule_messages": False,
    "webhook_format": "json",
    "webhook_edits": True,
    "webhook_deletions": True,
    "webhook_statuses": True,
    "webhook_signature": "v1",
    "webhook_headers": [],
    "webhook_timeout": 0,
    "webhook_rate_limit": 0,
    "webhook_networks": [],
}


async def test_options_of_delivery_are_set_when_a_channel_is_made_and_changed(api: Api) -> None:
    made = await api.post("custom_channels.json", {"custom_channel": NEW | OPTIONS})
    assert made["custom_channel"].items() >= OPTIONS.items()
    changed = await api.put("custom_channels/1.json", {"custom_channel": {"webhook_notes": "1"}})
    expected = OPTIONS | {"webhook_notes": True}
    assert changed["custom_channel"].items() >= expected.items()
    assert (await api.get("custom_channels/1.json"))["custom_channel"].items() >= expected.items()


async def test_each_wrong_option_is_named(api: Api) -> None:
    await api.channel()
    wrong = {"webhook_format": "xml", "webhook_notes": "maybe", "webhook_order": "any"}
    refused = await api.call("PUT", "custom_channels/1.json", {"custom_channel": wrong})
    assert refused.refusal == (400, "invalid_parameters")
    assert set(refused.json["fields"]) == set(wrong)


async def test_headers_are_known_by_their_names_and_their_values_are_nowhere(api: Api) -> None:
    given = {"X-Token": "very secret", "Authorization": "Basic c2VjcmV0"}
    made = await api.post(
        "custom_channels.json", {"custom_channel": NEW | {"webhook_headers": given}}
    )
    assert made["custom_channel"]["webhook_headers"] == ["Authorization", "X-Token"]
    head = api.head()
    path = "custom_channels/1.json"
    await api.put(path, {"custom_channel": {"webhook_headers": given}})
    await api.put(path, {"custom_channel": {"title": NEW["title"]}})
    assert api.head() == head
    await api.put(path, {"custom_channel": {"webhook_headers": {"X-Token": "another secret"}}})
    assert api.head() == head + 1
    shown = await api.get(path)
    assert shown["custom_channel"]["webhook_headers"] == ["X-Token"]
    ping = (await api.call("POST", "custom_channels/1/ping.json")).json["ping"]
    assert ping["request"]["headers"]["X-Token"] == "***"
    everything = (await api.call("GET", "events.json")).text + str(shown) + str(ping)
    assert "secret" not in everything.replace("secret_fingerprint", "")
    await api.put(path, {"custom_channel": {"webhook_headers": {}}})
    assert (await api.get(path))["custom_channel"]["webhook_headers"] == []

    wrong = {"webhook_headers": {"Host": "a", "X-B": "line\r\nbreak"}, "webhook_format": "xml"}
    refused = await api.call("PUT", path, {"custom_channel": wrong})
    assert set(refused.json["fields"]) == set(wrong)
    sentence = refused.json["fields"]["webhook_headers"]
    assert "'Host'" in sentence
    assert "'X-B'" in sentence
    assert "break" not in sentence


async def test_bounds_are_checked_against_the_installation_and_the_url(api: Api) -> None:
    given = {
        "webhook_timeout": "9",
        "webhook_rate_limit": 600,
        "webhook_networks": "203.0.114.0/24, 2a00:1450::/32",
    }
    await api.channel(**given)
    path = "custom_channels/1.json"
    networks = ["203.0.114.0/24", "2a00:1450::/32"]
    expected = {"webhook_timeout": 9, "webhook_rate_limit": 600, "webhook_networks": networks}
    assert (await api.get(path))["custom_channel"].items() >= expected.items()

    async def refused(**fields: object) -> dict[str, str]:
        answer = await api.call("PUT", path, {"custom_channel": fields})
        assert answer.status == 400
        told: dict[str, str] = answer.json["fields"]
        return told

    spelled = await refused(webhook_networks=["10.0.0.1/8", "app"], webhook_timeout=16)
    assert set(spelled) == {"webhook_networks", "webhook_timeout"}
    assert "'10.0.0.1/8'" in spelled["webhook_networks"]
    assert "'app'" in spelled["webhook_networks"]
    inner = await refused(webhook_networks=["10.0.0.0/8"], webhook_url="http://127.0.0.1/")
    assert set(inner) == {"webhook_networks", "webhook_url"}
    assert "KANAL_WEBHOOK_ALLOW" in inner["webhook_networks"]
    away = await refused(webhook_url="https://203.0.115.7/hook")
    assert away == {
        "webhook_url": "203.0.115.7 of the Webhook URL lies in none of webhook_networks"
    }
    await api.put(path, {"custom_channel": {"webhook_url": "https://203.0.114.7/hook"}})
    other = await refused(webhook_networks="203.0.115.0/24")
    assert set(other) == {"webhook_networks"}
    freed = await api.put(path, {"custom_channel": {"webhook_networks": "any"}})
    assert freed["custom_channel"]["webhook_networks"] == []
