import base64
import contextlib
import gzip
import hashlib
import json
import quopri
import zlib
from pathlib import Path
from typing import Any

import pytest
from aiohttp import FormData, web
from aiohttp.test_utils import TestClient
from hypothesis import given
from hypothesis import strategies as st
from pytest_aiohttp.plugin import AiohttpClient

from kanal.http.body import (
    MAX_DEPTH,
    MAX_FIELDS,
    UPLOADS,
    Limits,
    clear_uploads,
    from_json,
    from_pairs,
    from_urlencoded,
    read_body,
)
from kanal.http.errors import ApiError, refuse

SMALL = 20_000
Client = TestClient[web.Request, web.Application]


@pytest.fixture
async def client(aiohttp_client: AiohttpClient, tmp_path: Path) -> Client:
    limits = Limits(directory=tmp_path, plain=SMALL, multipart=5 * SMALL)

    async def echo(request: web.Request) -> web.Response:
        try:
            body = await read_body(request, limits)
        except ApiError as error:
            return refuse(error)
        files = [
            [f.field, f.file_name, f.size, f.mime_type, f.sha256, f.path.read_text("latin-1")[:20]]
            for f in body.files
        ]
        return web.json_response(
            {"fields": body.fields, "files": files, "folder": UPLOADS in request}
        )

    app = web.Application()
    app.router.add_route("*", "/", echo)
    return await aiohttp_client(app)


async def send(client: Client, data: Any, kind: str | None = None, **headers: str) -> Any:
    if kind is not None:
        headers["Content-Type"] = kind
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    skip = ("Content-Type",) if kind is None else ()
    async with client.post("/", data=data, headers=named, skip_auto_headers=skip) as answer:
        told = await answer.json()
        return told["fields"] if answer.status == 200 else (answer.status, told["error"])


JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
CASE = {"case": {"subject": " a ", "user_custom_id": 55, "labels": [1, 2]}}


@pytest.mark.parametrize(
    "kind",
    [
        JSON,
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        "application/vnd.api+json",
        "text/plain",
        "application/octet-stream",
        FORM,
        "nonsense",
        None,
    ],
)
async def test_json_is_read_under_any_content_type(client: Client, kind: str | None) -> None:
    assert await send(client, json.dumps(CASE).encode(), kind) == CASE


@pytest.mark.parametrize("raw", [b"", b" \n", b"{}", b"[]", b"null", b'""', b"\xef\xbb\xbf{}"])
@pytest.mark.parametrize("kind", [JSON, "application/json;charset=utf-8"])
async def test_nothing_in_any_form_is_the_empty_object(
    client: Client, raw: bytes, kind: str
) -> None:
    assert await send(client, raw, kind) == {}


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}"])
async def test_nothing_is_the_empty_object_whatever_its_type(client: Client, raw: bytes) -> None:
    assert await send(client, raw, FORM) == {}
    assert await send(client, raw) == {}


async def test_a_get_with_a_json_type_and_no_body_is_the_empty_object(client: Client) -> None:
    async with client.get("/", headers={"Content-Type": JSON}) as answer:
        assert (await answer.json())["fields"] == {}


@pytest.mark.parametrize(
    ("raw", "status", "code"),
    [
        (b"{", 400, "malformed_json"),
        (b'{"a":1} x', 400, "malformed_json"),
        (b'{"a":NaN}', 400, "malformed_json"),
        (b'{"a":Infinity}', 400, "malformed_json"),
        (b'{"a":1e999}', 400, "malformed_json"),
        (b'{"a":' + b"1" * 5000 + b"}", 400, "malformed_json"),
        (b'{"a":"\\ud800"}', 400, "malformed_json"),
        (b'{"a":"\\udc00"}', 400, "malformed_json"),
        (b'{"a":"\\ud800\\u0041"}', 400, "malformed_json"),
        (b'{"a":"\xff"}', 400, "invalid_encoding"),
        (b'{"a":"\xed\xa0\x80"}', 400, "invalid_encoding"),
        (b'{"\xff":1}', 400, "invalid_encoding"),
        (b'{"a":"\\u0000"}', 400, "invalid_character"),
        (b'{"\\u0000":1}', 400, "invalid_character"),
        (b'{"a":["\\u0000"]}', 400, "invalid_character"),
        (b'{"a":"\x00"}', 400, "malformed_json"),
        (b'{"a":1,"a":2}', 400, "duplicate_key"),
        (b'{"a":1,"a" :2}', 400, "duplicate_key"),
        (b'{"a":1,"\\u0061":2}', 400, "duplicate_key"),
        (b'{"x":{"a":":","a":2}}', 400, "duplicate_key"),
        (b"[" * 9000, 400, "too_deep"),
        (b'{"a":' * 3000 + b"1" + b"}" * 3000, 400, "too_deep"),
        (b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1), 400, "too_deep"),
        (b"[1]", 400, "malformed_json"),
        (b"1", 400, "malformed_json"),
        (b'"text"', 400, "malformed_json"),
        (b"true", 400, "malformed_json"),
        (b'{"a":"' + b"x" * SMALL + b'"}', 413, "body_too_large"),
    ],
)
async def test_bad_json_is_refused_with_its_code(
    client: Client, raw: bytes, status: int, code: str
) -> None:
    assert await send(client, raw, JSON) == (status, code)


@pytest.mark.parametrize(
    "text",
    [
        '{"a": "b:c", "d": "\\"e\\": f"}',
        '{"a" : 1, "b" : {"a": 2}}',
        '{"a": "\\\\u0000"}',
        '{"a": "😀 \\ud83d\\ude00"}',
        '[{"a":1}]'[1:-1],
    ],
)
def test_what_only_looks_wrong_is_taken(text: str) -> None:
    assert from_json(text.encode()) == json.loads(text)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=9),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.text("ab:\"'[]\\ ж", max_size=4), values, max_size=5))
def test_json_is_the_same_as_the_standard_librarys(tree: dict[str, Any]) -> None:
    for raw in (json.dumps(tree), json.dumps(tree, indent=2, ensure_ascii=False)):
        assert from_json(raw.encode()) == tree


@given(st.binary(max_size=200))
def test_random_octets_are_a_tree_or_a_refusal(raw: bytes) -> None:
    with contextlib.suppress(ApiError):
        assert isinstance(from_json(raw), dict)


async def test_a_body_in_many_chunks_is_one_body(client: Client) -> None:
    async def chunks() -> Any:
        yield b'{"a":'
        for _ in range(100):
            yield b" " * 10
        yield b"1}"

    assert await send(client, chunks(), JSON) == {"a": 1}


async def test_a_body_of_unknown_length_is_cut_at_the_limit(client: Client) -> None:
    async def chunks() -> Any:
        for _ in range(100):
            yield b"x" * 1000

    assert await send(client, chunks(), JSON) == (413, "body_too_large")


class TestPacked:
    @pytest.mark.parametrize(
        ("coding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)]
    )
    async def test_gzip_and_deflate_are_unpacked(
        self, client: Client, coding: str, pack: Any
    ) -> None:
        raw = pack(b'{"a": 1}')
        assert await send(client, raw, JSON, Content_Encoding=coding) == {"a": 1}
        assert await send(client, raw, FORM, Content_Encoding=coding) == {"a": 1}

    async def test_a_small_body_that_unpacks_to_much_is_too_large(self, client: Client) -> None:
        raw = gzip.compress(b" " * 100 * SMALL)
        assert len(raw) < SMALL
        answer = await send(client, raw, JSON, Content_Encoding="gzip")
        assert answer == (413, "body_too_large")

    async def test_what_is_not_gzip_is_refused(self, client: Client) -> None:
        answer = await send(client, b'{"a": 1}', JSON, Content_Encoding="gzip")
        assert answer == (400, "malformed_body")

    async def test_damaged_gzip_is_refused(self, client: Client) -> None:
        raw = bytearray(gzip.compress(bytes(range(256)) * 20))
        raw[40] ^= 0xFF
        answer = await send(client, bytes(raw), JSON, Content_Encoding="gzip")
        assert answer[0] == 400

    async def test_gzip_cut_off_is_refused(self, client: Client) -> None:
        raw = gzip.compress(b'{"a": "' + bytes(range(65, 90)) * 20 + b'"}')[:-20]
        answer = await send(client, raw, JSON, Content_Encoding="gzip")
        assert answer[0] == 400

    async def test_an_unknown_packing_is_refused(self, client: Client) -> None:
        answer = await send(client, b"{}", JSON, Content_Encoding="compress")
        assert answer == (415, "unsupported_content_encoding")

    async def test_identity_is_no_packing(self, client: Client) -> None:
        assert await send(client, b'{"a": 1}', JSON, Content_Encoding="identity") == {"a": 1}


class TestCharsets:
    async def test_a_known_charset_is_decoded(self, client: Client) -> None:
        raw = json.dumps({"a": "ж"}, ensure_ascii=False).encode("cp1251")
        assert await send(client, raw, "application/json; charset=windows-1251") == {"a": "ж"}
        form = "application/x-www-form-urlencoded; charset=windows-1251"
        assert await send(client, b"a=%E6", form) == {"a": "ж"}

    @pytest.mark.parametrize("name", ["klingon", "punycode", "zlib", "utf-7", "idna"])
    async def test_other_charsets_are_refused(self, client: Client, name: str) -> None:
        answer = await send(client, b"{}", f"application/json; charset={name}")
        assert answer == (415, "unsupported_charset")

    async def test_what_is_not_in_the_charset_is_refused(self, client: Client) -> None:
        assert await send(client, b"a=%ff", FORM) == (400, "invalid_encoding")
        assert await send(client, b"a=\xff", FORM) == (400, "invalid_encoding")
        kind = "application/json; charset=windows-1251"
        assert await send(client, b'{"a":"\x98"}', kind) == (400, "invalid_encoding")


class TestBrackets:
    @pytest.mark.parametrize(
        ("text", "tree"),
        [
            ("a=1", {"a": "1"}),
            ("a", {"a": ""}),
            ("a=1&a=2", {"a": "2"}),
            ("a[b]=1", {"a": {"b": "1"}}),
            ("a%5Bb%5D=1", {"a": {"b": "1"}}),
            ("a[]=1&a[]=2", {"a": ["1", "2"]}),
            ("a[0]=1&a[1]=2", {"a": ["1", "2"]}),
            ("a[1]=1", {"a": ["1"]}),
            ("a[5]=1&a[]=2", {"a": ["1", "2"]}),
            ("case[labels][]=1&case[labels][]=2", {"case": {"labels": ["1", "2"]}}),
            ("case[custom_fields][cf_1]=x", {"case": {"custom_fields": {"cf_1": "x"}}}),
            ("a[][b]=1&a[][b]=2", {"a": [{"b": "1"}, {"b": "2"}]}),
            ("a=1&a[b]=2", {"a": {"b": "2"}}),
            ("a[b]=2&a=1", {"a": "1"}),
            ("a[b=1", {"a[b": "1"}),
            ("[b]=1", {"[b]": "1"}),
            ("a[b]c=1", {"a": {"b": "1"}}),
            ("a=+x+%20", {"a": " x  "}),
            ("a=%0D%0A", {"a": "\r\n"}),
            ("case[user_phone]=", {"case": {"user_phone": ""}}),
        ],
    )
    def test_names_are_read_as_php_reads_them(self, text: str, tree: dict[str, Any]) -> None:
        assert from_urlencoded(text) == tree

    def test_names_given_twice_are_gathered_when_asked(self) -> None:
        text = "status=open&status=closed&x[]=1&x[]=2&y[0]=3&z=4"
        assert from_urlencoded(text, gather=True) == {
            "status": ["open", "closed"],
            "x": ["1", "2"],
            "y": ["3"],
            "z": "4",
        }

    async def test_too_many_fields_are_refused(self, client: Client) -> None:
        raw = "&".join(f"a{n}=1" for n in range(MAX_FIELDS + 1)).encode()
        assert await send(client, raw, FORM) == (400, "too_many_fields")

    async def test_too_deep_brackets_are_refused(self, client: Client) -> None:
        assert await send(client, b"a" + b"[b]" * 100 + b"=1", FORM) == (400, "too_deep")

    async def test_nul_is_refused(self, client: Client) -> None:
        assert await send(client, b"a=%00", FORM) == (400, "invalid_character")

    async def test_a_form_without_a_content_type_is_read(self, client: Client) -> None:
        assert await send(client, b"a[b]=1") == {"a": {"b": "1"}}

    async def test_other_types_are_refused(self, client: Client) -> None:
        answer = await send(client, b"<case/>", "application/xml")
        assert answer == (415, "unsupported_media_type")
        assert await send(client, b"a=1", JSON) == (400, "malformed_json")

    @given(st.lists(st.tuples(st.text("ab[]01", min_size=1, max_size=12), st.text(max_size=3))))
    def test_no_name_breaks_the_tree(self, pairs: list[tuple[str, str]]) -> None:
        tree = from_pairs(pairs)
        from_pairs(pairs, gather=True)
        assert set(tree) == {n.partition("[")[0] if "]" in n else n for n, _ in pairs} or pairs


def form(**texts: str) -> FormData:
    made = FormData(default_to_multipart=True)
    for name, value in texts.items():
        made.add_field(name, value)
    return made


async def post(client: Client, data: Any) -> Any:
    async with client.post("/", data=data) as answer:
        return answer.status, await answer.json()


class TestMultipart:
    async def test_texts_are_a_tree_unchanged(self, client: Client) -> None:
        data = form()
        data.add_field("case[subject]", " ж \r\n")
        data.add_field("case[labels][]", "1")
        data.add_field("case[labels][]", "2")
        data.add_field("case[user_phone]", "")
        assert await post(client, data) == (
            200,
            {
                "fields": {"case": {"subject": " ж \r\n", "labels": ["1", "2"], "user_phone": ""}},
                "files": [],
                "folder": False,
            },
        )

    async def test_files_are_on_the_disk(self, client: Client, tmp_path: Path) -> None:
        data = FormData(quote_fields=False)
        data.add_field("case[attachments][1]", b"octets", filename="я.txt", content_type="text/x")
        data.add_field("case[attachments][0]", b"", filename="empty")
        status, told = await post(client, data)
        assert status == 200
        assert [file[:4] for file in told["files"]] == [
            ["case[attachments][1]", "я.txt", 6, "text/x"],
            ["case[attachments][0]", "empty", 0, "application/octet-stream"],
        ]
        assert told["files"][0][4:] == [hashlib.sha256(b"octets").hexdigest(), "octets"]
        assert len(list(tmp_path.glob("*/*"))) == 2  # noqa: ASYNC240

    async def test_an_empty_file_input_is_no_file(self, client: Client) -> None:
        raw = (
            b'--b\r\nContent-Disposition: form-data; name="f"; filename=""\r\n\r\n\r\n'
            b'--b\r\nContent-Disposition: form-data; name="g"; filename="x"\r\n\r\n1\r\n--b--\r\n'
        )
        async with client.post(
            "/", data=raw, headers={"Content-Type": "multipart/form-data; boundary=b"}
        ) as answer:
            assert [file[:2] for file in (await answer.json())["files"]] == [["g", "x"]]

    async def test_a_file_over_the_limit_is_refused(self, client: Client) -> None:
        data = form()
        data.add_field("f", b"x" * 6 * SMALL, filename="x")
        status, told = await post(client, data)
        assert (status, told["error"]) == (413, "body_too_large")

    async def test_a_file_of_unknown_length_over_the_limit_is_refused(self, client: Client) -> None:
        async def chunks() -> Any:
            yield b'--b\r\nContent-Disposition: form-data; name="f"; filename="x"\r\n\r\n'
            for _ in range(200):
                yield b"x" * 1000

        answer = await send(client, chunks(), "multipart/form-data; boundary=b")
        assert answer == (413, "body_too_large")

    async def test_texts_have_the_limit_of_plain_bodies(self, client: Client) -> None:
        status, told = await post(client, form(a="x" * (SMALL + 1)))
        assert (status, told["error"]) == (413, "body_too_large")

    async def test_too_many_files_are_refused(self, client: Client) -> None:
        data = form()
        for n in range(101):
            data.add_field(f"f[{n}]", b"", filename="x")
        status, told = await post(client, data)
        assert (status, told["error"]) == (400, "too_many_fields")

    @pytest.mark.parametrize(
        ("kind", "raw", "code"),
        [
            ("multipart/form-data", b"--b\r\n", "malformed_multipart"),
            ("multipart/form-data; boundary=b", b"nonsense", "malformed_multipart"),
            (
                "multipart/form-data; boundary=b",
                b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\ncut',
                "malformed_multipart",
            ),
            (
                "multipart/form-data; boundary=b",
                b"--b\r\nX: y\r\n\r\n1\r\n--b--\r\n",
                "malformed_multipart",
            ),
            (
                "multipart/form-data; boundary=b",
                b'--b\r\nContent-Disposition: form-data; name="a"\r\nContent-Transfer-Encoding: x'
                + b"\r\n\r\n1\r\n--b--\r\n",
                "malformed_multipart",
            ),
            (
                "multipart/form-data; boundary=b",
                b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c--\r\n--b--\r\n",
                "malformed_multipart",
            ),
            (
                "multipart/form-data; boundary=b",
                b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n\xff\r\n--b--\r\n',
                "invalid_encoding",
            ),
            (
                "multipart/form-data; boundary=b",
                b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n\0\r\n--b--\r\n',
                "invalid_character",
            ),
        ],
    )
    async def test_malformed_multipart_is_refused(
        self, client: Client, kind: str, raw: bytes, code: str
    ) -> None:
        assert await send(client, raw, kind) == (400, code)


def part(disposition: bytes, content: bytes, *headers: bytes) -> bytes:
    """A whole multipart body with one part, written by hand."""
    lines = [b"Content-Disposition: form-data; " + disposition, *headers]
    return b"--b\r\n" + b"\r\n".join(lines) + b"\r\n\r\n" + content + b"\r\n--b--\r\n"


async def sent_file(client: Client, disposition: bytes, content: bytes, *headers: bytes) -> Any:
    """What the reader made of the only file."""
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    async with client.post("/", data=part(disposition, content, *headers), headers=kind) as answer:
        told = await answer.json()
        assert answer.status == 200, told
        [file] = told["files"]
        return file


class TestParts:
    @pytest.mark.parametrize(
        ("disposition", "name"),
        [
            ('filename="отчёт.txt"'.encode(), "отчёт.txt"),
            (b"filename*=UTF-8''%D1%8F.txt", "я.txt"),
            (b"filename*=koi8-r''%D1.txt", "я.txt"),
            (b"filename=\"old.txt\"; filename*=UTF-8''%D1%8F.txt", "я.txt"),
            ('filename="отчёт.txt"'.encode("cp1251"), "\ufffd\ufffd\ufffd\ufffd\ufffd.txt"),
            (b'filename="../../etc/passwd"', "passwd"),
            (b'filename="C:\\\\Users\\\\Ann\\\\a.txt"', "a.txt"),
            (b'filename="a;b.txt"', "a;b.txt"),
            (b'filename="%D1%8F%20100%25.txt"', "я 100%.txt"),
            (b'filename="100%25.txt"', "100%25.txt"),
            (b'filename="%D1%8F%2F..%2Fa.txt"', "a.txt"),
            (b'filename="%FF.txt"', "%FF.txt"),
            (b'filename="' + b"x" * 300 + b'.txt"', "x" * 251 + ".txt"),
        ],
    )
    async def test_a_files_name_is_read_in_any_form_and_can_be_stored(
        self, client: Client, disposition: bytes, name: str
    ) -> None:
        file = await sent_file(client, b'name="f"; ' + disposition, b"1")
        assert file[:2] == ["f", name]

    async def test_a_fields_name_that_is_no_utf_8_is_refused(self, client: Client) -> None:
        raw = part('name="поле"'.encode("cp1251"), b"1")
        answer = await send(client, raw, "multipart/form-data; boundary=b")
        assert answer == (400, "invalid_encoding")

    @pytest.mark.parametrize("shift", range(4))
    async def test_quoted_printable_is_decoded_wherever_its_escapes_fall(
        self, client: Client, shift: int
    ) -> None:
        # Longer than what is read at once, in texts (8 KB) and in files (64 KB).
        for disposition, times in ((b'name="t"', 1_000), (b'name="f"; filename="x"', 6_500)):
            octets = b"x" * shift + "я= ".encode() * times
            packed = quopri.encodestring(octets)
            assert b"=\n" in packed
            coding = b"Content-Transfer-Encoding: Quoted-Printable"
            raw = part(disposition, packed, coding)
            kind = {"Content-Type": "multipart/form-data; boundary=b"}
            async with client.post("/", data=raw, headers=kind) as answer:
                told = await answer.json()
            if told["files"]:
                assert told["files"][0][4] == hashlib.sha256(octets).hexdigest()
            else:
                assert told["fields"]["t"] == octets.decode()

    async def test_base64_is_decoded(self, client: Client) -> None:
        octets = bytes(range(256)) * 270
        packed = base64.encodebytes(octets)
        coding = b"Content-Transfer-Encoding: base64"
        file = await sent_file(client, b'name="f"; filename="x"', packed, coding)
        assert (file[2], file[4]) == (len(octets), hashlib.sha256(octets).hexdigest())

    async def test_a_packed_body_brings_its_files(self, client: Client) -> None:
        raw = gzip.compress(part(b'name="f"; filename="x"', b"y" * 50_000))
        kind = "multipart/form-data; boundary=b"
        headers = {"Content-Type": kind, "Content-Encoding": "gzip"}
        async with client.post("/", data=raw, headers=headers) as answer:
            [file] = (await answer.json())["files"]
        assert file[2] == 50_000

    async def test_a_packed_body_counts_with_its_real_size(self, client: Client) -> None:
        raw = gzip.compress(part(b'name="f"; filename="x"', b"y" * 6 * SMALL))
        kind = "multipart/form-data; boundary=b"
        answer = await send(client, raw, kind, Content_Encoding="gzip")
        assert answer == (413, "body_too_large")


def test_uploads_of_a_killed_process_are_cleared(tmp_path: Path) -> None:
    (tmp_path / "up" / "left").mkdir(parents=True)
    clear_uploads(tmp_path / "up")
    assert list((tmp_path / "up").iterdir()) == []
