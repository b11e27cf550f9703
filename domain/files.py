"""Attachments as events mention them: a number, a name, a size, a type, and the token under which the bytes lie."""

import unicodedata
from collections.abc import Iterable

from msgspec import Struct

from kanal.domain.work import Work

MB = 1024 * 1024

MAX_FILE = 25 * MB
MAX_TOTAL = 50 * MB
"""Of one message's files together. Both are Omnidesk's."""
MAX_COUNT = 50
"""Files of one message: each is a link in a webhook."""

MAX_NAME = 255
"""Octets of UTF-8: what file systems take, so that whoever saves the file can keep its name."""
MAX_EXTENSION = 16
"""Characters after the last dot that are kept when a name is cut: `.docx` tells what to open it with."""
NAMELESS = "file"

BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Marks of direction make `exe.jpg` of what is `gpj.exe`."""


class NewFile(Struct, frozen=True):
    """Kept already, but not yet mentioned by any event."""

    file_name: str
    file_size: int
    mime_type: str
    token: str


class FileRef(Struct, frozen=True):
    file_id: int
    file_name: str
    file_size: int
    """Octets."""
    mime_type: str
    token: str


class Fetched(Struct, frozen=True):
    """What a server gave for an address; name and type are its own words."""

    file_name: str
    mime_type: str
    size: int


class NotFetched(Struct, frozen=True):
    reason: str
    """`it answered with status 404`"""
    for_good: bool
    """No further try can mend it."""


class MissedFile(Struct, frozen=True):
    """An address whose file never came."""

    url: str
    reason: str


def numbered(work: Work, files: Iterable[NewFile]) -> tuple[FileRef, ...]:
    return tuple(
        FileRef(work.take("file"), file.file_name, file.file_size, file.mime_type, file.token)
        for file in files
    )


def clean_name(given: str) -> str:
    """The last part of a path, in any script, without control characters and not too long; never empty."""
    last = given.replace("\\", "/").rpartition("/")[2]
    kept = "".join(character for character in last if _fit(character))
    name = unicodedata.normalize("NFC", kept).strip()
    return _cut(name) if name.strip(".") else NAMELESS


def _fit(character: str) -> bool:
    return unicodedata.category(character) not in ("Cc", "Cs", "Zl", "Zp") and character not in BIDI


def _cut(name: str) -> str:
    if len(name.encode()) <= MAX_NAME:
        return name
    stem, dot, extension = name.rpartition(".")
    if not stem or len(extension) > MAX_EXTENSION:
        stem, dot, extension = name, "", ""
    room = MAX_NAME - len(f"{dot}{extension}".encode())
    return stem.encode()[:room].decode(errors="ignore").rstrip() + dot + extension
