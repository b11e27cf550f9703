"""What a call takes and what it answers, said once above its handler.

Requests are read through it (`Call.asked`, `Call.given`), and the OpenAPI document is made from it.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web
from msgspec import Struct

from kanal.http.fields import Fields, section

if TYPE_CHECKING:
    from kanal.http.context import Call

Handler = Callable[["Call"], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Takes:
    """The body: its fields stand in the object `wrapper`, {"case": {...}}; "" for none."""

    wrapper: str
    model: type[Fields]
    others: tuple[str, ...] = ()
    """Further names of the wrapper that clients use."""
    bare: bool = False
    """The fields are also taken without a wrapper."""
    files: bool = False
    """Files may come along, as multipart."""

    def fields_in(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Raises ApiError."""
        names = (self.wrapper, *self.others) if self.wrapper else self.others or ("",)
        return section(body, *names, bare=self.bare or not self.wrapper)


@dataclass(frozen=True)
class One:
    """{"case": {...}}"""

    entity: str
    shape: type[Struct]
    status: int = 200


@dataclass(frozen=True)
class Listed:
    """{"0": {"case": {...}}, "1": ..., "total_count": 2}"""

    entity: str
    shape: type[Struct]
    total: str = "total_count"


@dataclass(frozen=True)
class Whole:
    """The body is the shape itself."""

    shape: Any
    status: int = 200


@dataclass(frozen=True)
class Empty:
    """200 without a body."""


Answers = One | Listed | Whole | Empty


@dataclass(frozen=True)
class Operation:
    """A handler with its contract: what stands in the table of routes."""

    handler: Handler
    summary: str
    answer: Answers
    query: type[Fields] | None
    body: Takes | None
    csv: bool = False
    """Also answers as a table, to `.csv` in place of `.json`."""


def contract(
    summary: str,
    answer: Answers,
    *,
    query: type[Fields] | None = None,
    body: Takes | None = None,
    csv: bool = False,
) -> Callable[[Handler], Operation]:
    """`@contract("Open a case", One("case", CaseAnswer, 201), body=Takes("case", NewCase))`"""

    def described(handler: Handler) -> Operation:
        return Operation(handler, summary, answer, query, body, csv)

    return described
