"""Webhooks of rules over the API: what is shown of them, and what is not."""

from functools import partial
from typing import Any

from served_api import Api
from sqlalchemy import select

from kanal.delivery import kept_headers, kept_secrets
from kanal.delivery.ledger import read_lanes
from kanal.delivery.tables import lanes
from kanal.domain.conditions import Cause
from kanal.domain.firings import fire_rule
from kanal.domain.lanes import lane_of
from kanal.domain.variables import VARIABLES

URL = "https://example.com/cases/[case_id]"
HOOK = {
    "url": URL,
    "headers": {"Authorization": "Bearer hidden-value"},
    "body": {"id": "[case_id]"},
}


def action(**given: Any) -> dict[str, Any]:
    return {"action_type": "webhook", "action_destination": {**HOOK, **given}}


async def test_secrets_are_shown_once_and_values_of_headers_never(api: Api) -> None:
    given = {"rule": {"kind": "incoming", "title": "R", "actions": [action(), action()]}}
    key = {"headers": {"Idempotency-Key": "once"}}
    made = (await api.post("rules.json", given, **key))["rule"]
    secrets = made.pop("webhook_secrets")
    assert list(secrets) == ["1", "2"]
    assert all(each.startswith("whsec_") for each in secrets.values())
    again = (await api.post("rules.json", given, **key))["rule"]
    assert again == made
    shown = made["actions"][0]["action_destination"]
    assert shown == {
        "webhook_id": 1,
        "method": "POST",
        "url": URL,
        "format": "json",
        "body": '{"id": "[case_id]"}',
        "headers": ["Authorization"],
    }
    head = api.head()
    assert (await api.put("rules/1.json", {"rule": made}))["rule"] == made
    assert api.head() == head
    changed = {**shown, "url": "https://example.com/other", "headers": {"X-Key": "hidden-value"}}
    actions = [{"action_type": "webhook", "action_destination": changed}, action()]
    second = (await api.put("rules/1.json", {"rule": {"actions": actions}}))["rule"]
    assert list(second["webhook_secrets"]) == ["3"]
    with api.store.database.reading() as connection:
        kept = kept_secrets.read(connection, [-1, -3])
        assert kept[-1][0].secret == secrets["1"]
        assert kept[-3][0].secret == second["webhook_secrets"]["3"]
        assert kept_headers.read(connection, [-1])[-1] == {"X-Key": "hidden-value"}
        urls = connection.execute(select(lanes.c.channel_id, lanes.c.webhook_url, lanes.c.state))
        assert sorted(map(tuple, urls)) == [
            (-3, URL, "active"),
            (-2, URL, "deleted"),
            (-1, "https://example.com/other", "active"),
        ]
    for path in ("events.json", "rules.json", "rules/1.json", "rules/1/webhooks.json"):
        text = (await api.call("GET", path)).text
        assert "hidden-value" not in text
        assert not any(secret in text for secret in secrets.values())
    assert await api.items("deliveries.json?webhook=1&kind=rule_webhook", "delivery") == []
    question = {"kind": "incoming", "actions": [action()]}
    asked = await api.call("POST", "rules/what_if.json", {"what_if": {"rule": question}})
    assert (asked.status, asked.json["what_if"]["webhooks"]) == (200, 0), asked.text


async def test_a_secret_is_rotated_signs_beside_the_new_one_and_is_taken_away(api: Api) -> None:
    given = {"rule": {"kind": "incoming", "title": "R", "actions": [action()]}}
    made = (await api.post("rules.json", given))["rule"]
    first = made["webhook_secrets"]["1"]
    path = "rules/1/webhooks/1/secrets"
    key = {"headers": {"Idempotency-Key": "rotation"}}
    new = (await api.post(f"{path}.json", {}, **key))["secret"]
    secret = new.pop("secret")
    assert (await api.post(f"{path}.json", {}, **key))["secret"] == new
    newest, before = await api.items(f"{path}.json", "secret")
    assert (newest, newest["expires_at"], before["expires_at"] is None) == (new, None, False)
    with api.store.database.reading() as connection:
        [claimed] = read_lanes(connection, [lane_of(1)])
        signed = claimed.signers(api.store.writer.clock())
        kept = [each.secret for each in kept_secrets.read(connection, [lane_of(1)])[lane_of(1)]]
    assert kept == [secret, first]
    assert len(signed.secrets) == 2
    refused = await api.call("DELETE", f"{path}/{newest['fingerprint']}.json")
    assert refused.refusal == (400, "newest_secret")
    await api.call("DELETE", f"{path}/{before['fingerprint']}.json")
    assert await api.items(f"{path}.json", "secret") == [newest]
    # The rule goes on with its secrets however it is changed.
    await api.put("rules/1.json", {"rule": {"title": "Other", "actions": made["actions"]}})
    assert await api.items(f"{path}.json", "secret") == [newest]
    text = (await api.call("GET", "events.json")).text
    assert "rule.webhook_secret_revoked.1" in text
    assert secret not in text


async def test_calls_are_shown_to_those_alone_who_see_all_cases(api: Api) -> None:
    await api.channel()
    case_id = (await api.case())["case_id"]
    await api.post(
        "rules.json", {"rule": {"kind": "incoming", "title": "R", "actions": [action()]}}
    )
    values = dict.fromkeys(VARIABLES, "")
    cause = Cause(1, case_id, "user_message", 2, "user")
    known = {"matches": lambda *_: True, "values": values}
    await api.store.writer.submit(
        partial(fire_rule, rule_id=1, cause=cause, **known),
        who="rule:1",
        origin="rule",
        request="",
    )
    [call] = await api.items("deliveries.json?webhook=1", "delivery")
    assert (call["kind"], call["channel_id"], call["webhook_id"]) == ("rule_webhook", 0, 1)
    [event] = [
        each
        for each in await api.items("events.json?order=desc", "event")
        if each["type"] == "rule.webhook_called.1"
    ]
    causes = await api.get(f"events/{event['position']}/causes.json")
    assert causes["causes"][0]["deliveries"] == [call]
    role = {"title": "Own", "custom_channels": "manage", "cases": "own"}
    own = (await api.post("roles.json", {"role": role}))["role"]["role_id"]
    made = await api.post("staff.json", {"staff": {"staff_email": "b@example.com", "role_id": own}})
    async with api.as_staff("b@example.com", made["staff"]["api_key"]) as bob:
        assert await bob.items("deliveries.json", "delivery") == []
        for path in (call["delivery_id"], f"{call['delivery_id']}/hold"):
            method = "PUT" if path.endswith("hold") else "GET"
            refused = await bob.call(method, f"deliveries/{path}.json")
            assert refused.status in (403, 404)


async def test_what_cannot_be_called_is_refused_with_its_place(api: Api) -> None:
    place = "actions.0"
    for given, code, field in (
        (
            action(url="http://127.0.0.1/x"),
            "webhook_url_refused",
            f"{place}.action_destination.url",
        ),
        (action(url="https://example.com/" + "[case_id]" * 30), "webhook_url_refused", ""),
        (action(headers={"X-A": "a\r\nX-B: b"}), "invalid_parameters", place),
        (action(headers={"Webhook-Id": "1"}), "invalid_parameters", place),
        (action(headers=[{"X-A": "1"}]), "invalid_parameters", place),
        (action(url="x [case_id]"), "invalid_parameters", place),
        (action(webhook_id=7), "incorrect_rule", f"{place}.action_destination"),
    ):
        rule = {"kind": "incoming", "title": "R", "actions": [given]}
        refused = await api.call("POST", "rules.json", {"rule": rule})
        assert refused.refusal == (400, code), refused.text
        assert field in refused.json["fields"] or not field, refused.text
    macro = {"macro": {"title": "M", "actions": [action()]}}
    assert (await api.call("POST", "macros.json", macro)).status == 400
