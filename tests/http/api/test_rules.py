"""Rules over the API."""

from typing import Any

from served_api import Api

BOB = {"staff_email": "bob@example.com", "staff_full_name": "Bob"}
NOTE = {"action_type": "add_note", "content": "Call [user_name]"}


async def define(api: Api, *actions: Any, **fields: Any) -> Any:
    given = {"kind": "incoming", "title": "R", "actions": list(actions) or [NOTE], **fields}
    return (await api.post("rules.json", {"rule": given}))["rule"]


async def listed(api: Api) -> list[int]:
    return [rule["rule_id"] for rule in await api.items("rules.json", "rule")]


async def test_what_is_shown_can_be_sent_back_and_changes_nothing(api: Api) -> None:
    await api.channel()
    await api.post("labels.json", {"label": {"label_title": "VIP"}})
    field = {"title": "Plan", "field_type": "text", "field_level": "user"}
    await api.post("custom_fields.json", {"custom_field": field})
    actions = [
        NOTE,
        {"action_type": "email_to_user", "action_destination": {"1": "Привет", "2": "Hello"}},
        {"action_type": "status", "action_destination": 3},
        {"action_type": "staff_id", "action_destination": 0},
        {"action_type": "delete_labels", "action_destination": "1"},
        {"action_type": "subject", "action_destination": "[user_name]: [case_subject]"},
        {"action_type": "custom_fields", "action_destination": {"cf_1": "Gold"}},
        {"action_type": "round_robin", "action_destination": "1"},
        {"action_type": "stop"},
    ]
    conditions = {"all": [{"any": [{"field": "labels", "operator": "include", "value": "1"}]}]}
    made = await define(api, *actions, kind="changed", channels="cch1", conditions=conditions)
    destinations = [each["action_destination"] for each in made["actions"]]
    texts = ["", {"1": "Привет", "2": "Hello"}, "3", "0", [1], "[user_name]: [case_subject]"]
    assert destinations == [*texts, {"cf_1": "Gold"}, [1], ""]
    head = api.head()
    assert (await api.put("rules/1.json", {"rule": made}))["rule"] == made
    assert api.head() == head
    changed = (await api.put("rules/1.json", {"channels": "all", "conditions": {}}))["rule"]
    assert (changed["version"], changed["channels"], changed["conditions"]) == (2, [], {})
    macro = {"title": "M", "actions": actions[:-4]}
    shown = (await api.post("macros.json", {"macro": macro}))["macro"]["actions"]
    assert [each["action_destination"] for each in shown] == destinations[:-4]


async def test_rules_are_administrators_to_change_and_everybodys_to_see(api: Api) -> None:
    for _ in range(3):
        await define(api)
    await api.put("rules/order.json", {"rules": {"order": [3]}})
    made = await api.post("staff.json", {"staff": BOB})
    async with api.as_staff("bob@example.com", made["staff"]["api_key"]) as bob:
        assert await listed(bob) == [3, 1, 2]
        assert [
            rule["rule_id"] for rule in await bob.items("rules.json?limit=1&page=2", "rule")
        ] == [1]
        for method, path in (
            ("POST", "rules.json"),
            ("PUT", "rules/1.json"),
            ("DELETE", "rules/1.json"),
            ("PUT", "rules/order.json"),
            ("PUT", "rules/1/disable.json"),
            ("POST", "rules/1/test.json"),
        ):
            refused = await bob.call(method, path, {"rule": {"title": "x"}})
            assert refused.refusal == (403, "staff_has_not_access"), path


async def test_everything_wrong_is_named_with_its_place(api: Api) -> None:
    deep: Any = {"field": "status", "operator": "is", "value": "open"}
    for _ in range(5):
        deep = {"all": [deep]}
    many = {"any": [{"field": "user_id", "operator": "is", "value": 1}] * 101}
    two = {"all": [{"all": [], "any": [deep], "field": "status"}, {"value": 1}, "x"]}
    for fields, wrong in (
        ({"conditions": deep}, {"conditions"}),
        ({"conditions": many}, {"conditions"}),
        ({"conditions": two}, {f"conditions.all.{number}" for number in range(3)}),
        ({"conditions": "x", "channels": "fax"}, {"conditions", "channels"}),
        ({"actions": [{"action_type": "round_robin", "action_destination": "x"}]}, {"actions.0"}),
        (
            {"actions": [{"action_type": "subject"}, NOTE, {}]},
            {"actions.0", "actions.2.action_type"},
        ),
        ({"actions": [{"action_type": "custom_fields", "action_destination": "x"}]}, {"actions.0"}),
        ({"actions": [NOTE] * 51, "once_per_case": "x"}, {"actions", "once_per_case"}),
        ({"title": "x" * 256, "kind": "timely"}, {"title", "kind"}),
    ):
        given = {"kind": "incoming", "title": "R", "actions": [NOTE], **fields}
        refused = await api.call("POST", "rules.json", {"rule": given})
        assert (refused.status, set(refused.json["fields"])) == (400, wrong), refused.text
    for macro in ({"action_type": "stop"}, {"action_type": "round_robin", "action_destination": 1}):
        given = {"macro": {"title": "M", "actions": [macro]}}
        assert (await api.call("POST", "macros.json", given)).status == 400


async def test_a_rule_for_changes_is_tried_with_staffs_last_reply(api: Api) -> None:
    await api.channel()
    case_id = (await api.case(content="Refund!"))["case_id"]
    said = {"field": "text", "operator": "contains", "value": "soon"}
    noted = {"field": "change", "operator": "is", "value": "note"}
    await define(api, kind="changed", conditions={"all": [said, noted]})
    await api.message(case_id, content="", content_html="<p>See you <b>soon</b></p>")
    for change, would_run in (("staff_reply", False), ("note", True)):
        given = {"test": {"case_id": str(case_id), "change": change}}
        answer = await api.call("POST", "rules/1/test.json", given)
        assert answer.json["test"]["would_run"] is would_run, answer.text


async def test_a_timed_rule_counts_to_or_from_a_deadline(api: Api) -> None:
    note = {"action_type": "add_note", "content": "Hurry"}
    timed = {"kind": "timed", "title": "T", "actions": [note], "since": "first_response_target"}
    rule = (await api.post("rules.json", {"rule": {**timed, "before_minutes": 30}}))["rule"]
    assert (rule["after_minutes"], rule["before_minutes"]) == (0, 30)
    assert (await api.put("rules/1.json", {"rule": rule}))["rule"] == rule
    over = (await api.put("rules/1.json", {"rule": {"after_minutes": 0}}))["rule"]
    assert (over["version"], over["after_minutes"], over["before_minutes"]) == (2, 0, 0)
    for wrong in (
        {"since": "unanswered", "before_minutes": 30},
        {"since": "unanswered", "after_minutes": 0},
        {"after_minutes": 5, "before_minutes": 30},
    ):
        refused = await api.call("POST", "rules.json", {"rule": {**timed, **wrong}})
        assert refused.status == 400, refused.text
