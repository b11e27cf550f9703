"""Languages and e-mail addresses of an account."""

from served_api import Api


async def test_languages_are_listed_added_and_changed(api: Api) -> None:
    russian, english = await api.items("languages.json", "language")
    assert russian == {"language_id": 1, "code": "РУС", "title": "Русский", "active": True}
    assert english == {"language_id": 2, "code": "ENG", "title": "English", "active": True}
    added = await api.post("languages.json", {"language": {"code": "DEU", "title": "Deutsch"}})
    assert added["language"]["language_id"] == 3
    changed = await api.put("languages/1.json", {"active": "0", "title": ""})
    assert changed["language"] == russian | {"active": False}
    assert (await api.get("languages.json?page=2&limit=2"))["0"] == added
    assert await api.get("languages.json?page=2") == {"total_count": 3}
    for language_id in ("9", "x"):
        refused = await api.call("PUT", f"languages/{language_id}.json", {"title": "x"})
        assert refused.refusal == (404, "language_not_found")
    missing = await api.call("POST", "languages.json", {"language": {}})
    assert set(missing.json["fields"]) == {"code", "title"}


async def test_addresses_of_the_account_are_listed_added_changed_and_removed(api: Api) -> None:
    assert await api.get("client_emails.json") == {"total_count": 0}
    given = {"client_emails": {"email": " Support@example.com"}}
    added = await api.post("client_emails.json", given)
    address = {"email_id": 1, "email": "Support@example.com", "active": True}
    assert added == {"client_emails": address}
    await api.post("client_emails.json", {"client_email": {"email": "b@example.com", "active": 0}})
    changed = await api.put("client_emails/2.json", {"email": "c@example.com"})
    other = {"email_id": 2, "email": "c@example.com", "active": False}
    assert changed == {"client_emails": other}
    assert await api.items("client_emails.json", "client_emails") == [address, other]
    taken = await api.call("POST", "client_emails.json", {"email": "SUPPORT@example.com"})
    assert taken.refusal == (400, "email_already_exist")
    wrong = await api.call("PUT", "client_emails/2.json", {"email": "nobody"})
    assert wrong.refusal == (400, "wrong_email")
    assert (await api.call("DELETE", "client_emails/1.json")).text == ""
    for method in ("PUT", "DELETE"):
        refused = await api.call(method, "client_emails/1.json")
        assert refused.refusal == (404, "client_email_not_found")
