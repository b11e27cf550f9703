"""Labels: their calls, and labels on cases."""

import asyncio

from served_api import Api


async def test_labels_are_made_shown_renamed_listed_and_deleted(api: Api) -> None:
    made = await api.post("labels.json", {"label": {"label_title": "Blocked "}})
    assert made == {"label": {"label_id": 1, "label_title": "Blocked "}}
    assert await api.get("labels/1.json") == await api.get("labels/1") == made
    for body in ({"labels": {"label_title": "VIP"}}, {"label_title": 55}):
        await api.post("labels.json", body)
    renamed = await api.put("labels/1.json", {"labels": {"label_title": "Waits"}})
    assert renamed == {"label": {"label_id": 1, "label_title": "Waits"}}
    assert await api.put("labels/1.json", {"label": {"label_title": ""}}) == renamed
    titles = [label["label_title"] for label in await api.items("labels.json", "label")]
    assert titles == ["Waits", "VIP", "55"]
    assert (await api.get("labels.json?page=2&limit=2"))["0"]["label"]["label_id"] == 3
    for refused in (
        await api.call("POST", "labels.json", {"label": {"label_title": "vip"}}),
        await api.call("PUT", "labels/1.json", {"label": {"label_title": "VIP"}}),
    ):
        assert refused.refusal == (400, "label_title_already_exist")
    deleted = await api.call("DELETE", "labels/2.json")
    assert (deleted.status, deleted.text) == (200, "")
    for method in ("GET", "PUT", "DELETE"):
        assert (await api.call(method, "labels/2.json")).refusal == (404, "label_not_found")
    assert (await api.get("labels.json"))["total_count"] == 2
    missing = await api.call("POST", "labels.json", {"label": {}})
    assert missing.json["fields"] == {"label_title": "is required"}


async def test_cases_are_opened_changed_and_found_with_labels(api: Api) -> None:
    await api.channel()
    for title in ("a", "b", "c"):
        await api.post("labels.json", {"label": {"label_title": title}})
    before = api.head()
    opened = await api.case(labels=["2", 1])
    assert (opened["labels"], opened["locked_labels"]) == ([1, 2], [])
    form = {"case[user_custom_id]": "u2", "case[channel]": "cch1", "case[content]": "x"}
    answer = await api.call("POST", "cases.json", data={**form, "case[labels][]": "3"})
    assert answer.json["case"]["labels"] == [3]
    at_first = api.head()
    change = {"add_labels": [3], "delete_labels": "1,9", "labels": [1]}
    changed = (await api.put("cases/1.json", {"case": change}))["case"]
    assert changed["labels"] == [2, 3]
    nothing = {"case": {"add_labels": [], "delete_labels": None}}
    assert (await api.put("cases/1.json", nothing))["case"]["labels"] == [2, 3]
    found = {
        query: sorted(case["case_id"] for case in await api.items(f"cases.json?{query}", "case"))
        for query in ("labels=3", "labels[]=2", "labels=1", "labels[0]=1&labels[1]=2", "labels=7")
    }
    assert list(found.values()) == [[1, 2], [1], [], [1], []]

    assert (await api.call("DELETE", "labels/2.json")).status == 200
    assert (await api.get("cases/1.json"))["case"]["labels"] == [3]
    # As of an earlier moment the label was there.
    then = await api.get(f"cases/1.json?as_of={at_first}")
    assert then["case"]["labels"] == [1, 2]
    assert (await api.get(f"cases/1.json?as_of={api.head()}"))["case"]["labels"] == [3]
    assert (await api.call("GET", f"cases/1.json?as_of={before}")).status == 404

    head = api.head()
    for body in ({"add_labels": [2]}, {"add_labels": ["9"]}, {"delete_labels": "x"}):
        refused = await api.call("PUT", "cases/1.json", {"case": body})
        assert refused.refusal == (400, "incorrect_labels"), body
    many = {"user_custom_id": "u3", "channel": "cch1", "content": "x", "labels": [*range(101)]}
    refused = await api.call("POST", "cases.json", {"case": many})
    assert refused.refusal == (400, "incorrect_labels")
    assert refused.json["fields"] == {"labels": "may name up to 100 labels"}
    assert api.head() == head


async def test_of_labels_made_at_once_with_one_title_one_is_made(api: Api) -> None:
    titles = ["Urgent", "URGENT", "urgent ", "Urgent"]
    answers = await asyncio.gather(
        *(api.call("POST", "labels.json", {"label": {"label_title": title}}) for title in titles)
    )
    assert sorted(answer.status for answer in answers) == [201, 400, 400, 400]
    assert (await api.get("labels.json"))["total_count"] == 1


async def test_staff_make_labels_and_only_administrators_delete_them(api: Api) -> None:
    given = {"staff": {"staff_email": "boris@example.com", "staff_full_name": "Boris"}}
    key = (await api.post("staff.json", given))["staff"]["api_key"]
    async with api.as_staff("boris@example.com", key) as boris:
        await boris.post("labels.json", {"label": {"label_title": "Mine"}})
        await boris.put("labels/1.json", {"label": {"label_title": "Ours"}})
        refused = await boris.call("DELETE", "labels/1.json")
        assert refused.refusal == (403, "staff_has_not_access")
