"""The bytes of a webhook: rendered once when a delivery is enqueued, stored, and sent unchanged on every try."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, tzinfo
from email.utils import format_datetime
from typing import Final
from urllib.parse import quote_plus

from kanal.domain.files import FileRef

TEMPLATE_VERSION: Final = 1
"""Stored beside the bytes; raised when the same event would render to other bytes."""

FORM_CONTENT_TYPE: Final = "application/x-www-form-urlencoded"

MICROSECONDS: Final = 1_000_000


def render_form(
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
    attachments: Sequence[FileRef] = (),
    address: Callable[[FileRef], str] = lambda _: "",
) -> bytes:
    """The seed's `message_new`: bracket keys in the seed's order, encoded as PHP's http_build_query does.

    `address`: where a file can be read.

    `created_at` is microseconds since the epoch. Some receivers parse the printed body, so `type`
    stays first and `created_at` last.
    """
    fields = [
        ("type", "message_new"),
        ("object[message_id]", str(message_id)),
        ("object[case_id]", str(case_id)),
        ("object[staff_id]", str(staff_id)),
        ("object[user_id]", str(user_id)),
        ("object[custom_user_id]", custom_user_id),
        ("object[content]", content),
        ("object[note]", "1" if note else "0"),
        ("object[sent_via_rule]", "1" if sent_via_rule else "0"),
        *_files(attachments, address),
        ("object[created_at]", rfc_2822(created_at, zone)),
    ]
    return _form(fields)


def render_ping(*, channel_id: int, created_at: int, zone: tzinfo) -> bytes:
    """What the test button sends: no receiver may take it for a message."""
    return _form(
        [
            ("type", "ping"),
            ("object[channel_id]", str(channel_id)),
            ("object[created_at]", rfc_2822(created_at, zone)),
        ]
    )


def render_typing(
    *,
    case_id: int,
    staff_id: int,
    user_id: int,
    custom_user_id: str,
    created_at: int,
    zone: tzinfo,
) -> bytes:
    """That a staff member is typing: a message's fields without a message."""
    return _form(
        [
            ("type", "typing"),
            ("object[case_id]", str(case_id)),
            ("object[staff_id]", str(staff_id)),
            ("object[user_id]", str(user_id)),
            ("object[custom_user_id]", custom_user_id),
            ("object[created_at]", rfc_2822(created_at, zone)),
        ]
    )


def _form(fields: list[tuple[str, str]]) -> bytes:
    return "&".join(f"{_encoded(key)}={_encoded(value)}" for key, value in fields).encode("ascii")


def _files(
    attachments: Sequence[FileRef], address: Callable[[FileRef], str]
) -> Iterator[tuple[str, str]]:
    for number, file in enumerate(attachments):
        key = f"object[attachments][{number}]"
        yield f"{key}[file_id]", str(file.file_id)
        yield f"{key}[file_name]", file.file_name
        yield f"{key}[file_size]", str(file.file_size)
        yield f"{key}[mime_type]", file.mime_type
        yield f"{key}[url]", address(file)


def rfc_2822(at: int, zone: tzinfo) -> str:
    """`Thu, 26 Apr 2018 20:17:10 +0300` from microseconds since the epoch; fractions are cut, not rounded."""
    return format_datetime(datetime.fromtimestamp(at // MICROSECONDS, zone))


def _encoded(text: str) -> str:
    # PHP's urlencode escapes the tilde, Python's quote_plus does not.
    return quote_plus(text).replace("~", "%7E")
