"""Who is offered a chat, when the next one is asked, and when silence ends one: on a real log, at moments of our choice."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from folding import SECOND, email
from open_log import until
from sqlalchemy import Connection, text
from story import person

from kanal.automation.agenda import Agenda, Hand
from kanal.automation.chats import ChatOffers, Offer, SilentChats
from kanal.bootstrap import Store, duties, opened
from kanal.domain.cases import CASES, change_case, mark_case_as_spam, restore_case
from kanal.domain.channels import change_channel, create_channel
from kanal.domain.chats import accept_chat, complete_chat
from kanal.domain.conversation import add_note, add_staff_reply, add_user_message, open_case
from kanal.domain.roles import ChannelLevel, Grants, change_role, create_role
from kanal.domain.staff import (
    NO_CHATS,
    OFFLINE,
    ONLINE,
    change_role_of,
    create_staff,
    disable_staff,
)
from kanal.domain.staff_statuses import change_status, create_status, set_staff_status
from kanal.projections import chats, runner
from kanal.projections.chats import ChatFilter, ChatRow, IdleChat, OfferPlace
from kanal.projections.read_model import Page
from kanal.projections.registry import CORE
from kanal.settings import Settings

ANNA, BORIS, CLARA = 1, 2, 3
MINUTE = 60 * SECOND


@pytest.fixture
def store(data_dir: Path, database_url: str) -> Iterator[Store]:
    """Anna, Boris and Clara, all offline; channel 1 is sync, its offers stand for 20 seconds."""
    with opened(Settings(data_dir=data_dir, database_url=database_url)) as store:
        for name in ("anna", "boris", "clara"):
            contact = email(f"{name}@example.com")
            do(store, create_staff, email=contact, full_name=name, key_fingerprint="f")
        do(
            store,
            create_channel,
            title="Chat",
            webhook_url="https://example.com/hook",
            channel_type="sync",
            chat_offer_seconds=20,
            chat_idle_minutes=5,
            secret_fingerprint="f",
        )
        yield store


def do(store: Store, command: Callable[..., Any], **arguments: Any) -> Any:
    return store.writer.submit_and_wait(partial(command, **arguments)).result


def chat(store: Store) -> int:
    """A chat that waits."""
    count = len(rows(store))
    case_id: int = do(store, open_case, who=person(f"u{count}"), content="Hello").case_id
    return case_id


def choose(store: Store, status_id: int, *staff_ids: int) -> None:
    for staff_id in staff_ids:
        do(store, set_staff_status, staff_id=staff_id, status_id=status_id)


def rows(store: Store, **wanted: Any) -> list[ChatRow]:
    with store.database.reading() as connection:
        views = runner.views(connection, CORE)
        return chats.listed(connection, views, ChatFilter(**wanted), Page()).rows


def due(store: Store, duty: type[Any], seconds: float = 0) -> list[Any]:
    """What is due so many seconds from now."""
    return turn_of(duty(Hand(store.writer, "test")), store, seconds)


def turn_of(duty: Any, store: Store, seconds: float) -> list[Any]:
    now = time.time_ns() // 1000 + int(seconds * SECOND)
    with store.database.reading() as connection:
        return list(duty.due(connection, runner.views(connection, CORE), now))


async def act(store: Store, duty: type[Any], seconds: float = 0) -> list[Any]:
    items = due(store, duty, seconds)
    for item in items:
        await duty(Hand(store.writer, "test")).act(item)
    return items


# -- offers ----------------------------------------------------------------------------------------


async def test_while_nobody_takes_chats_a_chat_just_waits(store: Store) -> None:
    chat(store)
    choose(store, NO_CHATS, ANNA)
    assert due(store, ChatOffers) == []
    choose(store, ONLINE, BORIS)
    assert due(store, ChatOffers) == [Offer(1, BORIS, 0)]
    choose(store, OFFLINE, BORIS)
    assert due(store, ChatOffers) == []


async def test_a_chat_is_offered_to_nobody_who_may_not_answer_it(store: Store) -> None:
    chat(store)
    choose(store, ONLINE, ANNA, BORIS)
    sees = Grants(channels=(ChannelLevel(1, "see"),))
    role_id = do(store, create_role, title="Sees", gives=sees)
    do(store, change_role_of, staff_id=ANNA, role_id=role_id)
    assert due(store, ChatOffers) == [Offer(1, BORIS, 0)]
    do(store, change_role, role_id=role_id, channels=(ChannelLevel(1, "answer"),))
    [offer] = due(store, ChatOffers)
    assert offer == Offer(1, ANNA, 0)
    do(store, change_role, role_id=role_id, cases="own")
    # Asked of the role as it was, carried out on the role as it is.
    await ChatOffers(Hand(store.writer, "test")).act(offer)
    assert await act(store, ChatOffers) == [Offer(1, BORIS, 0)]


async def test_a_chat_is_offered_to_one_at_a_time_and_to_each_once(store: Store) -> None:
    chat(store)
    choose(store, ONLINE, ANNA, BORIS)
    assert await act(store, ChatOffers) == [Offer(1, ANNA, 0)]
    [row] = rows(store, offered_to=[ANNA], now=time.time_ns() // 1000)
    assert (row.state, row.offered_to, row.offers) == ("waiting", ANNA, "1")
    assert row.offer_until - row.since >= 20 * SECOND
    assert due(store, ChatOffers, 1) == []
    assert await act(store, ChatOffers, 21) == [Offer(1, BORIS, 1)]
    assert due(store, ChatOffers, 60) == []
    choose(store, ONLINE, CLARA)
    assert due(store, ChatOffers, 60) == [Offer(1, CLARA, 2)]
    do(store, accept_chat, case_id=1, staff_id=ANNA)
    assert due(store, ChatOffers, 60) == []


async def test_the_one_with_the_fewest_chats_is_asked_and_live_offers_count(store: Store) -> None:
    choose(store, ONLINE, ANNA, BORIS, CLARA)
    do(store, accept_chat, case_id=chat(store), staff_id=ANNA)
    for _ in range(4):
        chat(store)
    assert await act(store, ChatOffers) == [
        Offer(2, BORIS, 0),
        Offer(3, CLARA, 0),
        Offer(4, ANNA, 0),
        Offer(5, BORIS, 0),
    ]
    chat(store)
    assert due(store, ChatOffers) == [Offer(6, CLARA, 0)]


async def test_whoever_has_the_limit_of_chats_is_offered_no_more(store: Store) -> None:
    do(store, change_channel, channel_id=1, chat_limit=1)
    choose(store, ONLINE, ANNA, BORIS)
    first = chat(store)
    do(store, accept_chat, case_id=first, staff_id=ANNA)
    chat(store)
    chat(store)
    assert await act(store, ChatOffers) == [Offer(2, BORIS, 0)]
    assert due(store, ChatOffers) == []
    do(store, complete_chat, case_id=first, staff_id=ANNA)
    assert due(store, ChatOffers) == [Offer(3, ANNA, 0)]


async def test_who_has_the_case_is_asked_first(store: Store) -> None:
    choose(store, ONLINE, ANNA, BORIS)
    do(store, accept_chat, case_id=chat(store), staff_id=BORIS)
    do(store, change_case, case_id=chat(store), staff_id=BORIS)
    assert await act(store, ChatOffers) == [Offer(2, BORIS, 0)]
    assert due(store, ChatOffers, 30) == [Offer(2, ANNA, 1)]


async def test_chats_that_nobody_is_left_for_hide_none_that_somebody_could_take(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kanal.automation.chats.LOOKED_AT", 2)
    choose(store, ONLINE, ANNA)
    for _ in range(5):
        do(store, mark_case_as_spam, case_id=chat(store))
    waiting = [chat(store) for _ in range(5)]
    duty = ChatOffers(Hand(store.writer, "test"))
    offered = []
    for seconds in (0, 0, 0, 0, 0, 30, 60, 90):
        items = turn_of(duty, store, seconds)
        for item in items:
            await duty.act(item)
        offered += [item.case_id for item in items]
    assert offered == waiting
    choose(store, ONLINE, BORIS)
    later = [turn_of(duty, store, 200) for _ in range(3)]
    assert {offer.case_id for turn in later for offer in turn} == set(waiting)


async def test_a_status_of_ones_own_may_take_chats(store: Store) -> None:
    own = do(store, create_status, title="Second line", takes_chats=True)
    choose(store, own, CLARA)
    chat(store)
    assert due(store, ChatOffers) == [Offer(1, CLARA, 0)]
    do(store, change_status, status_id=own, takes_chats=False)
    assert due(store, ChatOffers) == []


async def test_offers_that_come_too_late_are_none(store: Store) -> None:
    choose(store, ONLINE, ANNA, BORIS)
    case_id = chat(store)
    [offer] = due(store, ChatOffers)
    do(store, accept_chat, case_id=case_id, staff_id=BORIS)
    before = store.writer.position
    await ChatOffers(Hand(store.writer, "test")).act(offer)
    assert store.writer.position == before
    waiting = chat(store)
    [offer] = due(store, ChatOffers)
    do(store, disable_staff, staff_id=offer.staff_id)
    before = store.writer.position
    await ChatOffers(Hand(store.writer, "test")).act(offer)
    assert store.writer.position == before
    do(store, mark_case_as_spam, case_id=waiting)
    do(store, restore_case, case_id=waiting)
    assert due(store, ChatOffers) == []


async def test_a_chat_that_waits_again_is_offered_anew(store: Store) -> None:
    choose(store, ONLINE, ANNA)
    case_id = chat(store)
    await act(store, ChatOffers)
    do(store, accept_chat, case_id=case_id, staff_id=ANNA)
    do(store, change_case, case_id=case_id, staff_id=0)
    assert await act(store, ChatOffers) == [Offer(1, ANNA, 0)]
    do(store, complete_chat, case_id=case_id, user_id=1)
    choose(store, OFFLINE, ANNA)
    do(store, add_user_message, case_id=case_id, user_id=1, content="x")
    choose(store, ONLINE, ANNA)
    assert due(store, ChatOffers) == [Offer(1, ANNA, 0)]


# -- silence ---------------------------------------------------------------------------------------


async def test_an_active_chat_is_completed_after_the_minutes_of_its_channel(store: Store) -> None:
    case_id = chat(store)
    assert due(store, SilentChats, 3600) == []
    do(store, accept_chat, case_id=case_id, staff_id=ANNA)
    assert due(store, SilentChats, 200) == []
    [silent] = due(store, SilentChats, 301)
    assert silent == IdleChat(case_id, silent.activity)
    do(store, add_staff_reply, case_id=case_id, staff_id=ANNA, content="x")
    before = store.writer.position
    await SilentChats(Hand(store.writer, "test")).act(silent)
    assert store.writer.position == before
    assert len(await act(store, SilentChats, 301)) == 1
    assert due(store, SilentChats, 301) == []
    assert rows(store) == []
    events = store.database.events_after(before)
    assert (events[-1].event.NAME, events[-1].envelope.who) == ("case.chat_completed.1", "system")


async def test_notes_do_not_break_the_silence_and_the_channel_s_new_minutes_count_at_once(
    store: Store,
) -> None:
    case_id = chat(store)
    do(store, accept_chat, case_id=case_id, staff_id=ANNA)
    [silent] = due(store, SilentChats, 301)
    do(store, add_note, case_id=case_id, staff_id=ANNA, content="x")
    assert due(store, SilentChats, 301) == [silent]
    do(store, change_channel, channel_id=1, chat_idle_minutes=10)
    assert due(store, SilentChats, 500) == []
    assert due(store, SilentChats, 601) == [silent]
    do(store, change_channel, channel_id=1, chat_idle_minutes=0)
    assert due(store, SilentChats, 10**7) == []


# -- together --------------------------------------------------------------------------------------


async def test_the_agenda_offers_and_completes_by_the_clock(store: Store) -> None:
    ahead = [0]
    agenda = Agenda(
        store.database,
        CORE,
        duties(store),
        clock=lambda: time.time_ns() // 1000 + ahead[0],
    )
    choose(store, ONLINE, ANNA)
    case_id = chat(store)
    agenda.start()
    await until(lambda: rows(store)[0].offered_to == ANNA)
    do(store, accept_chat, case_id=case_id, staff_id=ANNA)
    ahead[0] = 6 * MINUTE
    await until(lambda: rows(store) == [])
    await agenda.close(1)


def plan(connection: Connection, run: Callable[[Connection], Any]) -> str:
    """What the database does for the queries of `run`."""
    statements: list[tuple[str, Any]] = []
    execute = connection.execute

    def noted(statement: Any, *arguments: Any, **named: Any) -> Any:
        compiled = statement.compile(connection, compile_kwargs={"literal_binds": True})
        statements.append((str(compiled), arguments))
        return execute(statement, *arguments, **named)

    connection.execute = noted  # type: ignore[method-assign]
    run(connection)
    connection.execute = execute  # type: ignore[method-assign]
    lines = [
        str(row[-1])
        for statement, _ in statements
        for row in connection.execute(text(f"EXPLAIN QUERY PLAN {statement}"))
    ]
    return "\n".join(lines)


def test_what_is_asked_all_the_time_reads_no_table_of_chats_or_cases_as_a_whole(
    data_dir: Path,
) -> None:
    with (
        opened(Settings(data_dir=data_dir, database_url="")) as store,
        store.database.reading() as connection,
    ):
        views = runner.views(connection, CORE)
        looked = [
            plan(connection, lambda c: chats.idle(c, views, 1, 100)),
            plan(connection, lambda c: chats.unoffered(c, views, OfferPlace(), 1, 100)),
        ]
    for each in looked:
        assert "SCAN chats" not in each
        assert "SCAN cases" not in each
        assert "SEARCH chats" in each


def test_a_case_of_an_async_channel_has_no_row(store: Store) -> None:
    do(store, change_channel, channel_id=1, channel_type="async")
    do(store, open_case, who=person("x"), content="Hello")
    assert rows(store) == []
    assert do(store, lambda work: work.load(CASES, 1)).chat == ""
