"""Search for words: the same cases are found on both databases, whatever form of a word is asked for."""

import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from folding import Log, ReadModels, email, folded_at_once
from sqlalchemy import Connection

from kanal.domain.access import EVERYTHING, Scope
from kanal.domain.cases import change_case, mark_case_as_spam
from kanal.domain.channels import create_channel
from kanal.domain.conversation import open_case
from kanal.domain.identities import Identification
from kanal.domain.messages import Original, Texts, delete_message, edit_message
from kanal.domain.staff import create_staff
from kanal.projections import cases, messages, words
from kanal.projections.cases import CaseFilter
from kanal.projections.read_model import Page
from kanal.projections.words import Piece, around, beginnings, marked


def test_forms_of_a_word_find_each_other_where_they_share_their_beginning() -> None:
    for asked, said in (
        ("клиентов", "Клиент"),
        ("заказа", "ЗАКАЗОМ"),
        ("её", "ее"),
        ("cities", "citizens"),
        ("refunded", "refund"),
        ("deliveries", "Delivery"),
        ("delivery", "deliveries"),
        ("happy", "happiness"),
        ("ﬁle", "files"),
    ):
        [beginning] = beginnings(asked)
        assert beginning.begins(words.folded(said)), (asked, said)


def test_a_short_word_is_found_only_as_it_is() -> None:
    [beginning] = beginnings("по")
    assert beginning.begins("по")
    assert not beginning.begins("почта")


def test_a_word_has_one_beginning_however_many_ask_at_once() -> None:
    asked = ["клиентами", "deliveries", "заказываемых", "generalizations"] * 200
    expected = [beginnings(each) for each in asked]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as readers:
            assert list(readers.map(beginnings, asked)) == expected
    finally:
        sys.setswitchinterval(interval)


def test_no_text_takes_long_to_be_cut_into_words() -> None:
    began = time.thread_time()
    for text in ("a" + "\u0315\u0300" * 250_000, "x" * 1_000_000, "й " * 300_000):
        words.stored(text)
    # Where the time grows with the square it would be minutes.
    assert time.thread_time() - began < 8


def test_signs_are_no_words() -> None:
    assert beginnings('" * ( : - & | ! _ \\ \x00') == []
    assert words.stored("A-1042/17, a_b@c.de") == "1042 17 a b c de"


def test_a_text_is_cut_around_the_first_word_found() -> None:
    text = "x" * 200 + " Где мой <заказ>? Заказа нет " + "y" * 300
    pieces = around(text, beginnings("заказы"))
    assert [each.text for each in pieces if each.found] == ["заказ", "Заказа"]
    shown = "".join(each.text for each in pieces)
    assert shown.startswith("…")
    assert shown.endswith("…")
    assert shown.strip("…") in text
    assert len(shown) < 4 * words.AROUND
    assert marked("Где заказ?", beginnings("заказы")) == [
        Piece("Где ", False),
        Piece("заказ", True),
        Piece("?", False),
    ]
    assert around("заказ", beginnings("заказы")) == [Piece("заказ", True)]
    assert around("x " * words.LOOKED_AT + "заказ", beginnings("заказы")) == []
    assert around(text, beginnings("nothing")) == []


ANNA = Identification(channel_id=1, external_id="a", details={"full_name": "Анна Ивановна"})


@pytest.fixture
def log(log: Log) -> Log:
    """Cases 1 of Anna Ивановна, 2 and 3 of Boris; the messages have the cases' numbers."""
    log.do(create_staff, email=email("s@example.com"), full_name="Staff", key_fingerprint="f")
    log.do(
        create_channel,
        title="App",
        webhook_url="https://example.com/hook",
        channel_type="async",
        secret_fingerprint="f",
    )
    boris = Identification(channel_id=1, external_id="b", details={"full_name": "Boris"})
    for who, subject, content, html in (
        (ANNA, "Возврат товара", "Где мой заказ 4711?", ""),
        (boris, "Где деньги", "Заказы задержаны: верните деньги", ""),
        (boris, "Hello", "", "<p>My <b>orders</b> &amp; refunds</p>"),
    ):
        log.do(
            open_case,
            channel="",
            who=who,
            subject=subject,
            content=content,
            content_html=html,
        )
    return log


def found(models: ReadModels, query: str, scope: Scope = EVERYTHING) -> list[int]:
    views = models.views.within(scope)
    rows = cases.listed(models.connection, views, CaseFilter(words=query), Page())
    assert rows.total == len(rows.rows)
    return sorted(row.case_id for row in rows.rows)


def test_cases_are_found_by_words_of_subjects_messages_and_names(
    log: Log, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = folded_at_once(connection, log.events)
    words_of_all = {
        "заказ": [1, 2],
        "ЗАКАЗОМ 4711": [1],
        "где заказ": [1],
        "деньги": [2],
        "где деньги": [2],
        "order refund": [3],
        "ивановны": [1],
        "boris": [2, 3],
        "b": [],
        "заказ boris": [],
        "nothing": [],
        '"': [],
        "' | заказ:*": [1, 2],
    }
    for few in (words.FEW, 0):
        # Both ways: the texts of few cases are read, and those of many found by the index.
        monkeypatch.setattr(words, "COMMON", 0)
        monkeypatch.setattr(cases, "FEW", few)
        for query, expected in words_of_all.items():
            assert found(models, query) == expected, (query, few)


def test_what_is_changed_or_deleted_is_found_by_its_new_words_alone(
    log: Log, connection: Connection
) -> None:
    log.do(change_case, case_id=1, subject="Обмен")
    for message_id, case_id in ((2, 2), (3, 3)):
        original = Original(message_id, case_id, "user_message", 0, Texts("x", ""))
        if message_id == 2:
            log.do(edit_message, original=original, content="Спасибо", content_html="")
        else:
            log.do(delete_message, original=original)
    models = folded_at_once(connection, log.events)
    assert found(models, "возврат") == []
    assert found(models, "обмены") == [1]
    assert found(models, "заказ") == [1]
    assert found(models, "спасибо") == [2]
    assert found(models, "orders") == []


def test_of_very_many_long_words_so_many_are_kept_as_databases_take(
    log: Log, connection: Connection
) -> None:
    first, *others = (chr(0x20000 + at) * words.LONGEST for at in range(5000))
    log.do(open_case, channel="", who=ANNA, subject="", content=" ".join((first, *others)))
    models = folded_at_once(connection, log.events)
    assert found(models, first) == [4]
    assert found(models, others[-1]) == []


def test_of_very_many_the_newest_are_found(
    log: Log, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(words, "NEWEST", 1)
    models = folded_at_once(connection, log.events)
    assert found(models, "заказ") == [2]


def test_only_what_may_be_seen_and_is_listed_counts_among_the_newest(
    log: Log, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.do(change_case, case_id=1, staff_id=1)
    log.do(mark_case_as_spam, case_id=3)
    own = Scope(staff_id=1, custom="answer", standard="answer", cases="own")
    models = folded_at_once(connection, log.events)
    monkeypatch.setattr(words, "NEWEST", 1)
    for few, common in ((0, 0), (words.FEW, 0), (words.FEW, words.COMMON)):
        monkeypatch.setattr(cases, "FEW", few)
        monkeypatch.setattr(words, "COMMON", common)
        # The newest message, the newest subject and the newest person, of those that are theirs.
        for query in ("заказ", "товар", "ивановна"):
            assert found(models, query, own) == [1], (query, few, common)
        assert found(models, "boris", own) == []
        # Case 3 has it too, and is spam.
        assert found(models, "boris") == [2]


def test_each_case_shows_its_newest_message_with_the_words(
    log: Log, connection: Connection
) -> None:
    models = folded_at_once(connection, log.events)
    assert models.ask(words.messages_with, beginnings("заказ"), [1, 3]) == {1: 1}
    assert models.ask(messages.texts, [1, 3]) == {
        1: "Где мой заказ 4711?",
        3: "My orders & refunds",
    }
