"""Macros over the API."""

from typing import Any

from served_api import Api

BOB = {"staff_email": "bob@example.com", "staff_full_name": "Bob"}
NOTE = {"action_type": "add_note", "content": "Call [user_name]"}


async def define(api: Api, *actions: Any, **fields: Any) -> Any:
    given = {"title": "Thanks", "actions": list(actions) or [NOTE], **fields}
    return (await api.post("macros.json", {"macro": given}))["macro"]


async def test_macros_are_listed_in_omnidesks_form(api: Api) -> None:
    assert await api.get("macros.json") == {"common": [], "personal": []}
    reply = {"action_type": "email_to_user", "action_destination": {"1": "Привет"}}
    await define(api, NOTE, {"action_type": "status", "action_destination": 3}, shared=True)
    await define(api, reply, title="Mine", position=2, group_name="Shop")
    listed = await api.get("macros.json")
    assert listed["common"] == {
        "0": {
            "title": "Uncategorised",
            "sort": 99999,
            "macros_category_id": 0,
            "data": {
                "1": {
                    "title": "Thanks",
                    "position": 0,
                    "group_name": "",
                    "actions": [
                        {
                            "macro_action_id": 1,
                            "action_type": "add_note",
                            "action_display_name": "Add a note",
                            "action_destination": "",
                            "content": "Call [user_name]",
                            "subject": "",
                            "position": 1,
                        },
                        {
                            "macro_action_id": 2,
                            "action_type": "status",
                            "action_display_name": "Change the status",
                            "action_destination": "3",
                            "content": "",
                            "subject": "",
                            "position": 2,
                        },
                    ],
                }
            },
        }
    }
    personal = listed["personal"]["0"]["data"]["2"]
    assert (personal["title"], personal["position"], personal["group_name"]) == ("Mine", 2, "Shop")
    assert personal["actions"][0]["action_destination"] == {"1": "Привет"}


async def test_what_is_listed_can_be_sent_back_and_changes_nothing(api: Api) -> None:
    await api.post("labels.json", {"label": {"label_title": "VIP"}})
    await api.post("groups.json", {"group": {"group_title": "Sales"}})
    made = await define(
        api,
        NOTE,
        {"action_type": "email_to_user", "action_destination": "Hi", "subject": "Re"},
        {"action_type": "status", "action_destination": "waiting"},
        {"action_type": "priority", "action_destination": "low"},
        {"action_type": "staff_id", "action_destination": "me"},
        {"action_type": "group_id", "action_destination": "1"},
        {"action_type": "add_labels", "action_destination": ["1"]},
        {"action_type": "delete_labels", "action_destination": "1"},
    )
    shown = [action["action_destination"] for action in made["actions"]]
    assert shown == ["", "Hi", "2", "low", "me", "1", [1], [1]]
    head = api.head()
    assert (await api.put("macros/1.json", {"macro": made}))["macro"] == made
    assert api.head() == head
    changed = (await api.put("macros/1.json", {"title": "New", "actions": None}))["macro"]
    assert changed == {**made, "title": "New"}
    assert (await api.call("DELETE", "macros/1.json")).text == ""
    for method, path in (("PUT", "macros/1.json"), ("DELETE", "macros/x.json")):
        assert (await api.call(method, path, {})).refusal == (404, "macro_not_found")


WRONG = [
    {},
    {"action_type": "fly"},
    {"action_type": "add_note"},
    {"action_type": "status", "action_destination": "4"},
    {"action_type": "status"},
    {"action_type": "priority", "action_destination": 1},
    {"action_type": "staff_id", "action_destination": "you"},
    {"action_type": "group_id", "action_destination": -1},
    {"action_type": "add_labels", "action_destination": []},
    {"action_type": "add_labels", "action_destination": [1, "x"]},
    {"action_type": "email_to_user"},
    {"action_type": "email_to_user", "action_destination": {}},
    {"action_type": "email_to_user", "action_destination": {"ru": "x"}},
    {"action_type": "email_to_user", "action_destination": {"1": ""}},
    {"action_type": "email_to_user", "action_destination": ["x"]},
    {"action_type": "email_to_user", "action_destination": "x" * (1024 * 1024 + 1)},
    "status",
]


async def test_wrong_actions_are_refused_and_all_are_named(api: Api) -> None:
    head = api.head()
    given = {"macro": {"title": "x", "actions": [NOTE, *WRONG]}}
    refused = await api.call("POST", "macros.json", given)
    assert refused.refusal == (400, "invalid_parameters")
    named = {".".join(name.split(".")[:2]) for name in refused.json["fields"]}
    assert named == {f"actions.{at}" for at in range(1, len(WRONG) + 1)}
    for actions in ([], None, [NOTE] * 51):
        given = {"macro": {"title": "x", "actions": actions}}
        refused = await api.call("POST", "macros.json", given)
        assert refused.refusal == (400, "invalid_parameters")
        assert list(refused.json["fields"]) == ["actions"]
    assert api.head() == head


async def test_a_macro_is_applied_as_one_request_with_its_variables_filled(api: Api) -> None:
    await api.channel()
    case = await api.case(user_full_name="Ann <b>", subject="Order", content="Where?")
    await define(
        api,
        {
            "action_type": "email_to_user",
            "action_destination": "[user_name]: [case_number], [last_message] [unknown]",
        },
        NOTE,
        {"action_type": "status", "action_destination": "3"},
        {"action_type": "staff_id", "action_destination": "me"},
    )
    key = {"Idempotency-Key": "once"}
    done = await api.call("POST", "cases/1/macros/1/apply.json", headers=key)
    assert done.status == 200
    assert (done.json["case"]["status"], done.json["case"]["staff_id"]) == ("closed", 1)
    head = api.head()
    again = await api.call("POST", "cases/1/macros/1/apply.json", headers=key)
    assert again.json == done.json
    assert api.head() == head
    _, reply, note = await api.items("cases/1/messages.json", "message")
    assert reply["content"] == f"Ann <b>: {case['case_number']}, Where? [unknown]"
    assert (reply["staff_id"], reply["note"]) == (1, False)
    assert (note["content"], note["note"]) == ("Call Ann <b>", True)
    events = await api.items("events.json?case_id=1&order=desc&limit=5", "event")
    assert len({event["request"] for event in events}) == 1


async def test_nothing_of_a_macro_is_done_if_a_part_cannot_be(api: Api) -> None:
    await api.channel()
    await api.case()
    await api.post("groups.json", {"group": {"group_title": "Sales"}})
    await define(api, NOTE, {"action_type": "group_id", "action_destination": 1})
    await api.put("groups/1/disable.json")
    head = api.head()
    for path, refusal in {
        "cases/1/macros/1/apply.json": (400, "group_not_active"),
        "cases/1/macros/9/apply.json": (404, "macro_not_found"),
        "cases/9/macros/1/apply.json": (404, "case_not_found"),
    }.items():
        assert (await api.call("POST", path)).refusal == refusal
    assert api.head() == head


async def test_a_macro_belongs_to_its_staff_member(api: Api) -> None:
    await api.channel()
    await api.case()
    secret = (await api.post("staff.json", {"staff": BOB}))["staff"]["api_key"]
    await define(api)
    await define(api, shared="1")
    async with api.as_staff("bob@example.com", secret) as bob:
        listed = await bob.get("macros.json")
        assert (list(listed["common"]["0"]["data"]), listed["personal"]) == (["2"], [])
        for method, path in [
            ("PUT", "macros/1.json"),
            ("DELETE", "macros/1.json"),
            ("POST", "cases/1/macros/1/apply.json"),
        ]:
            assert (await bob.call(method, path, {})).refusal == (404, "macro_not_found")
        shared = {"macro": {"title": "x", "actions": [NOTE], "shared": True}}
        for method, path, body in [
            ("POST", "macros.json", shared),
            ("PUT", "macros/2.json", {"title": "x"}),
            ("DELETE", "macros/2.json", None),
        ]:
            refused = await bob.call(method, path, body)
            assert refused.refusal == (403, "staff_has_not_access")
        assert (await bob.call("POST", "cases/1/macros/2/apply.json")).status == 200
        note = (await bob.items("cases/1/messages.json", "message"))[-1]
        assert note["staff_id"] == 2
