import logging
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec
import pytest
import structlog

from kanal.http import logs


@pytest.fixture(autouse=True)
def _unconfigured() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_line_is_one_json_object(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    logs.configure()
    structlog.get_logger().info("case.opened", case_id=5, text="ж\n")
    line = msgspec.json.decode(capfdbinary.readouterr().err)
    assert list(line) == ["at", "level", "event", "case_id", "text"]
    assert line["at"].endswith("Z")
    assert (line["level"], line["event"], line["case_id"]) == ("info", "case.opened", 5)


def test_an_error_carries_its_traceback(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    logs.configure()
    structlog.get_logger().error("http.failed", exc_info=RuntimeError("why"))
    line = msgspec.json.decode(capfdbinary.readouterr().err)
    assert "RuntimeError: why" in line["exception"]


def test_what_is_below_the_level_is_not_written(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    logs.configure(level="WARNING")
    structlog.get_logger().info("case.opened")
    assert capfdbinary.readouterr().err == b""


def test_octets_that_are_no_text_do_not_stop_the_log(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    logs.configure()
    structlog.get_logger().info("http.request", path="\udcff", thing=object())
    assert b"udcff" in capfdbinary.readouterr().err


def test_libraries_log_in_the_same_form(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    logs.configure()
    logging.getLogger("aiohttp.server").warning("went %s", "wrong")
    logging.getLogger("aiohttp.server").info("chatter")
    line = msgspec.json.decode(capfdbinary.readouterr().err)
    assert (line["event"], line["logger"], line["message"]) == (
        "library.record",
        "aiohttp.server",
        "went wrong",
    )


def test_a_developer_sees_columns(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    logs.configure(console=True)
    structlog.get_logger().info("case.opened", case_id=5)
    shown = capfdbinary.readouterr().err
    assert b"case.opened" in shown
    assert not shown.startswith(b"{")


def test_an_access_line_is_the_same_past_structlog(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    logs.configure()
    line = logs.AccessLine(logs.now(), "a", "GET", "/", "/", 200, 0.5, 2, "::1", None)
    logs.access_to_structlog(line)
    logs.access_to_stream()(line)
    long, short = (msgspec.json.decode(row) for row in capfdbinary.readouterr().err.splitlines())
    assert long.pop("at")[:10] == short.pop("at")[:10]
    assert long == short


def test_the_clock_of_the_access_log_is_the_clock() -> None:
    before, shown, after = datetime.now(UTC), logs.now(), datetime.now(UTC)
    assert before <= datetime.fromisoformat(shown) <= after
