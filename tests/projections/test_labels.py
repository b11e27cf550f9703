"""Labels and the cases that have them."""

import pytest
from folding import Log, ReadModels, email, folded_at_once
from sqlalchemy import Connection

from kanal.domain.cases import change_case, delete_case, existing_case, set_labels
from kanal.domain.conversation import open_case
from kanal.domain.identities import Identification
from kanal.domain.labels import create_label, delete_label, rename_label
from kanal.domain.work import Work
from kanal.projections import cases, labels
from kanal.projections.cases import CaseFilter
from kanal.projections.read_model import Page


@pytest.fixture
def log(log: Log) -> Log:
    """Labels 1 to 3; case 1 with 1, case 2 with 1 and 2, case 3 with none."""
    for title in ("Blocked", "Urgent", "VIP"):
        log.do(create_label, title=title)
    who = Identification(email=email("a@example.com"))
    for worn in ([1], [2, 1], []):
        log.do(open_case, who=who, content="Hello", labels=worn)
    return log


def wearing(models: ReadModels, *label_ids: int) -> list[int]:
    wanted = CaseFilter(labels=label_ids)
    found = models.ask(cases.listed, wanted, Page(), "created_at_asc")
    assert found.total == len(found.rows)
    return [row.case_id for row in found.rows]


def test_a_label_shows_its_title_and_when_it_was_changed(log: Log, connection: Connection) -> None:
    made = log.events[0].envelope.at
    log.do(rename_label, label_id=1, title="Заблокирован")
    models = folded_at_once(connection, log.events)
    row = labels.LabelRow(label_id=1, title="Заблокирован", created_at=made, updated_at=log.now)
    assert models.ask(labels.find, 1) == row
    assert models.ask(labels.find, 4) is None
    assert models.ask(labels.listed, Page()).rows[0] == row
    assert [r.label_id for r in models.ask(labels.listed, Page(2, 2)).rows] == [3]


def test_cases_show_their_labels_and_are_found_by_them(log: Log, connection: Connection) -> None:
    models = folded_at_once(connection, log.events)
    assert models.ask(cases.find, 2).labels == (1, 2)
    assert models.ask(cases.find, 3).labels == ()
    assert wearing(models, 1) == [1, 2]
    assert wearing(models, 2, 3) == [2]
    assert wearing(models, 2, 1) == [1, 2]
    assert wearing(models, 3) == wearing(models, 9) == []


def test_a_changed_label_of_a_case_shows_and_moves_the_time_of_change(
    log: Log, connection: Connection
) -> None:
    models = folded_at_once(connection, log.events)
    already = len(log.events)
    log.do(change_case, case_id=1, add_labels=[3], delete_labels=[1])
    models.fold(log.events[already:])
    row = models.ask(cases.find, 1)
    assert (row.labels, row.updated_at) == ((3,), log.now)
    assert (wearing(models, 1), wearing(models, 3)) == ([2], [1])


def test_a_deleted_label_is_nowhere_any_more(log: Log, connection: Connection) -> None:
    models = folded_at_once(connection, log.events)
    already = len(log.events)
    log.do(delete_label, label_id=1)
    models.fold(log.events[already:])
    assert models.ask(cases.find, 1).labels == ()
    assert models.ask(cases.find, 2).labels == (2,)
    assert [row.labels for row in models.ask(cases.listed, CaseFilter(), Page()).rows] == [
        (),
        (2,),
        (),
    ]
    assert (wearing(models, 1), wearing(models, 1, 2)) == ([], [2])
    assert [row.label_id for row in models.ask(labels.listed, Page()).rows] == [2, 3]


def test_labels_put_on_by_rules_stand_apart_and_are_found_alike(
    log: Log, connection: Connection
) -> None:
    def rule(work: Work) -> None:
        set_labels(work, existing_case(work, 1), add=[3], by_rule=True)

    log.do(rule)
    models = folded_at_once(connection, log.events)
    row = models.ask(cases.find, 1)
    assert (row.labels, row.locked_labels) == ((1,), (3,))
    assert wearing(models, 3) == [1]


def test_a_case_that_is_deleted_for_good_leaves_no_row(log: Log, connection: Connection) -> None:
    for case_id in (1, 2):
        log.do(delete_case, case_id=case_id)
    assert folded_at_once(connection, log.events).rows()["labels.case_labels"] == []
