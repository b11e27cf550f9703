"""What is wrong with a form that was sent, to be shown beside its inputs, with what was typed kept."""

from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Final, Self

from kanal.http.errors import refusal
from kanal.http.pages.refusals import BESIDE


class Faults:
    """By the place in the form.

    `with Faults() as faults:` tries what the form leads to. What can be mended in the form is there afterwards, and then
    `faults` is true; all else goes through.
    """

    def __init__(self) -> None:
        self.code = self.message = ""
        self._fields: Mapping[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        _: TracebackType | None,
    ) -> bool:
        refused = refusal(error) if error else None
        if refused is None or refused.status != 400:
            return False
        self.code, self.message, self._fields = refused.code, refused.message, refused.fields or {}
        return True

    def __bool__(self) -> bool:
        return bool(self.code)

    def at(self, place: str) -> list[str]:
        return [words for name, words in self._fields.items() if name == place]

    def under(self, place: str) -> list[str]:
        """There, or at any part of it."""
        inner = f"{place}."
        return [w for name, w in self._fields.items() if name == place or name.startswith(inner)]

    @property
    def stand_beside(self) -> bool:
        """All of them at a place in the form."""
        return bool(self._fields) and self.code in BESIDE

    def elsewhere(self, places: Iterable[str]) -> list[str]:
        """What stands beside none of these."""
        known = tuple(places)
        return list(
            dict.fromkeys(
                words for name, words in self._fields.items() if name.partition(".")[0] not in known
            )
        )


NO_FAULTS: Final = Faults()
"""Of a form that nobody has sent yet."""
