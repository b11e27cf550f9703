"""One attempt against a real receiver that does everything a receiver can do wrong."""

import asyncio
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

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
    once_then_drop,
    raw,
    redirect,
    reset,
    status,
)

from kanal.delivery.address_guard import AddressGuard
from kanal.delivery.outcome import EXCERPT_BYTES, Outcome, OutcomeClass
from kanal.delivery.post import WebhookClient
from kanal.delivery.resolver import Resolver
from kanal.delivery.schedule import HOUR, SECOND

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
BODY = b"type=message_new&object%5Bcontent%5D=Ok%21"
DEADLINE = 5.0
SHORT = 0.5


@pytest.fixture(params=["asyncio", "uvloop"])
def runner(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    if request.param == "uvloop":
        factory = pytest.importorskip("uvloop").new_event_loop
    with asyncio.Runner(loop_factory=factory) as made:
        yield made


def client(resolver: Resolver | None = None) -> WebhookClient:
    return WebhookClient(AddressGuard(LOOPBACK), version="1.2.3", resolver=resolver)


async def posted(url: str, *, deadline: float = DEADLINE, body: bytes = BODY) -> Outcome:
    async with client() as sender:
        return await sender.post(url, body, FORM, deadline)


def outcome_of(
    runner: asyncio.Runner, *reactions: Reaction, deadline: float = DEADLINE, body: bytes = BODY
) -> Outcome:
    async def attempt() -> Outcome:
        async with Receiver() as receiver:
            receiver.then(*reactions)
            outcome = await posted(receiver.url, deadline=deadline, body=body)
            assert len(receiver.received) == 1
            return outcome

    return runner.run(attempt())


def test_sends_the_body_unchanged_with_the_callers_headers(runner: asyncio.Runner) -> None:
    async def scenario() -> None:
        async with Receiver() as receiver, client() as sender:
            outcome = await sender.post(receiver.url, BODY, {**FORM, "webhook-id": "msg_1"}, 5)
            [request] = receiver.received
            assert (request.method, request.path, request.body) == ("POST", "/hook", BODY)
            assert request.headers["content-type"] == FORM["Content-Type"]
            assert request.headers["webhook-id"] == "msg_1"
            assert request.headers["user-agent"] == "Kanal/1.2.3"
            assert request.headers["accept-encoding"] == "identity"
            assert outcome.succeeded
            assert (outcome.http_status, outcome.address) == (200, "127.0.0.1")
            assert outcome.excerpt == '{"result":"ok"}'
            assert outcome.started_at <= outcome.ended_at

    runner.run(scenario())


@pytest.mark.parametrize("code", [200, 201, 202, 204, 299])
def test_every_2xx_is_a_success(runner: asyncio.Runner, code: int) -> None:
    assert outcome_of(runner, status(code)).succeeded


@pytest.mark.parametrize("code", [101, 300, 301, 304, 400, 404, 410, 429, 500, 503, 599])
def test_every_other_status_is_a_failure_that_names_it(runner: asyncio.Runner, code: int) -> None:
    outcome = outcome_of(runner, status(code, b"" if code in (101, 304) else b"why"))
    assert (outcome.outcome_class, outcome.http_status) == (OutcomeClass.HTTP_STATUS, code)
    assert str(code) in outcome.sentence


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirect_is_not_followed_and_its_target_is_shown(
    runner: asyncio.Runner, code: int
) -> None:
    outcome = outcome_of(runner, redirect("/elsewhere", code))
    assert outcome.message_class
    assert "/elsewhere" in outcome.sentence


def test_body_without_length_that_ends_with_the_connection_is_complete(
    runner: asyncio.Runner,
) -> None:
    outcome = outcome_of(runner, raw(answer(200, b"done", {}), close=True))
    assert (outcome.succeeded, outcome.excerpt) == (True, "done")


def test_refused_connection(runner: asyncio.Runner) -> None:
    outcome = runner.run(posted(f"http://127.0.0.1:{closed_port()}/"))
    assert outcome.outcome_class is OutcomeClass.REFUSED
    assert "Connection refused" in outcome.sentence
    assert outcome.address == "127.0.0.1"


def test_reset_instead_of_an_answer(runner: asyncio.Runner) -> None:
    assert outcome_of(runner, reset()).outcome_class is OutcomeClass.RESET


def test_closed_instead_of_an_answer(runner: asyncio.Runner) -> None:
    assert outcome_of(runner, close()).outcome_class is OutcomeClass.RESET


def test_hanging_before_the_headers_ends_at_the_deadline(runner: asyncio.Runner) -> None:
    started = time.monotonic()
    outcome = outcome_of(runner, hang(), deadline=SHORT)
    assert outcome.outcome_class is OutcomeClass.RESPONSE_TIMEOUT
    assert SHORT <= time.monotonic() - started < DEADLINE


def test_dripping_headers_end_at_the_deadline(runner: asyncio.Runner) -> None:
    outcome = outcome_of(runner, drip(head=b"HTTP/1.1 200 OK\r\nX: "), deadline=SHORT)
    assert outcome.outcome_class is OutcomeClass.RESPONSE_TIMEOUT


def test_dripping_body_ends_at_the_deadline(runner: asyncio.Runner) -> None:
    outcome = outcome_of(runner, drip(), deadline=SHORT)
    assert outcome.outcome_class is OutcomeClass.RESPONSE_TIMEOUT
    assert outcome.http_status == 200
    assert outcome.excerpt.startswith("x")


def test_flood_of_interim_answers_ends_at_the_deadline(runner: asyncio.Runner) -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\n"
    outcome = outcome_of(runner, drip(interim, 0.001, interim), deadline=SHORT)
    assert outcome.outcome_class is OutcomeClass.RESPONSE_TIMEOUT


def test_deadline_above_five_seconds_is_not_rounded_up() -> None:
    """As aiohttp does, to a whole second of the loop's clock; it is asked for just after one."""
    deadline = 5.02

    async def scenario() -> None:
        async with Receiver(hang()) as receiver, client() as sender:
            loop = asyncio.get_running_loop()
            await asyncio.sleep(1 - loop.time() % 1)
            started = loop.time()
            outcome = await sender.post(receiver.url, BODY, FORM, deadline)
            assert outcome.outcome_class is OutcomeClass.RESPONSE_TIMEOUT
            assert loop.time() - started < deadline + 0.9

    asyncio.run(scenario())


def test_failing_status_stays_the_outcome_when_its_body_never_ends(runner: asyncio.Runner) -> None:
    cut = raw(answer(500, b"short", {"Content-Length": "10"}), close=True)
    for reaction in (endless(500), drip(head=answer(500, b"", {})), cut):
        outcome = outcome_of(runner, reaction, deadline=SHORT)
        assert (outcome.outcome_class, outcome.http_status) == (OutcomeClass.HTTP_STATUS, 500)


def test_endless_body_is_over_long_and_read_no_further_than_the_limit(
    runner: asyncio.Runner,
) -> None:
    outcome = outcome_of(runner, endless())
    assert outcome.outcome_class is OutcomeClass.OVER_LONG_ANSWER
    assert len(outcome.excerpt.encode()) == EXCERPT_BYTES


def test_answer_of_the_limit_is_read_and_one_byte_more_is_over_long(
    runner: asyncio.Runner,
) -> None:
    assert outcome_of(runner, status(200, b"x" * 16384)).succeeded
    outcome = outcome_of(runner, status(200, b"x" * 16385))
    assert outcome.outcome_class is OutcomeClass.OVER_LONG_ANSWER


def test_over_long_header_line_and_too_many_headers_are_over_long(runner: asyncio.Runner) -> None:
    long_line = status(200, headers={"X-Long": "x" * 20000})
    assert outcome_of(runner, long_line).outcome_class is OutcomeClass.OVER_LONG_ANSWER
    many = status(200, headers={f"X-{number}": "x" for number in range(1000)})
    assert outcome_of(runner, many).outcome_class is OutcomeClass.OVER_LONG_ANSWER


@pytest.mark.parametrize(
    "reaction",
    [
        broken_chunked(),
        raw(b"220 mail.example ESMTP\r\n", close=True),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", close=True),
        raw(b"HTTP/1.1 200 OK\r\nContent-Le", close=True),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: nine\r\n\r\nnine", close=True),
        raw(b"HTTP/1.1 2000 Strange\r\n\r\n", close=True),
        reset(after=b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort"),
    ],
    ids=["chunked", "not-http", "short-body", "half-head", "length", "status", "reset-in-body"],
)
def test_broken_or_incomplete_answer_is_a_failure(
    runner: asyncio.Runner, reaction: Reaction
) -> None:
    assert outcome_of(runner, reaction).outcome_class is OutcomeClass.BROKEN_ANSWER


def test_compressed_answer_is_never_inflated(runner: asyncio.Runner) -> None:
    outcome = outcome_of(runner, gzip_bomb(5))
    assert outcome.succeeded
    assert outcome.excerpt == ""
    assert outcome_of(runner, gzip_bomb(50)).outcome_class is OutcomeClass.OVER_LONG_ANSWER


def test_name_that_does_not_exist(runner: asyncio.Runner) -> None:
    outcome = runner.run(posted("http://name.invalid/hook"))
    assert outcome.outcome_class is OutcomeClass.DNS
    assert outcome.address is None


def test_name_whose_servers_are_silent_is_given_up_and_delays_no_other(
    runner: asyncio.Runner,
) -> None:
    answered = threading.Event()

    def silent(host: str, *arguments: Any, **options: Any) -> list[Any]:
        if host == "silent.example":
            answered.wait()
        return socket.getaddrinfo("localhost", *arguments, **options)

    async def scenario() -> None:
        resolver = Resolver(seconds=SHORT, limit=2, getaddrinfo=silent)
        async with Receiver() as receiver, client(resolver) as sender:
            dead = [
                asyncio.create_task(
                    sender.post(f"http://silent.example:{port}/", BODY, FORM, DEADLINE)
                )
                for port in range(8000, 8020)
            ]
            url = f"http://healthy.example:{receiver.port}/"
            assert (await sender.post(url, BODY, FORM, DEADLINE)).succeeded
            outcomes = await asyncio.gather(*dead)
            assert {outcome.outcome_class for outcome in outcomes} == {OutcomeClass.DNS}
            assert f"no answer within {SHORT} s" in outcomes[0].sentence

    try:
        runner.run(scenario())
    finally:
        answered.set()


def test_running_out_of_lookups_is_not_charged_to_the_channel(runner: asyncio.Runner) -> None:
    answered = threading.Event()

    def silent(*_: Any, **__: Any) -> list[Any]:
        answered.wait()
        return []

    async def scenario() -> None:
        async with client(Resolver(seconds=SHORT, limit=1, getaddrinfo=silent)) as sender:
            first, second = await asyncio.gather(
                *(
                    sender.post(f"http://{name}.example/", BODY, FORM, DEADLINE)
                    for name in ("first", "second")
                )
            )
            assert first.outcome_class is OutcomeClass.DNS
            assert (second.outcome_class, second.local) == (OutcomeClass.LOCAL_FAULT, True)

    try:
        runner.run(scenario())
    finally:
        answered.set()


def test_https_to_a_port_that_speaks_plain_http(runner: asyncio.Runner) -> None:
    async def scenario() -> Outcome:
        listener = await asyncio.start_server(plain, "127.0.0.1", 0)
        async with listener:
            port = listener.sockets[0].getsockname()[1]
            return await posted(f"https://127.0.0.1:{port}/")

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    assert runner.run(scenario()).outcome_class is OutcomeClass.TLS


def test_tls_handshake_that_stalls_is_a_connection_not_made_in_time(
    runner: asyncio.Runner,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        outcome = runner.run(
            posted(f"https://127.0.0.1:{silent.getsockname()[1]}/", deadline=SHORT)
        )
    assert outcome.outcome_class is OutcomeClass.CONNECT_TIMEOUT


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl to make a certificate")
def test_certificate_nobody_vouches_for(runner: asyncio.Runner, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=receiver"]
    subprocess.run(
        [*made, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True
    )
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)

    async def scenario() -> Outcome:
        async with Receiver(tls=tls) as receiver:
            outcome = await posted(receiver.url)
            assert receiver.received == []
            return outcome

    outcome = runner.run(scenario())
    assert outcome.outcome_class is OutcomeClass.TLS
    assert "self-signed" in outcome.sentence or "self signed" in outcome.sentence


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "localhost"])
def test_refused_address_is_not_dialled_and_the_reason_survives(
    runner: asyncio.Runner, host: str
) -> None:
    async def scenario() -> None:
        async with Receiver() as receiver, WebhookClient(AddressGuard(), version="1") as sender:
            url = f"http://{host}:{receiver.port}/hook"
            outcome = await sender.post(url, BODY, FORM, DEADLINE)
            assert outcome.outcome_class is OutcomeClass.BLOCKED_BY_POLICY
            assert outcome.permanent
            assert receiver.connections == 0

    runner.run(scenario())


def test_name_that_turns_out_to_be_a_refused_address_is_stopped_at_the_socket(
    runner: asyncio.Runner,
) -> None:
    def rebound(host: str, *arguments: Any, **options: Any) -> list[Any]:
        return socket.getaddrinfo("localhost", *arguments, **options)

    async def scenario() -> None:
        resolver = Resolver(getaddrinfo=rebound)
        async with (
            Receiver() as receiver,
            WebhookClient(AddressGuard(), version="1", resolver=resolver) as sender,
        ):
            url = f"http://public.example:{receiver.port}/hook"
            outcome = await sender.post(url, BODY, FORM, DEADLINE)
            assert outcome.outcome_class is OutcomeClass.BLOCKED_BY_POLICY
            assert "loopback" in outcome.sentence
            assert outcome.address in ("127.0.0.1", "::1")
            assert receiver.connections == 0

    runner.run(scenario())


def test_url_that_cannot_be_called_is_an_outcome_not_an_error(runner: asyncio.Runner) -> None:
    for url in ("", "ftp://x/", "http://", "http://1.2.3.4.5/", "http://a b/", "http://x:70000/"):
        assert runner.run(posted(url)).outcome_class is OutcomeClass.INVALID_URL


def test_kept_connection_that_was_dropped_is_replaced_without_a_duplicate(
    runner: asyncio.Runner,
) -> None:
    async def scenario() -> None:
        async with Receiver(once_then_drop()) as receiver, client() as sender:
            for number in range(20):
                outcome = await sender.post(receiver.url, b"n=%d" % number, FORM, DEADLINE)
                assert outcome.succeeded
            bodies = [request.body for request in receiver.received]
            assert bodies == [b"n=%d" % number for number in range(20)]

    runner.run(scenario())


def test_kept_connection_dropped_with_the_request_read_is_sent_again_once(
    runner: asyncio.Runner,
) -> None:
    async def scenario() -> None:
        async with Receiver() as receiver, client() as sender:
            receiver.then(status(200), reset(), status(200))
            first = await sender.post(receiver.url, BODY, FORM, DEADLINE)
            second = await sender.post(receiver.url, BODY, FORM, DEADLINE)
            assert (first.resent, second.resent) == (False, True)
            assert second.succeeded
            assert [request.connection for request in receiver.received] == [1, 1, 2]

    runner.run(scenario())


def test_the_resend_opens_its_own_connection_and_is_not_repeated(runner: asyncio.Runner) -> None:
    async def scenario() -> None:
        async with Receiver() as receiver, client() as sender:
            await asyncio.gather(
                *(sender.post(receiver.url, BODY, FORM, DEADLINE) for _ in range(3))
            )
            assert receiver.connections == 3
            receiver.then(close(), close())
            outcome = await sender.post(receiver.url, BODY, FORM, DEADLINE)
            assert outcome.outcome_class is OutcomeClass.RESET
            assert [request.connection for request in receiver.received][3:][-1] == 4
            assert len(receiver.received) == 5

    runner.run(scenario())


def test_nothing_is_sent_again_once_an_answer_began(runner: asyncio.Runner) -> None:
    async def scenario() -> None:
        async with Receiver() as receiver, client() as sender:
            for begun in (
                raw(b"HTTP/1.1 200 OK\r\nCont", close=True),
                raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", close=True),
                status(503),
            ):
                receiver.received.clear()
                receiver.then(status(200), begun)
                await sender.post(receiver.url, BODY, FORM, DEADLINE)
                outcome = await sender.post(receiver.url, BODY, FORM, DEADLINE)
                assert not outcome.succeeded
                assert not outcome.resent
                assert len(receiver.received) == 2

    runner.run(scenario())


def test_connection_is_kept_between_posts(runner: asyncio.Runner) -> None:
    async def scenario() -> None:
        async with Receiver() as receiver, client() as sender:
            addresses = [
                (await sender.post(receiver.url, BODY, FORM, DEADLINE)).address for _ in range(5)
            ]
            assert receiver.connections == 1
            assert addresses == ["127.0.0.1"] * 5

    runner.run(scenario())


def test_cookies_of_one_answer_are_not_sent_with_the_next(runner: asyncio.Runner) -> None:
    async def scenario() -> None:
        async with Receiver(status(200, headers={"Set-Cookie": "a=b"})) as receiver:
            async with client() as sender:
                await sender.post(receiver.url, BODY, FORM, DEADLINE)
                await sender.post(receiver.url, BODY, FORM, DEADLINE)
            assert "cookie" not in receiver.received[1].headers

    runner.run(scenario())


def test_body_of_several_megabytes_arrives_whole(runner: asyncio.Runner) -> None:
    body = b"object%5Bcontent%5D=" + b"%D0%B0" * 700_000

    async def scenario() -> None:
        async with Receiver() as receiver, client() as sender:
            receiver.then(status(200), reset(), status(200))
            for _ in range(2):
                assert (await sender.post(receiver.url, body, FORM, DEADLINE)).succeeded
            assert [len(request.body) for request in receiver.received] == [len(body)] * 3

    runner.run(scenario())


def test_retry_after_is_reported_for_429_and_503_only(runner: asyncio.Runner) -> None:
    hint = {"Retry-After": "120"}
    assert outcome_of(runner, status(429, headers=hint)).retry_after == 120 * SECOND
    assert outcome_of(runner, status(503, headers=hint)).retry_after == 120 * SECOND
    assert outcome_of(runner, status(500, headers=hint)).retry_after is None
    year = {"Retry-After": "31536000"}
    assert outcome_of(runner, status(429, headers=year)).retry_after == 12 * HOUR
    assert outcome_of(runner, status(429, headers={"Retry-After": "soon"})).retry_after is None


def test_excerpt_holds_nothing_that_could_confuse_a_page_terminal_or_database(
    runner: asyncio.Runner,
) -> None:
    hostile = "\x00\x1b[31mред\u202e\r\nend".encode() + b"\xff"
    excerpt = outcome_of(runner, status(500, hostile)).excerpt
    assert excerpt == "\ufffd\ufffd[31mред\ufffd\nend\ufffd"


def test_hanging_endpoints_do_not_delay_a_healthy_one(runner: asyncio.Runner) -> None:
    async def scenario() -> None:
        async with Receiver(hang()) as hanging, Receiver() as healthy, client() as sender:
            waiting = [
                asyncio.create_task(sender.post(hanging.url, BODY, FORM, 30)) for _ in range(150)
            ]
            await hanging.wait_for(150)
            started = time.monotonic()
            assert (await sender.post(healthy.url, BODY, FORM, DEADLINE)).succeeded
            assert time.monotonic() - started < DEADLINE
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    runner.run(scenario())


def test_cancelling_goes_through(runner: asyncio.Runner) -> None:
    async def scenario() -> None:
        async with Receiver(hang()) as receiver, client() as sender:
            task = asyncio.create_task(sender.post(receiver.url, BODY, FORM, DEADLINE))
            await receiver.wait_for(1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    runner.run(scenario())
