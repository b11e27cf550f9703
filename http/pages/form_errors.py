"""What is wrong with a form that was sent, to be shown beside its inputs, with what was typed kept."""

from collections.abc import Iterable, Mapping
from typing import Final

from kanal.http.errors import ApiError, refusal


class Faults:
    """By the place in the form."""

    def __init__(self, code: str = "", message: str = "", fields: Mapping[str, str] = {}) -> None:
        self.code = code
        self.message = message
        self._fields = dict(fields)

    def __bool__(self) -> bool:
        return bool(self.code)

    def at(self, place: str) -> list[str]:
        return [words for name, words in self._fields.items() if name == place]

    def under(self, place: str) -> list[str]:
        """There, or at any part of it."""
        inner = f"{place}."
        return [w for name, w in self._fields.items() if name == place or name.startswith(inner)]

    def elsewhere(self, places: Iterable[str]) -> list[str]:
        """What stands beside none of these."""
        known = tuple(places)
        others = [
            f"{name} {words}"
            for name, words in self._fields.items()
            if name.partition(".")[0] not in known
        ]
        return others if self._fields else [self.message]


NO_FAULTS: Final = Faults()


def faults_in(error: Exception) -> Faults:
    """Of what can be mended in the form; raises all else again."""
    refused = refusal(error)
    if not isinstance(refused, ApiError) or refused.status != 400:
        raise error
    return Faults(refused.code, refused.message, refused.fields or {})
