"""Online backup and restore of all that cannot be rebuilt: the log, the tables beside it, the attachments' bytes.

A backup is a zip of JSON lines taken at one moment: readable anywhere, and the same for SQLite and PostgreSQL, so it also
moves an installation from one to the other. Read models are not in it; they are built from the log after a restore.
"""

import base64
import json
import os
import secrets
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import Connection, LargeBinary, Table, func, insert, select, text

from kanal.eventlog.database import Database
from kanal.eventlog.files import TOKEN, FileLost, FileStore
from kanal.eventlog.tables import DERIVED, EVENTS_TABLE, METADATA, file_chunks, installation

FORMAT = 1
CHUNK = 2000
"""Rows in memory at once."""
EVENTS = "events.jsonl"
FILES = "files.jsonl"
MANIFEST = "manifest.json"
RESTORED = "restored_"
"""How names in `installation` begin."""
WORD_BYTES = 8


class BackupError(Exception):
    """The file is not a usable backup, or this installation cannot take it."""


class Step(NamedTuple):
    """Events written or read so far, of how many."""

    done: int
    of: int


class _Line(msgspec.Struct):
    """One event. The body stays as it was stored, byte for byte."""

    position: int
    stream: str
    version: int
    name: str
    body: str


class _Piece(msgspec.Struct):
    """A part of a file; those of one file follow each other."""

    token: str
    data: bytes
    """In base64."""


def write(database: Database, target: Path) -> Iterator[Step]:
    """Raises BackupError if the file exists. Appears under its name only when it is whole."""
    if target.exists():
        raise BackupError(f"{target} exists already; choose another name.")
    part = target.with_name(f".{target.name}.part")
    try:
        with (
            database.reading() as connection,
            zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        ):
            os.chmod(part, 0o600)  # it holds the installation's secrets
            head = database.head(connection)
            counted = connection.scalar(select(func.count()).select_from(database.events)) or 0
            manifest = {"format": FORMAT, "position": head, "events": counted}
            archive.writestr(MANIFEST, json.dumps(manifest))
            for table in _tables():
                _write_table(connection, archive, table)
            yield from _write_events(database, connection, archive, counted)
            # After the log: what its events mention was there before them.
            _write_files(database.files, archive)
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.rename(target)
    finally:
        part.unlink(missing_ok=True)


def restore(database: Database, source: Path) -> Iterator[Step]:
    """Into an installation whose log is empty and whose tables are migrated. All or nothing.

    Raises BackupError.
    """
    try:
        archive = zipfile.ZipFile(source)
    except (OSError, zipfile.BadZipFile) as error:
        raise BackupError(f"{source} cannot be read as a backup: {error}") from None
    with archive:
        manifest = _manifest(archive, source)
        with database.setting_up() as connection:
            if database.head(connection):
                raise BackupError("This installation has events already; restore into a new one.")
            for table in _tables():
                _read_table(connection, archive, table)
            # Before the commit: no event may mention bytes that are not there.
            _read_files(database.files, archive, source)
            yield from _read_events(database, connection, archive, manifest["events"])
            if database.head(connection) != manifest["position"]:
                raise BackupError(f"{source} is not whole: events are missing.")
            _begin_anew(connection, manifest["position"])


def restores(database: Database) -> list[tuple[int, str]]:
    """Up to which positions the log was restored, the last one first, each with its word."""
    query = select(installation).where(installation.c.name.startswith(RESTORED, autoescape=True))
    with database.reading() as connection:
        rows = connection.execute(query).all()
    return sorted(((int(row.name[len(RESTORED) :]), row.value) for row in rows), reverse=True)


def _begin_anew(connection: Connection, position: int) -> None:
    """What the log goes on with is not what it went on with before, if the backup was not its latest state."""
    name = f"{RESTORED}{position}"
    connection.execute(installation.delete().where(installation.c.name == name))
    row = {"name": name, "value": secrets.token_hex(WORD_BYTES)}
    connection.execute(insert(installation), row)


def _tables() -> list[Table]:
    """What is copied row by row; files have a form of their own, whichever way they are kept."""
    left_out = {*DERIVED, file_chunks.name}
    return [table for table in METADATA.sorted_tables if table.name not in left_out]


def _write_events(
    database: Database, connection: Connection, archive: zipfile.ZipFile, counted: int
) -> Iterator[Step]:
    events = database.events
    done, position = 0, 0
    with archive.open(EVENTS, "w", force_zip64=True) as file:
        while True:
            query = select(events).where(events.c.position > position)
            rows = connection.execute(query.order_by(events.c.position).limit(CHUNK)).all()
            if not rows:
                break
            for row in rows:
                body = bytes(row.body).decode()
                line = _Line(
                    row.position, database.stream_hex(row.stream_id), row.version, row.name, body
                )
                file.write(msgspec.json.encode(line) + b"\n")
            done, position = done + len(rows), rows[-1].position
            yield Step(done, counted)


def _write_table(connection: Connection, archive: zipfile.ZipFile, table: Table) -> None:
    with archive.open(f"tables/{table.name}.jsonl", "w", force_zip64=True) as file:
        rows = connection.execution_options(yield_per=CHUNK).execute(select(table))
        for row in rows.mappings():
            file.write(json.dumps(dict(row), default=_base64).encode() + b"\n")


def _write_files(files: FileStore, archive: zipfile.ZipFile) -> None:
    with archive.open(FILES, "w", force_zip64=True) as file:
        for tokens in files.stored():
            for token in filter(TOKEN.fullmatch, tokens):
                try:
                    for data in files.read(token):
                        file.write(msgspec.json.encode(_Piece(token, data)) + b"\n")
                except FileLost:  # of a request that was refused a moment ago: nothing mentions it
                    continue


def _read_files(files: FileStore, archive: zipfile.ZipFile, source: Path) -> None:
    if FILES not in archive.namelist():  # older than attachments
        return
    decoder = msgspec.json.Decoder(_Piece)
    with archive.open(FILES) as file:
        pieces = map(decoder.decode, file)
        for token, of_one in groupby(pieces, key=lambda piece: piece.token):
            if not TOKEN.fullmatch(token):
                raise BackupError(f"{source} holds a file under a name that is none of Kanal's.")
            files.put(token, (piece.data for piece in of_one))


def _read_events(
    database: Database, connection: Connection, archive: zipfile.ZipFile, counted: int
) -> Iterator[Step]:
    decoder = msgspec.json.Decoder(_Line)
    done = 0
    with archive.open(EVENTS) as file:
        for chunk in _chunks(map(decoder.decode, file)):
            rows = [
                {
                    "position": line.position,
                    "stream_id": UUID(line.stream),
                    "version": line.version,
                    "name": line.name,
                    "body": line.body.encode(),
                }
                for line in chunk
            ]
            connection.execute(insert(database.events), rows)
            done += len(rows)
            yield Step(done, counted)
    if database.shared:
        connection.execute(
            text(
                f"SELECT setval(pg_get_serial_sequence('{EVENTS_TABLE}', '{database.position_column}'), "
                f"(SELECT greatest(1, max({database.position_column})) FROM {EVENTS_TABLE}))"
            )
        )


def _read_table(connection: Connection, archive: zipfile.ZipFile, table: Table) -> None:
    binary = [column.name for column in table.columns if isinstance(column.type, LargeBinary)]
    connection.execute(table.delete())
    name = f"tables/{table.name}.jsonl"
    if name not in archive.namelist():  # the table is newer than the backup
        return
    with archive.open(name) as file:
        for chunk in _chunks(map(json.loads, file)):
            rows: list[dict[str, Any]] = list(chunk)
            for row in rows:
                row.update(
                    {column: base64.b64decode(row[column]) for column in binary if row[column]}
                )
            connection.execute(insert(table), rows)


def _manifest(archive: zipfile.ZipFile, source: Path) -> dict[str, Any]:
    try:
        damaged = archive.testzip()
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError) as error:
        # which of these it is depends on where the damage lies: in a header or inside a compressed part
        raise BackupError(f"{source} is damaged: {error}") from None
    if damaged:
        raise BackupError(f"{source} is damaged: {damaged} does not have its checksum.")
    try:
        manifest: dict[str, Any] = json.loads(archive.read(MANIFEST))
    except (KeyError, ValueError):
        raise BackupError(f"{source} is not a backup of Kanal.") from None
    if EVENTS not in archive.namelist():
        raise BackupError(f"{source} is not whole: it has no {EVENTS}.")
    if manifest.get("format") != FORMAT:
        raise BackupError(f"{source} was made by another version; this one reads format {FORMAT}.")
    return manifest


def _chunks(lines: Iterable[Any]) -> Iterator[list[Any]]:
    lines = iter(lines)
    while chunk := list(islice(lines, CHUNK)):
        yield chunk


def _base64(value: object) -> str:
    if isinstance(value, bytes | memoryview):
        return base64.b64encode(bytes(value)).decode()
    raise TypeError(type(value))
