"""The bytes of a webhook: rendered once when a delivery is enqueued, stored, and sent unchanged on every try."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, tzinfo
from email.utils import format_datetime
from functools import lru_cache
from typing import Final
from urllib.parse import quote_plus

from msgspec import json

from kanal.domain.case_events import Status
from kanal.domain.files import FileRef
from kanal.domain.webhook_options import Format

TEMPLATE_VERSION: Final = 1
"""Stored beside the bytes; raised when the same event would render to other bytes."""

CONTENT_TYPES: Final[dict[Format, str]] = {
    "form": "application/x-www-form-urlencoded",
    "json": "application/json",
}

MICROSECONDS: Final = 1_000_000

Scalar = str | int | bool
Value = Scalar | list[dict[str, Scalar]]
Fields = dict[str, Value]
"""Of a body's `object`. In their order they are rendered: some receivers parse the printed form, so the seed's stays."""


def render(kind: str, fields: Fields, form: Format) -> bytes:
    """`type` and `object`: as a form with bracket keys, as PHP's http_build_query makes it, or as compact JSON."""
    if form == "json":
        return json.encode({"type": kind, "object": fields})
    return "&".join((f"type={_encoded(kind)}", *_pairs(fields))).encode("ascii")


def message_fields(
    *,
    message_id: int,
    case_id: int,
    staff_id: int,
    user_id: int,
    custom_user_id: str,
    content: str,
    note: bool,
    sent_via_rule: bool,
    created_at: int,
    zone: tzinfo,
    content_html: str | None = None,
    attachments: Sequence[FileRef] = (),
    address: Callable[[FileRef], str] = lambda _: "",
) -> Fields:
    """The seed's `message_new`, `created_at` (microseconds since the epoch) at its end.

    `content_html`: None leaves it out, as the seed does. `address`: where a file can be read.
    """
    html: Fields = {} if content_html is None else {"content_html": content_html}
    return {
        "message_id": message_id,
        "case_id": case_id,
        "staff_id": staff_id,
        "user_id": user_id,
        "custom_user_id": custom_user_id,
        "content": content,
        **html,
        "note": note,
        "sent_via_rule": sent_via_rule,
        "attachments": [_file(file, address(file)) for file in attachments],
        "created_at": rfc_2822(created_at, zone),
    }


def edited_fields(
    *,
    message_id: int,
    case_id: int,
    user_id: int,
    custom_user_id: str,
    content: str,
    note: bool,
    who: str,
    created_at: int,
    zone: tzinfo,
    content_html: str | None = None,
) -> Fields:
    """`message_edited`, both texts as they are now; `who` and `created_at` are the edit's."""
    html: Fields = {} if content_html is None else {"content_html": content_html}
    return {
        "message_id": message_id,
        "case_id": case_id,
        "user_id": user_id,
        "custom_user_id": custom_user_id,
        "content": content,
        **html,
        "note": note,
        **_by(who),
        "created_at": rfc_2822(created_at, zone),
    }


def deleted_fields(
    *,
    message_id: int,
    case_id: int,
    user_id: int,
    custom_user_id: str,
    note: bool,
    who: str,
    created_at: int,
    zone: tzinfo,
) -> Fields:
    """`message_deleted`."""
    return {
        "message_id": message_id,
        "case_id": case_id,
        "user_id": user_id,
        "custom_user_id": custom_user_id,
        "note": note,
        **_by(who),
        "created_at": rfc_2822(created_at, zone),
    }


def status_fields(
    *,
    case_id: int,
    user_id: int,
    custom_user_id: str,
    old_status: Status,
    status: Status,
    who: str,
    created_at: int,
    zone: tzinfo,
) -> Fields:
    """`case_status`."""
    return {
        "case_id": case_id,
        "user_id": user_id,
        "custom_user_id": custom_user_id,
        "old_status": old_status,
        "status": status,
        **_by(who),
        "created_at": rfc_2822(created_at, zone),
    }


def ping_fields(*, channel_id: int, created_at: int, zone: tzinfo) -> Fields:
    """What the test button sends: no receiver may take it for a message."""
    return {"channel_id": channel_id, "created_at": rfc_2822(created_at, zone)}


def typing_fields(
    *,
    case_id: int,
    staff_id: int,
    user_id: int,
    custom_user_id: str,
    created_at: int,
    zone: tzinfo,
) -> Fields:
    """That a staff member is typing: a message's fields without a message."""
    return {
        "case_id": case_id,
        "staff_id": staff_id,
        "user_id": user_id,
        "custom_user_id": custom_user_id,
        "created_at": rfc_2822(created_at, zone),
    }


def _by(who: str) -> Fields:
    """`staff:1` of an envelope, taken apart; what Kanal did by itself has the id 0."""
    kind, _, number = who.partition(":")
    return {"by": kind, "by_id": int(number or 0)}


def _file(file: FileRef, url: str) -> dict[str, Scalar]:
    return {
        "file_id": file.file_id,
        "file_name": file.file_name,
        "file_size": file.file_size,
        "mime_type": file.mime_type,
        "url": url,
    }


def _pairs(fields: Fields) -> Iterator[str]:
    for name, value in fields.items():
        if isinstance(value, list):
            for number, each in enumerate(value):
                for inner, part in each.items():
                    yield f"{_key(f'{name}][{number}][{inner}')}={_value(part)}"
        else:
            yield f"{_key(name)}={_value(value)}"


@lru_cache
def _key(name: str) -> str:
    return _encoded(f"object[{name}]")


def _value(value: Scalar) -> str:
    return _encoded(value) if isinstance(value, str) else str(int(value))


def rfc_2822(at: int, zone: tzinfo) -> str:
    """`Thu, 26 Apr 2018 20:17:10 +0300` from microseconds since the epoch; fractions are cut, not rounded."""
    return format_datetime(datetime.fromtimestamp(at // MICROSECONDS, zone))


def _encoded(text: str) -> str:
    # PHP's urlencode escapes the tilde, Python's quote_plus does not.
    return quote_plus(text).replace("~", "%7E")
