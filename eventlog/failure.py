"""What went wrong inside, for people who see that it did: not what the failing part said, which may name hosts, paths and values."""

import secrets
from typing import NamedTuple


class Failure(NamedTuple):
    kind: str
    """The error's class."""
    error_id: str
    """Stands in the process's log beside all that is known."""

    def __str__(self) -> str:
        return f"{self.kind}, error_id {self.error_id} in the log of the process"


def failure_of(error: BaseException) -> Failure:
    return Failure(type(error).__name__, secrets.token_hex(8))
