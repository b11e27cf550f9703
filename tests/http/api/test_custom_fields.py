"""Custom fields: defining them, and their values on cases and users."""

from typing import Any

from served_api import CONTENT, Api

FIELDS: list[dict[str, Any]] = [
    {"title": "Order", "field_type": "text", "field_level": "case"},
    {"title": "Urgent", "field_type": "checkbox", "field_level": "case"},
    {
        "title": "Colour",
        "field_type": "select",
        "field_level": "case",
        "field_data": {"1": "Red", "2": "Green"},
    },
    {"title": "Due", "field_type": "date", "field_level": "case"},
    {"title": "Notes", "field_type": "textarea", "field_level": "user"},
]


async def defined(api: Api) -> None:
    """Of cases: text 1, checkbox 2, select 3, date 4; of users: textarea 5. Channel 1."""
    await api.channel()
    for field in FIELDS:
        await api.post("custom_fields.json", {"custom_field": field})


async def test_fields_are_defined_listed_changed_disabled_and_deleted(api: Api) -> None:
    await defined(api)
    listed = await api.items("custom_fields.json", "custom_field")
    assert listed == [
        {"field_id": number, "field_data": "", **field, "active": True}
        for number, field in enumerate(FIELDS, start=1)
    ]
    assert list(listed[0]) == [
        *("field_id", "title", "field_type", "field_level", "active", "field_data"),
    ]
    assert await api.get("custom_fields/3.json") == {"custom_field": listed[2]}
    form = {"custom_field[field_data][1]": "Red", "custom_field[field_data][2]": "Blue"}
    changed = await api.call("PUT", "custom_fields/3.json", data=form)
    assert changed.json["custom_field"] == listed[2] | {"field_data": {"1": "Red", "2": "Blue"}}
    renamed = await api.put("custom_fields/3.json", {"title": "Paint", "field_type": "text"})
    assert renamed["custom_field"]["title"] == "Paint"
    assert renamed["custom_field"]["field_type"] == "select"
    for action, active in (("disable", False), ("enable", True)):
        field = await api.put(f"custom_fields/3/{action}.json")
        assert field["custom_field"]["active"] is active
    assert (await api.call("DELETE", "custom_fields/3.json")).text == ""
    for method, path in (("GET", "3"), ("PUT", "3"), ("DELETE", "3"), ("PUT", "x/enable")):
        refused = await api.call(method, f"custom_fields/{path}.json")
        assert refused.refusal == (404, "custom_field_not_found")
    assert (await api.get("custom_fields.json"))["total_count"] == 4


async def test_wrong_definitions_are_refused(api: Api) -> None:
    await defined(api)
    head = api.head()
    wrong = await api.call("POST", "custom_fields.json", {"custom_field": {"field_type": "int"}})
    assert set(wrong.json["fields"]) == {"title", "field_type", "field_level"}
    select = {"title": "x", "field_type": "select", "field_level": "user", "field_data": {}}
    refused = await api.call("POST", "custom_fields.json", {"custom_field": select})
    assert refused.refusal == (400, "field_data_required")
    many = {"custom_field": select | {"field_data": {str(n): "x" for n in range(201)}}}
    assert (await api.call("POST", "custom_fields.json", many)).status == 400
    assert api.head() == head


async def test_values_come_with_cases_and_users_in_every_form(api: Api) -> None:
    await defined(api)
    opened = await api.case(
        custom_fields={
            "cf_1": 55,
            "cf_2": "true",
            "cf_3": 2,
            "cf_4": "25.12.2021",
            "cf_5": "VIP",
            "cf_99": "?",
        }
    )
    values = {"cf_1": "55", "cf_2": True, "cf_3": "2", "cf_4": "2021-12-25"}
    assert opened["custom_fields"] == values
    assert (await api.get("users/1.json"))["user"]["custom_fields"] == {"cf_5": "VIP"}
    at_first = api.head()

    form = {"case[user_custom_id]": "u2", "case[channel]": "cch1", "case[content]": "x"}
    form |= {"case[custom_fields][cf_1]": "Заказ", "case[custom_fields][cf_2]": "0"}
    answer = await api.call("POST", "cases.json", data=form)
    assert answer.json["case"]["custom_fields"] == {"cf_1": "Заказ", "cf_2": False}

    for nothing in ([], None, "", {}, {"cf_1": "", "cf_2": None, "cf_3": []}, {"other": 1}):
        kept = await api.put("cases/1.json", {"case": {"custom_fields": nothing}})
        assert kept["case"]["custom_fields"] == values, nothing
    change = {"custom_fields": [{"cf_1": "New"}, {"cf_5": "User"}], "delete_custom_fields": "cf_2"}
    changed = await api.put("cases/1.json", {"case": change})
    assert changed["case"]["custom_fields"] == {"cf_1": "New", "cf_3": "2", "cf_4": "2021-12-25"}
    assert (await api.get("users/1.json"))["user"]["custom_fields"] == {"cf_5": "User"}

    user = {"user_email": "ann@example.com", "custom_fields": {"cf_5": "Ann", "cf_1": "case"}}
    made = (await api.post("users.json", {"user": user}))["user"]
    assert made["custom_fields"] == {"cf_5": "Ann"}
    cleared = {"user": {"delete_custom_fields": [5]}}
    path = f"users/{made['user_id']}.json"
    assert (await api.put(path, cleared))["user"]["custom_fields"] == {}
    again = await api.put(path, {"user": {"custom_fields": {"cf_5": "Ann"}}})
    assert again["user"]["custom_fields"] == {"cf_5": "Ann"}

    async def found(query: str, entity: str = "case") -> list[int]:
        rows = await api.items(f"{entity}s.json?{query}", entity)
        return sorted(row[f"{entity}_id"] for row in rows)

    assert await found("custom_fields[cf_1]=NEW") == [1]
    assert await found("custom_fields%5Bcf_2%5D=false") == [2]
    assert await found("custom_fields[cf_3]=2&custom_fields[cf_5]=user") == [1]
    assert await found("custom_fields[cf_1][]=new&custom_fields[cf_1][]=заказ") == [1, 2]
    assert await found("custom_fields[cf_1]=") == [1, 2]
    assert await found("custom_fields[cf_98]=x") == []
    for unreadable in ("custom_fields[xx]=x", "custom_fields[25]=x"):
        refused = await api.call("GET", f"cases.json?{unreadable}")
        assert (refused.status, list(refused.json["fields"])) == (400, ["custom_fields"])
    assert await found("custom_fields[cf_5]=ann", "user") == [made["user_id"]]

    await api.call("DELETE", "custom_fields/3.json")
    assert "cf_3" not in (await api.get("cases/1.json"))["case"]["custom_fields"]
    then = await api.get(f"cases/1.json?as_of={at_first}")
    assert then["case"]["custom_fields"] == values


async def test_wrong_values_are_named_and_nothing_is_written(api: Api) -> None:
    await defined(api)
    await api.case()
    head = api.head()
    wrong = {"cf_1": True, "cf_2": "yes", "cf_3": "9", "cf_4": "2021-02-30"}
    who = {"user_custom_id": "u2", "channel": "cch1", **CONTENT}
    for method, path, fields in (("POST", "cases.json", who), ("PUT", "cases/1.json", {})):
        refused = await api.call(method, path, {"case": {**fields, "custom_fields": wrong}})
        assert refused.refusal == (400, "incorrect_custom_fields")
        assert refused.json["fields"] == {
            "custom_fields.cf_1": "must be a text",
            "custom_fields.cf_2": "must be true or false",
            "custom_fields.cf_3": "must be a key of the field's field_data",
            "custom_fields.cf_4": "must be a date of the calendar",
        }
    for no_object in ("x", ["x"], 1):
        refused = await api.call("PUT", "users/1.json", {"user": {"custom_fields": no_object}})
        assert refused.json["fields"] == {
            "custom_fields": 'must be an object such as {"cf_1": "..."}'
        }
    many = {f"cf_{number}": "x" for number in range(1, 202)}
    refused = await api.call("PUT", "users/1.json", {"user": {"custom_fields": many}})
    assert refused.json["fields"] == {"custom_fields": "may name up to 200 fields"}
    assert api.head() == head


async def test_only_administrators_define_fields(api: Api) -> None:
    given = {"staff": {"staff_email": "boris@example.com", "staff_full_name": "Boris"}}
    key = (await api.post("staff.json", given))["staff"]["api_key"]
    async with api.as_staff("boris@example.com", key) as boris:
        assert await boris.get("custom_fields.json") == {"total_count": 0}
        refused = await boris.call("POST", "custom_fields.json", {"custom_field": FIELDS[0]})
        assert refused.refusal == (403, "staff_has_not_access")
