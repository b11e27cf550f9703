"""Pages that go on where the one before ended: rows that come and go meanwhile move nothing."""

from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

R = TypeVar("R")


class After(NamedTuple):
    """A row's place in a list: what the list is sorted by, and the row's id."""

    value: int
    """A time, or the rank of a status or priority."""
    id: int


class Order(NamedTuple):
    by: str
    descending: bool
    newest_first: bool
    """Among equal ones."""

    def key(self, place: After) -> tuple[int, int]:
        """Rises along the list."""
        return (
            -place.value if self.descending else place.value,
            -place.id if self.newest_first else place.id,
        )


class Listed(NamedTuple, Generic[R]):
    rows: list[R]
    total: int
    """How many there are on all pages."""
    end: After | None = None
    """Where the page ends, if there is one behind it."""


def ids_at(
    places: Sequence[After], limit: int, after: After | None, count: Callable[[], int]
) -> Listed[int]:
    """The page behind `after`. `places`: its own and that of the first row behind it; `count`: of all pages, if these do not tell."""
    whole = not after and len(places) <= limit
    end = places[limit - 1] if len(places) > limit else None
    total = len(places) if whole else count()
    return Listed([place.id for place in places[:limit]], total, end)
