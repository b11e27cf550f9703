"""Actions as callers write them, in macros and in rules alike."""

from typing import Any, Self, get_args

from pydantic import model_validator

from kanal.delivery.extra_headers import problems
from kanal.domain.actions import ME, Action, ActionType
from kanal.domain.case_events import Priority, Status
from kanal.domain.rule_webhooks import RuleWebhook, read_webhook, webhook_in
from kanal.http.api.labels import MAX_LABELS
from kanal.http.fields import MAX_CONTENT, MAX_ID, MAX_LINE, Content, GivenOnly, Line, wrong

MAX_ACTIONS = 50
"""In one macro or rule: all of them are one command."""
MAX_IN_TURN = 100
"""Staff members among whom a rule assigns in turn."""

STATUSES: dict[str, Status] = {"1": "open", "2": "waiting", "3": "closed"}
"""Omnidesk's numbers: 3 is known, the others follow the order of its lists."""
NUMBERS = {status: number for number, status in STATUSES.items()}

DISPLAY_NAMES: dict[ActionType, str] = {
    "add_note": "Add a note",
    "email_to_user": "Send a reply to the user",
    "status": "Change the status",
    "priority": "Change the priority",
    "staff_id": "Assign to a staff member",
    "group_id": "Assign to a group",
    "add_labels": "Add labels",
    "delete_labels": "Take off labels",
    "subject": "Change the subject",
    "custom_fields": "Set custom fields",
    "round_robin": "Assign to staff members in turn",
    "webhook": "Call a webhook",
    "stop": "Run no further rules",
}


class ActionFields(GivenOnly):
    """`action_destination` by type: status `1` open, `2` waiting, `3` closed or its name; a priority; an id, 0 for nobody
    and none, `me` for whoever applies a macro; ids of labels or, for `round_robin`, of staff; a subject; an object of
    custom fields; for `email_to_user` a text or an object of them by language_id; for `webhook` an object with `url`, `method`,
    `headers`, `format` and `body`.
    """

    action_type: ActionType
    action_destination: Any = ""
    content: Content = ""
    subject: Line = ""

    @model_validator(mode="after")
    def suits_its_type(self) -> Self:
        self.action()
        return self

    def action(self) -> Action:
        """Raises PydanticCustomError."""
        content = self.content
        if self.action_type == "add_note" and not content:
            raise wrong("content is required")
        destination = _destination(self.action_type, self.action_destination)
        return Action(self.action_type, destination, content, self.subject)


def _destination(kind: ActionType, given: Any) -> Any:
    """As the domain knows it. Raises PydanticCustomError."""
    match kind:
        case "status":
            status = STATUSES.get(str(given), given)
            if status not in STATUSES.values():
                raise wrong("action_destination must be 1 (open), 2 (waiting) or 3 (closed)")
            return status
        case "priority":
            if given not in get_args(Priority):
                raise wrong("action_destination must be low, normal, high or critical")
            return given
        case "staff_id" if given == ME:
            return given
        case "staff_id" | "group_id":
            return _id(given)
        case "add_labels" | "delete_labels":
            return _several(given, MAX_LABELS, "labels")
        case "email_to_user":
            return _texts(given)
        case "subject":
            return _subject(given)
        case "custom_fields":
            if not isinstance(given, dict) or not given:
                raise wrong("action_destination must be an object of values by cf_1, cf_2, ...")
            return given
        case "round_robin":
            return _several(given, MAX_IN_TURN, "staff")
        case "webhook":
            return _webhook(given)
        case "add_note" | "stop":
            return ""


def _webhook(given: Any) -> dict[str, Any]:
    """Values of headers are still there: whoever submits it takes them out. Raises PydanticCustomError."""
    try:
        webhook = read_webhook(given)
    except ValueError as error:
        raise wrong(f"action_destination: {error}") from None
    headers = webhook["headers"]
    if headers is None or (
        isinstance(headers, list) and all(isinstance(each, str) for each in headers)
    ):
        webhook["headers"] = None  # as they are shown: by their names
    elif not isinstance(headers, dict) or not all(
        isinstance(each, str) for each in headers.values()
    ):
        raise wrong("action_destination: headers must be an object of names and values")
    elif found := problems(headers):
        raise wrong(f"action_destination: headers: {'; '.join(found)}")
    return webhook


def _id(given: Any) -> int:
    number = given if type(given) is int else -1
    if isinstance(given, str) and given.isascii() and given.isdecimal() and len(given) < 20:
        number = int(given)
    if not 0 <= number <= MAX_ID:
        raise wrong("action_destination must be an id, 0 for nobody")
    return number


def _several(given: Any, most: int, whose: str) -> list[int]:
    several = given.split(",") if isinstance(given, str) else given
    ids = [_id(each) for each in (several if isinstance(several, list) else [several])]
    if not 1 <= len(ids) <= most:
        raise wrong(f"action_destination must be 1 to {most} ids of {whose}")
    return list(dict.fromkeys(ids))


def _subject(given: Any) -> str:
    if not isinstance(given, str) or not 1 <= len(given) <= MAX_LINE:
        raise wrong(f"action_destination must be a text of up to {MAX_LINE} characters")
    return _encodable(given)


def _texts(given: Any) -> str | dict[str, str]:
    texts = given if isinstance(given, dict) else {"0": given}
    for language, text in texts.items():
        if not isinstance(text, str) or not text or not language.isdecimal():
            raise wrong("action_destination must be the text, or an object of texts by language_id")
        if len(_encodable(text).encode()) > MAX_CONTENT:
            raise wrong(f"action_destination may have up to {MAX_CONTENT} octets of UTF-8")
    if not texts:
        raise wrong("action_destination must be the text of the reply")
    return given  # type: ignore[no-any-return]


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise wrong("action_destination must not hold half a surrogate pair") from None
    return text


def few(actions: tuple[ActionFields, ...]) -> tuple[ActionFields, ...]:
    """For an AfterValidator."""
    if not 1 <= len(actions) <= MAX_ACTIONS:
        raise wrong(f"must have 1 to {MAX_ACTIONS} actions")
    return actions


def shown_destination(action: Action) -> Any:
    match action.type:
        case "status":
            return NUMBERS[action.destination]
        case "staff_id" | "group_id":
            return str(action.destination)
        case "webhook":
            return shown_webhook(webhook_in(action))
    return action.destination


def shown_webhook(webhook: RuleWebhook) -> dict[str, Any]:
    """Of headers the names alone: values are never shown."""
    return {
        "webhook_id": webhook.webhook_id,
        "method": webhook.method,
        "url": webhook.url,
        "format": webhook.format,
        "body": webhook.body,
        "headers": [header.name for header in webhook.headers or ()],
    }
