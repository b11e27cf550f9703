"""Labels: short titles that staff and rules put on cases."""

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from kanal.domain.errors import LabelNotFound, LabelTitleTaken, UnknownLabels
from kanal.domain.event import Event
from kanal.domain.names import folded
from kanal.domain.stream import Aggregate
from kanal.domain.work import Work


class LabelCreated(Event, frozen=True):
    NAME = "label.created.1"
    label_id: int
    title: str


class LabelRenamed(Event, frozen=True):
    NAME = "label.renamed.1"
    label_id: int
    title: str


class LabelDeleted(Event, frozen=True):
    """For good. The cases that had it get no event; whoever shows them leaves it out from now on."""

    NAME = "label.deleted.1"
    label_id: int


class LabelTitleClaimed(Event, frozen=True):
    NAME = "label_title.claimed.1"
    label_id: int


class LabelTitleReleased(Event, frozen=True):
    NAME = "label_title.released.1"
    label_id: int


class Label(Struct, frozen=True):
    label_id: int = 0
    title: str = ""
    deleted: bool = False


def evolve(label: Label, event: Event) -> Label:
    match event:
        case LabelCreated():
            return Label(label_id=event.label_id, title=event.title)
        case LabelRenamed():
            return replace(label, title=event.title)
        case LabelDeleted():
            return replace(label, deleted=True)
    return label


LABELS = Aggregate("label", Label(), evolve)


def evolve_title(label_id: int, event: Event) -> int:
    match event:
        case LabelTitleClaimed():
            return event.label_id
        case LabelTitleReleased():
            return 0
    return label_id


LABEL_TITLES: Aggregate[int] = Aggregate("label_title", 0, evolve_title)
"""Folded title -> label id, 0 while no label has it."""


def create_label(work: Work, *, title: str) -> int:
    """The new label's id. Raises LabelTitleTaken."""
    label_id = work.take("label")
    _claim(work, label_id, title)
    work.record(LABELS, label_id, LabelCreated(label_id=label_id, title=title))
    return label_id


def rename_label(work: Work, *, label_id: int, title: str | None = None) -> int:
    """None means "as it is". Raises LabelNotFound, LabelTitleTaken."""
    label = existing_label(work, label_id)
    if title is None or title == label.title:
        return label_id
    if folded(title) != folded(label.title):
        _claim(work, label_id, title)
        _release(work, label)
    work.record(LABELS, label_id, LabelRenamed(label_id=label_id, title=title))
    return label_id


def delete_label(work: Work, *, label_id: int) -> int:
    """Raises LabelNotFound."""
    label = existing_label(work, label_id)
    _release(work, label)
    work.record(LABELS, label_id, LabelDeleted(label_id))
    return label_id


def existing_label(work: Work, label_id: int) -> Label:
    """A label that is not deleted. Raises LabelNotFound."""
    label = work.load(LABELS, label_id)
    if not label.label_id or label.deleted:
        raise LabelNotFound(label_id)
    return label


def existing_labels(work: Work, label_ids: Iterable[int]) -> set[int]:
    """Raises UnknownLabels, which names all that do not exist."""
    wanted = set(label_ids)
    labels = {label_id: work.load(LABELS, label_id) for label_id in wanted}
    unknown = sorted(i for i, label in labels.items() if not label.label_id or label.deleted)
    if unknown:
        raise UnknownLabels(unknown)
    return wanted


def _claim(work: Work, label_id: int, title: str) -> None:
    key = folded(title)
    taken_by = work.load(LABEL_TITLES, key)
    if taken_by:
        raise LabelTitleTaken(taken_by)
    work.record(LABEL_TITLES, key, LabelTitleClaimed(label_id))


def _release(work: Work, label: Label) -> None:
    work.record(LABEL_TITLES, folded(label.title), LabelTitleReleased(label.label_id))
