"""One reader for all request bodies: JSON, urlencoded and multipart with PHP's brackets.

Whatever arrives, a handler gets one tree of plain values and a list of files. What cannot be read
is an `ApiError`.
"""

import asyncio
import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec
from aiohttp import BodyPartReader, MultipartReader, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestPayloadError
from msgspec import Struct

from kanal.domain.files import clean_name
from kanal.http.errors import ApiError

KB = 1024
MB = 1024 * KB

MAX_PLAIN = 2 * MB
"""JSON and urlencoded: a content of 1 MB as text and once more as HTML."""
MAX_MULTIPART = 55 * MB
"""Omnidesk allows 50 MB of attachments; the rest is for texts, headers of parts, boundaries."""
MAX_FIELDS = 1000
"""PHP's max_input_vars, which the servers that these clients were written for obey."""
MAX_FILES = 100
"""Each file part costs an inode and a task for the disk."""
MAX_DEPTH = 32
"""Deepest known body: four. Bounds the recursion of everything that walks the tree."""
MAX_KEYS = 20_000
"""Bounds the memory that 2 MB of tiny keys would take as Python objects."""
ESCAPE = 3
"""Octets of quoted-printable's `=3D` and of its soft line break."""
DISK_CHUNK = MB
"""How much of a file is collected before a thread writes it."""

CHARSETS = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "us-ascii": "utf-8",
    "ascii": "utf-8",
    "iso-8859-1": "iso8859-1",
    "latin1": "iso8859-1",
    "windows-1251": "cp1251",
    "cp1251": "cp1251",
    "windows-1252": "cp1252",
    "koi8-r": "koi8-r",
    "utf-16": "utf-16",
    "utf-16le": "utf-16-le",
    "utf-16be": "utf-16-be",
}
"""Python knows more, some of them quadratic (punycode), and remembers each unknown name for ever."""

PLAIN_JSON = ("application/json", "application/json; charset=utf-8")
"""What nearly all clients send, taken without looking further."""

_BOM = b"\xef\xbb\xbf"
_BLANKS = b" \t\r\n"
_JSON = msgspec.json.Decoder()
_BRACKETS = re.compile(r"\[([^\[\]]*)\]")
_COLON_APART = re.compile(rb'"\s+:')
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class Limits(Struct, frozen=True):
    directory: Path
    """Where file parts wait for their handler; a handler keeps a file by moving it away."""
    plain: int = MAX_PLAIN
    multipart: int = MAX_MULTIPART
    """0: none is taken."""


class UploadedFile(Struct, frozen=True):
    field: str
    """As it was sent: `case[attachments][0]`."""
    file_name: str
    path: Path
    size: int
    mime_type: str
    sha256: str


class Body(Struct, frozen=True):
    fields: dict[str, Any]
    files: tuple[UploadedFile, ...] = ()

    def canonical(self) -> bytes:
        """The same bytes for the same request, whatever boundary or order of keys it came with."""
        files = [(file.field, file.file_name, file.sha256) for file in self.files]
        return msgspec.json.encode((self.fields, files), order="deterministic")


EMPTY = Body({})


UPLOADS: web.RequestKey[Path] = web.RequestKey("uploads", Path)
"""The folder of one request's file parts; the middleware removes it when the answer is made."""


async def read_body(request: web.Request, limits: Limits) -> Body:
    """Raises ApiError: 400 unreadable, 413 too large, 415 of a kind or charset not understood."""
    if not request.body_exists:
        return EMPTY
    headers = request.headers
    header = headers.get("Content-Type", "")
    if "Content-Encoding" in headers:
        _refuse_unknown_encoding(request)
    if header in PLAIN_JSON:
        return Body(from_json(await _collect(request, limits.plain)))
    kind = header.partition(";")[0].strip().lower()
    if kind == "multipart/form-data" and limits.multipart:
        return await _multipart(request, limits)
    return Body(_plain(await _collect(request, limits.plain), kind, _charset(request.charset)))


def clear_uploads(directory: Path) -> None:
    """Removes what a killed process left behind; called once at start, before any request."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)


def from_json(raw: bytes) -> dict[str, Any]:
    """An object; nothing, null, "", [] and {} are all the empty object. Raises ApiError."""
    raw = raw.removeprefix(_BOM)
    try:
        tree = _JSON.decode(raw)
    except UnicodeDecodeError:
        raise _undecodable("utf-8") from None
    except RecursionError:
        raise _too_deep() from None
    except msgspec.DecodeError as error:
        if not raw.strip(_BLANKS):
            return {}
        if _SURROGATE.search(raw):
            # The decoder's own words for half a pair mislead.
            error = msgspec.DecodeError(f"{error}; look for a lone surrogate")
        raise ApiError(400, "malformed_json", f"The body is not valid JSON: {error}.") from None
    if type(tree) is not dict:
        if tree in (None, "", []):
            return {}
        raise ApiError(400, "malformed_json", "The body must be a JSON object: {...}.")
    keys = _count_keys(tree, 1)
    if keys != raw.count(b":"):
        _refuse_duplicates(raw, keys)
    if b"\\u0000" in raw:
        _refuse_nul(tree)
    return tree


def from_pairs(pairs: Iterable[tuple[str, Any]], *, gather: bool = False) -> dict[str, Any]:
    """Names with PHP's brackets made into a tree: `a[b][]=1` is {"a": {"b": ["1"]}}.

    A name given twice counts once, the last one, as in PHP; with `gather` (queries, where Python
    clients repeat names) all of them, as a list. Objects whose keys are all numbers become lists.
    """
    tree: dict[str, Any] = {}
    for name, value in pairs:
        path = _path(name)
        node = tree
        for step in path[:-1]:
            at = step or _next_index(node)
            inner = node.get(at)
            if type(inner) is not dict:
                inner = node[at] = {}
            node = inner
        last = path[-1] or _next_index(node)
        if gather and last in node and type(node[last]) is not dict:
            value = [*node[last], value] if type(node[last]) is list else [node[last], value]
        node[last] = value
    return {name: _lists(value) for name, value in tree.items()}


def from_urlencoded(text: str, *, charset: str = "utf-8", gather: bool = False) -> dict[str, Any]:
    """Raises ApiError."""
    try:
        pairs = parse_qsl(
            text,
            keep_blank_values=True,
            encoding=charset,
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except UnicodeDecodeError:
        raise _undecodable(charset) from None
    except ValueError:
        raise _too_many() from None
    if any("\0" in name or "\0" in value for name, value in pairs):
        raise _nul()
    return from_pairs(pairs, gather=gather)


def _plain(raw: bytes, kind: str, charset: str) -> dict[str, Any]:
    if not raw.strip(_BLANKS):
        return {}
    if charset != "utf-8":
        try:
            raw = raw.decode(charset).encode()
        except UnicodeError:
            raise _undecodable(charset) from None
    # curl -d sends JSON as urlencoded, others as text/plain or without a type: the body tells.
    start = raw.removeprefix(_BOM).lstrip(_BLANKS)[:1]
    if "json" in kind or start in (b"{", b"["):
        return from_json(raw)
    if kind == "application/x-www-form-urlencoded" or (not kind and b"=" in raw):
        try:
            # The percent-encoded octets inside are in the same charset.
            return from_urlencoded(raw.decode().strip(), charset=charset)
        except UnicodeDecodeError:
            raise _undecodable("utf-8") from None
    raise ApiError(
        415,
        "unsupported_media_type",
        "Send application/json, application/x-www-form-urlencoded or multipart/form-data.",
    )


async def _collect(request: web.Request, limit: int) -> bytes:
    if (request.content_length or 0) > limit:
        raise _too_large(limit)
    payload = request.content
    chunks = bytearray()
    try:
        if payload.is_eof():
            # The usual case: the whole body came with the headers.
            chunk = payload.read_nowait()
            if len(chunk) > limit:
                raise _too_large(limit)
            if payload.at_eof():
                return chunk
            chunks += chunk
        while chunk := await payload.readany():
            chunks += chunk
            if len(chunks) > limit:
                raise _too_large(limit)
    except (RequestPayloadError, HttpProcessingError, ConnectionResetError):
        raise _broken() from None
    return bytes(chunks)


async def _multipart(request: web.Request, limits: Limits) -> Body:
    limit = limits.multipart
    if (request.content_length or 0) > limit:
        raise _too_large(limit)
    reading = _Multipart(request, limits)
    try:
        await reading.run(await request.multipart())
    except ApiError:
        raise
    except (RequestPayloadError, HttpProcessingError, ConnectionResetError):
        raise _broken() from None
    except (ValueError, RuntimeError, AssertionError, LookupError):
        # What aiohttp's reader raises for a missing boundary, cut parts, unknown encodings.
        raise ApiError(400, "malformed_multipart", "The multipart body is malformed.") from None
    fields = from_pairs(reading.texts)
    for file in reading.files:
        root, *inner = _path(file.field)
        if inner:
            # `case[attachments][]` alone: a case without other fields.
            fields.setdefault(root, {})
    return Body(fields, tuple(reading.files))


class _Multipart:
    """One multipart body being read: texts stay in memory, files go to the disk as they come."""

    def __init__(self, request: web.Request, limits: Limits) -> None:
        self.request = request
        self.limits = limits
        self.texts: list[tuple[str, str]] = []
        self.files: list[UploadedFile] = []
        self.text_size = 0
        self.file_parts = 0

    async def run(self, parts: MultipartReader) -> None:
        while (part := await parts.next()) is not None:
            if not isinstance(part, BodyPartReader) or part.name is None:
                raise ValueError("a nested part, or one without a name")
            self._refuse_too_large()
            if _readable(part.name) != part.name:
                raise _undecodable("utf-8")
            if part.filename is None:
                await self._text(part, part.name)
            else:
                await self._file(part, part.name, _file_name(part.filename))

    def _refuse_too_large(self) -> None:
        if self.request.content.total_bytes > self.limits.multipart:
            raise _too_large(self.limits.multipart)

    async def _text(self, part: BodyPartReader, name: str) -> None:
        if len(self.texts) >= MAX_FIELDS:
            raise _too_many()
        raw = bytearray()
        decoding = _Decoding(part)
        while chunk := await part.read_chunk():
            raw += decoding.take(chunk)
            self.text_size += len(chunk)
            if self.text_size > self.limits.plain:
                raise _too_large(self.limits.plain)
        raw += decoding.rest()
        charset = _charset(part.get_charset("utf-8"))
        try:
            text = raw.decode(charset)
        except UnicodeError:
            raise _undecodable(charset) from None
        if "\0" in text or "\0" in name:
            raise _nul()
        self.texts.append((name, text))

    async def _file(self, part: BodyPartReader, field: str, file_name: str) -> None:
        if self.file_parts >= MAX_FILES:
            raise _too_many()
        self.file_parts += 1
        digest = hashlib.sha256()
        decoding = _Decoding(part)
        path = await self._folder() / str(self.file_parts)
        size = 0
        pending = bytearray()
        with await asyncio.to_thread(path.open, "xb") as file:
            while chunk := await part.read_chunk(65536):
                self._refuse_too_large()
                pending += decoding.take(chunk)
                if len(pending) >= DISK_CHUNK:
                    size += len(pending)
                    await asyncio.to_thread(_write, file, digest, pending)
                    pending = bytearray()
            pending += decoding.rest()
            size += len(pending)
            await asyncio.to_thread(_write, file, digest, pending)
        if not file_name and not size:
            # A browser's empty file input.
            return
        mime_type = part.headers.get("Content-Type", "application/octet-stream")
        name = clean_name(_readable(file_name))
        self.files.append(UploadedFile(field, name, path, size, mime_type, digest.hexdigest()))

    async def _folder(self) -> Path:
        folder = self.request.get(UPLOADS)
        if folder is None:
            made = await asyncio.to_thread(tempfile.mkdtemp, dir=self.limits.directory)
            folder = self.request[UPLOADS] = Path(made)
        return folder


class _Decoding:
    """A part's content, decoded as it comes: a chunk may end within one of quoted-printable's escapes."""

    def __init__(self, part: BodyPartReader) -> None:
        self._part = part
        encoding = part.headers.get("Content-Transfer-Encoding", "")
        self._escapes = encoding.lower() == "quoted-printable"
        self._held = b""

    def take(self, chunk: bytes) -> bytes:
        if not self._escapes:
            return self._part.decode(chunk)
        chunk = self._held + chunk
        cut = chunk.rfind(b"=", len(chunk) - ESCAPE + 1)
        cut = len(chunk) if cut < 0 else cut
        self._held = chunk[cut:]
        return self._part.decode(chunk[:cut])

    def rest(self) -> bytes:
        return self._part.decode(self._held) if self._held else b""


def _readable(text: str) -> str:
    """Header octets that are no UTF-8 reach us as half surrogates, which nothing can store."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _write(file: Any, digest: Any, data: bytearray) -> None:
    file.write(data)
    digest.update(data)


def _file_name(sent: str) -> str:
    """Some Python clients percent-encode what is not ASCII; a `%` that stands for nothing else is left."""
    if "%" not in sent or not sent.isascii():
        return sent
    try:
        name = unquote(sent, errors="strict")
    except UnicodeDecodeError:
        return sent
    return sent if name.isascii() else name


def _path(name: str) -> list[str]:
    """`a[b][]` -> ["a", "b", ""]; what is not well formed is a plain name, as in PHP."""
    start = name.find("[")
    if start <= 0:
        return [name]
    path = [name[:start]]
    while found := _BRACKETS.match(name, start):
        path.append(found[1])
        start = found.end()
        if len(path) > MAX_DEPTH:
            raise _too_deep()
    return path if len(path) > 1 else [name]


def _next_index(node: dict[str, Any]) -> str:
    index = len(node)
    while str(index) in node:
        index += 1
    return str(index)


def _lists(value: Any) -> Any:
    if type(value) is not dict:
        return value
    inner = {name: _lists(each) for name, each in value.items()}
    return list(inner.values()) if all(map(str.isdecimal, inner)) else inner


def _count_keys(value: dict[str, Any] | list[Any], depth: int) -> int:
    """Keys of all objects in the tree. Raises ApiError if it is too deep or too large."""
    if depth > MAX_DEPTH:
        raise _too_deep()
    if len(value) > MAX_KEYS:
        raise _too_many()
    keys = 0
    inner: Iterable[Any] = value
    if type(value) is dict:
        keys = len(value)
        inner = value.values()
    for each in inner:
        kind = type(each)
        if kind is dict or kind is list:
            keys += _count_keys(each, depth + 1)
    return keys


def _refuse_duplicates(raw: bytes, keys: int) -> None:
    """An object with one name twice means different things to different readers.

    There is a colon for each key, so as many colons as keys leave no room for a second one; texts
    with colons in them come here. Only what neither count can clear is read again, slowly.
    """
    if raw.count(b'":') == keys and not _COLON_APART.search(raw):
        return
    _UNIQUE_KEYS.decode(raw.decode())


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ApiError(400, "duplicate_key", f"The key {json.dumps(twice[:80])} stands twice.")
    return found


def _refuse_nul(value: Any) -> None:
    if isinstance(value, str):
        if "\0" in value:
            raise _nul()
    elif isinstance(value, dict):
        for name, each in value.items():
            _refuse_nul(name)
            _refuse_nul(each)
    elif isinstance(value, list):
        for each in value:
            _refuse_nul(each)


_UNIQUE_KEYS = json.JSONDecoder(object_pairs_hook=_unique)


def _charset(name: str | None) -> str:
    known = CHARSETS.get((name or "utf-8").strip().lower())
    if known is None:
        raise ApiError(415, "unsupported_charset", "Send the body in UTF-8.")
    return known


def _refuse_unknown_encoding(request: web.Request) -> None:
    """aiohttp has already inflated what it can (gzip, deflate); the rest is still packed."""
    coding = request.headers.get("Content-Encoding", "").strip().lower()
    if request.content.total_compressed_bytes is None and coding not in ("", "identity"):
        raise ApiError(
            415, "unsupported_content_encoding", "Send the body as it is or packed with gzip."
        )


def _broken() -> ApiError:
    # Where the next request would begin is not known any more.
    return ApiError(
        400,
        "malformed_body",
        "The body is cut off or its packing is broken.",
        headers={"Connection": "close"},
    )


def _undecodable(charset: str) -> ApiError:
    return ApiError(400, "invalid_encoding", f"The request is not valid {charset.upper()}.")


def _nul() -> ApiError:
    return ApiError(400, "invalid_character", "The character U+0000 cannot be stored.")


def _too_deep() -> ApiError:
    return ApiError(400, "too_deep", f"The body is nested deeper than {MAX_DEPTH} levels.")


def _too_many() -> ApiError:
    return ApiError(
        400, "too_many_fields", "The body has more fields or parts than any call takes."
    )


def _too_large(limit: int) -> ApiError:
    size = f"{limit // MB} MB" if limit >= MB else f"{limit // KB} KB"
    return ApiError(413, "body_too_large", f"The body may have up to {size}.")
