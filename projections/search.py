"""Conditions that the lists' filters share: Omnidesk's search marks, and times."""

from sqlalchemy import ColumnElement

MARK = "^"
SECOND = 1_000_000


def searched(column: ColumnElement[str], wanted: str) -> ColumnElement[bool]:
    """`^s^` is exactly s, `^s` begins with it, `s^` ends with it, anything else contains it.

    Without regard to case when the column holds case-folded text and `wanted` is folded too.
    """
    from_start = len(wanted) > 1 and wanted.startswith(MARK)
    to_end = len(wanted) > 1 and wanted.endswith(MARK)
    if from_start and to_end:
        return column == wanted[1:-1]
    if from_start:
        return column.startswith(wanted[1:], autoescape=True)
    if to_end:
        return column.endswith(wanted[:-1], autoescape=True)
    return column.contains(wanted, autoescape=True)


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
