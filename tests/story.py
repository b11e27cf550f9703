"""Domain tests as data: given what was done before, when a command is carried out, then these events or this refusal."""

from collections.abc import Callable, Mapping
from typing import Any, Self

from folding import Log, email, phone

from kanal.domain.channels import create_channel
from kanal.domain.errors import DomainError
from kanal.domain.event import Event
from kanal.domain.groups import create_group
from kanal.domain.identities import Identification
from kanal.domain.staff import create_staff

ANNA, BORIS = 1, 2
"""Staff of `desk`: an administrator and a colleague."""
APP, FORUM = 1, 2
"""Custom channels of `desk`."""


class Story(Log):
    def __init__(self) -> None:
        super().__init__()
        self.result: Any = None
        self.new: list[Event] = []
        self.refusal: DomainError | None = None

    def given(self, command: Callable[..., Any], **arguments: Any) -> Self:
        self.do(command, **arguments)
        return self

    def when(self, command: Callable[..., Any], **arguments: Any) -> Self:
        before = len(self.events)
        self.result = self.refusal = None
        try:
            self.result = self.do(command, **arguments)
        except DomainError as refusal:
            self.refusal = refusal
        self.new = [recorded.event for recorded in self.events[before:]]
        return self

    def then(self, *events: Event) -> Self:
        """These events and no others, field by field."""
        assert (self.new, self.refusal) == (list(events), None)
        return self

    def then_named(self, *names: str) -> Self:
        """Events of these types in this order, where their fields are not the rule under test."""
        assert ([event.NAME for event in self.new], self.refusal) == (list(names), None)
        return self

    def refused(self, error: type[DomainError]) -> Self:
        assert (self.new, type(self.refusal)) == ([], error)
        return self

    def recorded(self, event_type: type[Event]) -> list[Any]:
        """The events of that type among the new ones."""
        return [event for event in self.new if isinstance(event, event_type)]


def desk() -> Story:
    """Staff Anna and Boris, custom channels 1 (App) and 2 (Forum), group 1."""
    story = Story()
    for name, role in (("anna", "administrator"), ("boris", "staff")):
        story.given(
            create_staff,
            email=email(f"{name}@example.com"),
            full_name=name.title(),
            role=role,
            key_fingerprint="f",
        )
    for title in ("App", "Forum"):
        story.given(
            create_channel,
            title=title,
            webhook_url="https://example.com/hook",
            channel_type="async",
            secret_fingerprint="f",
        )
    return story.given(create_group, title="Sales")


def person(
    external_id: str = "",
    channel_id: int = APP,
    *,
    mail: str = "",
    tel: str = "",
    details: Mapping[str, Any] | None = None,
) -> Identification:
    """A user of a custom channel, or of none if there is no external id."""
    return Identification(
        channel_id=channel_id if external_id else 0,
        external_id=external_id,
        email=email(mail) if mail else None,
        phone=phone(tel) if tel else None,
        details=dict(details or {}),
    )
