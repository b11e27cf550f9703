"""Filters over the API, and lists of cases by them."""

from served_api import EMAIL, KEY, Api

BOB = {"staff_email": "bob@example.com"}


async def test_filters_are_listed_in_omnidesks_form(api: Api) -> None:
    listed = await api.items("filters.json", "filter")
    assert listed[0] == {
        "filter_id": 1,
        "filter_name": "Open",
        "isSelected": True,
        "isCustom": False,
    }
    assert [each["isSelected"] for each in listed].count(True) == 1
    await api.post("filters.json", {"filter": {"filter_name": "VIP"}})
    page = await api.get("filters.json?limit=2&page=5")
    assert page == {
        "0": {
            "filter": {
                "filter_id": 101,
                "filter_name": "VIP",
                "isSelected": False,
                "isCustom": True,
            }
        },
        "total_count": 9,
    }
    assert await api.get("filters.json?page=500") == {"total_count": 9}


async def test_a_list_of_cases_is_filtered_and_further_parameters_narrow_or_replace(
    api: Api,
) -> None:
    await api.channel()
    await api.channel()
    for number, status in enumerate(("open", "waiting", "closed", "open"), start=1):
        await api.case(user_custom_id=f"u{number}", status=status, subject=f"Order {number}")
    await api.case(channel="cch2", user_custom_id="u5")
    await api.put("cases/4.json", {"case": {"staff_id": 1}})
    conditions = {"status": ["open", "waiting"], "channel": "cch1", "sort": "created_at_asc"}
    given = {"filter": {"filter_name": "Orders", "conditions": {**conditions, "subject": ""}}}
    made = (await api.post("filters.json", given))["filter"]
    assert made == {
        "filter_id": 101,
        "filter_name": "Orders",
        "isSelected": False,
        "isCustom": True,
        "shared": False,
        "conditions": conditions,
    }

    async def found(query: str) -> list[int]:
        return [each["case_id"] for each in await api.items(f"cases.json?{query}", "case")]

    assert await found("filter=101") == [1, 2, 4]
    assert await found("filter=101&status=waiting") == [2]
    assert await found("filter=101&staff_id=1") == [4]
    assert await found("filter=101&sort=created_at_desc&limit=2") == [4, 2]
    assert await found("filter=101&channel=cch2") == [5]
    assert await found("filter=4") == [4]
    assert await found("filter=5&sort=created_at_asc") == [1, 2, 5]
    assert await found("filter=6&sort=created_at_asc") == [1, 2, 3, 4, 5]
    assert (await api.get("cases.json?filter=101&page=2&limit=2"))["total_count"] == 3
    await api.put("cases/1/trash.json")
    await api.put("cases/2/spam.json")
    assert (await found("filter=8"), await found("filter=7")) == ([1], [2])
    for missing in ("9", "100", "999"):
        refused = await api.call("GET", f"cases.json?filter={missing}")
        assert refused.refusal == (404, "filter_not_found")


async def test_a_filter_takes_whatever_the_list_takes(api: Api) -> None:
    await api.channel()
    await api.post("labels.json", {"label": {"label_title": "VIP"}})
    field = {"title": "Colour", "field_type": "text", "field_level": "case"}
    await api.post("custom_fields.json", {"custom_field": field})
    for number in (1, 2):
        await api.case(user_custom_id=f"u{number}", custom_fields={"cf_1": f"Red {number}"})
    await api.put("cases/2.json", {"case": {"add_labels": [1]}})
    for conditions, expected in [
        ({"labels": "1"}, [2]),
        ({"custom_fields": {"cf_1": "red 1"}}, [1]),
        ({"from_time": "2000-01-01 00:00:00", "user_custom_id": ["u1", "u3"]}, [1]),
        ({"to_time": 946684800}, []),
    ]:
        given = {"filter": {"filter_name": "x", "conditions": conditions}}
        made = (await api.post("filters.json", given))["filter"]
        found = await api.items(f"cases.json?filter={made['filter_id']}", "case")
        assert [each["case_id"] for each in found] == expected
    form = {"filter[filter_name]": "x", "filter[conditions][labels][]": "1"}
    made = await api.call("POST", "filters.json", data=form)
    assert made.json["filter"]["conditions"] == {"labels": ["1"]}


async def test_me_is_whoever_asks(api: Api) -> None:
    await api.channel()
    await api.case()
    secret = (await api.post("staff.json", {"staff": BOB}))["staff"]["api_key"]
    await api.put("cases/1.json", {"case": {"staff_id": 2}})
    for conditions in ({"staff_id": "me"}, {"staff_id": ["me", 77]}):
        given = {"filter_name": "Mine", "conditions": conditions, "shared": True}
        made = (await api.post("filters.json", given))["filter"]
        assert made["conditions"] == conditions
        query = f"cases.json?filter={made['filter_id']}"
        assert (await api.get(query))["total_count"] == 0
        async with api.as_staff("bob@example.com", secret) as bob:
            assert (await bob.get(query))["total_count"] == 1


async def test_conditions_are_what_the_list_takes_and_all_wrong_ones_are_named(api: Api) -> None:
    head = api.head()
    wrong = {"statsu": "open", "status": ["new"], "from_time": "yesterday", "page": 2}
    for method, path in (("POST", "filters.json"), ("PUT", "filters/101.json")):
        given = {"filter": {"filter_name": "x", "conditions": wrong}}
        refused = await api.call(method, path, given)
        assert refused.refusal == (400, "invalid_parameters")
        assert set(refused.json["fields"]) == {
            "conditions.statsu",
            "conditions.status.0",
            "conditions.from_time",
            "conditions.page",
        }
    for given in ({}, {"filter_name": "x", "conditions": "open"}, {"conditions": {}}):
        refused = await api.call("POST", "filters.json", {"filter": given})
        assert refused.refusal == (400, "invalid_parameters")
    assert api.head() == head


async def test_a_filter_belongs_to_its_staff_member(api: Api) -> None:
    secret = (await api.post("staff.json", {"staff": BOB}))["staff"]["api_key"]
    await api.post("filters.json", {"filter": {"filter_name": "Admin's"}})
    await api.post("filters.json", {"filter": {"filter_name": "Ours", "shared": 1}})
    async with api.as_staff("bob@example.com", secret) as bob:
        for method, path, body in [
            ("GET", "filters/101.json", None),
            ("PUT", "filters/101.json", {"filter_name": "x"}),
            ("DELETE", "filters/101.json", None),
            ("PUT", "filters/101/select.json", None),
            ("GET", "cases.json?filter=101", None),
            ("PUT", "filters/1.json", {"filter_name": "x"}),
            ("DELETE", "filters/1.json", None),
        ]:
            refused = await bob.call(method, path, body)
            assert refused.refusal == (404, "filter_not_found")
        for method, path, body in [
            ("PUT", "filters/102.json", {"filter_name": "x"}),
            ("DELETE", "filters/102.json", None),
            ("POST", "filters.json", {"filter_name": "x", "shared": True}),
        ]:
            refused = await bob.call(method, path, body)
            assert refused.refusal == (403, "staff_has_not_access")
        own = (await bob.post("filters.json", {"filter_name": "Bob's"}))["filter"]["filter_id"]
        assert (await bob.get("filters.json"))["total_count"] == 10
        await bob.put(f"filters/{own}.json", {"filter": {"filter_name": "B"}})
        changed = (await bob.put(f"filters/{own}.json", {"conditions": {"spam": 1}}))["filter"]
        assert (changed["filter_name"], changed["conditions"]) == ("B", {"spam": 1})
        assert (await bob.call("DELETE", f"filters/{own}.json")).text == ""
        assert (await bob.call("GET", f"filters/{own}")).refusal == (404, "filter_not_found")


async def test_the_selected_filter_is_the_callers_last_choice_that_is_still_there(api: Api) -> None:
    async def selected() -> list[int]:
        listed = await api.items("filters.json", "filter")
        return [each["filter_id"] for each in listed if each["isSelected"]]

    assert await selected() == [1]
    assert (await api.put("filters/4/select.json"))["filter"]["isSelected"] is True
    assert await selected() == [4]
    await api.post("filters.json", {"filter": {"filter_name": "VIP"}})
    await api.put("filters/101/select.json", [])
    secret = (await api.post("staff/1/keys.json", {}))["key"]["api_key"]
    assert secret != KEY
    async with api.as_staff(EMAIL, secret) as same:
        assert (await same.get("filters/101.json"))["filter"]["isSelected"] is True
    await api.call("DELETE", "filters/101.json")
    assert await selected() == [1]
