"""Conditions that the lists' filters share: Omnidesk's search marks, and times."""

from sqlalchemy import ColumnElement

MARK = "^"
SECOND = 1_000_000


def anchors(wanted: str) -> tuple[bool, str, bool]:
    """Whether it has to stand at the start; what has to stand there; whether it has to stand at the end."""
    from_start = len(wanted) > 1 and wanted.startswith(MARK)
    to_end = len(wanted) > 1 and wanted.endswith(MARK)
    return from_start, wanted[from_start : len(wanted) - to_end], to_end


def searched(column: ColumnElement[str], wanted: str) -> ColumnElement[bool]:
    """`^s^` is exactly s, `^s` begins with it, `s^` ends with it, anything else contains it.

    Without regard to case when the column holds case-folded text and `wanted` is folded too.
    """
    from_start, words, to_end = anchors(wanted)
    if from_start and to_end:
        return column == words
    if from_start:
        return column.startswith(words, autoescape=True)
    if to_end:
        return column.endswith(words, autoescape=True)
    return column.contains(words, autoescape=True)


def between(
    column: ColumnElement[int], first: int | None, last: int | None
) -> list[ColumnElement[bool]]:
    """Both ends included. Answers show whole seconds, so the whole second of `last` belongs to it."""
    conditions = []
    if first is not None:
        conditions.append(column >= first)
    if last is not None:
        conditions.append(column < (last // SECOND + 1) * SECOND)
    return conditions
