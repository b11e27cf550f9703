"""Webhooks of rules: what may be written down, and what goes out when one is called."""

import json
from typing import Any
from urllib.parse import parse_qsl

import pytest
from story import Story, desk, person

from kanal.domain.actions import Action
from kanal.domain.conditions import Cause
from kanal.domain.conversation import open_case
from kanal.domain.errors import WebhookBodyTooLong, WrongRule
from kanal.domain.firings import RuleFired, fire_rule
from kanal.domain.rule_webhooks import (
    MAX_BODY,
    MAX_IN_URL,
    RuleWebhook,
    RuleWebhookCalled,
    body_of,
    filled_url,
    longest_url,
    read_webhook,
    webhooks_in,
)
from kanal.domain.rules import RULES, change_rule, create_rule, draft_rule
from kanal.domain.variables import VARIABLES

URL = "https://example.com/cases/[case_id]?who=[user_name]"
VALUES = dict.fromkeys(VARIABLES, "") | {
    "case_id": "7",
    "user_name": 'Ann "x"\r\nX-Evil: 1',
    "last_message": "a\\b\n[case_id]",
}


def webhook(**given: Any) -> RuleWebhook:
    read = read_webhook({"url": URL, **given})
    return RuleWebhook(**read)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("x", "must be an object"),
        ({}, "url is required"),
        ({"url": "https://[case_id].example.com/"}, "host holds no variable"),
        ({"url": "https://[user_name]@example.com/"}, "host holds no variable"),
        ({"url": "[user_name]"}, "host holds no variable"),
        ({"url": "https://example.com/[case]"}, "no variable"),
        ({"url": URL, "method": "PATCH"}, "method must be"),
        ({"url": URL, "method": "GET", "body": {"a": 1}}, "body is not for GET"),
        ({"url": URL, "format": "xml"}, "format must be"),
        ({"url": URL, "body": '{"id": [case]}'}, "body must be JSON"),
        ({"url": URL, "body": '{"id": "[case_id]'}, "body must be JSON"),
        ({"url": URL, "body": '"\ud800"'}, "body must be JSON"),
        ({"url": URL, "body": "[" * 100_000}, "body must be JSON"),
        ({"url": URL, "format": "form", "body": {"a": 1}}, "names and texts"),
        ({"url": URL, "format": "form", "body": {"a": "\ud800"}}, "surrogate"),
        ({"url": URL, "body": {"a": "x" * 70_000}}, "up to 65536 octets"),
        ({"url": URL, "webhook_id": "1"}, "webhook_id"),
    ],
)
def test_what_could_never_be_called_is_refused(given: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        read_webhook(given)


def test_a_value_never_gets_out_of_its_place() -> None:
    text = '{"id": [case_id], "who": "[user_name]", "said": [last_message], "to": "[case_id]!", "n": [1, 2]}'
    assert json.loads(body_of(webhook(body=text), VALUES)) == {
        "id": 7,
        "who": VALUES["user_name"],
        "said": VALUES["last_message"],
        "to": "7!",
        "n": [1, 2],
    }
    assert json.loads(body_of(webhook(body={"a": ["[case_id]"]}), VALUES)) == {"a": ["7"]}
    form = webhook(format="form", body={"who&": "[user_name]=[case_id]"})
    assert parse_qsl(body_of(form, VALUES)) == [("who&", f"{VALUES['user_name']}=7")]
    assert json.loads(body_of(webhook(), VALUES)) == VALUES
    assert dict(parse_qsl(body_of(webhook(format="form"), VALUES), True)) == VALUES
    assert body_of(webhook(method="GET"), VALUES) == ""


def test_a_value_in_an_address_stays_one_part_of_it_and_short() -> None:
    assert filled_url(URL, VALUES) == (
        "https://example.com/cases/7?who=Ann%20%22x%22%0D%0AX-Evil%3A%201"
    )
    for value, written in (("..", ""), ("a/../b", "a%2F..%2Fb"), ("ж" * 99, "%D0%B6" * 16)):
        assert filled_url("https://e.com/[user_name]", {"user_name": value}) == (
            f"https://e.com/{written}"
        )
    assert filled_url(URL, {}) == "https://example.com/cases/?who="
    assert len(longest_url(URL)) == len(URL) - len("[case_id][user_name]") + 2 * MAX_IN_URL


def test_a_body_that_would_grow_beyond_all_bounds_is_not_made() -> None:
    values = VALUES | {"last_message": "x" * 1000}
    with pytest.raises(WebhookBodyTooLong):
        body_of(webhook(body={"a": "[last_message]" * 2000}), values)
    with pytest.raises(WebhookBodyTooLong):
        body_of(webhook(body={"a": "[last_message]"}), VALUES | {"last_message": "\n" * MAX_BODY})


def with_rule(**given: Any) -> Story:
    """Rule 1 calls webhook 1 for case 1."""
    story = desk().given(open_case, who=person("u1"), content="Hi")
    action = Action("webhook", read_webhook({"url": URL, **given}))
    return story.given(create_rule, kind="incoming", title="R", actions=[action, action])


def fired(story: Story, values: Any = None) -> Story:
    cause = Cause(9, 1, "user_message", 2, "user", "Hi")
    known = {"matches": lambda *_: True, "values": values or VALUES}
    return story.when(fire_rule, rule_id=1, cause=cause, **known)


def test_each_webhook_of_a_rule_is_called_once_for_a_cause_with_what_it_sends() -> None:
    story = with_rule(body='{"id": [case_id]}')
    fired(story).then_named("rule.webhook_called.1", "rule.webhook_called.1", "rule.fired.1")
    first, second = story.recorded(RuleWebhookCalled)
    assert (first.webhook_id, second.webhook_id, first.body) == (1, 2, '{"id": 7}')
    assert first.url_values["user_name"] == VALUES["user_name"]
    assert len({each.stream_id for each in story.events if each.event in (first, second)}) == 2
    fired(story).then()


def test_a_call_that_cannot_be_made_is_left_out_and_said() -> None:
    story = with_rule(body={"a": "[last_message]"})
    fired(story, VALUES | {"last_message": "\n" * MAX_BODY}).then_named("rule.fired.1")
    [left] = story.recorded(RuleFired)
    assert [each.place for each in left.skipped] == [0, 1]
    assert "octets" in left.skipped[0].reason


def test_a_webhook_keeps_its_id_and_what_is_not_said_of_it_and_a_new_one_gets_the_next() -> None:
    story = with_rule()
    story.given(change_rule, rule_id=1, title="New")
    [(_, kept), _] = webhooks_in(story.load(RULES, 1).actions)
    again = Action("webhook", read_webhook({"url": URL, "webhook_id": 2, "method": "PUT"}))
    new = Action("webhook", read_webhook({"url": URL}))
    story.given(change_rule, rule_id=1, actions=[again, new])
    found = [each for _, each in webhooks_in(story.load(RULES, 1).actions)]
    assert kept.webhook_id == 1
    assert [(each.webhook_id, each.method) for each in found] == [(2, "PUT"), (3, "POST")]
    strange = Action("webhook", read_webhook({"url": URL, "webhook_id": 1}))
    for wrong in ([strange], [again, again]):
        story.when(change_rule, rule_id=1, actions=wrong).refused(WrongRule)
    story.when(draft_rule, rule_id=1, actions=[new]).then()
    assert story.result.rule.actions[0].destination["webhook_id"] == 0
