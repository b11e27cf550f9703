"""Files that come with a call and files in answers: their limits, and that no refused call leaves bytes behind."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final, NamedTuple, TypeVar

import msgspec

from kanal.domain.case_events import MessageAdded
from kanal.domain.errors import DomainError
from kanal.domain.files import MAX_COUNT, MAX_FILE, MAX_TOTAL, MB, FileRef, NewFile
from kanal.domain.message_events import MessageFilesAwaited, MessageScheduled
from kanal.domain.stream import Recorded
from kanal.eventlog.files import BEGINNING, FileLinks, mime_type_of
from kanal.eventlog.writer import Done, LogBusy
from kanal.http.body import UploadedFile
from kanal.http.context import Caller
from kanal.http.errors import ApiError
from kanal.http.fields import Addresses, Fields, NoFiles
from kanal.projections.files import Attached

R = TypeVar("R")


class FileLimits(NamedTuple):
    most: int
    """How many."""
    file: int
    """Octets of one."""
    together: int


LIMITS: Final = FileLimits(MAX_COUNT, MAX_FILE, MAX_TOTAL)
"""Of one message."""


class WithFiles(Fields):
    """Fields of a call that takes files. The files themselves are no fields: `Caller.body` has them."""

    attachments: NoFiles = ()
    attachment_urls: Addresses = ()


class FileAnswer(msgspec.Struct):
    file_id: int
    file_name: str
    file_size: int
    mime_type: str
    url: str
    """Read without credentials, for as long as the message is there."""


class MissedFileAnswer(msgspec.Struct):
    """A file of `attachment_urls` that could not be fetched."""

    url: str
    reason: str


def shown_files(files: Iterable[FileRef], links: FileLinks) -> list[FileAnswer]:
    return [
        FileAnswer(
            file_id=file.file_id,
            file_name=file.file_name,
            file_size=file.file_size,
            mime_type=file.mime_type,
            url=links.url(file.token, file.file_name),
        )
        for file in files
    ]


def brought(events: Iterable[Recorded]) -> Attached:
    """What came along with the one message among these events, as the read model will answer it."""
    attached = Attached()
    for recorded in events:
        match recorded.event:
            case MessageAdded() | MessageScheduled() as message:
                attached.files.extend(message.attachments)
            case MessageFilesAwaited() as awaited:
                attached.awaited.extend(awaited.urls)
    return attached


async def submit_with_files(call: Caller, given: WithFiles, command: Callable[..., R]) -> Done[R]:
    """As Caller.submit; the command is also given `files` and `attachment_urls`, if there are any.

    Raises ApiError for files past the limits and addresses that cannot be asked, and what Caller.submit raises.
    """
    uploaded = (await call.body()).files
    _refuse_too_much(uploaded, given)
    if given.attachment_urls:
        _refuse_unreachable(call, given)
        command = partial(command, attachment_urls=given.attachment_urls)
    if not uploaded:
        return await call.submit(command)
    store = call.context.database.files
    kept = await asyncio.to_thread(_keep, call, uploaded)
    tokens = [file.token for file in kept]
    try:
        done = await call.submit(partial(command, files=kept))
    except (DomainError, ApiError, LogBusy):
        # Certain not to be written. After any other failure nobody knows; then the sweep decides.
        await asyncio.to_thread(store.remove, tokens)
        raise
    if done.repeated:
        await asyncio.to_thread(store.remove, tokens)
    return done


def _refuse_unreachable(call: Caller, given: WithFiles) -> None:
    check = call.context.guard.check_url
    urls = [url.partition("#")[0] for url in given.attachment_urls]
    wrong = {
        f"attachment_urls.{number}": refused.reason
        for number, url in enumerate(urls)
        if (refused := check(url))
    }
    if wrong:
        message = "; ".join(f"{name}: {reason}" for name, reason in wrong.items())
        raise ApiError(400, "attachment_url_refused", f"{message}.", fields=wrong)


def _refuse_too_much(files: Sequence[UploadedFile], given: WithFiles) -> None:
    if len(files) + len(given.attachment_urls) > MAX_COUNT:
        raise ApiError(400, "too_many_files", f"A message may have up to {MAX_COUNT} files.")
    for file in files:
        if file.size > MAX_FILE:
            sentence = f"may have up to {MAX_FILE // MB} MB"
            raise ApiError(
                400, "file_too_large", f"Each file {sentence}.", fields={file.field: sentence}
            )
    if sum(file.size for file in files) > MAX_TOTAL:
        raise ApiError(
            400, "files_too_large", f"A message's files together may have {MAX_TOTAL // MB} MB."
        )


def _keep(call: Caller, uploaded: Sequence[UploadedFile]) -> tuple[NewFile, ...]:
    types = []
    for file in uploaded:
        with file.path.open("rb") as opened:
            types.append(mime_type_of(opened.read(BEGINNING), file.mime_type, file.file_name))
    tokens = call.context.database.files.keep([file.path for file in uploaded])
    return tuple(
        NewFile(file.file_name, file.size, mime_type, token)
        for file, mime_type, token in zip(uploaded, types, tokens, strict=True)
    )
