"""What a hand-over and the deletion of a group ask of the cases."""

from typing import Any

import pytest
from folding import Log, ReadModels, email, engine_of, folded_at_once
from sqlalchemy import Connection, event
from story import person

from kanal.domain.cases import change_case, delete_case, mark_case_as_spam, trash_case
from kanal.domain.conversation import open_case
from kanal.domain.groups import create_group
from kanal.domain.staff import create_staff
from kanal.projections import cases


def test_all_that_is_not_closed_is_found_trash_and_spam_too(
    log: Log, connection: Connection
) -> None:
    log.do(create_staff, email=email("a@example.com"), full_name="A", key_fingerprint="f")
    log.do(create_group, title="Sales")
    for case_id in range(1, 7):
        log.do(open_case, who=person(mail=f"u{case_id}@example.com"), content="Hello")
        log.do(change_case, case_id=case_id, staff_id=1, group_id=1)
    log.do(change_case, case_id=1, status="waiting")
    log.do(change_case, case_id=2, status="closed")
    log.do(trash_case, case_id=3)
    log.do(mark_case_as_spam, case_id=4)
    log.do(delete_case, case_id=5)
    log.do(change_case, case_id=6, staff_id=0, group_id=0)
    models = folded_at_once(connection, log.events)
    for whose in ({"staff_id": 1}, {"group_id": 1}):
        assert models.ask(cases.unclosed, **whose, limit=10) == [1, 3, 4]
        assert models.ask(cases.unclosed, **whose, limit=2) == [1, 3]
    assert models.ask(cases.unclosed, staff_id=2, limit=10) == []


@pytest.mark.parametrize("whose", ["staff_id", "group_id"])
def test_closed_cases_are_not_even_looked_at(whose: str) -> None:
    asked: list[Any] = []

    def keep(_c: Any, _k: Any, sql: str, parameters: Any, *_: Any) -> None:
        asked.append((f"EXPLAIN QUERY PLAN {sql}", parameters))

    with engine_of("").connect() as connection:
        models = ReadModels(connection)
        event.listen(connection, "before_cursor_execute", keep)
        models.ask(cases.unclosed, **{whose: 1}, limit=10)
        (step,) = connection.exec_driver_sql(*asked[0])
    assert f"INDEX cases_v1_unclosed_{whose} ({whose}=?)" in step[3]
