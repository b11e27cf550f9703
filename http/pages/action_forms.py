"""The part of a form in which actions are put together, of rules and of macros alike: read, shown, and made into what the API takes."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, get_args

from msgspec import Struct

from kanal.domain.actions import Action, ActionType, MacroActionType
from kanal.domain.custom_fields import KEY
from kanal.domain.rule_webhooks import webhook_in
from kanal.http.pages.form_values import mapping, word, words

OF_RULES: Final[tuple[str, ...]] = get_args(ActionType)
OF_MACROS: Final[tuple[str, ...]] = get_args(MacroActionType)
CHOICE: Final = frozenset({"status", "priority", "staff_id", "group_id"})
CHOICES: Final = frozenset({"add_labels", "delete_labels", "round_robin"})
LANGUAGE: Final = "l"
"""Before the id of a language in a field's name: names that are all numbers would be a list."""


class ActionForm(Struct):
    """One action as it stands in the form, whatever of it its type needs."""

    action_type: str = "add_note"
    text: str = ""
    """Of a note, a message, a subject."""
    by_language: bool = False
    texts: dict[str, str] = {}
    """Of a message, by the id of the language."""
    choice: str = ""
    choices: tuple[str, ...] = ()
    values: dict[str, str] = {}
    """Of custom fields."""
    webhook_id: str = ""
    method: str = "POST"
    url: str = ""
    format: str = "json"
    body: str = ""
    """JSON, or lines of `name: text`."""
    headers: str = ""
    """Lines of `name: value`."""
    known_headers: str = ""
    """Names of those that there are: their values are never shown."""
    subject: str = ""


def read_actions(given: object) -> list[ActionForm]:
    return [_read(each) for each in given if isinstance(each, dict)] if type(given) is list else []


def _read(given: Mapping[str, Any]) -> ActionForm:
    texts = {
        key.removeprefix(LANGUAGE): word(text) for key, text in mapping(given.get("texts")).items()
    }
    return ActionForm(
        action_type=word(given.get("type")) or "add_note",
        text=word(given.get("text")),
        by_language=given.get("by_language") == "1",
        texts=texts,
        choice=word(given.get("choice")),
        choices=words(given.get("choices")),
        values={key: word(value) for key, value in mapping(given.get("values")).items()},
        webhook_id=word(given.get("webhook_id")),
        method=word(given.get("method")) or "POST",
        url=word(given.get("url")),
        format=word(given.get("format")) or "json",
        body=word(given.get("body")),
        headers=word(given.get("headers")),
        known_headers=word(given.get("known_headers")),
        subject=word(given.get("subject")),
    )


def changed_actions(forms: list[ActionForm], edit: str, place: str) -> int | None:
    """What a button of the form does: `add`, `remove`, `up` and `down` at that place. Tells which one to look at."""
    at = int(place) if place.isdecimal() and len(place) < 6 else -1
    if edit == "add-action":
        forms.append(ActionForm())
        return len(forms) - 1
    if not 0 <= at < len(forms):
        return None
    match edit:
        case "remove-action":
            del forms[at]
            return min(at, len(forms) - 1) if forms else None
        case "up-action" | "down-action":
            to = max(0, at - 1) if edit == "up-action" else min(len(forms) - 1, at + 1)
            forms.insert(to, forms.pop(at))
            return to
    return at


def fields_of(form: ActionForm) -> dict[str, Any]:
    """As callers of the API write it."""
    fields: dict[str, Any] = {"action_type": form.action_type, "subject": form.subject}
    match form.action_type:
        case "add_note":
            fields["content"] = form.text
        case "email_to_user":
            spoken = {key: text for key, text in form.texts.items() if text}
            fields["action_destination"] = spoken if form.by_language else form.text
        case "subject":
            fields["action_destination"] = form.text
        case "custom_fields":
            given = {key: value for key, value in form.values.items() if value and KEY.match(key)}
            fields["action_destination"] = given
        case "webhook":
            fields["action_destination"] = _webhook(form)
        case kind if kind in CHOICE:
            fields["action_destination"] = form.choice
        case kind if kind in CHOICES:
            fields["action_destination"] = list(form.choices)
    return fields


def _webhook(form: ActionForm) -> dict[str, Any]:
    known = form.webhook_id.isdecimal() and len(form.webhook_id) < 20
    return {
        "webhook_id": int(form.webhook_id) if known else 0,
        "method": form.method,
        "url": form.url.strip(),
        "format": form.format,
        "body": lines(form.body) if form.format == "form" else form.body.strip(),
        # Nothing leaves those that there are as they are.
        "headers": lines(form.headers) if form.headers.strip() else None,
    }


def lines(text: str) -> dict[str, str]:
    """`name: value` in each."""
    parts = (line.partition(":") for line in text.splitlines() if line.strip())
    return {name.strip(): value.strip() for name, _, value in parts}


def forms_of(actions: Iterable[Action]) -> list[ActionForm]:
    return [_form_of(action) for action in actions]


def _form_of(action: Action) -> ActionForm:
    form = ActionForm(action_type=action.type, subject=action.subject)
    destination = action.destination
    match action.type:
        case "add_note":
            form.text = action.content
        case "email_to_user" if isinstance(destination, dict):
            form.by_language, form.texts = True, dict(destination)
        case "email_to_user" | "subject":
            form.text = str(destination)
        case "custom_fields":
            form.values = {
                key: value if isinstance(value, str) else str(value).lower()
                for key, value in destination.items()
            }
        case "webhook":
            webhook = webhook_in(action)
            form.webhook_id, form.method, form.url = (
                str(webhook.webhook_id),
                webhook.method,
                webhook.url,
            )
            form.format = webhook.format
            body = webhook.body
            form.body = (
                body
                if isinstance(body, str)
                else "\n".join(f"{name}: {text}" for name, text in body.items())
            )
            form.known_headers = ", ".join(header.name for header in webhook.headers or ())
        case kind if kind in CHOICE:
            form.choice = str(destination)
        case kind if kind in CHOICES:
            form.choices = tuple(map(str, destination))
    return form
