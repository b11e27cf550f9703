"""Cases and their list."""

from typing import Any, get_args

import pytest
from folding import (
    SECOND,
    START,
    Log,
    ReadModels,
    email,
    engine_of,
    folded_at_once,
    phone,
    some_cases,
)
from sqlalchemy import Connection, event

from kanal.domain.case_events import Priority, Status
from kanal.domain.cases import (
    change_case,
    delete_case,
    mark_case_as_spam,
    merge_case,
    rate_case,
    restore_case,
    trash_case,
    unmerge_case,
)
from kanal.domain.channels import create_channel
from kanal.domain.conversation import (
    add_note,
    add_rule_message,
    add_staff_reply,
    add_user_message,
    open_case,
)
from kanal.domain.groups import create_group
from kanal.domain.identities import Identification
from kanal.domain.labels import create_label
from kanal.domain.staff import create_staff
from kanal.projections import cases, trigrams
from kanal.projections.cases import CaseFilter, Sort
from kanal.projections.read_model import Page

AWKWARD_IDS = ("000123", "123", "my id", "my id ", " my id", "Ёж🦔", "ёж🦔", "100%_", "a\\b'")


@pytest.fixture
def log(log: Log) -> Log:
    """Staff 1, group 1, channels 1 and 2."""
    log.do(create_staff, email=email("a@example.com"), full_name="Anna", key_fingerprint="f")
    log.do(create_group, title="Sales")
    for title in ("App", "Forum"):
        log.do(
            create_channel,
            title=title,
            webhook_url="https://example.com/hook",
            channel_type="async",
            secret_fingerprint="f",
        )
    return log


def opened(log: Log, external_id: str = "u1", channel_id: int = 1, **more: object) -> int:
    who = Identification(
        channel_id=channel_id,
        external_id=external_id,
        email=more.pop("email", None),  # type: ignore[arg-type]
        phone=more.pop("phone", None),  # type: ignore[arg-type]
    )
    case: int = log.do(open_case, channel="", who=who, content="Hello", **more).case_id
    return case


def case_ids(models: ReadModels, sort: Sort = "created_at_asc", **wanted: object) -> list[int]:
    found = models.ask(cases.listed, CaseFilter(**wanted), Page(), sort)  # type: ignore[arg-type]
    assert found.total == len(found.rows)
    return [row.case_id for row in found.rows]


def test_a_new_case_has_everything_that_its_answer_shows(log: Log, connection: Connection) -> None:
    opened(
        log,
        subject="Где заказ?",
        priority="high",
        group_id=1,
        language_id=2,
        cc_emails="a@example.com,b@example.com",
        bcc_emails="c@example.com",
    )
    models = folded_at_once(connection, log.events)
    assert models.ask(cases.find, 1) == cases.CaseRow(
        case_id=1,
        user_id=1,
        staff_id=0,
        group_id=1,
        status="open",
        priority="high",
        channel="cch1",
        channel_id=1,
        subject="Где заказ?",
        recipient="App",
        cc_emails="a@example.com,b@example.com",
        bcc_emails="c@example.com",
        deleted=False,
        spam=False,
        parent_case_id=0,
        chat="",
        language_id=2,
        rating="",
        rating_comment="",
        rated_staff_id=0,
        opened_by="user",
        created_at=log.now,
        updated_at=log.now,
        last_response_at=log.now,
        closed_at=0,
        labels=(),
        locked_labels=(),
        custom_fields={},
    )


def test_there_is_no_row_of_an_unknown_case(log: Log, connection: Connection) -> None:
    assert folded_at_once(connection, log.events).ask(cases.find, 1) is None


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        (add_user_message, {"user_id": 1}),
        (add_staff_reply, {"staff_id": 1}),
        (add_rule_message, {"rule_id": 1}),
    ],
)
def test_every_message_that_is_not_a_note_is_a_response(
    log: Log, connection: Connection, command: object, arguments: dict[str, int]
) -> None:
    opened(log)
    log.do(command, case_id=1, content="More", **arguments)  # type: ignore[arg-type]
    row = folded_at_once(connection, log.events).ask(cases.find, 1)
    assert (row.last_response_at, row.updated_at) == (log.now, log.now)


def test_a_note_changes_the_case_but_is_no_response(log: Log, connection: Connection) -> None:
    opened(log)
    first = log.now
    log.do(add_note, case_id=1, staff_id=1, content="Call him")
    row = folded_at_once(connection, log.events).ask(cases.find, 1)
    assert (row.last_response_at, row.updated_at) == (first, log.now)


@pytest.mark.parametrize(
    "change",
    [
        {"status": "closed"},
        {"priority": "critical"},
        {"subject": "Другое"},
        {"staff_id": 1},
        {"group_id": 1},
        {"language_id": 2},
    ],
)
def test_a_changed_field_shows_and_moves_the_time_of_change(
    log: Log, connection: Connection, change: dict[str, object]
) -> None:
    opened(log)
    models = folded_at_once(connection, log.events)
    before = models.ask(cases.find, 1)
    already = len(log.events)
    log.do(change_case, case_id=1, **change)
    models.fold(log.events[already:])
    row = models.ask(cases.find, 1)
    closed = log.now if change == {"status": "closed"} else 0
    assert row == before._replace(updated_at=log.now, closed_at=closed, **change)


def test_the_latest_rating_is_shown(log: Log, connection: Connection) -> None:
    opened(log)
    log.do(rate_case, case_id=1, rating="low", rating_comment="Slow")
    log.do(rate_case, case_id=1, rating="high", rated_staff_id=1)
    row = folded_at_once(connection, log.events).ask(cases.find, 1)
    assert (row.rating, row.rating_comment, row.rated_staff_id) == ("high", "", 1)
    assert row.updated_at == log.now


def test_a_case_that_is_opened_again_was_not_closed(log: Log, connection: Connection) -> None:
    opened(log)
    log.do(change_case, case_id=1, status="closed")
    log.do(add_user_message, case_id=1, user_id=1, content="Still broken")
    row = folded_at_once(connection, log.events).ask(cases.find, 1)
    assert (row.status, row.closed_at) == ("open", 0)


def test_a_case_opened_as_closed_was_closed_then(log: Log, connection: Connection) -> None:
    opened(log, status="closed")
    assert folded_at_once(connection, log.events).ask(cases.find, 1).closed_at == log.now


def test_trash_and_spam_are_listed_only_when_asked_for(log: Log, connection: Connection) -> None:
    for _ in range(5):
        opened(log)
    log.do(trash_case, case_id=2)
    log.do(mark_case_as_spam, case_id=3)
    log.do(trash_case, case_id=4)
    log.do(mark_case_as_spam, case_id=4)
    log.do(trash_case, case_id=5)
    log.do(mark_case_as_spam, case_id=5)
    log.do(restore_case, case_id=5)
    models = folded_at_once(connection, log.events)
    assert case_ids(models) == [1, 5]
    assert case_ids(models, deleted=True) == [2, 4]
    assert case_ids(models, spam=True) == [3]
    assert case_ids(models, deleted=True, spam=True) == [4]
    assert models.ask(cases.find, 4).deleted
    assert models.ask(cases.amounts_of_cases, [1, 7]) == {1: 2, 7: 0}


def test_merged_cases_are_listed_only_when_asked_for(log: Log, connection: Connection) -> None:
    for _ in range(3):
        opened(log)
    log.do(merge_case, case_id=2, parent_case_id=1)
    log.do(merge_case, case_id=3, parent_case_id=1)
    log.do(unmerge_case, case_id=3)
    models = folded_at_once(connection, log.events)
    assert case_ids(models) == [1, 3]
    assert case_ids(models, show_merged_cases=True) == [1, 2, 3]
    rows = [models.ask(cases.find, case_id) for case_id in (1, 2, 3)]
    assert [row.parent_case_id for row in rows] == [0, 1, 0]
    assert [row.updated_at for row in rows] == [log.now, log.now - 2 * SECOND, log.now]
    assert models.ask(cases.amounts_of_cases, [1]) == {1: 2}


def test_active_chats_are_listed_only_when_asked_for(log: Log, connection: Connection) -> None:
    for _ in range(4):
        opened(log)
    models = folded_at_once(connection, log.events)
    table = models.views.cases["cases"]
    for case_id, chat in ((2, "waiting"), (3, "active"), (4, "completed")):
        connection.execute(table.update().where(table.c.case_id == case_id).values(chat=chat))
    models.count_again()
    assert case_ids(models) == [1, 2, 4]
    assert case_ids(models, show_active_chats=True) == [1, 2, 3, 4]


def test_a_case_deleted_for_good_is_nowhere(log: Log, connection: Connection) -> None:
    opened(log)
    models = folded_at_once(connection, log.events)
    already = len(log.events)
    log.do(delete_case, case_id=1)
    models.fold(log.events[already:])
    assert models.ask(cases.find, 1) is None
    assert case_ids(models) == []


def test_a_case_opened_and_deleted_in_one_batch_leaves_nothing(
    log: Log, connection: Connection
) -> None:
    opened(log)
    log.do(trash_case, case_id=1)
    log.do(delete_case, case_id=1)
    assert folded_at_once(connection, log.events).ask(cases.find, 1) is None


def expected_by_status(models: ReadModels, expected: list[int]) -> list[int]:
    rows = [models.ask(cases.find, case_id) for case_id in expected]
    ranks = get_args(Status)
    rows.sort(key=lambda row: (ranks.index(row.status), -row.case_id))
    return [row.case_id for row in rows]


@pytest.fixture
def six(log: Log) -> Log:
    """Cases 1 to 6, each a second after the other."""
    opened(log, "u1", subject="Order 100% paid", email=email("Ivan@Example.com"))
    opened(log, "u1", channel_id=2, subject="order_100", phone=phone("+7 (916) 123-45-67"))
    opened(log, "u2", subject="Заказ ДВА", priority="low", group_id=1)
    opened(log, "u2", staff_id=1, priority="critical")
    by_email = Identification(email=email("ivan@example.com"))
    log.do(open_case, channel="", who=by_email, subject="Order 100%", content="x", priority="high")
    by_phone = Identification(phone=phone("+79161234567"))
    log.do(open_case, channel="", who=by_phone, status="closed", content="x")
    log.do(create_label, title="VIP")
    for case_id in (1, 3):
        log.do(change_case, case_id=case_id, add_labels=[1])
    return log


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, [1, 2, 3, 4, 5, 6]),
        ({"channel": ["cch1"]}, [1, 3, 4]),
        ({"channel": ["cch2", "call"]}, [2, 6]),
        ({"channel": ["cch"]}, []),
        ({"status": ["open"]}, [1, 2, 3, 5]),
        ({"status": ["waiting", "closed"]}, [4, 6]),
        ({"priority": ["critical", "low"]}, [3, 4]),
        ({"user_id": [1]}, [1]),
        ({"user_id": [1, 2]}, [1, 2]),
        ({"user_custom_id": ["u1"]}, [1, 2]),
        ({"user_custom_id": ["u1"], "channel": ["cch2"]}, [2]),
        ({"user_custom_id": ["u2", "u9"]}, [3, 4]),
        ({"user_custom_id": ["ivan@example.com"]}, []),
        ({"user_email": ["IVAN@"]}, [1, 5]),
        ({"user_email": ["^example.com"]}, []),
        ({"user_email": ["example.com^"]}, [1, 5]),
        ({"user_phone": ["916) 123"]}, [2, 6]),
        ({"user_phone": ["^+79161234567^"]}, [2, 6]),
        ({"staff_id": [0]}, [1, 2, 3, 5, 6]),
        ({"staff_id": [1]}, [4]),
        ({"staff_id": [0, 1], "group_id": [1]}, [3]),
        ({"subject": "заказ"}, [3]),
        ({"subject": "ORDER"}, [1, 2, 5]),
        ({"subject": "100%"}, [1, 5]),
        ({"subject": "r_1"}, [2]),
        ({"subject": "^Order 100%"}, [1, 5]),
        ({"subject": "Order 100%^"}, [5]),
        ({"subject": "^Order 100%^"}, [5]),
        ({"subject": "/"}, []),
        ({"subject": "^"}, []),
        ({"channel": ["cch1"], "status": ["open"], "subject": "два"}, [3]),
        ({"status": ["open"], "subject": "order"}, [1, 2, 5]),
        ({"user_email": ["ivan"], "status": ["open"], "subject": "paid"}, [1]),
        ({"labels": [1]}, [1, 3]),
        ({"labels": [1, 2]}, [1, 3]),
        ({"labels": [1], "status": ["open"]}, [1, 3]),
        ({"labels": [1], "subject": "order"}, [1]),
    ],
)
def test_filters_are_joined_by_and_their_values_by_or(
    six: Log,
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
    wanted: dict[str, object],
    expected: list[int],
) -> None:
    """Whether few or many are found by facets, and whether few or very many meet what stands in other tables."""
    models = folded_at_once(connection, six.events)
    assert case_ids(models, **wanted) == expected
    monkeypatch.setattr(cases, "GATHERED", 0)
    assert case_ids(models, **wanted) == expected
    monkeypatch.setattr(trigrams, "COMMON", 0)
    for sorted_, looked_at in ((20, 20), (3, 20), (0, 20), (0, -1)):
        monkeypatch.setattr(cases, "SORTED", sorted_)
        monkeypatch.setattr(cases, "LOOKED_AT", looked_at)
        assert case_ids(models, **wanted) == expected
    assert case_ids(models, "status_asc", **wanted) == expected_by_status(models, expected)


def test_times_include_both_ends_and_the_whole_last_second(
    log: Log, connection: Connection
) -> None:
    log.now = START + SECOND // 2
    times = []
    for _ in range(4):
        opened(log)
        times.append(log.now // SECOND * SECOND)
    log.do(change_case, case_id=1, status="closed")
    models = folded_at_once(connection, log.events)
    assert case_ids(models, from_time=times[1], to_time=times[2]) == [2, 3]
    assert case_ids(models, from_time=times[3]) == [4]
    assert case_ids(models, to_time=times[0]) == [1]
    assert case_ids(models, from_updated_time=times[2]) == [1, 3, 4]
    assert case_ids(models, to_updated_time=times[2]) == [2, 3]


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("created_at_asc", [1, 2, 3, 4]),
        ("created_at_desc", [4, 3, 2, 1]),
        ("updated_at_asc", [3, 4, 1, 2]),
        ("updated_at_desc", [2, 1, 4, 3]),
        ("response_asc", [2, 3, 4, 1]),
        ("response_desc", [1, 4, 3, 2]),
        ("status_asc", [4, 3, 1, 2]),
        ("status_desc", [2, 1, 4, 3]),
        ("priority_desc", [3, 4, 1, 2]),
        ("priority_asc", [2, 4, 1, 3]),
    ],
)
def test_the_list_is_sorted_as_asked(
    log: Log, connection: Connection, sort: Sort, expected: list[int]
) -> None:
    opened(log)
    opened(log, priority="low")
    opened(log, priority="critical")
    opened(log)
    log.do(add_staff_reply, case_id=1, staff_id=1, content="x")
    log.do(change_case, case_id=2, status="closed")
    assert case_ids(folded_at_once(connection, log.events), sort) == expected


@pytest.mark.parametrize("sort", get_args(Sort))
def test_pages_show_each_case_once(log: Log, connection: Connection, sort: Sort) -> None:
    for _ in range(7):
        opened(log)
        log.now -= SECOND
    models = folded_at_once(connection, log.events)
    pages = [models.ask(cases.listed, CaseFilter(), Page(n, 3), sort) for n in (1, 2, 3, 4)]
    assert [page.total for page in pages] == [7, 7, 7, 7]
    assert [len(page.rows) for page in pages] == [3, 3, 1, 0]
    assert sorted(row.case_id for page in pages for row in page.rows) == [1, 2, 3, 4, 5, 6, 7]


def test_without_a_sort_the_newest_case_is_first(log: Log, connection: Connection) -> None:
    opened(log)
    opened(log)
    log.do(add_staff_reply, case_id=1, staff_id=1, content="x")
    found = folded_at_once(connection, log.events).ask(cases.listed, CaseFilter(), Page())
    assert [row.case_id for row in found.rows] == [2, 1]


@pytest.mark.parametrize("external_id", AWKWARD_IDS)
def test_external_ids_are_found_byte_for_byte(
    log: Log, connection: Connection, external_id: str
) -> None:
    for one in AWKWARD_IDS:
        opened(log, one)
    models = folded_at_once(connection, log.events)
    assert case_ids(models, user_custom_id=[external_id]) == [AWKWARD_IDS.index(external_id) + 1]


def plans(wanted: CaseFilter, sort: Sort, page: Page) -> list[list[str]]:
    """How SQLite carries out each statement of a list over 3,000 cases, 2,999 of them open."""
    statements: list[tuple[str, Any]] = []

    def keep(_c: Any, _k: Any, sql: str, parameters: Any, *_: Any) -> None:
        statements.append((f"EXPLAIN QUERY PLAN {sql}", parameters))

    with engine_of("").connect() as connection:
        models = ReadModels(connection)
        connection.execute(models.views.cases["cases"].insert(), some_cases(3000))
        models.count_again()
        event.listen(connection, "before_cursor_execute", keep)
        models.ask(cases.listed, wanted, page, sort)
        return [[row[3] for row in connection.exec_driver_sql(*s)] for s in statements.copy()]


def some_details(amount: int) -> list[dict[str, Any]]:
    texts = ("subject", "recipient", "cc_emails", "bcc_emails", "rating", "rating_comment")
    plain = dict.fromkeys(texts, "") | {"rated_staff_id": 0, "custom_fields": "{}"}
    ids = {"labels": "[]", "locked_labels": "[]"}
    return [{"case_id": at} | plain | ids for at in range(1, amount + 1)]


WALKED = {"created_at": "created", "updated_at": "updated", "response": "response"}


@pytest.mark.parametrize("sort", get_args(Sort))
@pytest.mark.parametrize("wanted", [CaseFilter(), CaseFilter(status=["open"], staff_id=[0])])
def test_the_page_of_a_list_that_finds_much_is_walked_to_and_nothing_is_sorted(
    monkeypatch: pytest.MonkeyPatch, wanted: CaseFilter, sort: Sort
) -> None:
    monkeypatch.setattr(cases, "SORTED", 0)
    steps = [step for plan in plans(wanted, sort, Page(2))[1:] for step in plan]
    assert not [step for step in steps if "TEMP B-TREE" in step]
    by = sort.rpartition("_")[0]
    if by in WALKED:
        assert f"SCAN cases_v1 USING INDEX cases_v1_{WALKED[by]}" in steps


ALL_FACETS = "hidden=? AND status=? AND priority=? AND staff_id=? AND group_id=? AND channel=?"
BY_FACETS = [
    "SEARCH case_amounts_v1 USING PRIMARY KEY (hidden=? AND status=?)",
    f"SEARCH cases_v1 USING INDEX cases_v1_facets ({ALL_FACETS})",
]


def test_cases_are_counted_by_amounts_and_few_are_looked_up_by_them() -> None:
    counted, found, _ = plans(CaseFilter(status=["closed"]), "updated_at_desc", Page())
    assert counted == BY_FACETS[:1]
    assert found == BY_FACETS


def test_what_is_not_very_much_is_looked_up_and_sorted() -> None:
    """On the way along the index there could be very many that are not wanted."""
    _, found, _ = plans(CaseFilter(status=["open"]), "created_at_asc", Page())
    assert found == [*BY_FACETS, "USE TEMP B-TREE FOR ORDER BY"]


@pytest.mark.parametrize("sort", get_args(Sort))
@pytest.mark.parametrize("few", ["few", "some", "many"])
@pytest.mark.parametrize("others", [{}, {"from_time": START}], ids=["facets", "others too"])
def test_a_list_shows_the_same_however_it_is_read(
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
    sort: Sort,
    few: str,
    others: dict[str, Any],
) -> None:
    """Page by page, too, by their numbers or each behind the place where the one before ended."""
    monkeypatch.setattr(cases, "GATHERED", 100 if few == "few" else 0)
    monkeypatch.setattr(cases, "SORTED", 100 if few == "some" else 0)
    models = ReadModels(connection)
    table = models.views.cases["cases"]
    rows = some_cases(40)
    for at, row in enumerate(rows):
        row["status"] = ("open", "closed", "waiting")[at * 7 % 3]
        row["priority"] = ("low", "critical", "normal", "high")[at * 5 % 4]
        row["created_at"] += at // 2
        row["updated_at"] += at * 11 % 20
        row["last_response_at"] -= at * 13 % 8
        row["group_id"] = at % 2
    connection.execute(table.insert(), rows)
    connection.execute(models.views.cases["case_details"].insert(), some_details(50))
    models.count_again()
    wanted = CaseFilter(group_id=[1], **others)
    whole = models.ask(cases.listed, wanted, Page(), sort)
    assert sorted(row.case_id for row in whole.rows) == list(range(2, 41, 2))
    by, _, direction = sort.rpartition("_")
    name = {"response": "last_response_at"}.get(by, by)
    ranks = {"status": get_args(Status), "priority": get_args(Priority)}.get(by)
    values = [getattr(row, name) for row in whole.rows]
    order = [ranks.index(value) if ranks else value for value in values]
    assert order == sorted(order, reverse=direction == "desc")
    pages = [models.ask(cases.listed, wanted, Page(at, 7), sort) for at in (1, 2, 3, 4)]
    assert [row for page in pages for row in page.rows] == whole.rows
    after, walked = None, []
    for _ in range(9):
        page = models.ask(cases.listed, wanted, Page(1, 3), sort, after)
        assert page.total == 20
        walked += page.rows
        after = page.end
        if after is None:
            break
    assert walked == whole.rows


@pytest.mark.parametrize(
    "whose",
    [
        {"user_id": [1]},
        {"user_custom_id": ["1"]},
        {"user_email": ["^a@example.com^"]},
        {"user_phone": ["^+79161234567^"]},
    ],
)
def test_a_users_cases_are_found_by_user_whatever_else_is_asked_for(whose: dict[str, Any]) -> None:
    wanted = CaseFilter(channel=["cch1"], status=["open"], staff_id=[0], **whose)
    steps = [step for plan in plans(wanted, "updated_at_desc", Page()) for step in plan]
    assert [step for step in steps if " cases_v1 " in step] == [
        "SEARCH cases_v1 USING INDEX cases_v1_user (user_id=?)"
    ]
