"""What an administrator decides of a channel's webhooks, beside the address they go to."""

from functools import lru_cache
from typing import Final, Literal

from msgspec import Struct, json

Order = Literal["case", "channel", "none"]
"""What goes out one after another: the messages of a case, all of the channel, or nothing."""


class WebhookOptions(Struct, frozen=True):
    """Held whole by the channel's events; what is not said is as it was before the option existed."""

    typing: bool = False
    """Whether the receiver is told that staff are typing."""
    order: Order = "case"


DEFAULTS: Final = WebhookOptions()


def stored(options: WebhookOptions) -> str:
    """As tables keep them."""
    return json.encode(options).decode()


@lru_cache
def read(text: str) -> WebhookOptions:
    """What `stored` made, also before the newest options existed."""
    return json.decode(text, type=WebhookOptions)
