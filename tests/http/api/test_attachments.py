"""Files with cases, messages and notes: taken in all known forms, shown, served to whoever has the address."""

import asyncio
import base64
import os
from collections.abc import Sequence
from io import BytesIO
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import FormData
from open_log import until
from served_api import EMAIL, KEY, Api

from kanal.domain.files import MAX_COUNT, MAX_FILE, MB
from kanal.eventlog.files import PIECE, TOKEN

pytestmark = pytest.mark.asyncio(loop_scope="module")

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
GUEST = {"user_custom_id": "guest", "channel": "cch1"}


class File(NamedTuple):
    field: str
    content: bytes = b"content"
    name: str = "a.txt"
    kind: str = "text/plain"


def form(fields: dict[str, Any], files: Sequence[File]) -> FormData:
    made = FormData(default_to_multipart=True, quote_fields=False)
    for name, value in fields.items():
        made.add_field(name, value)
    for file in files:
        # A stream: aiohttp warns of large contents that are bytes.
        stream = BytesIO(file.content)
        made.add_field(file.field, stream, filename=file.name, content_type=file.kind)
    return made


async def send(api: Api, path: str, fields: dict[str, Any], *files: File, **kwargs: Any) -> Any:
    return await api.call("POST", path, data=form(fields, files), **kwargs)


async def case_with(api: Api, *files: File, **fields: str) -> Any:
    given = {f"case[{name}]": value for name, value in {**GUEST, **fields}.items()}
    answer = await send(api, "cases.json", given, *files)
    assert answer.status == 201, answer.text
    return answer.json["case"]


async def new_case(api: Api) -> Any:
    return (await case_with(api, content="Hello"))["case_id"]


class Got(NamedTuple):
    status: int
    headers: Any
    body: bytes


async def get(url: str, method: str = "GET", **headers: str) -> Got:
    """Without credentials, as receivers do."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, headers=named) as answer,
    ):
        return Got(answer.status, answer.headers, await answer.read())


def stored(api: Api) -> set[str]:
    files = api.store.database.files
    return {token for tokens in files.stored() for token in tokens}


@pytest_asyncio.fixture(autouse=True, scope="module", loop_scope="module")
async def channel(shared_api: Api) -> None:
    if not await shared_api.items("custom_channels.json", "custom_channel"):
        await shared_api.channel()


async def test_files_come_under_all_bracketed_names_and_are_read_again(shared_api: Api) -> None:
    api = shared_api
    for brackets in ("[]", "[0]", "[1]", ""):
        case = await case_with(api, File(f"case[attachments]{brackets}"), content="Hello")
        [file] = case["attachments"]
        assert file == {
            "file_id": file["file_id"],
            "file_name": "a.txt",
            "file_size": 7,
            "mime_type": "text/plain",
            "url": file["url"],
        }
        assert urlsplit(file["url"]).netloc == urlsplit(api.address).netloc
        assert (await get(file["url"])).body == b"content"
        [message] = await api.items(f"cases/{case['case_id']}/messages.json", "message")
        assert message["attachments"] == [file]
        assert "awaited_attachments" not in message


async def test_messages_and_notes_take_files_too(shared_api: Api) -> None:
    api = shared_api
    case_id = await new_case(api)
    sent = [
        ("messages", {"message[content]": "Two files"}, "message"),
        ("note", {"note[content]": "Two files"}, "note"),
        ("notes", {"message[content]": "Two files"}, "message"),
    ]
    for path, fields, entity in sent:
        answer = await send(
            api,
            f"cases/{case_id}/{path}.json",
            fields,
            File(f"{entity}[attachments][1]", b"one", "1.txt"),
            File(f"{entity}[attachments][0]", PNG, "2.png", "image/png"),
        )
        assert answer.status == 201, answer.text
        files = answer.json["message"]["attachments"]
        assert [file["file_name"] for file in files] == ["1.txt", "2.png"]
        assert [file["mime_type"] for file in files] == ["text/plain", "image/png"]
        assert [(await get(file["url"])).body for file in files] == [b"one", PNG]
        last = (await api.items(f"cases/{case_id}/messages.json", "message"))[-1]
        assert last["attachments"] == files


async def test_a_file_is_content_enough(shared_api: Api) -> None:
    api = shared_api
    case = await case_with(api, File("case[attachments][]"))
    case_id, user_id = case["case_id"], case["user_id"]
    answer = await send(
        api,
        f"cases/{case_id}/messages.json",
        {"message[content]": "", "message[user_id]": str(user_id)},
        File("message[attachments][0]"),
    )
    assert answer.status == 201, answer.text
    assert answer.json["message"]["content"] == ""
    assert len(answer.json["message"]["attachments"]) == 1


async def test_empty_equal_and_large_files_are_taken_as_they_are(shared_api: Api) -> None:
    contents = [b"", b"same", b"same", os.urandom(2 * PIECE), os.urandom(3 * MB + 1)]
    case = await case_with(
        shared_api, *(File("case[attachments][]", content) for content in contents)
    )
    files = case["attachments"]
    assert [file["file_size"] for file in files] == [len(content) for content in contents]
    assert len({file["url"] for file in files}) == len(files)
    assert [(await get(file["url"])).body for file in files] == contents


@pytest.mark.parametrize(
    "name",
    [
        "отчёт за май №2.txt",
        "写真 👩‍👧.txt",
        "a+b&c=d?e#f%20g.txt",
        "'quoted'.txt",
        "x" * 250 + ".txt",
    ],
)
async def test_a_name_in_any_script_comes_back_and_leads_to_the_file(
    shared_api: Api, name: str
) -> None:
    case = await case_with(shared_api, File("case[attachments][]", name=name))
    [file] = case["attachments"]
    assert file["file_name"] == name
    assert file["url"].isascii()
    got = await get(file["url"])
    assert (got.status, got.body) == (200, b"content")
    disposition = aiohttp.multipart.parse_content_disposition(got.headers["Content-Disposition"])
    assert disposition[1]["filename*"] == name


async def test_an_address_cannot_be_guessed_and_any_other_is_not_found(shared_api: Api) -> None:
    api = shared_api
    [file] = (await case_with(api, File("case[attachments][]")))["attachments"]
    parts = urlsplit(file["url"]).path.split("/")
    assert parts[:2] == ["", "files"]
    token = parts[2]
    assert TOKEN.fullmatch(token)
    for path in (
        f"{token[:-1]}{'1' if token[-1] == '0' else '0'}/a.txt",
        f"{token[:-1]}/a.txt",
        f"{token.upper()}x/a.txt",
        f"{token}",
        "../kanal.db/a.txt",
        "%2e%2e%2fkanal.db/x",
        f"{token[:2]}%2F{token}/a.txt",
        "",
    ):
        got = await get(f"{api.address}/files/{path}")
        assert got.status == 404, path
    # The name is for people.
    assert (await get(f"{api.address}/files/{token}/other.txt")).body == b"content"


@pytest.mark.parametrize(
    ("content", "kind", "name", "shown"),
    [
        (PNG, "image/png", "a.png", "inline"),
        (b"\xff\xd8\xff\xe0", "image/jpeg", "a.jpg", "inline"),
        (b"<script>alert(1)</script>", "text/html", "a.html", "attachment"),
        (b"<script>alert(1)</script>", "image/png", "a.png", "attachment"),
        (b"<svg onload='alert(1)'/>", "image/svg+xml", "a.svg", "attachment"),
        (b"%PDF-1.7", "application/pdf", "a.pdf", "attachment"),
        (b"x", "text/x\x00evil", "a", "attachment"),
    ],
)
async def test_a_browser_shows_pictures_and_saves_all_else(
    shared_api: Api, content: bytes, kind: str, name: str, shown: str
) -> None:
    kind = kind.replace("\x00", "?")
    case = await case_with(shared_api, File("case[attachments][]", content, name, kind))
    [file] = case["attachments"]
    got = await get(file["url"])
    assert got.headers["Content-Disposition"].startswith(f"{shown}; ")
    assert got.headers["Content-Type"] == file["mime_type"]
    assert (shown == "inline") == file["mime_type"].startswith("image/p") or kind != "image/png"
    assert got.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in got.headers["Content-Security-Policy"]
    assert "private" in got.headers["Cache-Control"]


async def test_parts_of_a_file_can_be_asked_for(shared_api: Api) -> None:
    content = os.urandom(2 * PIECE + 10)
    size = len(content)
    case = await case_with(shared_api, File("case[attachments][]", content))
    url = case["attachments"][0]["url"]
    etag = (await get(url)).headers["ETag"]
    for asked, part in [
        ("bytes=0-0", content[:1]),
        ("bytes=5-9", content[5:10]),
        (f"bytes={PIECE - 2}-{PIECE + 1}", content[PIECE - 2 : PIECE + 2]),
        (f"bytes={PIECE}-", content[PIECE:]),
        ("bytes=-7", content[-7:]),
        (f"bytes=-{size * 2}", content),
        (f"bytes=3-{size * 2}", content[3:]),
    ]:
        got = await get(url, Range=asked)
        assert got.body == part, asked
        if part != content:
            assert got.status == 206
            start = content.index(part)
            assert got.headers["Content-Range"] == f"bytes {start}-{start + len(part) - 1}/{size}"
        assert got.headers["Content-Length"] == str(len(part))
        assert (await get(url, Range=asked, If_Range=etag)).body == part
        assert (await get(url, Range=asked, If_Range='"other"')).status == 200
    for nonsense in ("bytes=9-5", "bytes=a-b", "lines=1-2", "bytes=0-1,3-4", "bytes=-"):
        got = await get(url, Range=nonsense)
        assert (got.status, len(got.body)) == (200, size), nonsense
    for beyond in (f"bytes={size}-", f"bytes={size + 5}-{size + 9}"):
        got = await get(url, Range=beyond)
        assert (got.status, got.headers["Content-Range"]) == (416, f"bytes */{size}")


async def test_a_client_that_has_the_file_need_not_load_it_again(shared_api: Api) -> None:
    case = await case_with(shared_api, File("case[attachments][]"))
    url = case["attachments"][0]["url"]
    etag = (await get(url)).headers["ETag"]
    again = await get(url, If_None_Match=etag)
    assert (again.status, again.body) == (304, b"")
    assert (await get(url, If_None_Match='"other"')).status == 200
    head = await get(url, "HEAD")
    assert (head.status, head.headers["Content-Length"], head.body) == (200, "7", b"")
    assert (await get(url, "POST")).status == 405


async def test_files_past_the_limits_are_refused_and_leave_nothing(shared_api: Api) -> None:
    api = shared_api
    case_id = await new_case(api)
    before, head = stored(api), api.head()
    big = b"x" * (MAX_FILE + 1)
    many = [File("message[attachments][]", b"")] * (MAX_COUNT + 1)
    fine = File("message[attachments][]", b"x" * (17 * MB))
    for files, code in [
        ([File("message[attachments][]", big)], "file_too_large"),
        ([fine, fine, fine], "files_too_large"),
        (many, "too_many_files"),
    ]:
        answer = await send(api, f"cases/{case_id}/messages.json", {}, *files)
        assert answer.refusal == (400, code)
    fields = answer.json.get("fields")
    assert fields is None
    assert (stored(api), api.head()) == (before, head)


async def test_files_of_exactly_the_limits_are_taken(shared_api: Api) -> None:
    api = shared_api
    case_id = await new_case(api)
    full = File("message[attachments][]", b"x" * MAX_FILE)
    answer = await send(api, f"cases/{case_id}/messages.json", {}, full, full)
    assert answer.status == 201, answer.text
    got = await get(answer.json["message"]["attachments"][1]["url"])
    assert got.body == full.content


async def test_a_refused_call_leaves_no_bytes(shared_api: Api) -> None:
    api = shared_api
    case_id = await new_case(api)
    before, head = stored(api), api.head()
    file = File("message[attachments][]")
    for path, fields, status in [
        ("cases/999999/messages.json", {}, 404),
        (f"cases/{case_id}/messages.json", {"message[staff_id]": "77"}, 404),
        (f"cases/{case_id}/messages.json", {"message[user_id]": "x"}, 400),
        (f"cases/{case_id}/note.json", {"message[staff_id]": "77"}, 404),
        ("cases.json", {"case[channel]": "cch1"}, 400),
        ("cases.json", {"case[channel]": "cch77", "case[user_custom_id]": "u"}, 404),
    ]:
        answer = await send(api, path, fields, file)
        assert answer.status == status, answer.text
    assert (stored(api), api.head()) == (before, head)
    uploads = api.store.settings.data_dir / "uploads"
    assert not [path for path in uploads.rglob("*") if path.is_file()]


async def test_a_repeated_request_has_the_files_of_the_first_one(shared_api: Api) -> None:
    api = shared_api
    case_id = await new_case(api)
    headers = {"Idempotency-Key": "files-1"}
    path, file = f"cases/{case_id}/messages.json", File("message[attachments][]", b"once")
    first = await send(api, path, {}, file, headers=headers)
    before = stored(api)
    again = await send(api, path, {}, file, headers=headers)
    assert (again.status, again.json) == (201, first.json)
    other = await send(api, path, {}, file._replace(content=b"changed"), headers=headers)
    assert other.refusal == (422, "idempotency_key_reused")
    assert stored(api) == before
    opening = {"case[content]": "x", **{f"case[{key}]": value for key, value in GUEST.items()}}
    headers = {"Idempotency-Key": "files-2"}
    made = [
        (await send(api, "cases.json", opening, File("case[attachments][]"), headers=headers)).json
        for _ in range(2)
    ]
    assert made[0] == made[1]


async def test_what_is_not_shown_any_more_is_not_served(shared_api: Api) -> None:
    api = shared_api
    case = await case_with(api, File("case[attachments][]"))
    url, case_id = case["attachments"][0]["url"], case["case_id"]
    await api.put(f"cases/{case_id}/trash.json")
    assert (await get(url)).status == 200
    await api.call("DELETE", f"cases/{case_id}.json")
    assert (await get(url)).status == 404


async def test_an_earlier_moment_shows_its_files(shared_api: Api) -> None:
    api = shared_api
    case = await case_with(api, File("case[attachments][]"))
    case_id, then = case["case_id"], api.head()
    await send(api, f"cases/{case_id}/messages.json", {}, File("message[attachments][]"))
    rows = await api.items(f"cases/{case_id}/messages.json?as_of={then}", "message")
    assert [row["attachments"] for row in rows] == [case["attachments"]]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"attachments": [{"name": "a.txt", "data": "eA=="}]}, "attachments_not_files"),
        ({"attachments": "a.txt"}, "attachments_not_files"),
        ({"attachments": {"0": "x"}}, "attachments_not_files"),
        (
            {"attachment_urls": ["https://example.com/a", "http://10.0.0.1/a"]},
            "attachment_url_refused",
        ),
        ({"attachment_urls": "ftp://example.com/a"}, "attachment_url_refused"),
        ({"attachment_urls": ["nonsense"]}, "attachment_url_refused"),
        ({"attachment_urls": ["http://[::1]/a"]}, "attachment_url_refused"),
        ({"attachment_urls": ["https://u:p@example.com/a"]}, "attachment_url_refused"),
        (
            {"attachment_urls": [f"https://example.com/{n}" for n in range(MAX_COUNT + 1)]},
            "too_many_files",
        ),
        ({"attachment_urls": [["https://example.com/a"]]}, "invalid_parameters"),
    ],
)
async def test_what_cannot_become_a_file_is_refused(
    shared_api: Api, fields: dict[str, Any], code: str
) -> None:
    api = shared_api
    case_id = await new_case(api)
    head = api.head()
    for path, body in [
        ("cases.json", {"case": {**GUEST, "content": "x", **fields}}),
        (f"cases/{case_id}/messages.json", {"message": {"content": "x", **fields}}),
        (f"cases/{case_id}/note.json", {"note": {"content": "x", **fields}}),
    ]:
        answer = await api.call("POST", path, body)
        assert answer.refusal == (400, code)
        if code == "attachment_url_refused":
            number = len(fields["attachment_urls"]) - 1 if "10.0" in str(fields) else 0
            assert list(answer.json["fields"]) == [f"attachment_urls.{number}"]
    assert api.head() == head


async def test_unset_fields_of_a_form_are_no_files(shared_api: Api) -> None:
    empties = {"case[attachments]": "", "case[attachments][]": "", "case[attachment_urls][]": ""}
    for name, value in empties.items():
        fields = {f"case[{key}]": each for key, each in {**GUEST, "content": "x"}.items()}
        answer = await send(shared_api, "cases.json", {**fields, name: value})
        assert (answer.status, answer.json["case"]["attachments"]) == (201, [])
    answer = await shared_api.call(
        "POST", "cases.json", {"case": {**GUEST, "content": "x", "attachments": []}}
    )
    assert answer.status == 201


async def test_an_upload_that_breaks_off_leaves_nothing(shared_api: Api) -> None:
    api = shared_api
    case_id = await new_case(api)
    before, head = stored(api), api.head()
    address = urlsplit(api.address)
    _, writer = await asyncio.open_connection(address.hostname, address.port)
    credentials = base64.b64encode(f"{EMAIL}:{KEY}".encode()).decode()
    writer.write(
        f"POST /api/cases/{case_id}/messages.json HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: Basic {credentials}\r\nContent-Length: 1000000\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
        '--b\r\nContent-Disposition: form-data; name="message[attachments][]"; filename="a"'
        "\r\n\r\nsome".encode()
    )
    uploads = api.store.settings.data_dir / "uploads"

    def parts() -> list[str]:
        # Unlike Path.rglob it bears that a folder goes away under it.
        return [name for *_, names in os.walk(uploads) for name in names]

    await writer.drain()
    await until(parts)
    writer.transport.abort()
    await until(lambda: not parts())
    assert (stored(api), api.head()) == (before, head)


async def test_bytes_that_were_lost_are_not_found_rather_than_empty(shared_api: Api) -> None:
    case = await case_with(shared_api, File("case[attachments][]"))
    url = case["attachments"][0]["url"]
    shared_api.store.database.files.remove([urlsplit(url).path.split("/")[2]])
    assert (await get(url)).status == 404


async def test_links_begin_with_the_public_address(shared_api: Api) -> None:
    links = shared_api.store.links
    own = links.public_url
    links.public_url = "https://desk.example/help"
    try:
        case = await case_with(shared_api, File("case[attachments][]"))
    finally:
        links.public_url = own
    assert case["attachments"][0]["url"].startswith("https://desk.example/help/files/")
