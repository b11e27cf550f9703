"""Companies, and the users who work for them."""

from served_api import Api


async def test_a_company_is_made_changed_found_and_deleted(api: Api) -> None:
    await api.channel()
    for external_id in ("a", "b"):
        await api.case(user_custom_id=external_id, company_name="Acme")
    group = (await api.post("groups.json", {"group": {"group_title": "VIP"}}))["group"]["group_id"]
    fields = {
        "company_name": "Other",
        "company_domains": "other.com, @OTHER.org",
        "company_default_group": group,
        "company_address": "Street 1",
        "company_note": "",
        "company_users": "1",
    }
    made = (await api.post("companies.json", {"company": fields}))["company"]
    del fields["company_users"]
    assert made.items() >= {**fields, "company_domains": "other.com,other.org"}.items()
    assert (made["amount_of_users"], made["active"], made["deleted"]) == (1, True, False)
    user = (await api.get("users/1.json"))["user"]
    assert (user["company_id"], user["company_name"]) == (2, "Other")
    assert (await api.case(user_custom_id="a"))["group_id"] == group
    registered = await api.post("users.json", {"user": {"user_email": "x@Other.com"}})
    assert registered["user"]["company_name"] == "Other"
    changes = {
        "company_note": "VIP",
        "add_company_domains": ["third.com"],
        "remove_company_domains": "other.com",
        "add_company_users": [2],
        "remove_company_users": "1,3",
    }
    changed = (await api.put("companies/2.json", {"company": changes}))["company"]
    assert (
        changed.items()
        >= {
            "company_domains": "other.org,third.com",
            "company_note": "VIP",
            "company_address": "Street 1",
            "amount_of_users": 1,
        }.items()
    )
    head = api.head()
    assert (await api.put("companies/2.json", changes | {"company_name": None}))[
        "company"
    ] == changed
    assert api.head() == head
    shown = await api.items("companies.json?amount_of_users=1&amount_of_cases=true", "company")
    assert [(each["amount_of_users"], each["amount_of_cases"]) for each in shown] == [
        (0, 0),
        (1, 1),
    ]
    [found] = await api.items("companies.json?company_domains=third", "company")
    assert found == {key: value for key, value in changed.items() if key != "amount_of_users"}
    assert [u["user_id"] for u in await api.items("users.json?company_id[]=2", "user")] == [2]
    assert (await api.call("DELETE", "companies/2.json", [])).text == ""
    user = (await api.get("users/2.json"))["user"]
    assert (user["company_id"], user["company_name"]) == (0, "")
    assert (await api.call("GET", "companies/2.json")).refusal == (404, "company_not_found")


async def test_a_company_is_blocked_disabled_and_restored(api: Api) -> None:
    await api.channel()
    await api.case(company_name="Acme")
    states = [
        (await api.put(f"companies/1/{what}.json", []))["company"]
        for what in ("block", "disable", "restore")
    ]
    assert [(each["active"], each["deleted"]) for each in states] == [
        (False, False),
        (False, True),
        (True, False),
    ]
    await api.put("companies/1/block.json")
    assert (await api.case())["spam"]


async def test_wrong_companies_are_refused(api: Api) -> None:
    await api.post("companies.json", {"company_name": "Acme", "company_domains": ["acme.com"]})
    head = api.head()
    for body, refusal, fields in (
        ({}, (400, "invalid_parameters"), {"company_name"}),
        (
            {"company_name": " ", "company_domains": "a b", "company_users": "x"},
            (400, "invalid_parameters"),
            {"company_name", "company_domains.0", "company_users.0"},
        ),
        (
            {"company_name": "x", "company_users": list(range(1, 1002))},
            (400, "invalid_parameters"),
            {"company_users"},
        ),
        ({"company_name": "ACME"}, (400, "company_name_already_exist"), set()),
        (
            {"company_name": "x", "company_domains": "ACME.com"},
            (400, "company_domain_already_exist"),
            set(),
        ),
        ({"company_name": "x", "company_default_group": 9}, (404, "group_not_found"), set()),
        ({"company_name": "x", "company_users": 9}, (404, "user_not_found"), set()),
    ):
        refused = await api.call("POST", "companies.json", {"company": body})
        assert refused.refusal == refusal, body
        assert set(refused.json.get("fields", ())) == fields
    for method, path in (
        ("GET", "companies/7"),
        ("PUT", "companies/x/block"),
        ("DELETE", "companies/7"),
    ):
        assert (await api.call(method, f"{path}.json")).refusal == (404, "company_not_found")
    assert api.head() == head
