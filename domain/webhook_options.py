"""What an administrator decides of a channel's webhooks, beside the address they go to."""

from functools import lru_cache
from typing import Final, Literal

from msgspec import Struct, json

from kanal.domain.case_events import MessageKind

Order = Literal["case", "channel", "none"]
"""What goes out one after another: the messages of a case, all of the channel, or nothing."""

OnExhausted = Literal["skip", "hold"]
"""What becomes of a message that no further attempt is made at: the queue goes on without it, or waits until somebody acts."""


Format = Literal["form", "json"]
"""Of the body: the seed's, or JSON."""
Signature = Literal["v1", "v1a"]
"""`v1`: of the shared secret. `v1a`: one of a private key beside it, which whoever has the public one can check."""
News = Literal["edits", "deletions", "statuses"]
"""Options of what the receiver is told beside messages."""


class Header(Struct, frozen=True):
    """One that webhooks bear beside Kanal's own. Its value may be a password and is in no event."""

    name: str
    fingerprint: str
    """Of the value."""


class WebhookOptions(Struct, frozen=True):
    """Held whole by the channel's events; what is not said is as it was before the option existed."""

    typing: bool = False
    """Whether the receiver is told that staff are typing."""
    order: Order = "case"
    on_exhausted: OnExhausted = "skip"
    replies: bool = True
    """Which messages go out; what does not has no delivery and no number in its case's sequence."""
    notes: bool = True
    rule_messages: bool = True
    format: Format = "form"
    edits: bool = False
    """Whether the receiver is told of more than messages: that one was edited or deleted, that a case has another status."""
    deletions: bool = False
    statuses: bool = False
    shadow_url: str = ""
    """Gets a copy of each POST, whose answer counts nothing."""
    polling: bool = False
    """Nothing is POSTed: the receiver asks for what goes out, and says what it has."""
    signature: Signature = "v1"
    headers: tuple[Header, ...] = ()
    timeout: int = 0
    """Seconds of an attempt; 0: as long as the channel's type allows."""
    rate_limit: int = 0
    """Deliveries in a minute; 0: as many as the receiver takes."""
    networks: tuple[str, ...] = ()
    """CIDRs that webhooks may reach, within what the installation allows; none: all of that."""

    def sends(self, kind: MessageKind) -> bool:
        match kind:
            case "staff_reply":
                return self.replies
            case "note":
                return self.notes
            case "rule_message":
                return self.rule_messages
            case "user_message":
                return False


DEFAULTS: Final = WebhookOptions()


def stored(options: WebhookOptions) -> str:
    """As tables keep them."""
    return json.encode(options).decode()


@lru_cache
def read(text: str) -> WebhookOptions:
    """What `stored` made, also before the newest options existed."""
    return json.decode(text, type=WebhookOptions)
