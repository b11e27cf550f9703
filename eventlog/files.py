"""The bytes of attachments, beside the log: on the disk with SQLite, in chunks in the database with PostgreSQL.

An event mentions a file by its token, a name that nobody can guess. The bytes are durable before that event is written and
never change afterwards.
"""

import errno
import os
import re
import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from mimetypes import MimeTypes
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, bindparam, delete, insert, select, text

from kanal.eventlog.tables import file_chunks

TOKEN_BYTES = 20
"""Whoever has a file's address may read it, so the address must be beyond guessing: 160 random bits."""
PIECE = 256 * 1024
"""Bytes read at once: few round trips, and many slow readers together cost little memory."""
TOKENS_AT_ONCE = 500
TOKEN = re.compile(rf"[0-9a-f]{{{2 * TOKEN_BYTES}}}")

ANYTHING = "application/octet-stream"
MIME_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,63}/[a-z0-9][a-z0-9!#$&^_.+-]{0,99}")
BEGINNING = 16
"""Bytes of a file that tell its type."""
BEGINNINGS = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png"),
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"GIF8[79]a"), "image/gif"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "image/webp"),
    (re.compile(rb"%PDF-"), "application/pdf"),
)
"""How files of these types begin; what begins otherwise is none of them, whatever it says."""
TOLD_BY_BEGINNING = frozenset(mime_type for _, mime_type in BEGINNINGS)
EXTENSIONS = MimeTypes()

Connect = Callable[[], AbstractContextManager[Connection]]


class FileLost(Exception):
    """There are no bytes under that token."""


class FileStore(ABC):
    """Its calls block; event loops hand them to a thread."""

    @abstractmethod
    def keep(self, sources: Sequence[Path]) -> list[str]:
        """Take these files over, durable on return; their tokens. A source may be gone afterwards."""

    @abstractmethod
    def put(self, token: str, pieces: Iterable[bytes]) -> None:
        """Store bytes under a token that they had elsewhere, durable on return."""

    @abstractmethod
    def piece(self, token: str, number: int) -> bytes:
        """`PIECE` bytes from `number * PIECE` on, fewer at the end, none behind it. Raises FileLost."""

    @abstractmethod
    def remove(self, tokens: Iterable[str]) -> None:
        """What is not there is no error."""

    @abstractmethod
    def stored(self, before: float | None = None) -> Iterator[list[str]]:
        """Tokens of all there is, or of what was stored before that time (seconds since the epoch); some at a time."""

    def read(self, token: str) -> Iterator[bytes]:
        """All pieces, one empty one of an empty file. Raises FileLost."""
        number = 0
        while (piece := self.piece(token, number)) or not number:
            yield piece
            number += 1


class DiskFiles(FileStore):
    """`<folder>/ab/ab12...`: a folder for each of 256 beginnings, since many files in one are slow to list."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, sources: Sequence[Path]) -> list[str]:
        tokens = [new_token() for _ in sources]
        for source, token in zip(sources, tokens, strict=True):
            with source.open("rb") as file:
                os.fchmod(file.fileno(), 0o600)
                os.fsync(file.fileno())
            try:
                source.rename(self._place(token))
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                # The folder lies on a file system of its own.
                self.put(token, _pieces(source))
        for folder in {self._path(token).parent for token in tokens}:
            _sync(folder)
        return tokens

    def put(self, token: str, pieces: Iterable[bytes]) -> None:
        path = self._place(token)
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            os.fchmod(file.fileno(), 0o600)
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
        _sync(path.parent)

    def piece(self, token: str, number: int) -> bytes:
        try:
            with self._path(token).open("rb", buffering=0) as file:
                return os.pread(file.fileno(), PIECE, number * PIECE)
        except FileNotFoundError:
            raise FileLost(token) from None

    def remove(self, tokens: Iterable[str]) -> None:
        for token in tokens:
            self._path(token).unlink(missing_ok=True)

    def stored(self, before: float | None = None) -> Iterator[list[str]]:
        if not self._folder.exists():
            return
        for folder in sorted(self._folder.iterdir()):
            with os.scandir(folder) as entries:
                found = [e.name for e in entries if before is None or _changed_before(e, before)]
            for start in range(0, len(found), TOKENS_AT_ONCE):
                yield found[start : start + TOKENS_AT_ONCE]

    def _path(self, token: str) -> Path:
        return self._folder / token[:2] / token

    def _place(self, token: str) -> Path:
        """Where it is to lie, with its folder made."""
        path = self._path(token)
        if not path.parent.is_dir():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _sync(self._folder)
            _sync(self._folder.parent)
        return path


class TableFiles(FileStore):
    """Rows of `PIECE` bytes, all of a file in one transaction beside the writer's."""

    def __init__(self, reading: Connect, writing: Connect) -> None:
        self._reading = reading
        self._writing = writing

    def keep(self, sources: Sequence[Path]) -> list[str]:
        tokens = [new_token() for _ in sources]
        with self._writing() as connection:
            _make_durable(connection)
            for source, token in zip(sources, tokens, strict=True):
                _insert(connection, token, _pieces(source))
        return tokens

    def put(self, token: str, pieces: Iterable[bytes]) -> None:
        with self._writing() as connection:
            _make_durable(connection)
            connection.execute(_DELETE, {"tokens": [token]})
            _insert(connection, token, pieces)

    def piece(self, token: str, number: int) -> bytes:
        with self._reading() as connection:
            found = connection.scalar(_PIECE, {"file": token, "place": number})
        if found is None and not number:
            raise FileLost(token)
        return bytes(found or b"")

    def remove(self, tokens: Iterable[str]) -> None:
        with self._writing() as connection:
            connection.execute(_DELETE, {"tokens": list(tokens)})

    def stored(self, before: float | None = None) -> Iterator[list[str]]:
        last = ""
        query = select(file_chunks.c.token).where(file_chunks.c.number == 0)
        if before is not None:
            query = query.where(file_chunks.c.created_at < int(before * 1_000_000))
        query = query.order_by(file_chunks.c.token).limit(TOKENS_AT_ONCE)
        while True:
            with self._reading() as connection:
                found = list(connection.scalars(query.where(file_chunks.c.token > last)))
            if not found:
                return
            yield found
            last = found[-1]


class FileLinks:
    """Addresses under which files are read without credentials."""

    def __init__(self, public_url: str) -> None:
        self.public_url = public_url

    def url(self, token: str, file_name: str) -> str:
        return f"{self.public_url}/files/{token}/{quote(file_name, safe='')}"


def mime_type_of(beginning: bytes, declared: str, file_name: str) -> str:
    """What its first `BEGINNING` bytes show, else what whoever sent it says, else what its name suggests."""
    for pattern, mime_type in BEGINNINGS:
        if pattern.match(beginning):
            return mime_type
    said = declared.partition(";")[0].strip().lower()
    if not MIME_TYPE.fullmatch(said) or said == ANYTHING:
        guessed, packed = EXTENSIONS.guess_type(f"/{file_name}")
        said = guessed if guessed and not packed else ANYTHING
    return ANYTHING if said in TOLD_BY_BEGINNING else said


_PIECE = select(file_chunks.c.data).where(
    file_chunks.c.token == bindparam("file"), file_chunks.c.number == bindparam("place")
)
_DELETE = delete(file_chunks).where(file_chunks.c.token.in_(bindparam("tokens", expanding=True)))


def new_token() -> str:
    return secrets.token_hex(TOKEN_BYTES)


def _insert(connection: Connection, token: str, pieces: Iterable[bytes]) -> None:
    now = time.time_ns() // 1000
    for number, piece in enumerate(pieces):
        row = {"token": token, "number": number, "created_at": now, "data": piece}
        connection.execute(insert(file_chunks), row)


def _make_durable(connection: Connection) -> None:
    """Whatever the server's own setting, as the events that will mention these bytes are."""
    connection.execute(
        text(
            "SELECT set_config('synchronous_commit', 'on', true) "
            "WHERE current_setting('synchronous_commit') IN ('off', 'local', 'remote_write')"
        )
    )


def _pieces(source: Path) -> Iterator[bytes]:
    """At least one, so that an empty file leaves a trace."""
    with source.open("rb") as file:
        piece = file.read(PIECE)
        yield piece
        while len(piece) == PIECE and (piece := file.read(PIECE)):
            yield piece


def _changed_before(entry: os.DirEntry[str], before: float) -> bool:
    try:
        return entry.stat().st_mtime < before
    except FileNotFoundError:  # removed a moment ago
        return False


def _sync(folder: Path) -> None:
    """A new name is as durable as its folder."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
