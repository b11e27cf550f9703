"""Rules: made, changed, put in order; what they may not hold is named with its place."""

from typing import Any

from story import Story, desk, person

from kanal.domain.actions import Action
from kanal.domain.channels import delete_channel
from kanal.domain.conditions import ALWAYS, Condition, Verdict
from kanal.domain.conversation import open_case
from kanal.domain.custom_fields import create_field, disable_field
from kanal.domain.errors import RuleNotFound, TooManyRules, WrongRule
from kanal.domain.labels import create_label, delete_label
from kanal.domain.rules import (
    MAX_RULES,
    RULES,
    RuleChanged,
    RuleCreated,
    RuleDeleted,
    RuleDisabled,
    RuleEnabled,
    RulesOrdered,
    change_rule,
    create_rule,
    delete_rule,
    disable_rule,
    enable_rule,
    order_rules,
    try_rule,
)

URGENT = Action("priority", "critical")
WHOLE: dict[str, Any] = {
    "rule_id": 1,
    "title": "R",
    "channels": (),
    "once_per_case": False,
    "conditions": ALWAYS,
    "actions": (URGENT,),
}


def with_rules(amount: int = 1) -> Story:
    story = desk().given(create_label, title="VIP")
    for _ in range(amount):
        story.given(create_rule, kind="incoming", title="R", actions=[URGENT])
    return story


def order(story: Story) -> Any:
    return [event.rule_ids for event in story.recorded(RulesOrdered)]


def test_a_rules_life_is_events_with_the_whole_of_it_and_a_version() -> None:
    story = desk().when(create_rule, kind="incoming", title="R", actions=[URGENT])
    assert story.result == 1
    story.then(RuleCreated(**WHOLE, kind="incoming", active=True), RulesOrdered((1,)))
    story.when(change_rule, rule_id=1, title="R").then()
    changed = WHOLE | {"title": "New", "once_per_case": True}
    story.when(change_rule, rule_id=1, title="New", once_per_case=True)
    story.then(RuleChanged(**changed, version=2))
    story.when(enable_rule, rule_id=1).then()
    story.when(disable_rule, rule_id=1).then(RuleDisabled(1))
    story.when(disable_rule, rule_id=1).then()
    story.when(enable_rule, rule_id=1).then(RuleEnabled(1))
    assert story.load(RULES, 1).version == 2
    story.when(delete_rule, rule_id=1).then(RuleDeleted(1), RulesOrdered(()))
    for command in (change_rule, enable_rule, disable_rule, delete_rule):
        story.when(command, rule_id=1).refused(RuleNotFound)
    story.when(order_rules, rule_ids=[1]).refused(RuleNotFound)


def test_new_rules_come_last_and_the_order_may_be_said_in_part() -> None:
    story = with_rules(4)
    assert order(story.when(order_rules, rule_ids=[3, 1])) == [(3, 1, 2, 4)]
    story.when(order_rules, rule_ids=[3]).then()
    assert order(story.when(delete_rule, rule_id=1)) == [(3, 2, 4)]
    assert order(story.when(create_rule, kind="changed", title="", actions=[])) == [(3, 2, 4, 5)]


def test_there_is_an_end_to_rules() -> None:
    story = with_rules(MAX_RULES)
    story.when(create_rule, kind="incoming", title="R", actions=[URGENT]).refused(TooManyRules)


def test_all_that_is_not_there_is_named_with_its_place() -> None:
    story = with_rules().given(delete_channel, channel_id=2).given(delete_label, label_id=1)
    story.given(create_field, title="Old", field_type="text", field_level="case")
    story.given(disable_field, field_id=1)
    story.given(create_field, title="Paid", field_type="checkbox", field_level="case")

    def one(field: str, value: Any, operator: Any = "is") -> Condition:
        return Condition(field=field, operator=operator, value=value)

    inner = Condition(any=(one("staff_id", [0, 9]), one("labels", [1], "include")))
    conditions = Condition(all=(one("status", ["open"]), inner, one("change", ["note"])))
    more = (one("channel", ["email", "cch2", "cch7"]), one("company_id", [4]), one("cf_9", "x"))
    conditions = Condition(all=(*conditions.all, *more))
    actions = [
        Action("staff_id", 9),
        URGENT,
        Action("group_id", 9),
        Action("add_labels", [1]),
        Action("custom_fields", {"cf_1": "x", "cf_2": "maybe"}),
        Action("custom_fields", {"cf_1": "x"}),
        Action("round_robin", [1, 9]),
    ]
    given = {"title": "R", "conditions": conditions, "actions": actions}
    story.when(create_rule, kind="incoming", channels=["cch1", "cch9"], **given).refused(WrongRule)
    assert story.refusal
    assert story.refusal.fields == {
        "channels.1": "is no channel",
        "conditions.all.1.any.0": "value 9 does not exist",
        "conditions.all.1.any.1": "value 1 does not exist",
        "conditions.all.2": "field change is for rules of the kind changed",
        "conditions.all.3": "value cch7 does not exist",
        "conditions.all.4": "value 4 does not exist",
        "conditions.all.5": "field is no custom field",
        "actions.0.action_destination": "names what is not there: There is no staff member 9",
        "actions.2.action_destination": "names what is not there: There is no group 9",
        "actions.3.action_destination": "names what is not there: There is no label 1. "
        "GET /api/labels.json lists the labels",
        "actions.4.action_destination.cf_2": "must be true or false",
        "actions.5.action_destination.cf_1": "is no active custom field",
        "actions.6.action_destination": "names what is not there: There is no staff member 9",
    }
    story.when(change_rule, rule_id=1, channels=("cch9",)).refused(WrongRule)


def test_values_of_fields_are_kept_as_they_were_read() -> None:
    story = with_rules().given(create_field, title="Day", field_type="date", field_level="user")
    story.when(
        create_rule,
        kind="changed",
        title="R",
        actions=[Action("custom_fields", {"cf_1": "1.2.2026"})],
        day=lambda given: f"read {given}",
    )
    assert story.new[0].actions[0].destination == {"cf_1": "read 1.2.2026"}  # type: ignore[attr-defined]


def test_a_rule_is_tried_against_a_case_and_nothing_happens() -> None:
    conditions = Condition(all=(Condition(field="text", operator="contains", value="refund"),))
    story = with_rules().given(open_case, who=person("u1"), content="Hi")
    story.given(change_rule, rule_id=1, channels=("cch2",), conditions=conditions)
    tried = {"case_id": 1, "change": "note", "matches": lambda *_: False}
    story.when(try_rule, rule_id=1, text="A refund!", **tried).then()
    assert story.result == [
        Verdict("channels", False),
        Verdict("conditions", True),
        Verdict("conditions.all.0", True),
    ]
    story.when(try_rule, rule_id=2, text="", **tried).refused(RuleNotFound)
