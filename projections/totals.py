"""Totals that take long to count, kept while the log does not grow.

Known clients read a filtered list page by page, or eighty pages at once, and each page says how many there are in all.
"""

import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine

from kanal.projections.read_model import Views

T = TypeVar("T")

KEPT: Final = 256
"""Of one moment; more questions than that are not asked between two events."""

_door = threading.Lock()
_kept: WeakKeyDictionary[Engine, tuple[tuple[int, ...], dict[Any, Any]]] = WeakKeyDictionary()


def counted_once(
    connection: Connection, views: Views, question: object, count: Callable[[], T]
) -> T:
    """What `count` says, or said of the same question at the same moment to somebody with the same rights."""
    if not views.moment:
        return count()
    key = repr((views.scope, question))
    with _door:
        moment, known = _kept.get(connection.engine, ((), {}))
        if moment == views.moment and key in known:
            answer: T = known[key]
            return answer
    answer = count()
    with _door:
        moment, known = _kept.get(connection.engine, ((), {}))
        if moment != views.moment or len(known) >= KEPT:
            known = {}
        known[key] = answer
        _kept[connection.engine] = views.moment, known
    return answer
