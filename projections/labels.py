"""Labels, and which cases have them."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    MetaData,
    Select,
    Table,
    exists,
    func,
    select,
)

from kanal.domain.case_events import CaseDeleted, CaseLabelsChanged
from kanal.domain.labels import LabelCreated, LabelDeleted, LabelRenamed
from kanal.domain.stream import Recorded
from kanal.eventlog.projection import Changes, Tables
from kanal.projections.read_model import (
    Found,
    Names,
    Page,
    ReadModel,
    Views,
    columns_of,
    found,
    number,
    one,
    text,
)


class LabelRow(NamedTuple):
    label_id: int
    title: str
    created_at: int
    updated_at: int


def define(metadata: MetaData, name: Names) -> Iterable[Table]:
    yield Table(
        name("labels"),
        metadata,
        number("label_id", key=True),
        text("title"),
        number("created_at"),
        number("updated_at"),
    )
    # By label first: it is for finding cases. What one case has stands in its own row.
    yield Table(
        name("case_labels"),
        metadata,
        number("label_id", key=True),
        number("case_id", key=True),
        sqlite_with_rowid=False,
    )


def fold(changes: Changes, tables: Tables, recorded: Recorded) -> None:
    labels, case_labels = tables["labels"], tables["case_labels"]
    event, at = recorded.event, recorded.envelope.at
    match event:
        case LabelCreated():
            row = {
                "label_id": event.label_id,
                "title": event.title,
                "created_at": at,
                "updated_at": at,
            }
            changes.insert(labels, row)
        case LabelRenamed():
            changes.update(labels, (event.label_id,), {"title": event.title, "updated_at": at})
        case LabelDeleted():
            # Its rows of cases stay: there may be very many, and `having` asks for labels that there are.
            changes.delete(labels, (event.label_id,))
        case CaseLabelsChanged():
            for label_id in event.removed:
                changes.delete(case_labels, (label_id, event.case_id))
            for label_id in event.added:
                changes.insert(case_labels, {"label_id": label_id, "case_id": event.case_id})
        case CaseDeleted():
            for label_id in event.labels:
                changes.delete(case_labels, (label_id, event.case_id))


PROJECTION = ReadModel(
    name="labels",
    version=1,
    handles=dict.fromkeys(
        (LabelCreated, LabelRenamed, LabelDeleted, CaseLabelsChanged, CaseDeleted), fold
    ),
    define=define,
)


def find(connection: Connection, views: Views, label_id: int) -> LabelRow | None:
    labels = views.labels["labels"]
    query = columns_of(labels, LabelRow).where(labels.c.label_id == label_id)
    return one(connection, query, LabelRow._make)


def listed(connection: Connection, views: Views, page: Page) -> Found[LabelRow]:
    """The oldest first."""
    labels = views.labels["labels"]
    query = columns_of(labels, LabelRow).order_by(labels.c.label_id)
    return found(connection, query, page, LabelRow._make)


def living(connection: Connection, views: Views, label_ids: Iterable[int]) -> set[int]:
    """Those of them that have not been deleted."""
    wanted = set(label_ids)
    if not wanted:
        return wanted
    labels = views.labels["labels"]
    return set(connection.scalars(select(labels.c.label_id).where(labels.c.label_id.in_(wanted))))


def on_cases(connection: Connection, views: Views, label_id: int, limit: int) -> int:
    """On how many cases this label is, up to that limit."""
    label = views.labels["case_labels"].c
    some = select(label.case_id).where(label.label_id == label_id).limit(limit).subquery()
    return connection.scalar(select(func.count()).select_from(some)) or 0


def on_case(views: Views, label_id: int, case_id: ColumnElement[int]) -> ColumnElement[bool]:
    """Whether it is on this one."""
    label = views.labels["case_labels"].c
    return exists().where(label.label_id == label_id, label.case_id == case_id)


def having(views: Views, label_ids: Sequence[int]) -> Select[Any]:
    """Ids of the cases that have any of these labels, put on by whomever."""
    labels, case_labels = views.labels["labels"], views.labels["case_labels"]
    there = select(labels.c.label_id).where(labels.c.label_id.in_(label_ids))
    return select(case_labels.c.case_id).where(case_labels.c.label_id.in_(there))
