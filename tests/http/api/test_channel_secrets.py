"""A channel's secrets over the API: shown once, then known by their fingerprints."""

from served_api import Api

HOUR = 3600


async def fingerprints(api: Api) -> list[str]:
    found = await api.items("custom_channels/1/secrets.json", "secret")
    return [each["fingerprint"] for each in found]


async def test_a_secret_is_rotated_and_only_the_answer_that_made_it_shows_it(api: Api) -> None:
    made = await api.post("custom_channels.json", {"custom_channel": CHANNEL})
    old = await fingerprints(api)
    once = {"Idempotency-Key": "rotation"}
    path = "custom_channels/1/secrets.json"
    new = (await api.post(path, {}, headers=once))["secret"]
    again = (await api.post(path, {}, headers=once))["secret"]
    secret = new.pop("secret")
    assert again == new
    assert secret.startswith("whsec_")
    assert secret != made["custom_channel"]["secret"]
    assert new["public_key"].startswith("whpk_")

    newest, before = await api.items(path, "secret")
    assert newest == new
    assert (newest["expires_at"], [before["fingerprint"]]) == (None, old)
    assert before["expires_at"] is not None
    assert newest["public_key"] != before["public_key"]
    events = await api.items("events.json?channel=cch1", "event")
    assert events[-1]["type"] == "channel.secret_made.1"
    grace = events[-1]["data"]["others_expire_at"] - events[-1]["data"]["made_at"]
    assert grace == 24 * HOUR * 1_000_000
    text = (await api.call("GET", "events.json")).text
    assert secret not in text
    assert new["public_key"] not in text


async def test_a_secret_is_deleted_but_never_the_newest(api: Api) -> None:
    await api.channel()
    [first] = await fingerprints(api)
    path = "custom_channels/1/secrets"
    await api.post(f"{path}.json", {"secret": {"expires_in_hours": "1"}})
    await api.post(f"{path}.json", {"secret": {"expires_in_hours": 2}})
    newest, second, oldest = await fingerprints(api)
    assert oldest == first
    refused = await api.call("DELETE", f"{path}/{newest}.json")
    assert refused.refusal == (400, "newest_secret")
    deleted = await api.call("DELETE", f"{path}/{second}.json")
    assert (deleted.status, deleted.text) == (200, "")
    gone = await api.call("DELETE", f"{path}/{second}.json")
    assert gone.refusal == (404, "secret_not_found")
    assert await fingerprints(api) == [newest, oldest]
    await api.post(f"{path}.json", {"secret": {"expires_in_hours": 0}})
    assert len(await fingerprints(api)) == 1
    for _ in range(9):
        await api.post(f"{path}.json", {})
    refused = await api.call("POST", f"{path}.json", {})
    assert refused.refusal == (400, "too_many_secrets")


CHANNEL = {"title": "App", "webhook_url": "https://example.com/hook", "channel_type": "async"}
