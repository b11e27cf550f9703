"""Statistics over the API: whose figures, of which time, as JSON and as a table. What they mean: tests/projections."""

import csv
from io import StringIO

from served_api import Api

NONE = {"count": 0, "median": None, "p90": None, "mean": None, "with_target": 0, "violated": 0}


async def desk(api: Api) -> None:
    """Two channels, a target nobody can meet, a case that is answered, rated and closed, and one that waits."""
    await api.channel(title="=App")
    await api.channel(title="Chat", channel_type="sync")
    target = {"title": "x", "first_response_minutes": 1, "hours": "clock"}
    await api.post("response_targets.json", {"response_target": target})
    hour_ago = {"created_at": "2026-01-05 10:00:00"}
    case = await api.case(**hour_ago)
    reply = await api.message(case["case_id"], staff_id=1, created_at="2026-01-05 10:20:00")
    await api.post(f"cases/{case['case_id']}/note.json", {"note": {"content": "x"}})
    rating = {"rating": "high", "rating_comment": '=cmd|"x"'}
    path = f"cases/{case['case_id']}/messages/{reply['message_id']}/rate.json"
    await api.call("POST", path, {"rate": rating})
    for change in ({"staff_id": 1}, {"status": "closed"}):
        await api.put(f"cases/{case['case_id']}.json", {"case": change})
    await api.case(channel="cch2", priority="high")


JANUARY = "from_time=2026-01-01&to_time=2026-02-01"


async def test_figures_are_grouped_and_filtered(api: Api) -> None:
    await desk(api)
    january = await api.get(f"stats_channels.json?{JANUARY}")
    first, second = january["0"]["stats"], january["1"]["stats"]
    assert january["total_count"] == 2
    assert (first["key"], first["name"], second["key"]) == ("cch1", "=App", "cch2")
    times = {"count": 1, "median": 1200, "p90": 1200, "mean": 1200}
    times |= {"with_target": 1, "violated": 1}
    assert first["first_response"] == times
    assert first["response"] == times | {"with_target": 0, "violated": 0}
    assert first["resolution"] == NONE
    assert first["first_response_sla_violated"] == "100%"
    names = ("new_cases", "messages_in", "messages_out", "notes", "closed_cases")
    assert [first[name] for name in names] == [1, 1, 1, 0, 0]
    assert first["delivery"]["deliveries"] == 0
    assert second["backlog"]["waiting_cases"] == second["backlog"]["cases"] == 1
    assert second["new_cases"] == 0

    now = {item["key"]: item for item in await api.items("stats_channels.json", "stats")}
    assert now["cch1"]["closed_cases"] == now["cch1"]["notes"] == 1
    assert now["cch1"]["delivery"]["waiting"] == now["cch1"]["delivery"]["deliveries"] == 2
    assert (now["cch1"]["ratings_high"], now["cch2"]["new_cases"]) == (1, 1)

    for query, keys in {
        f"{JANUARY}&group_by=day": ["2026-01-05"],
        f"{JANUARY}&group_by=hour": ["Mon, 05 Jan 2026 10:00:00 +0300"],
        f"{JANUARY}&group_by=staff": ["0", "1"],
        f"{JANUARY}&group_by=group&hours=business": ["0"],
        f"{JANUARY}&group_by=total&channel=async": ["total"],
        "channel=sync&group_by=staff&priority=high": ["0", "1"],
    }.items():
        rows = await api.items(f"stats_channels.json?{query}", "stats")
        assert [row["key"] for row in rows] == keys, query
    for query, new in {
        "channel=sync": 0,
        "channel=messengers": 0,
        "channel=async&status=closed": 1,
        "initiator=agent": 0,
        "initiator=user&participant_id=1": 1,
        "assignee_role_id=1,3": 1,
        "participant_role_id=2": 0,
        "user_id=1": 1,
        "company_id=7": 0,
        "staff_id=all": 1,
        "staff_id=0": 0,
    }.items():
        [total] = await api.items(f"stats_channels.json?{JANUARY}&group_by=total&{query}", "stats")
        assert total["new_cases"] == new, query


async def test_omnidesks_two_calls_have_its_forms(api: Api) -> None:
    assert await api.get("stats_leaderboard.json?staff_id=77") == []
    assert await api.get("stats_satisfaction.json") == {"total_count": 0}
    await desk(api)
    board = await api.get(f"stats_leaderboard.json?{JANUARY}")
    assert list(board) == ["0"]
    assert board["0"]["staff"] == {
        "staff_id": 1,
        "staff_name": "Administrator",
        "new_cases_in_total": 1,
        "new_user_cases": 1,
        "reopened_cases": 0,
        "cases_being_handled": 0,
        "cases_with_a_response": 1,
        "first_response_time": 20,
        "first_response_sla_violated": "100%",
        "response_time": 20,
        "response_sla_violated": "0%",
        "response_writing_time": "-",
        "total_number_of_responses": 1,
        "total_number_of_notes": 0,
        "number_of_responses_for_resolution": "-",
        "closed_cases": 0,
        "resolution_time": "-",
        "resolution_sla_violated": "0%",
        "ratings_of_responses": "-",
    }
    now = (await api.get("stats_leaderboard.json?period=last_24_hours&staff_id=1"))["0"]["staff"]
    assert (now["closed_cases"], now["ratings_of_responses"]) == (1, "100%")
    assert now["number_of_responses_for_resolution"] == 1.0
    rated = await api.get("stats_satisfaction.json?rating=high&rating_comment=1&rated_staff_id=1")
    assert rated["total_count"] == 1
    assert (rated["0"]["rating"], rated["0"]["case_id"], rated["0"]["rated_staff_id"]) == (
        "3",
        1,
        1,
    )
    for query in ("rating=low", "rating_comment=0", "rated_assignee_role_id=2", "rating_id=1"):
        assert await api.get(f"stats_satisfaction.json?{query}") == {"total_count": 0}


async def test_limited_staff_see_the_figures_of_what_they_see(api: Api) -> None:
    await desk(api)
    rights = {"rights": ["see_statistics"]}
    for email, role, channels, new in (
        ("one@example.com", {"channels": {"cch2": "see"}}, ["cch2"], 1),
        ("own@example.com", {"custom_channels": "see", "cases": "own"}, ["cch1", "cch2"], 0),
    ):
        made = await api.post("roles.json", {"role": {"title": email, **role, **rights}})
        given = {"staff_email": email, "role_id": made["role"]["role_id"]}
        staff = (await api.post("staff.json", {"staff": given}))["staff"]
        async with api.as_staff(email, staff["api_key"]) as limited:
            rows = await limited.items("stats_channels.json", "stats")
            assert [row["key"] for row in rows] == channels
            assert sum(row["new_cases"] for row in rows) == new
            assert sum(row["backlog"]["cases"] for row in rows) == new
            assert await limited.get("stats_satisfaction.json") == {"total_count": 0}


async def test_tables_come_as_csv(api: Api) -> None:
    await desk(api)
    table = await api.call("GET", f"stats_channels.csv?{JANUARY}&bom=1")
    assert table.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert "api_calls_left" in table.headers
    assert table.text.startswith("\ufeffkey,name,new_cases,")
    [one, two] = csv.DictReader(StringIO(table.text.removeprefix("\ufeff"), newline=""))
    assert (one["key"], one["name"], one["first_response_median"]) == ("cch1", "'=App", "1200")
    assert (two["resolution_mean"], two["backlog_cases"]) == ("", "1")
    ratings = await api.call("GET", "stats_satisfaction.json?format=csv")
    [rating] = csv.DictReader(StringIO(ratings.text, newline=""))
    assert (rating["rating"], rating["rating_comment"]) == ("3", '\'=cmd|"x"')
    board = await api.call("GET", f"stats_leaderboard.csv?{JANUARY}")
    assert board.text.splitlines()[1].startswith(
        "1,Administrator,1,1,0,0,1,20,100%,20,0%,,1,0,,0,,0%,"
    )
    assert (await api.call("GET", "cases.csv")).status == 404


async def test_all_that_is_wrong_is_named(api: Api) -> None:
    for query, fields in {
        "period=someday&channel=nowhere": {"period", "channel"},
        "period=custom": {"from_time", "to_time"},
        "from_time=2026-01-02&to_time=2026-01-01": {"to_time"},
        "group_by=hour&from_time=2026-01-01&to_time=2026-03-01": {"period"},
        "initiator=rule&hours=night&format=xml": {"initiator", "hours", "format"},
    }.items():
        refused = await api.call("GET", f"stats_channels.json?{query}")
        assert refused.refusal == (400, "invalid_parameters")
        assert set(refused.json["fields"]) == fields, query
    # Omnidesk's own calls take an hour to three months.
    for until in ("2026-01-01 00:30", "2026-05-01"):
        span = f"from_time=2026-01-01&to_time={until}"
        refused = await api.call("GET", f"stats_leaderboard.json?{span}")
        assert refused.refusal == (400, "invalid_parameters")
