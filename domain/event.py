"""What an event is: a small immutable struct under a stable, versioned name, in an envelope of who, when and why."""

from typing import Any, ClassVar

import msgspec

EVENTS: dict[str, type["Event"]] = {}
"""Every event type by its stored name. Names are never reused; a changed event gets a new version."""


class Event(msgspec.Struct, frozen=True):
    """One thing that happened. Subclasses hold plain values only.

    `NAME` is how the log knows the type; `PERSONAL` names the fields that say something of a person;
    `ABOUT` names the fields that hold ids of the users whom the event is about. A subclass without a `NAME` of its own
    only shares fields among events.
    """

    NAME: ClassVar[str]
    PERSONAL: ClassVar[tuple[str, ...]] = ()
    ABOUT: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "NAME" not in vars(cls):
            return
        if cls.NAME in EVENTS:
            raise TypeError(f"two events are called {cls.NAME}")
        EVENTS[cls.NAME] = cls

    def about(self) -> tuple[int, ...]:
        """Ids of the users whom this event is about, each once."""
        found: list[int] = []
        for field in self.ABOUT:
            user_id = getattr(self, field)
            if user_id and user_id not in found:
                found.append(user_id)
        return tuple(found)


class Envelope(msgspec.Struct, frozen=True):
    """Beside each event's data. It travels with the command, never in a context variable."""

    at: int
    """Microseconds since the epoch, UTC; never less than the envelope before it in the log."""
    who: str
    """`staff:1`, `user:2`, `rule:3` or `system`."""
    origin: str
    """`api`, `page`, `rule`, `import`, `delivery`, `automation` or `cli`."""
    request: str
    """Id of the request that led to the event, as in the answer's `X-Request-Id`."""
    cause: int | None = None
    """Position of the event that caused this one."""
    about: tuple[int, ...] = ()
    """Ids of the users whom the event is about."""
