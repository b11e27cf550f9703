"""How either database carries out every list of the API: along an index, whatever it is filtered by."""

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, get_args
from uuid import UUID

import pytest
from folding import START, ReadModels, some_cases
from open_log import database_of
from sqlalchemy import Connection, event, text

from kanal.delivery import overview, polling
from kanal.delivery.ledger import new_lane
from kanal.delivery.tables import deliveries, lanes
from kanal.domain.access import Scope
from kanal.domain.webhook_options import WebhookOptions
from kanal.eventlog.database import Database
from kanal.eventlog.migrate import migrate
from kanal.projections import (
    cases,
    changelog,
    channels,
    chats,
    client_emails,
    companies,
    custom_fields,
    filters,
    groups,
    history,
    labels,
    languages,
    macros,
    messages,
    notices,
    rules,
    staff,
    staff_statuses,
    users,
)
from kanal.projections.access import about_cases_seen
from kanal.projections.cases import CaseFilter, Sort
from kanal.projections.read_model import Page

CASES: list[dict[str, Any]] = [
    {},
    {"status": ["open"], "priority": ["low", "high"], "staff_id": [1], "group_id": [0, 1]},
    {"status": ["open"], "staff_id": [0]},
    {"channel": ["cch1"]},
    {"deleted": True},
    {"show_merged_cases": True, "show_active_chats": True},
    {"labels": [1]},
    {"labels": [1, 2]},
    {"custom_fields": {"cf_1": ["order"], "cf_2": ["true"], "cf_3": ["x"]}},
    {"subject": "order"},
    {"subject": "^order^"},
    {"words": "orders"},
    {"user_email": ["example"]},
    {"user_phone": ["7916", "^+7916"]},
    {"user_custom_id": ["1"]},
    {"user_id": [1]},
    {"from_time": START},
    {"from_updated_time": START, "to_updated_time": START},
]
USERS: list[dict[str, Any]] = [
    {},
    {"user_email": ["example"]},
    {"user_phone": ["7916", "^+7916"]},
    {"user_custom_id": ["1"]},
    {"channel_id": [1]},
    {"company_id": [1]},
    {"language_id": [1, 2]},
    {"custom_fields": {"cf_3": ["order"]}},
    {"from_time": START},
    {"from_updated_time": START},
    {"from_last_contact_time": START},
]
DELIVERIES: list[dict[str, Any]] = [
    {},
    {"channel_id": 1},
    {"case_id": 1},
    {"message_id": 1},
    *({"state": state} for state in get_args(overview.State)),
]
SORTS: tuple[Sort, ...] = ("created_at_desc", "response_asc", "priority_asc")
LIMITED = Scope(
    staff_id=1,
    custom="none",
    standard="see",
    channels={1: "see"},
    groups=frozenset({0, 1}),
    cases="own_and_unassigned",
)
FIELDS = [(1, "text", "case"), (2, "checkbox", "case"), (3, "textarea", "user")]
FEW = {
    "channels_v1",
    "companies_v1",
    "domains_v1",
    "custom_fields_v1",
    "groups_v1",
    "labels_v1",
} | {
    *("staff_v1", "staff_statuses_v1", "lanes", "filters_v1", "macros_v1", "rules_v1"),
    *("languages_v1", "client_emails_v1", "chats_v1", "notices_v1"),
}
"""What staff set up and are told, companies, and the chats that are not completed: read whole, if need be."""
COUNTED = re.compile(r"^SCAN (users_v1|deliveries) USING (COVERING )?INDEX ")
"""Where no amounts are kept: along the narrowest index."""
OTHERWISE = re.compile(r"VIRTUAL TABLE INDEX 0:M|^SCAN (anon|those)_")
"""By trigrams, or a look at what a part of the same statement found."""
SAMPLED = re.compile(
    r"FROM \(SELECT (\w+)\.\w+ AS content FROM \1 ORDER BY \1\.\w+ DESC\s+LIMIT ", re.ASCII
)


def sampled(sql: str) -> set[str]:
    """Texts of which only the newest are read, to see whether a part is common."""
    return {found[1] for found in SAMPLED.finditer(" ".join(sql.split()))}


class Asking:
    """All lists over 3,000 cases, and how the database carries out their statements."""

    def __init__(self, connection: Connection, database: Database) -> None:
        self.connection = connection
        self.database = database
        self.models = ReadModels(connection)
        self.on_postgres = connection.dialect.name == "postgresql"
        tables = self.models.views.cases, self.models.views.custom_fields
        connection.execute(tables[0]["cases"].insert(), some_cases(3000))
        texts = {"title": "", "options": "{}", "retired": "{}"}
        flags = {"active": True, "created_at": 1, "updated_at": 1}
        connection.execute(
            tables[1]["custom_fields"].insert(),
            [
                {"field_id": key, "field_type": kind, "field_level": level} | texts | flags
                for key, kind, level in FIELDS
            ],
        )
        self.models.count_again()
        if self.on_postgres:
            # Little is read whole sooner than looked up; here it shall show that it can be looked up.
            for statement in ("ANALYZE", "SET enable_seqscan = off"):
                connection.execute(text(statement))

    def lists(self) -> Iterator[tuple[str, Callable[[], Any]]]:
        ask, connection, page = self.models.ask, self.connection, Page(2)
        for wanted in CASES:
            for sort in SORTS:
                yield f"cases {wanted} {sort}", self.cases(wanted, sort)
        for wanted in USERS:
            yield f"users {wanted}", partial(ask, users.listed, users.UserFilter(**wanted), page)
        for wanted in DELIVERIES:
            filter_ = overview.Filter(**wanted)
            yield f"deliveries {wanted}", partial(overview.listed, connection, filter_, 100, 100)
        yield "messages", partial(ask, messages.of_case, 7)
        yield "public messages", partial(ask, messages.of_case, 7, page, "desc", staff_only=False)
        both: history.Filters = [("case", 7), ("channel", 1)]
        for wanted_events in ([], both[:1], both[1:], both):
            query = partial(ask, history.events, self.database, wanted_events, 5, page)
            yield f"events {wanted_events}", query
        yield "changelog", partial(ask, changelog.of_case, self.database, 7, UUID(int=1))
        for model in (custom_fields, groups, labels, languages, client_emails, staff):
            yield model.__name__, partial(ask, model.listed, page)
        for unpaged in (channels, rules, staff_statuses):
            yield unpaged.__name__, partial(ask, unpaged.listed)
        for mine in (filters, macros):
            yield mine.__name__, partial(ask, mine.visible, 1)
        yield "chats", partial(ask, chats.listed, chats.ChatFilter(state=["waiting"]), page)
        yield "notices", partial(ask, notices.listed, 1, notices.Filter(), page)
        yield from self.of_limited_staff()
        name = companies.CompanyFilter(name="example")
        yield "companies", partial(ask, companies.listed, name, page)

    def of_limited_staff(self) -> Iterator[tuple[str, Callable[[], Any]]]:
        connection, views, page = self.connection, self.models.views.within(LIMITED), Page(2)
        for wanted in ({}, {"status": ["open"]}, {"subject": "order"}, {"from_time": START}):
            for sort in SORTS:
                asked = CaseFilter(**wanted)  # type: ignore[arg-type]
                query = partial(cases.listed, connection, views, asked, page, sort)
                yield f"cases within a scope {wanted} {sort}", query
        columns = deliveries.c
        within = about_cases_seen(views, columns.channel_id, columns.case_id)
        seen = overview.Filter(channel_id=1, within=tuple(within))
        query = partial(overview.listed, connection, seen, 100, 100)
        yield "deliveries within a scope", query
        for each in (users.UserFilter(), users.UserFilter(from_time=START)):
            yield (
                f"users within a scope {each}",
                partial(users.listed, connection, views, each, page),
            )

    def cases(self, wanted: dict[str, Any], sort: Sort) -> Callable[[], Any]:
        return partial(self.models.ask, cases.listed, CaseFilter(**wanted), Page(2), sort)

    def scans(self, query: Callable[[], Any]) -> Iterator[str]:
        """Where a statement goes through a whole table and is not on its way to the page, in the list's order."""
        for sql, steps in self.plans(query):
            walk = "LIMIT" in sql and not any("TEMP B-TREE" in step for step in steps)
            for step in steps:
                scan = re.search(r"Seq Scan on (\w+)|^SCAN (?!CONSTANT)(\w+)", step)
                table = scan and (scan[1] or scan[2])
                if not table or table in FEW | sampled(sql) or OTHERWISE.search(step):
                    continue
                if self.on_postgres or not (walk or COUNTED.search(step)):
                    yield step

    def plans(self, query: Callable[[], Any]) -> list[tuple[str, list[str]]]:
        """Its statements, and the steps of each."""
        statements: list[tuple[str, Any]] = []

        def keep(_c: Any, _k: Any, sql: str, parameters: Any, *_: Any) -> None:
            statements.append((sql, parameters))

        event.listen(self.connection, "before_cursor_execute", keep)
        query()
        event.remove(self.connection, "before_cursor_execute", keep)
        explain = "EXPLAIN" if self.on_postgres else "EXPLAIN QUERY PLAN"
        plans = []
        for sql, parameters in statements:
            plan = self.connection.exec_driver_sql(f"{explain} {sql}", parameters)
            plans.append((sql, [str(row[-1]) for row in plan]))
        return plans

    def deliver(self, count: int) -> None:
        """A polled channel with so many deliveries, of which the last one is open."""
        webhook = WebhookOptions(polling=True)
        self.connection.execute(lanes.insert(), new_lane(1, "", "sync", webhook, START))
        row = {column.name: column.default for column in deliveries.c} | {
            "channel_id": 1,
            "case_id": 1,
            "kind": "message_new",
            "previous_id": "",
            "attempts": 0,
            "failures": 0,
            "template_version": 1,
            "content_type": "",
            "body": b"x" * 500,
            "state": "delivered",
        }
        rows = [
            row
            | dict.fromkeys(("position", "sequence", "message_id"), number)
            | {"delivery_id": str(number), "created_at": START + number}
            for number in range(1, count + 1)
        ]
        rows[-1] |= {"state": "pending", "turn": count}
        self.connection.execute(deliveries.insert(), rows)
        self.connection.execute(text("ANALYZE"))


def test_no_list_goes_through_more_than_it_has_to(
    bare_database_url: str, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(database_of(bare_database_url, data_dir)) as database:
        migrate(database)
        with database.writer.connect() as connection:
            asking = Asking(connection, database)
            whole = {name: [*asking.scans(query)] for name, query in asking.lists()}
            # As if so many had been found that pages are walked to.
            monkeypatch.setattr(cases, "GATHERED", 0)
            monkeypatch.setattr(cases, "SORTED", 0)
            for wanted in CASES:
                for sort in SORTS:
                    query = asking.cases(wanted, sort)
                    whole[f"many cases {wanted} {sort}"] = [*asking.scans(query)]
            asking.deliver(3000)
            # Of the channel's long history only what is open is looked at.
            acknowledge = partial(polling.acknowledge, connection, 1, 3000, START)
            _, (_, looked), (_, ended) = asking.plans(acknowledge)
            assert "deliveries_open" in " ".join(looked)
            assert re.search(r"deliveries_pkey|sqlite_autoindex_deliveries_1", " ".join(ended))
    assert {name: steps for name, steps in whole.items() if steps} == {}
