"""Attachments: which message each belongs to, who may find it by its token, and what is still to be fetched."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, Index, MetaData, Select, Table, select

from kanal.domain.case_events import CaseDeleted, MessageAdded
from kanal.domain.files import FileRef, MissedFile
from kanal.domain.message_events import (
    MessageDeleted,
    MessageDiscarded,
    MessageFilesAwaited,
    MessageFilesFetched,
    MessageScheduled,
)
from kanal.domain.stream import Recorded
from kanal.eventlog.projection import Changes, Tables
from kanal.projections.read_model import Names, ReadModel, Views, columns_of, number, one, text


class FileRow(NamedTuple):
    file_id: int
    message_id: int
    file_name: str
    file_size: int
    mime_type: str
    token: str


class Attached(Struct):
    """What came along with one message."""

    files: list[FileRef] = []
    """In the order of their numbers."""
    missed: list[MissedFile] = []
    awaited: list[str] = []
    """Addresses of files that are still to be fetched."""


class Awaited(NamedTuple):
    """The files of one message that are still to be fetched."""

    message_id: int
    urls: tuple[str, ...]
    since: int
    """When the message was written, in microseconds."""

    def __str__(self) -> str:
        """For logs: an address may hold what only its caller may know."""
        hosts = sorted({_host(url) for url in self.urls})
        return f"message {self.message_id} from {', '.join(hosts)}"


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or "nowhere"
    except ValueError:
        return "nowhere"


def define(metadata: MetaData, name: Names) -> Iterable[Table]:
    files, missed, awaited = name("files"), name("missed_files"), name("awaited_files")
    asked_for = name("asked_for_files")
    yield Table(
        files,
        metadata,
        number("file_id", key=True),
        number("message_id"),
        number("case_id"),
        text("file_name"),
        number("file_size"),
        text("mime_type"),
        text("token"),
        Index(f"{files}_message", "message_id"),
        Index(f"{files}_case", "case_id"),
        Index(f"{files}_token", "token", unique=True),
    )
    # Of every file that an event has ever mentioned, so that its bytes are not taken for orphans.
    yield Table(name("file_tokens"), metadata, text("token", key=True))
    yield Table(
        missed,
        metadata,
        number("message_id", key=True),
        text("url", key=True),
        text("reason"),
    )
    yield Table(
        awaited,
        metadata,
        number("message_id", key=True),
        text("urls"),
        number("since"),
    )
    # Messages with rows in either of these, for good.
    yield Table(
        asked_for,
        metadata,
        number("message_id", key=True),
        number("case_id"),
        Index(f"{asked_for}_case", "case_id"),
    )


def fold(changes: Changes, tables: Tables, recorded: Recorded) -> None:
    asked_for = tables["asked_for_files"]
    event = recorded.event
    match event:
        case MessageAdded(sent_at=0) | MessageScheduled():
            _insert(changes, tables, event, event.attachments)
        case MessageAdded():
            # It waited and brings no file that was not there before; its case may have been merged meanwhile.
            for file in event.attachments:
                changes.update(tables["files"], (file.file_id,), {"case_id": event.case_id})
            changes.update(asked_for, (event.message_id,), {"case_id": event.case_id})
        case MessageFilesAwaited():
            changes.insert(asked_for, {"message_id": event.message_id, "case_id": event.case_id})
            row = {
                "message_id": event.message_id,
                "urls": _stored(event.urls),
                "since": recorded.envelope.at,
            }
            changes.insert(tables["awaited_files"], row)
        case MessageFilesFetched():
            _insert(changes, tables, event, event.files)
            for each in event.missed:
                missed = {"message_id": event.message_id, "url": each.url, "reason": each.reason}
                changes.insert(tables["missed_files"], missed)
            if event.awaited:
                urls = {"urls": _stored(event.awaited)}
                changes.update(tables["awaited_files"], (event.message_id,), urls)
            else:
                changes.delete(tables["awaited_files"], (event.message_id,))
        case MessageDeleted() | MessageDiscarded():
            changes.delete(tables["awaited_files"], (event.message_id,))
        case CaseDeleted():
            of_case = asked_for.c.case_id == event.case_id
            for table in (tables["awaited_files"], tables["missed_files"]):
                asked = select(asked_for.c.message_id).where(of_case)
                changes.clear(table, table.c.message_id.in_(asked))
            changes.clear(asked_for, of_case)
            changes.clear(tables["files"], tables["files"].c.case_id == event.case_id)


def _insert(
    changes: Changes,
    tables: Tables,
    event: MessageAdded | MessageScheduled | MessageFilesFetched,
    files: Iterable[FileRef],
) -> None:
    for file in files:
        row = {
            "file_id": file.file_id,
            "message_id": event.message_id,
            "case_id": event.case_id,
            "file_name": file.file_name,
            "file_size": file.file_size,
            "mime_type": file.mime_type,
            "token": file.token,
        }
        changes.insert(tables["files"], row)
        changes.insert(tables["file_tokens"], {"token": file.token})


def _stored(urls: Sequence[str]) -> str:
    return msgspec.json.encode(urls).decode()


PROJECTION = ReadModel(
    name="files",
    version=2,
    handles=dict.fromkeys(
        (
            MessageAdded,
            MessageScheduled,
            MessageFilesAwaited,
            MessageFilesFetched,
            MessageDeleted,
            MessageDiscarded,
            CaseDeleted,
        ),
        fold,
    ),
    define=define,
)

_URLS = msgspec.json.Decoder(tuple[str, ...])


def find(connection: Connection, views: Views, token: str) -> FileRow | None:
    """None also when its message or its case is not shown any more."""
    files = views.files["files"]
    query = _of_shown_messages(views, files, columns_of(files, FileRow))
    return one(connection, query.where(files.c.token == token), FileRow._make)


def find_in_case(
    connection: Connection, views: Views, case_id: int, file_id: int
) -> FileRow | None:
    """None also when its message is not shown any more."""
    files, messages = views.files["files"], views.messages["messages"]
    query = _of_shown_messages(views, files, columns_of(files, FileRow))
    query = query.where(files.c.file_id == file_id, messages.c.case_id == case_id)
    return one(connection, query, FileRow._make)


def of_messages(
    connection: Connection, views: Views, message_ids: Sequence[int]
) -> Mapping[int, Attached]:
    """What came along with each of these messages, be it nothing."""
    found: defaultdict[int, Attached] = defaultdict(Attached)
    if not message_ids:
        return found
    files, missed, awaited = (
        views.files[name] for name in ("files", "missed_files", "awaited_files")
    )
    query = select(files).where(files.c.message_id.in_(message_ids)).order_by(files.c.file_id)
    for row in connection.execute(query):
        file = FileRef(row.file_id, row.file_name, row.file_size, row.mime_type, row.token)
        found[row.message_id].files.append(file)
    for row in connection.execute(select(missed).where(missed.c.message_id.in_(message_ids))):
        found[row.message_id].missed.append(MissedFile(row.url, row.reason))
    for row in connection.execute(select(awaited).where(awaited.c.message_id.in_(message_ids))):
        found[row.message_id].awaited.extend(_URLS.decode(row.urls))
    return found


def _of_shown_messages(views: Views, table: Table, query: Select[Any]) -> Select[Any]:
    """Only what belongs to a message that is not deleted, in a case that is not deleted for good."""
    messages, cases = views.messages["messages"], views.cases["cases"]
    return (
        query.join_from(table, messages, messages.c.message_id == table.c.message_id)
        .join(cases, cases.c.case_id == messages.c.case_id)
        .where(messages.c.deleted.is_(False))
    )


def to_fetch(connection: Connection, views: Views, limit: int) -> list[Awaited]:
    """The oldest first; nothing for cases that were deleted for good."""
    awaited = views.files["awaited_files"]
    query = _of_shown_messages(views, awaited, select(awaited))
    query = query.order_by(awaited.c.message_id).limit(limit)
    return [
        Awaited(row.message_id, _URLS.decode(row.urls), row.since)
        for row in connection.execute(query)
    ]


def mentioned(connection: Connection, views: Views, tokens: Sequence[str]) -> set[str]:
    """Those of the tokens that some event mentions, whether its message is still shown or not."""
    token = views.files["file_tokens"].c.token
    return set(connection.scalars(select(token).where(token.in_(tokens))))
