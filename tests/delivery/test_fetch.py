"""Fetching a file by its address: what is taken, what is refused for good, what is worth another try."""

from collections.abc import AsyncIterator
from ipaddress import ip_network
from pathlib import Path
from socket import AF_INET, EAI_NONAME, gaierror

import pytest
from webhook_receiver import (
    Reaction,
    Receiver,
    answer,
    broken_chunked,
    close,
    closed_port,
    drip,
    endless,
    gzip_bomb,
    hang,
    raw,
    redirect,
    reset,
    status,
)

from kanal.delivery.address_guard import AddressGuard
from kanal.delivery.fetch import REDIRECTS, FileFetcher
from kanal.delivery.resolver import Resolver
from kanal.domain.files import MB, Fetched, NotFetched

LOCAL = AddressGuard([ip_network("127.0.0.0/8")])
LIMIT = MB


@pytest.fixture
async def server() -> AsyncIterator[Receiver]:
    async with Receiver() as receiver:
        yield receiver


@pytest.fixture
async def fetcher() -> AsyncIterator[FileFetcher]:
    async with FileFetcher(LOCAL, version="test", seconds=2, limit=LIMIT) as fetcher:
        yield fetcher


def file(content: bytes = b"content", **headers: str) -> Reaction:
    return status(200, content, {name.replace("_", "-"): each for name, each in headers.items()})


@pytest.mark.parametrize(
    ("path", "headers", "name", "kind"),
    [
        ("/a/photo.jpg", {"Content_Type": "image/jpeg"}, "photo.jpg", "image/jpeg"),
        ("/a/photo.jpg?size=big", {}, "photo.jpg", ""),
        ("/%D1%8F%20b.txt", {}, "я b.txt", ""),
        ("/", {}, "", ""),
        ("/x", {"Content_Disposition": 'attachment; filename="y.pdf"'}, "y.pdf", ""),
        ("/x", {"Content_Disposition": "inline; filename*=UTF-8''%D1%8F.pdf"}, "я.pdf", ""),
        ("/x", {"Content_Disposition": "inline"}, "x", ""),
    ],
)
async def test_a_file_has_its_servers_name_or_the_last_part_of_its_address(
    server: Receiver,
    fetcher: FileFetcher,
    tmp_path: Path,
    path: str,
    headers: dict[str, str],
    name: str,
    kind: str,
) -> None:
    server.then(file(**headers))
    fetched = await fetcher.fetch(f"http://127.0.0.1:{server.port}{path}", tmp_path / "f")
    assert fetched == Fetched(name, kind, 7)
    assert (tmp_path / "f").read_bytes() == b"content"
    [asked] = server.received
    assert (asked.method, asked.path) == ("GET", path)
    assert not asked.headers.keys() & {"authorization", "cookie", "referer"}


@pytest.mark.parametrize("content", [b"", b"x" * LIMIT])
async def test_an_empty_file_and_one_of_exactly_the_limit_are_taken(
    server: Receiver, fetcher: FileFetcher, tmp_path: Path, content: bytes
) -> None:
    server.then(file(content))
    fetched = await fetcher.fetch(server.url, tmp_path / "f")
    assert fetched == Fetched("hook", "", len(content))
    assert (tmp_path / "f").stat().st_size == len(content)


async def test_redirects_are_followed_and_the_last_address_names_the_file(
    server: Receiver, fetcher: FileFetcher, tmp_path: Path
) -> None:
    server.then(redirect("/second"), redirect(f"{server.url}/third.txt#part", 307), file())
    assert await fetcher.fetch(server.url, tmp_path / "f") == Fetched("third.txt", "", 7)
    assert [asked.path for asked in server.received] == ["/hook", "/second", "/hook/third.txt"]


@pytest.mark.parametrize(
    ("reactions", "reason"),
    [
        ([status(404)], "it answered with status 404"),
        ([status(401)], "it answered with status 401"),
        ([status(204)], "it answered with status 204"),
        ([status(302)], "it answered with status 302 and no new address"),
        ([redirect("http://[")], "it was redirected to what is no address"),
        ([redirect("http://example.org:99999/")], "the address cannot be read"),
        ([redirect("/again")] * (REDIRECTS + 1), "it was redirected more than 5 times"),
        ([redirect("file:///etc/passwd")], "it must start with http:// or https://"),
        ([redirect("http://10.0.0.1/x")], "10.0.0.1 is a private address"),
        ([redirect("http://[::ffff:10.0.0.1]/x")], "a private address"),
        ([redirect("http://169.254.169.254/latest")], "a cloud metadata address"),
        ([redirect("http://0x0a000001/x")], "a private address"),
        ([redirect("http://user:secret@127.0.0.1/")], "a user name or password"),
        ([file(b"x" * (LIMIT + 1))], "it is larger than 1 MB"),
        ([endless()], "it is larger than 1 MB"),
        ([gzip_bomb()], "it is larger than 1 MB"),
    ],
)
async def test_what_no_further_try_can_mend_is_refused(
    server: Receiver,
    fetcher: FileFetcher,
    tmp_path: Path,
    reactions: list[Reaction],
    reason: str,
) -> None:
    server.then(*reactions)
    outcome = await fetcher.fetch(server.url, tmp_path / "f")
    assert isinstance(outcome, NotFetched)
    assert outcome.for_good
    assert reason in outcome.reason
    assert len(server.received) == len(reactions)


@pytest.mark.parametrize(
    "reaction",
    [
        status(500),
        status(503),
        status(429),
        close(),
        reset(),
        hang(),
        broken_chunked(),
        drip(),
        hang(answer(200, b"part", {"Content-Length": "100"})),
        raw(answer(200, b"part", {"Content-Length": "100"}), close=True),
        raw(b"not http at all\r\n\r\n", close=True),
    ],
)
async def test_what_may_pass_is_worth_another_try(
    server: Receiver, fetcher: FileFetcher, tmp_path: Path, reaction: Reaction
) -> None:
    server.default = reaction  # aiohttp itself may ask once more
    outcome = await fetcher.fetch(server.url, tmp_path / "f")
    assert isinstance(outcome, NotFetched)
    assert not outcome.for_good


async def test_nobody_there_is_worth_another_try(fetcher: FileFetcher, tmp_path: Path) -> None:
    outcome = await fetcher.fetch(f"http://127.0.0.1:{closed_port()}/", tmp_path / "f")
    assert outcome == NotFetched("no connection could be made", for_good=False)


async def test_without_permission_no_inner_address_is_asked(
    server: Receiver, tmp_path: Path
) -> None:
    async with FileFetcher(AddressGuard(), version="test") as fetcher:
        for host in ("127.0.0.1", "[::ffff:127.0.0.1]", "2130706433", "localhost"):
            outcome = await fetcher.fetch(f"http://{host}:{server.port}/x", tmp_path / "f")
            assert isinstance(outcome, NotFetched)
            assert outcome.for_good
    assert server.connections == 0


async def test_a_name_that_leads_inside_is_stopped_at_the_socket(
    server: Receiver, tmp_path: Path
) -> None:
    resolver = Resolver(getaddrinfo=lambda *_, **__: [(AF_INET, 1, 6, "", ("127.0.0.1", 0))])
    async with FileFetcher(AddressGuard(), version="test", resolver=resolver) as fetcher:
        outcome = await fetcher.fetch(f"http://files.example:{server.port}/x", tmp_path / "f")
    assert outcome == NotFetched("127.0.0.1 is a loopback address", for_good=True)
    assert server.connections == 0


async def test_a_name_that_nobody_knows_is_worth_another_try(tmp_path: Path) -> None:
    def unknown(*_: object, **__: object) -> list[object]:
        raise gaierror(EAI_NONAME, "unknown")

    resolver = Resolver(getaddrinfo=unknown)
    async with FileFetcher(LOCAL, version="test", resolver=resolver) as fetcher:
        outcome = await fetcher.fetch("http://nobody.example/x", tmp_path / "f")
    assert outcome == NotFetched("its host was not found", for_good=False)


async def test_an_address_is_asked_for_as_it_was_written(
    server: Receiver, fetcher: FileFetcher, tmp_path: Path
) -> None:
    server.then(file())
    path = "/a%2Fb?X-Signature=a%2Bb%7e&list=%5B1%5D"
    await fetcher.fetch(f"http://127.0.0.1:{server.port}{path}", tmp_path / "f")
    assert server.received[0].path == path
