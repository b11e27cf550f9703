"""Webhooks that rules call: what their authors write, and what goes out when one is called.

Like a channel's Webhook URL, each has an id, a secret and a lane of its own in `delivery/`; values of headers and the secret
are kept beside the log, which has their fingerprints.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, Literal, get_args
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from kanal.domain.actions import Action
from kanal.domain.cases import Case
from kanal.domain.errors import WebhookBodyTooLong
from kanal.domain.event import Event
from kanal.domain.lanes import lane_of
from kanal.domain.stream import Aggregate
from kanal.domain.variables import VARIABLES, Values, filled, named
from kanal.domain.webhook_options import Format, Header
from kanal.domain.work import Work

Method = Literal["POST", "PUT", "GET", "DELETE"]
WITH_BODY: Final[frozenset[Method]] = frozenset({"POST", "PUT"})
CONTENT_TYPES: Final[Mapping[Format, str]] = {
    "form": "application/x-www-form-urlencoded",
    "json": "application/json",
}

MAX_TEMPLATE: Final = 64 * 1024
"""Octets of a body as it is written down."""
MAX_BODY: Final = 1024 * 1024
"""Octets of one that goes out: a message's text may be as long."""
MAX_FIELDS: Final = 100
MAX_IN_URL: Final = 100
"""Characters of a value in an address as they are written there: servers limit the whole of it."""
NUMBERS: Final = frozenset({"case_id", "user_id", "staff_id"})
"""Variables that are numbers where a JSON body has them outside of quotes."""
ALWAYS_KEPT: Final = ("case_id", "case_number", "user_id", "staff_id")
"""For an address that is changed while a call of it waits."""

_JSON_PART: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[^"]+')
_AUTHORITY: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://[^/?#]*")


class RuleWebhook(Struct, frozen=True):
    webhook_id: int
    """0 until it is kept."""
    method: Method
    url: str
    """Variables may stand behind the host."""
    format: Format
    body: str | dict[str, str]
    """JSON as a text, or the fields of a form; empty: all variables."""
    headers: tuple[Header, ...] | None = ()
    """None: as they are."""
    fingerprint: str = ""
    """Of the secret that it was made with."""


class RuleWebhookCalled(Event, frozen=True):
    """Committed with `rule.fired.1`; what goes out because of it has its id from this event's place."""

    NAME = "rule.webhook_called.1"
    PERSONAL = ("body", "url_values")
    ABOUT = ("user_id",)
    rule_id: int
    version: int
    webhook_id: int
    case_id: int
    user_id: int
    """The case's user."""
    cause: int
    """Position of the event for which the rule ran."""
    content_type: str
    """"" for no body."""
    body: str
    url_values: dict[str, str]
    """What the address may name."""

    @property
    def channel_id(self) -> int:
        """In `delivery/` it stands where channels do."""
        return lane_of(self.webhook_id)

    @property
    def outgoing(self) -> bool:
        return True

    @property
    def message_id(self) -> int:
        return 0


def evolve(called: bool, event: Event) -> bool:
    return called or isinstance(event, RuleWebhookCalled)


WEBHOOK_CALLS: Aggregate[bool] = Aggregate("webhook_call", False, evolve)
"""Key: the firing's and the action's place in the rule."""


# -- what is written down ----------------------------------------------------------------------------


def read_webhook(given: Any) -> dict[str, Any]:
    """What a caller gives, as an action holds it, but for `headers`, which are left as they come.

    Raises ValueError with a sentence.
    """
    if not isinstance(given, dict):
        raise ValueError("must be an object with url and method")  # noqa: TRY004 a caller's mistake
    method = given.get("method") or "POST"
    if method not in get_args(Method):
        raise ValueError(f"method must be {', '.join(get_args(Method))}")
    form = given.get("format") or "json"
    if form not in get_args(Format):
        raise ValueError("format must be json or form")
    webhook_id = given.get("webhook_id") or 0
    if type(webhook_id) is not int or webhook_id < 0:
        raise ValueError("webhook_id must be the id of one of the rule's webhooks")
    body = given.get("body")
    body = _read_form(body) if form == "form" else _read_json(body)
    if body and method not in WITH_BODY:
        raise ValueError(f"body is not for {method}")
    if len(msgspec.json.encode(body)) > MAX_TEMPLATE:
        raise ValueError(f"body may have up to {MAX_TEMPLATE} octets")
    return {
        "webhook_id": webhook_id,
        "method": method,
        "url": _read_url(given.get("url")),
        "format": form,
        "body": body,
        "headers": given.get("headers"),
    }


def _read_url(url: Any) -> str:
    if not isinstance(url, str) or not url:
        raise ValueError("url is required")
    unknown = sorted(name for name in named(url) if name not in VARIABLES)
    if unknown:
        raise ValueError(f"url names [{unknown[0]}], which is no variable")
    authority = _AUTHORITY.match(url)
    if authority is None or named(authority[0]):
        raise ValueError("url must be an address whose host holds no variable")
    return url


def _read_json(body: Any) -> str:
    if body in (None, "", {}, []):
        return ""
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    try:
        json.loads(_filled_json(text, dict.fromkeys(VARIABLES, "0")))
        text.encode()
    except (ValueError, RecursionError):
        raise ValueError(
            "body must be JSON, with [variables] in place of values or in texts"
        ) from None
    return text


def _read_form(body: Any) -> dict[str, str]:
    if body in (None, "", {}, []):
        return {}
    if not isinstance(body, dict) or len(body) > MAX_FIELDS:
        raise ValueError(f"body must be an object of up to {MAX_FIELDS} fields")
    for name, text in body.items():
        if not name or not isinstance(text, str):
            raise ValueError("body must be an object of names and texts")
    try:
        urlencode(body)
    except UnicodeEncodeError:
        raise ValueError("body must not hold half a surrogate pair") from None
    return dict(body)


def webhook_in(action: Action) -> RuleWebhook:
    return msgspec.convert(action.destination, RuleWebhook)


def webhooks_in(actions: Iterable[Action]) -> Iterator[tuple[int, RuleWebhook]]:
    """With their places."""
    for place, action in enumerate(actions):
        if action.type == "webhook":
            yield place, webhook_in(action)


def kept(webhook: RuleWebhook) -> dict[str, Any]:
    """As events hold it."""
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(webhook))
    return plain


def with_known(
    actions: Iterable[Action], before: Iterable[Action]
) -> tuple[list[Action], dict[int, str]]:
    """What is not said of webhooks that there are stays as it was; and what is wrong, by the action's place."""
    known = {webhook.webhook_id: webhook for _, webhook in webhooks_in(before)}
    done: list[Action] = []
    wrong: dict[int, str] = {}
    seen: set[int] = set()
    for place, action in enumerate(actions):
        if action.type != "webhook":
            done.append(action)
            continue
        webhook = webhook_in(action)
        was = known.get(webhook.webhook_id)
        if webhook.webhook_id and (was is None or webhook.webhook_id in seen):
            wrong[place] = "webhook_id is none of this rule's, or there twice"
        seen.add(webhook.webhook_id)
        if was:
            headers = was.headers if webhook.headers is None else webhook.headers
            webhook = replace(webhook, headers=headers, fingerprint=was.fingerprint)
        elif webhook.headers is None:
            webhook = replace(webhook, headers=())
        done.append(replace(action, destination=kept(webhook)))
    return done, wrong


def numbered(actions: Iterable[Action], take: Callable[[str], int]) -> tuple[Action, ...]:
    """New ones get their ids."""
    done = []
    for action in actions:
        if action.type == "webhook" and not action.destination["webhook_id"]:
            destination = {**action.destination, "webhook_id": take("webhook")}
            action = replace(action, destination=destination)
        done.append(action)
    return tuple(done)


# -- what goes out -----------------------------------------------------------------------------------


def call(
    work: Work,
    webhook: RuleWebhook,
    *,
    key: str,
    rule_id: int,
    version: int,
    case: Case,
    cause: int,
    values: Values,
) -> None:
    """`key`: of the firing, with the action's place: once for each. Raises WebhookBodyTooLong."""
    called = RuleWebhookCalled(
        rule_id=rule_id,
        version=version,
        webhook_id=webhook.webhook_id,
        case_id=case.case_id,
        user_id=case.user_id,
        cause=cause,
        content_type=content_type_of(webhook),
        body=body_of(webhook, values),
        url_values=url_values_of(webhook, values),
    )
    work.record(WEBHOOK_CALLS, key, called)


def body_of(webhook: RuleWebhook, values: Values) -> str:
    """Raises WebhookBodyTooLong."""
    if webhook.method not in WITH_BODY:
        return ""
    template = webhook.body
    texts = list(template.values()) if isinstance(template, dict) else [template]
    # Before it is filled: a long message, named a thousand times, would take all memory.
    if sum(_length(text, values) for text in texts) > MAX_BODY:
        raise WebhookBodyTooLong(MAX_BODY)
    if isinstance(template, dict):
        body = urlencode({name: filled(text, values) for name, text in template.items()} or values)
    elif template:
        body = _filled_json(template, values)
    else:
        body = json.dumps(dict(values), ensure_ascii=False)
    if len(body.encode()) > MAX_BODY:
        raise WebhookBodyTooLong(MAX_BODY)
    return body


def content_type_of(webhook: RuleWebhook) -> str:
    return CONTENT_TYPES[webhook.format] if webhook.method in WITH_BODY else ""


def url_values_of(webhook: RuleWebhook, values: Values) -> dict[str, str]:
    wanted = (*ALWAYS_KEPT, *sorted(named(webhook.url)))
    return {name: values.get(name, "")[:MAX_IN_URL] for name in wanted}


def filled_url(url: str, values: Values) -> str:
    """What is not known is empty; whatever a value holds, it stays one part of the address."""
    known = {name: _part(value) for name, value in values.items()}
    return filled(url, dict.fromkeys(VARIABLES, "") | known)


def longest_url(url: str) -> str:
    """No call's is longer: what is checked when it is saved."""
    return filled_url(url, dict.fromkeys(VARIABLES, "x" * MAX_IN_URL))


def _part(value: str) -> str:
    if not value.strip("."):
        return ""  # `..` would lead out of its folder
    written = ""
    for letter in value[:MAX_IN_URL]:
        encoded = quote(letter, safe="", errors="replace")
        if len(written) + len(encoded) > MAX_IN_URL:
            break
        written += encoded
    return written


def _length(text: str, values: Values) -> int:
    """At least so long is it with its variables filled."""
    return len(text) + sum(
        text.count(f"[{name}]") * len(values.get(name, "")) for name in named(text)
    )


def _filled_json(text: str, values: Values) -> str:
    """Within quotes a variable is a part of the text, outside of them a value of its own."""
    inner = {name: json.dumps(value, ensure_ascii=False)[1:-1] for name, value in values.items()}
    outer = {name: _value(name, value) for name, value in values.items()}
    return "".join(
        filled(part, inner if part.startswith('"') else outer) for part in _JSON_PART.findall(text)
    )


def _value(name: str, value: str) -> str:
    if name in NUMBERS and value.isascii() and value.isdecimal():
        return str(int(value))
    return json.dumps(value, ensure_ascii=False)
