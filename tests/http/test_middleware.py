import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from aiohttp import FormData, web
from aiohttp.test_utils import TestClient
from prometheus_client import CollectorRegistry
from pytest_aiohttp.plugin import AiohttpClient

from kanal.domain.errors import CaseNotFound
from kanal.http.answers import answer
from kanal.http.body import Limits, read_body
from kanal.http.logs import AccessLine
from kanal.http.metrics import UNMATCHED, Metrics
from kanal.http.middleware import REMOTE, REQUEST_ID, WHO, ApiRunner, surround
from kanal.http.rate_limit import RateLimit

Client = TestClient[web.Request, web.Application]


async def show(request: web.Request) -> web.Response:
    request[WHO] = "staff:1"
    return answer({"request": request[REQUEST_ID], "remote": request[REMOTE]})


async def fail(request: web.Request) -> web.Response:
    raise RuntimeError("secret")


async def refuse(request: web.Request) -> web.Response:
    raise CaseNotFound(1)


async def half(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"half")
    raise RuntimeError("secret")


def application(tmp_path: Path, registry: CollectorRegistry, *proxies: str) -> web.Application:
    limits = Limits(directory=tmp_path, plain=1000)

    async def echo(request: web.Request) -> web.Response:
        body = await read_body(request, limits)
        return answer({"fields": body.fields, "files": len(body.files)})

    app = web.Application(middlewares=[surround(Metrics(registry), proxies)])
    for prefix in ("/api", ""):
        app.router.add_get(f"{prefix}/show", show)
        app.router.add_get(f"{prefix}/fail", fail)
        app.router.add_get(f"{prefix}/refuse", refuse)
        app.router.add_get(f"{prefix}/half", half)
        app.router.add_post(f"{prefix}/echo/{{name}}", echo)
    return app


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as captured:
        yield captured


@pytest.fixture
async def client(
    aiohttp_client: AiohttpClient, tmp_path: Path, registry: CollectorRegistry, lines: list[Any]
) -> Client:
    return await aiohttp_client(application(tmp_path, registry))


async def get(client: Client, path: str, **headers: str) -> tuple[web.Response, Any]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with client.get(path, headers=named) as response:
        return response, await response.json()  # type: ignore[return-value]


async def test_a_sane_request_id_is_kept(client: Client) -> None:
    response, told = await get(client, "/api/show", X_Request_Id="abc-1.2:3")
    assert told["request"] == response.headers["X-Request-Id"] == "abc-1.2:3"


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "ж", '{"a":1}'])
async def test_any_other_request_id_is_replaced(client: Client, given: str) -> None:
    response, told = await get(client, "/api/show", X_Request_Id=given)
    assert told["request"] == response.headers["X-Request-Id"] != given
    assert len(told["request"]) == 16


@pytest.mark.parametrize("path", ["/api/show", "/api/fail", "/api/refuse", "/api/nowhere"])
async def test_every_api_answer_says_how_many_calls_are_left(client: Client, path: str) -> None:
    response, _ = await get(client, path)
    assert int(response.headers["api_calls_left"]) > 0
    assert response.headers["Content-Type"] == "application/json"
    assert "X-Request-Id" in response.headers


async def test_a_domain_error_has_its_status_and_code(client: Client) -> None:
    response, told = await get(client, "/api/refuse")
    assert (response.status, told["error"]) == (404, "case_not_found")


async def test_an_unknown_path_is_a_404_with_a_code(client: Client) -> None:
    response, told = await get(client, "/api/nowhere")
    assert (response.status, told["error"]) == (404, "path_not_found")


async def test_a_wrong_method_is_a_405_that_names_the_right_ones(client: Client) -> None:
    async with client.delete("/api/show") as response:
        assert (response.status, (await response.json())["error"]) == (405, "method_not_allowed")
        assert response.headers["Allow"] == "GET,HEAD"


async def test_outside_the_api_aiohttp_answers_as_always(client: Client) -> None:
    async with client.get("/nowhere") as response:
        assert (response.status, await response.text()) == (404, "404: Not Found")
        assert "X-Request-Id" in response.headers
        assert "api_calls_left" not in response.headers


async def test_an_unexpected_error_shows_an_id_and_logs_the_rest(
    client: Client, lines: list[Any]
) -> None:
    response, told = await get(client, "/api/fail")
    assert response.status == 500
    assert set(told) == {"error", "error_id"}
    failed = next(line for line in lines if line["event"] == "http.failed")
    assert failed["error_id"] == told["error_id"]
    assert failed["request"] == response.headers["X-Request-Id"]
    assert isinstance(failed["exc_info"], RuntimeError)


async def test_a_broken_stream_is_closed(client: Client) -> None:
    with pytest.raises(Exception, match=r"payload|closed|disconnect"):
        async with client.get("/api/half") as response:
            await response.read()


async def test_every_request_is_one_line_in_the_log(client: Client, lines: list[Any]) -> None:
    response, _ = await get(client, "/api/show?user_email=a@b.c")
    line = next(line for line in lines if line["event"] == "http.request")
    assert line.pop("ms") >= 0
    assert line.pop("octets") > 0
    assert line == {
        "event": "http.request",
        "log_level": "info",
        "request": response.headers["X-Request-Id"],
        "method": "GET",
        "path": "/api/show",
        "route": "/api/show",
        "status": 200,
        "remote": "127.0.0.1",
        "who": "staff:1",
    }


async def test_requests_are_counted_under_their_routes_template(
    client: Client, registry: CollectorRegistry
) -> None:
    for name in "ab":
        async with client.post(f"/api/echo/{name}", json={}) as response:
            assert response.status == 200
    await get(client, "/api/nowhere")
    value = registry.get_sample_value
    echoed = {"route": "/api/echo/{name}", "method": "POST", "status": "200"}
    missed = {"route": "unmatched", "method": "GET", "status": "404"}
    assert value("kanal_http_requests_total", echoed) == 2
    assert value("kanal_http_requests_total", missed) == 1
    assert value("kanal_http_requests_in_flight") == 0


async def test_files_nobody_kept_are_gone_after_the_answer(client: Client, tmp_path: Path) -> None:
    data = FormData()
    data.add_field("f", b"x", filename="x")
    async with client.post("/api/echo/a", data=data) as response:
        assert (await response.json())["files"] == 1
    async with client.post("/api/echo/a", data="--b\r\n", headers={"Content-Type": "x/y"}):
        pass
    async with asyncio.timeout(30):
        while list(tmp_path.iterdir()):  # noqa: ASYNC110, ASYNC240 - another thread removes them
            await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("proxies", "forwarded", "remote"),
    [
        ((), "1.2.3.4", "127.0.0.1"),
        (("10.0.0.0/8",), "1.2.3.4", "127.0.0.1"),
        (("127.0.0.0/8",), "1.2.3.4", "1.2.3.4"),
        (("127.0.0.0/8",), "6.6.6.6, 1.2.3.4", "1.2.3.4"),
        (("127.0.0.0/8", "10.0.0.0/8"), "6.6.6.6, 1.2.3.4, 10.1.1.1", "1.2.3.4"),
        (("127.0.0.0/8",), "nonsense", "127.0.0.1"),
        (("127.0.0.0/8",), "::1", "::1"),
    ],
)
async def test_only_trusted_proxies_say_who_calls(
    aiohttp_client: AiohttpClient,
    tmp_path: Path,
    registry: CollectorRegistry,
    proxies: tuple[str, ...],
    forwarded: str,
    remote: str,
) -> None:
    client = await aiohttp_client(application(tmp_path, registry, *proxies))
    _, told = await get(client, "/api/show", X_Forwarded_For=forwarded)
    assert told["remote"] == remote


@pytest.fixture
async def port(tmp_path: Path, registry: CollectorRegistry, lines: list[Any]) -> Any:
    runner = ApiRunner(application(tmp_path, registry), RateLimit())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


async def talk(port: int, octets: bytes) -> tuple[int, dict[str, str], Any]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(octets)
    async with asyncio.timeout(30):
        head = await reader.readuntil(b"\r\n\r\n")
        first, *rest = head.decode().strip().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in rest)
        body = await reader.readexactly(int(headers["content-length"]))
    writer.close()
    await writer.wait_closed()
    return int(first.split()[1]), headers, json.loads(body)


POST = b"POST /api/echo/a HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    ("octets", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET /api/show HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 10000 + b"\r\n\r\n", 400),
        (b"GET /api/show?" + b"x" * 10000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (POST + b"Content-Length: x\r\n\r\n", 400),
        (POST + b"Content-Length: 2\r\nContent-Encoding: br\r\n\r\n{}", 400),
        (POST + b"Content-Length: 2\r\nContent-Encoding: gzip\r\n\r\n{}", 400),
        (POST + b"Content-Length: 2\r\nContent-Encoding: x\r\n\r\n{}", 415),
        (POST + b"Content-Length: 2000000\r\n\r\n{}", 413),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (POST + b"Expect: magic\r\nContent-Length: 2\r\n\r\n{}", 417),
        (b"HACK /api/show HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /api/%ff%00/../\xff HTTP/1.1\r\nHost: x\r\n\r\n", 404),
    ],
)
async def test_whatever_is_malformed_is_refused_in_the_apis_form(
    port: int, octets: bytes, status: int
) -> None:
    answered, headers, told = await talk(port, octets)
    assert answered in (status, 400)
    assert isinstance(told["error"], str)
    assert isinstance(told["message"], str)
    assert headers["content-type"] == "application/json"
    assert "api_calls_left" in headers


async def test_the_runner_serves_as_usual(port: int) -> None:
    status, _, told = await talk(port, POST + b"Content-Length: 8\r\n\r\n" + b'{"a": 1}')
    assert (status, told) == (200, {"fields": {"a": 1}, "files": 0})
    expecting = POST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(expecting)
    async with asyncio.timeout(30):
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"{}")
        assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()


async def test_the_access_log_shows_no_token_of_a_file_or_an_invitation(
    aiohttp_client: AiohttpClient, registry: CollectorRegistry
) -> None:
    lines: list[AccessLine] = []
    app = web.Application(middlewares=[surround(Metrics(registry), (), lines.append)])
    app.router.add_get("/files/{token}/{name}", show)
    client = await aiohttp_client(app)
    await client.get("/files/0123456789/a.txt")
    await client.get("/files/0123456789/")
    await client.get("/join/0123456789")
    assert [(line.path, line.status) for line in lines] == [
        ("/files/{token}/{name}", 200),
        (UNMATCHED, 404),
        (UNMATCHED, 404),
    ]
