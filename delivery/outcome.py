"""What came of one attempt: a closed set of classes, whom a failure is charged to, and a sentence for people."""

import re
from enum import StrEnum
from typing import Final, Literal

import msgspec

EXCERPT_BYTES: Final = 1024
"""Enough of an answer to recognise the receiver's complaint; more would be a way to read other hosts."""

DETAIL_BYTES: Final = 300

HIDDEN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
"""Controls (PostgreSQL takes no NUL), surrogates, and what reorders text on a page or terminal: a
hostile answer must not forge what people read."""


class OutcomeClass(StrEnum):
    """Stored and shown by these names."""

    OK = "ok"
    HTTP_STATUS = "http_status"
    DNS = "dns"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    RESET = "reset"
    TLS = "tls"
    CONNECT_TIMEOUT = "connect_timeout"
    RESPONSE_TIMEOUT = "response_timeout"
    BROKEN_ANSWER = "broken_answer"
    OVER_LONG_ANSWER = "over_long_answer"
    BLOCKED_BY_POLICY = "blocked_by_policy"
    INVALID_URL = "invalid_url"
    LOCAL_FAULT = "local_fault"
    UNKNOWN = "unknown"


SENTENCES: Final[dict[OutcomeClass, str]] = {
    OutcomeClass.OK: "The receiver took the message (HTTP {status}).",
    OutcomeClass.HTTP_STATUS: "The receiver answered HTTP {status}, which is not a success.",
    OutcomeClass.DNS: "The host name of the Webhook URL could not be resolved{detail}.",
    OutcomeClass.REFUSED: "The receiver's host refused the connection{detail}.",
    OutcomeClass.UNREACHABLE: "The receiver's host could not be reached{detail}.",
    OutcomeClass.RESET: "The receiver closed the connection before it answered{detail}.",
    OutcomeClass.TLS: "No secure connection could be made with the receiver{detail}.",
    OutcomeClass.CONNECT_TIMEOUT: "The receiver could not be connected to in time{detail}.",
    OutcomeClass.RESPONSE_TIMEOUT: "The receiver did not finish its answer in time{detail}.",
    OutcomeClass.BROKEN_ANSWER: "The receiver's answer is broken or incomplete{detail}.",
    OutcomeClass.OVER_LONG_ANSWER: "The receiver's answer is longer than Kanal reads{detail}.",
    OutcomeClass.BLOCKED_BY_POLICY: "The address of the Webhook URL may not be called{detail}.",
    OutcomeClass.INVALID_URL: "The Webhook URL is not one that can be called{detail}.",
    OutcomeClass.LOCAL_FAULT: (
        "Kanal itself could not make the attempt; it does not count against the channel{detail}."
    ),
    OutcomeClass.UNKNOWN: (
        "Kanal ended before the outcome was recorded; the message is sent again with the same id."
    ),
}

REDIRECT_SENTENCE: Final = (
    "The receiver answered HTTP {status} and points elsewhere; redirects are not followed, "
    "so set the Webhook URL to the final address{detail}."
)
GONE_SENTENCE: Final = (
    "The receiver answered HTTP 410: it wants no more messages at this Webhook URL."
)

ENDPOINT_CLASSES: Final = frozenset(
    {
        OutcomeClass.DNS,
        OutcomeClass.REFUSED,
        OutcomeClass.UNREACHABLE,
        OutcomeClass.RESET,
        OutcomeClass.TLS,
        OutcomeClass.CONNECT_TIMEOUT,
        OutcomeClass.RESPONSE_TIMEOUT,
        OutcomeClass.BROKEN_ANSWER,
    }
)
PERMANENT_CLASSES: Final = frozenset({OutcomeClass.BLOCKED_BY_POLICY, OutcomeClass.INVALID_URL})
LOCAL_CLASSES: Final = frozenset({OutcomeClass.LOCAL_FAULT, OutcomeClass.UNKNOWN})

GONE: Final = 410
ENDPOINT_STATUSES: Final = frozenset({408, GONE, 429})
HINTING_STATUSES: Final = frozenset({429, 503})
"""The statuses whose `Retry-After` is heeded."""


Wish = Literal["disable", "abort-message"]
"""What a receiver may ask for in its answer, whatever the status: no more messages, or no more of this one."""
WISHES: Final[dict[str, Wish]] = {"disable": "disable", "abort-message": "abort-message"}
WISHES_BYTES: Final = 100
"""Of the header that are read: room for both, and no work with what somebody makes longer."""


def wishes_in(header: str) -> frozenset[Wish]:
    """Of the header `webhook-delivery`: its words, separated by commas. Others mean nothing."""
    words = (word.strip().lower() for word in header[:WISHES_BYTES].split(","))
    return frozenset(WISHES[word] for word in words if word in WISHES)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt's result. Exactly one of `succeeded`, `endpoint_class`, `message_class`, `permanent`, `local` holds.

    Times are microseconds since the epoch; `retry_after` is a wait in microseconds.
    """

    outcome_class: OutcomeClass
    started_at: int
    ended_at: int
    http_status: int | None = None
    detail: str = ""
    excerpt: str = ""
    address: str | None = None
    """The numeric address that was dialled."""
    retry_after: int | None = None
    resent: bool = False
    """Sent twice, uncounted: the first went into a kept connection that the receiver had just closed."""
    wishes: frozenset[Wish] = frozenset()
    """What the receiver asks for beside its status."""

    @property
    def succeeded(self) -> bool:
        return self.outcome_class is OutcomeClass.OK

    @property
    def endpoint_class(self) -> bool:
        """The endpoint is down, overloaded or gone: the whole channel waits."""
        if self.outcome_class is OutcomeClass.HTTP_STATUS:
            status = self.http_status or 0
            return status in ENDPOINT_STATUSES or status >= 500
        return self.outcome_class in ENDPOINT_CLASSES

    @property
    def message_class(self) -> bool:
        """The endpoint lives but does not take this message: only its case waits."""
        if self.outcome_class is OutcomeClass.HTTP_STATUS:
            return not self.endpoint_class
        return self.outcome_class is OutcomeClass.OVER_LONG_ANSWER

    @property
    def permanent(self) -> bool:
        """No try can succeed until the channel's URL or the allowed addresses change."""
        return self.outcome_class in PERMANENT_CLASSES

    @property
    def local(self) -> bool:
        """Kanal's own fault, never charged to the channel."""
        return self.outcome_class in LOCAL_CLASSES

    @property
    def gone(self) -> bool:
        """HTTP 410: the channel is to be paused and its people told at once."""
        return self.outcome_class is OutcomeClass.HTTP_STATUS and self.http_status == GONE

    @property
    def sentence(self) -> str:
        detail = f": {self.detail}" if self.detail else ""
        return self._template().format(status=self.http_status, detail=detail)

    def _template(self) -> str:
        if self.gone:
            return GONE_SENTENCE
        redirected = 300 <= (self.http_status or 0) < 400
        if redirected and self.outcome_class is OutcomeClass.HTTP_STATUS:
            return REDIRECT_SENTENCE
        return SENTENCES[self.outcome_class]


def readable(text: str, limit: int) -> str:
    """`text` cut to `limit` bytes of UTF-8, with what could confuse a terminal, page or database replaced."""
    shown = HIDDEN.sub("\ufffd", text[:limit].replace("\r\n", "\n"))
    return shown.encode("utf-8")[:limit].decode("utf-8", "ignore")
