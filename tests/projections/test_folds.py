"""What holds for every read model: batches do not matter, rows are whole, generations stand beside each other."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from folding import (
    MODELS,
    SECOND,
    START,
    Log,
    ReadModels,
    are_empty_again,
    email,
    engine_of,
    folded_at_once,
    phone,
    with_tables,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from kanal.domain import (
    cases,
    channels,
    chats,
    companies,
    conversation,
    custom_fields,
    deleted_users,
    identities,
    labels,
    links,
    messages,
    rules,
    staff,
    staff_statuses,
    users,
)
from kanal.domain.actions import Action
from kanal.domain.case_events import MessageAdded
from kanal.domain.errors import DomainError
from kanal.domain.files import NewFile
from kanal.domain.identities import Identification
from kanal.domain.message_events import MessageScheduled
from kanal.projections import files
from kanal.projections.as_of import folded
from kanal.projections.cases import CaseRow
from kanal.projections.cases import find as find_case
from kanal.projections.channels import ChannelRow
from kanal.projections.chats import ChatRow
from kanal.projections.client_emails import ClientEmailRow
from kanal.projections.custom_fields import CustomFieldRow
from kanal.projections.files import FileRow
from kanal.projections.groups import GroupRow
from kanal.projections.labels import LabelRow
from kanal.projections.languages import LanguageRow
from kanal.projections.links import ConflictRow
from kanal.projections.messages import MessageRow
from kanal.projections.messages import of_case as messages_of_case
from kanal.projections.registry import CORE
from kanal.projections.rules import RuleRow
from kanal.projections.scheduled import ScheduledRow
from kanal.projections.staff import StaffRow
from kanal.projections.staff_statuses import StatusRow
from kanal.projections.users import UserRow

ids = st.integers(1, 3)
texts = st.sampled_from(["", "0", " x ", "Заказ", "100%_\\^"])
emails = st.none() | st.sampled_from(["a@example.com", "B@example.com"]).map(email)
domains = st.sets(st.sampled_from(["example.com", "example.org"]))
phones = st.none() | st.sampled_from(["+79161234567"]).map(phone)
people = st.builds(
    Identification,
    channel_id=st.integers(0, 2),
    external_id=st.sampled_from(["", "1", "01", "1 "]),
    email=emails,
    phone=phones,
    details=st.fixed_dictionaries(
        {}, optional={"full_name": texts, "note": texts, "company_name": texts}
    ),
)
keys = ids.map("cf_{}".format)
values = st.builds(
    custom_fields.GivenValues,
    day=st.just(str),
    values=st.dictionaries(keys, texts | st.booleans(), max_size=3),
    cleared=st.lists(keys, max_size=2),
)

URLS = ("https://example.com/a", "https://example.com/b")
urls = st.sampled_from([(), URLS[:1], URLS])
new_files = st.builds(
    NewFile,
    file_name=texts,
    file_size=st.integers(0, 2),
    mime_type=st.just("text/plain"),
    token=st.uuids().map(lambda made: made.hex),
)


def revised(log: Log, *, revise: Any, message_id: int, **arguments: Any) -> None:
    """A command on what was said, if it was: callers find the message in the read model first."""
    for event in (recorded.event for recorded in log.events):
        if isinstance(event, MessageAdded | MessageScheduled):
            if event.message_id != message_id:
                continue
            kind = getattr(event, "kind", "staff_reply")
            texts = messages.Texts(event.content, event.content_html)
            of = messages.Original(message_id, event.case_id, kind, event.staff_id, texts)
            revise(log, original=of, **arguments)
            return


def call(command: Any, **arguments: Any) -> Any:
    return st.tuples(st.just(command), st.fixed_dictionaries(arguments))


commands = st.one_of(
    call(
        conversation.open_case,
        who=people,
        channel=st.just(""),
        subject=texts,
        content=texts,
        staff_id=st.integers(0, 1),
    ),
    call(conversation.add_user_message, case_id=ids, user_id=ids, content=texts),
    call(conversation.add_staff_reply, case_id=ids, staff_id=st.just(1), content=texts),
    call(conversation.add_note, case_id=ids, staff_id=st.just(1), content=texts),
    call(
        messages.schedule_staff_reply,
        case_id=ids,
        staff_id=st.just(1),
        content=texts,
        content_html=texts,
        send_at=st.just(START + 10 * SECOND),
    ),
    call(messages.send_scheduled, message_id=ids),
    call(
        conversation.add_staff_reply,
        case_id=ids,
        staff_id=st.just(1),
        files=st.tuples(new_files),
        attachment_urls=urls,
    ),
    call(
        conversation.add_user_message,
        case_id=ids,
        user_id=ids,
        files=st.tuples(new_files),
        attachment_urls=urls,
    ),
    call(
        messages.settle_files,
        message_id=ids,
        fetched=st.dictionaries(st.sampled_from(URLS), new_files, max_size=2),
        missed=st.dictionaries(st.sampled_from(URLS), texts, max_size=1),
    ),
    call(
        revised,
        revise=st.just(messages.edit_message),
        message_id=ids,
        content=texts,
        content_html=texts,
    ),
    call(
        revised,
        revise=st.just(messages.delete_message),
        message_id=ids,
    ),
    call(
        revised,
        revise=st.just(messages.rate_message),
        message_id=ids,
        rating=st.sampled_from(["low", "high"]),
    ),
    call(cases.change_case, case_id=ids, subject=texts, staff_id=st.integers(0, 1)),
    call(
        cases.change_case,
        case_id=ids,
        status=st.sampled_from(["open", "waiting", "closed"]),
        priority=st.sampled_from(["low", "critical"]),
    ),
    call(cases.change_case, case_id=ids, add_labels=st.lists(ids), delete_labels=st.lists(ids)),
    call(cases.change_case, case_id=ids, given_values=values),
    call(users.change_user, user_id=ids, given_values=values),
    call(
        custom_fields.create_field,
        title=texts,
        field_type=st.sampled_from(["text", "checkbox"]),
        field_level=st.sampled_from(["case", "user"]),
    ),
    call(custom_fields.change_field, field_id=ids, title=texts),
    call(custom_fields.disable_field, field_id=ids),
    call(custom_fields.delete_field, field_id=ids),
    call(labels.create_label, title=texts),
    call(labels.rename_label, label_id=ids, title=texts),
    call(labels.delete_label, label_id=ids),
    call(cases.change_case, case_id=ids, language_id=st.integers(0, 2)),
    call(cases.rate_case, case_id=ids, rating=st.sampled_from(["low", "high"])),
    call(cases.merge_case, case_id=ids, parent_case_id=ids),
    call(cases.unmerge_case, case_id=ids),
    call(cases.trash_case, case_id=ids),
    call(cases.mark_case_as_spam, case_id=ids),
    call(cases.restore_case, case_id=ids),
    call(cases.delete_case, case_id=ids),
    call(users.change_user, user_id=ids, full_name=texts),
    call(users.block_user, user_id=ids),
    call(users.restore_user, user_id=ids),
    call(identities.delete_user, user_id=ids),
    call(identities.change_profile, user_id=ids, email=emails, phone=phones, details=st.just({})),
    call(links.link_users, user_id=ids, other_id=ids),
    call(links.unlink_users, user_id=ids, other_id=ids),
    call(companies.create_company, name=texts, domains=domains, users=st.lists(ids, max_size=2)),
    call(
        companies.change_company,
        company_id=ids,
        name=texts,
        add_domains=domains,
        remove_domains=domains,
        remove_users=st.lists(ids, max_size=1),
    ),
    call(companies.block_company, company_id=ids),
    call(companies.restore_company, company_id=ids),
    call(companies.delete_company, company_id=ids),
    call(
        deleted_users.delete_cases_of_user, user_id=ids, case_ids=st.just([1]), last=st.booleans()
    ),
    call(chats.accept_chat, case_id=ids, staff_id=st.integers(1, 2)),
    call(chats.complete_chat, case_id=ids, user_id=st.integers(0, 2), staff_id=st.just(1)),
    call(chats.offer_chat, case_id=ids, staff_id=st.just(1), offers=st.integers(0, 1)),
    call(
        rules.create_rule,
        kind=st.just("incoming"),
        title=texts,
        actions=st.just([Action("stop")]),
    ),
    call(rules.change_rule, rule_id=ids, title=texts),
    call(rules.disable_rule, rule_id=ids),
    call(rules.delete_rule, rule_id=ids),
    call(rules.order_rules, rule_ids=st.lists(ids, max_size=2)),
    call(staff_statuses.set_staff_status, staff_id=st.just(1), status_id=st.integers(1, 3)),
    call(channels.change_channel, channel_id=st.integers(1, 2), title=texts),
    call(channels.disable_channel, channel_id=st.integers(1, 2)),
    call(channels.enable_channel, channel_id=st.integers(1, 2)),
)


def prepared() -> Log:
    """Staff 1, channels 1 and 2."""
    log = Log()
    log.do(staff.create_staff, email=email("s@example.com"), full_name="S", key_fingerprint="f")
    for title in ("App", "Forum"):
        log.do(
            channels.create_channel,
            title=title,
            webhook_url="https://example.com/hook",
            channel_type="async" if title == "App" else "sync",
            secret_fingerprint="f",
        )
    return log


@pytest.fixture(scope="module")
def three() -> Iterator[list[Connection]]:
    connections = [with_tables("") for _ in range(3)]
    yield connections
    for connection in connections:
        connection.close()


@settings(max_examples=60)
@given(st.lists(commands, max_size=25), st.lists(st.integers(0, 60), max_size=4))
def test_rows_do_not_depend_on_how_events_fall_into_batches(
    three: list[Connection], steps: list[tuple[Any, dict[str, Any]]], cuts: list[int]
) -> None:
    for connection in three:
        connection.rollback()
        assert are_empty_again(connection)
    log = prepared()
    for command, arguments in steps:
        try:
            log.do(command, **arguments)
        except DomainError:
            continue
    at_once = folded_at_once(three[0], log.events).rows()
    in_batches = ReadModels(three[1])
    for first, last in pairwise([0, *sorted(cuts), len(log.events)]):
        in_batches.fold(log.events[first:last])
    one_by_one = ReadModels(three[2])
    for recorded in log.events:
        one_by_one.fold([recorded])
    assert at_once == in_batches.rows() == one_by_one.rows()
    for kept, counted in one_by_one.amounts().values():
        assert kept == counted


def a_conversation() -> Log:
    log = prepared()
    who = Identification(
        channel_id=1,
        external_id="000123",
        email=email("a@example.com"),
        phone=phone("+79161234567"),
    )
    log.do(conversation.open_case, channel="", who=who, subject="Order", content="x")
    log.do(conversation.add_staff_reply, case_id=1, staff_id=1, content="y")
    log.do(conversation.add_note, case_id=1, staff_id=1, content="z")
    other = Identification(channel_id=1, external_id="123", email=email("A@example.com"))
    log.do(conversation.open_case, channel="", who=other, content="x")
    return log


def test_a_conversation_fills_the_same_rows_on_every_database(connection: Connection) -> None:
    log = a_conversation()
    engine = engine_of("")
    with engine.connect() as memory:
        expected = folded_at_once(memory, log.events).rows()
    models = ReadModels(connection)
    already = len(log.events)
    for recorded in log.events:
        models.fold([recorded])
    assert models.rows() == expected
    log.do(cases.trash_case, case_id=1)
    log.do(cases.change_case, case_id=2, status="closed")
    log.do(cases.delete_case, case_id=2)
    models.fold(log.events[already:])
    amounts = models.amounts()
    assert amounts["case_amounts_v1"][0] == [(1, "waiting", "normal", 0, 0, "cch1", 1)]
    for kept, counted in amounts.values():
        assert kept == counted


def test_nothing_that_was_said_in_a_case_outlives_it(connection: Connection) -> None:
    log = prepared()
    word = "betrayal"
    url = f"https://example.com/{word}"
    file = NewFile(word, 1, "text/plain", "token")
    who = Identification(channel_id=1, external_id="a")
    log.do(custom_fields.create_field, title="F", field_type="text", field_level="case")
    for _ in range(2):
        log.do(conversation.open_case, channel="", who=who, subject=word, content=word)
    waits = {"case_id": 1, "staff_id": 1, "content": word, "send_at": START * 2}
    log.do(messages.schedule_staff_reply, **waits, files=(file,))
    asked = {"case_id": 2, "staff_id": 1, "attachment_urls": (url,)}
    note = log.do(conversation.add_note, **asked, content=word).message_id
    log.do(messages.settle_files, message_id=note, fetched={}, missed={url: word})
    log.do(conversation.add_note, **asked, content=word)
    values = custom_fields.GivenValues(day=str, values={"cf_1": word})
    log.do(cases.change_case, case_id=1, given_values=values)
    log.do(cases.rate_case, case_id=1, rating="low", rating_comment=word)
    # What waited in the case goes where that went, and stays when only that is deleted.
    log.do(cases.merge_case, case_id=1, parent_case_id=2)
    log.now = START * 2
    assert log.do(messages.send_scheduled, message_id=3)
    models = folded_at_once(connection, log.events)
    already = len(log.events)
    log.do(cases.delete_case, case_id=1)
    models.fold(log.events[already:])
    assert models.ask(messages_of_case, 2).total == 4
    assert models.ask(files.find, "token")

    already = len(log.events)
    log.do(cases.delete_case, case_id=2)
    models.fold(log.events[already:])
    left = {table for table, rows in models.rows().items() if word in repr(rows)}
    assert not left
    # Its bytes are still mentioned by the log.
    assert models.ask(files.mentioned, ["token", "unknown"]) == {"token"}


def test_generations_stand_beside_each_other(connection: Connection) -> None:
    live = folded_at_once(connection, a_conversation().events)
    before = live.rows()
    ReadModels(connection, generation=2).fold(prepared().events)
    assert live.rows() == before


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_a_generation_always_has_the_same_tables(model: Any) -> None:
    assert model.tables(3) is model.tables(3)
    assert {table.name for table in model.tables(3).values()} == {
        f"{name}_v3" for name in model.tables(3)
    }
    assert model.tables(4) is not model.tables(3)


HIDDEN = {
    "staff": {"deleted", "left_at"},
    "groups": {"deleted", "left_at"},
    "files": {"case_id"},
}
"""Columns for searching, and for who is shown and hands over at all."""


@pytest.mark.parametrize(
    ("model", "table", "row_type"),
    [
        ("channels", "channels", ChannelRow),
        ("chats", "chats", ChatRow),
        ("rules", "rules", RuleRow),
        ("staff_statuses", "staff_statuses", StatusRow),
        ("users", "users", UserRow),
        ("links", "conflicts", ConflictRow),
        ("messages", "messages", MessageRow),
        ("files", "files", FileRow),
        ("scheduled", "scheduled", ScheduledRow),
        ("staff", "staff", StaffRow),
        ("groups", "groups", GroupRow),
        ("labels", "labels", LabelRow),
        ("languages", "languages", LanguageRow),
        ("client_emails", "client_emails", ClientEmailRow),
        ("custom_fields", "custom_fields", CustomFieldRow),
        ("cases", "cases case_details", CaseRow),
    ],
)
def test_rows_show_every_column(model: str, table: str, row_type: Any) -> None:
    tables = next(m for m in MODELS if m.name == model).tables(1)
    columns = [column for name in table.split() for column in tables[name].columns]
    shown = {column.name for column in columns if column.computed is None}
    assert shown - HIDDEN.get(model, set()) == set(row_type._fields)


def test_no_two_read_models_share_a_table() -> None:
    names = [table.name for model in MODELS for table in model.tables(1).values()]
    assert len(names) == len(set(names))


def test_an_earlier_moment_is_answered_from_the_case_s_own_events() -> None:
    log = a_conversation()
    own = [r for r in log.events if getattr(r.event, "case_id", 0) == 1]
    reply = next(r for r in own if r.event.NAME == "case.status_changed.1")
    models = [
        model for model in CORE if model.name in ("cases", "messages", "labels", "custom_fields")
    ]

    def then(position: int) -> tuple[CaseRow | None, list[str]]:
        upto = [recorded for recorded in own if recorded.position <= position]
        with folded(models, upto) as (connection, views):
            found = messages_of_case(connection, views, 1)
            return find_case(connection, views, 1), [message.content for message in found.rows]

    before, texts = then(own[1].position)
    assert before is not None
    assert (before.status, texts) == ("open", ["x"])
    after, texts = then(reply.position)
    assert after is not None
    assert (after.status, texts) == ("waiting", ["x", "y"])
    assert then(0) == (None, [])


def test_a_view_that_was_not_folded_is_named() -> None:
    with (
        folded([], []) as (_, views),
        pytest.raises(AttributeError, match="no read model 'cases'"),
    ):
        _ = views.cases
