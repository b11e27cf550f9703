"""A total is counted once for each moment, question, rights and database."""

from typing import Any

from folding import engine_of

from kanal.domain.access import Scope
from kanal.projections.read_model import Views
from kanal.projections.totals import KEPT, counted_once


def test_a_total_is_counted_again_only_when_the_log_or_whoever_asks_is_another() -> None:
    asked: list[Any] = []

    def count(views: Views, question: object, engine: Any) -> int:
        def total() -> int:
            asked.append(question)
            return len(asked)

        with engine.connect() as connection:
            return counted_once(connection, views, question, total)

    here, there = engine_of(""), engine_of("")
    views, later = Views(), Views()
    views.moment, later.moment = (1, 7), (1, 8)
    limited = views.within(Scope(staff_id=2, cases="own"))
    assert [count(views, "a", here) for _ in range(3)] == [1, 1, 1]
    assert count(views, "b", here) == 2
    assert count(limited, "a", here) == 3
    assert count(views, "a", there) == 4
    assert count(views, "a", here) == 1
    assert count(later, "a", here) == 5
    assert [count(later, "a", here), count(views, "a", there)] == [5, 4]
    for number in range(KEPT):
        count(later, number, here)
    assert count(later, "a", here) == 5 + KEPT + 1


def test_where_nobody_knows_the_moment_every_total_is_counted() -> None:
    answers = iter((1, 2))
    with engine_of("").connect() as connection:
        assert counted_once(connection, Views(), "a", lambda: next(answers)) == 1
        assert counted_once(connection, Views(), "a", lambda: next(answers)) == 2
