"""How often a password may be tried."""

import asyncio

from served_api import QUICK_HASHER

from kanal.http.errors import ApiError
from kanal.http.pages.passwords import AT_ONCE, MOST_WAITING, Passwords
from kanal.http.pages.throttle import OF_ACCOUNT, OF_ADDRESS, REMEMBERED, WINDOW, Throttle


def test_an_account_and_an_address_may_fail_so_often_within_the_window() -> None:
    now = 0.0
    throttle = Throttle(lambda: now)
    for _ in range(OF_ACCOUNT):
        assert throttle.attempt("here", "anna") == 0
    assert throttle.wait("here", "anna") == throttle.wait("elsewhere", "anna") == WINDOW
    assert throttle.wait("here", "boris") == 0
    for number in range(OF_ADDRESS - OF_ACCOUNT):
        throttle.attempt("here", f"guess {number}")
    assert throttle.wait("here", "boris") == WINDOW
    assert throttle.wait("elsewhere", "boris") == 0
    now = WINDOW - 10.0
    assert throttle.wait("here", "anna") == 10
    now = WINDOW + 1.0
    assert throttle.wait("here", "anna") == 0


def test_success_clears_the_account_and_takes_back_the_try_of_the_address() -> None:
    throttle = Throttle(lambda: 0.0)
    for number in range(OF_ADDRESS):
        assert throttle.attempt("here", f"guess {number}") == 0
    assert throttle.attempt("here", "anna") == WINDOW
    throttle.succeeded("here", "guess 0")
    assert throttle.attempt("here", "guess 0") == 0
    assert throttle.wait("here", "anna") == WINDOW
    throttle.not_made("here", "guess 0")
    assert throttle.wait("here", "anna") == 0
    for _ in range(OF_ACCOUNT):
        throttle.attempt("elsewhere", "anna")
    throttle.succeeded("elsewhere", "anna")
    assert throttle.wait("elsewhere", "anna") == 0


def test_addresses_of_one_network_of_ipv6_are_one() -> None:
    throttle = Throttle(lambda: 0.0)
    for number in range(OF_ADDRESS):
        throttle.attempt(f"2001:db8:1:2::{number:x}", f"guess {number}")
        throttle.attempt("::ffff:192.0.2.1", f"another {number}")
    assert throttle.wait("2001:db8:1:2:ffff::1", "anna") == WINDOW
    assert throttle.wait("2001:db8:1:3::1", "anna") == 0
    assert throttle.wait("192.0.2.1", "anna") == WINDOW
    assert throttle.wait("192.0.2.2", "anna") == 0


def test_what_it_remembers_is_bounded() -> None:
    throttle = Throttle(lambda: 0.0)
    for number in range(REMEMBERED):
        throttle.attempt(f"192.0.2.{number % 250}", f"guess {number}")
    assert len(throttle._failures) == REMEMBERED
    assert throttle.wait("192.0.2.1", "anna") == WINDOW


async def test_some_dozens_wait_for_their_password_to_be_compared_and_no_more() -> None:
    passwords = Passwords(QUICK_HASHER)
    asked = [passwords.are_right("", "guess") for _ in range(AT_ONCE + MOST_WAITING + 3)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    refused = [each for each in answers if isinstance(each, ApiError)]
    assert [(each.status, each.headers) for each in refused] == [(503, {"Retry-After": "5"})] * 3
    assert not any(answers[: AT_ONCE + MOST_WAITING])
    assert await passwords.hashed("another")
