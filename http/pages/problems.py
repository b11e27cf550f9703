"""What a form leads to, tried: what is wrong with the form is kept for its page, all else goes through."""

from types import TracebackType
from typing import Self

from kanal.http.pages.form_errors import NO_FAULTS, Faults, faults_in


class Problems:
    """`with Problems() as problems:`, true afterwards if the form was refused as it was given."""

    def __init__(self) -> None:
        self.faults: Faults = NO_FAULTS

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        _: TracebackType | None,
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        try:
            self.faults = faults_in(error)
        except Exception:  # noqa: BLE001 the very same is on its way already
            return False
        return True

    def __bool__(self) -> bool:
        return bool(self.faults)
