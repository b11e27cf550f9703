"""What came of deliveries, in the reader's language: they keep sentences in English, made of a closed set of them.

Details that the failing system gave, and what staff wrote themselves, stay as they are.
"""

import re
from typing import Final

from jinja2 import pass_context
from jinja2.runtime import Context

from kanal.http.pages import wording
from kanal.http.pages.wording import N_

SENTENCES: Final = (
    N_("The receiver took the message (HTTP %(status)s)."),
    N_("The receiver answered HTTP 410: it wants no more messages at this Webhook URL."),
    N_("The receiver answered HTTP %(status)s, which is not a success."),
    N_(
        "The receiver answered HTTP %(status)s and points elsewhere; redirects are not followed, so set the Webhook URL to the final address%(detail)s."
    ),
    N_("The host name of the Webhook URL could not be resolved%(detail)s."),
    N_("The receiver's host refused the connection%(detail)s."),
    N_("The receiver's host could not be reached%(detail)s."),
    N_("The receiver closed the connection before it answered%(detail)s."),
    N_("No secure connection could be made with the receiver%(detail)s."),
    N_("The receiver could not be connected to in time%(detail)s."),
    N_("The receiver did not finish its answer in time%(detail)s."),
    N_("The receiver's answer is broken or incomplete%(detail)s."),
    N_("The receiver's answer is longer than Kanal reads%(detail)s."),
    N_("The address of the Webhook URL may not be called%(detail)s."),
    N_("The Webhook URL is not one that can be called%(detail)s."),
    N_("Kanal itself could not make the attempt; it does not count against the channel%(detail)s."),
    N_("Kanal ended before the outcome was recorded; the message is sent again with the same id."),
    N_("The receiver asked for it: its answer (HTTP %(status)s) said webhook-delivery: %(wish)s."),
    N_("The receiver took other messages and refused this one, again and again."),
    N_("Tried for %(days)s days without success."),
    N_("Nothing went through for %(days)s days."),
    N_(
        "The webhook was taken out of its rule, or deleted with it, before this could be delivered."
    ),
    N_("Staff paused the channel's delivery."),
    N_("Staff paused the channel's delivery: %(words)s"),
    N_("Held by staff member %(staff)s."),
    N_("Held by the operator."),
    N_("Skipped by staff member %(staff)s."),
    N_("Skipped by the operator."),
    N_("The channel is disabled."),
    N_("The rule is disabled."),
    N_("The channel was deleted before the message could be delivered."),
    N_("The channel was deleted before the message was written."),
    N_("Not known whether it was delivered; the ledger was lost."),
    N_("Given up before the ledger was lost."),
)
PLACES: Final = {
    "status": r"(?P<status>\d+|None)",
    "days": r"(?P<days>[\d.e+]+)",
    "wish": r"(?P<wish>[\w-]+)",
    "staff": r"(?P<staff>\d+)",
    "words": r"(?P<words>.+)",
    "detail": r"(?P<detail>(?:: .*)?)",
}
"""A detail goes on to the end of what is said: no sentence comes after one."""


def _pattern(sentence: str) -> re.Pattern[str]:
    pattern = re.escape(sentence)
    for name, place in PLACES.items():
        pattern = pattern.replace(re.escape(f"%({name})s"), place)
    end = r"\Z" if "%(detail)s" in sentence else r"(?:\s+|\Z)"
    return re.compile(pattern + end, re.DOTALL)


PATTERNS: Final = {sentence: _pattern(sentence) for sentence in SENTENCES}


@pass_context
def spoken(context: Context, text: str) -> str:
    """As far as its sentences are known, one after another. Colleagues have their names where the page knows them."""
    translate = wording.translations(context["language"]).gettext
    said = []
    rest = text
    while rest and (known := _first(rest)):
        sentence, found = known
        said.append(translate(sentence) % _named(context, found.groupdict()))
        rest = rest[found.end() :]
    return " ".join([*said, rest] if rest else said)


def _named(context: Context, places: dict[str, str]) -> dict[str, str]:
    beside = context.get("sidebar")
    row = beside.staff.get(int(places["staff"])) if beside and "staff" in places else None
    return {**places, "staff": row.full_name or row.email} if row else places


def _first(text: str) -> tuple[str, re.Match[str]] | None:
    for sentence, pattern in PATTERNS.items():
        if found := pattern.match(text):
            return sentence, found
    return None
