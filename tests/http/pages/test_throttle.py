"""How often a password or a code may be tried."""

import asyncio
from collections.abc import Iterator

import pytest
from served_api import QUICK_HASHER
from sqlalchemy import Connection, create_engine, func, select

from kanal.eventlog.stream_ids import StreamIds
from kanal.eventlog.tables import guesses
from kanal.http.errors import ApiError
from kanal.http.pages.passwords import AT_ONCE, MOST_WAITING, Passwords
from kanal.http.pages.throttle import (
    EVER,
    MINUTE,
    OF_ADDRESS,
    OF_CODE,
    OF_PASSWORD,
    SECOND,
    Count,
    Throttle,
    codes_in_vain,
    of_account,
    of_address,
    of_browser,
    of_codes,
)

NOW = 1_700_000_000 * SECOND
ANNA = of_account("anna@example.com")


class Tried:
    """What is kept, and a clock."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.throttle = Throttle(StreamIds(b"secret"))
        self.now = NOW

    def tries(self, *counts: Count) -> int:
        """Seconds to wait; at 0 it was tried in vain."""
        return self.throttle.attempt(self.connection, counts, self.now)

    def rows(self) -> int:
        return self.connection.scalar(select(func.count()).select_from(guesses)) or 0


@pytest.fixture
def tried() -> Iterator[Tried]:
    with create_engine("sqlite://").connect() as connection:
        guesses.create(connection)
        yield Tried(connection)
    connection.engine.dispose()


def test_so_many_tries_are_free_and_then_one_is_given_back_after_the_other(tried: Tried) -> None:
    here = of_address("192.0.2.1")
    assert [tried.tries(ANNA, here) for _ in range(OF_PASSWORD.tries)] == [0] * OF_PASSWORD.tries
    # Whichever address tries, and however the e-mail is spelled; what is refused counts for nothing.
    for _ in range(3):
        assert tried.tries(of_account(" Anna@Example.COM"), of_address("192.0.2.9")) == 15 * 60
    tried.now += 15 * MINUTE - SECOND
    assert tried.tries(ANNA, here) == 1
    tried.now += SECOND
    assert (tried.tries(ANNA, here), tried.tries(ANNA, here)) == (0, 15 * 60)
    # The address has tries left for other accounts.
    while tried.tries(of_account(f"{tried.now}"), here) == 0:
        tried.now += 1
    assert tried.tries(of_account("other@example.com"), here) <= OF_ADDRESS.every / SECOND + 1
    assert tried.tries(of_account("other@example.com"), of_address("192.0.2.2")) == 0
    # What is forgiven is forgotten.
    tried.now += 11 * 15 * MINUTE
    assert tried.tries(ANNA, here) == 0
    assert tried.rows() == 2


def test_a_browser_of_theirs_is_counted_for_itself_and_nobody_locks_it_out(tried: Tried) -> None:
    while tried.tries(ANNA) == 0:
        pass
    own = of_browser(1, "her browser")
    for _ in range(OF_PASSWORD.tries - 1):
        assert tried.tries(own) == 0
    tried.throttle.succeeded(tried.connection, own, of_address("192.0.2.1"))
    for _ in range(OF_PASSWORD.tries):
        assert tried.tries(own) == 0
    assert tried.tries(own) > 0
    assert tried.tries(of_browser(1, "another")) == 0
    # Her success gives a stranger nothing back.
    assert tried.tries(ANNA) > 0


def test_success_clears_its_own_count_and_takes_back_the_try_of_the_address(tried: Tried) -> None:
    here = of_address("192.0.2.1")
    for number in range(OF_ADDRESS.tries):
        assert tried.tries(of_account(f"guess {number}"), here) == 0
    assert tried.tries(ANNA, here) > 0
    tried.throttle.succeeded(tried.connection, of_account("guess 0"), here)
    assert tried.tries(ANNA, here) == 0
    tried.throttle.not_made(tried.connection, (ANNA, here))
    assert tried.tries(of_account("guess 0"), here) == 0


def test_codes_are_counted_until_one_is_right_however_slowly_they_are_guessed(tried: Tried) -> None:
    strangers, own = of_codes(1, ""), of_codes(1, "her browser")
    count = 0
    while (wait := tried.tries(strangers)) != EVER:
        count += not wait
        tried.now += 24 * 60 * MINUTE
    assert count == OF_CODE.most
    assert codes_in_vain(tried.connection, 1) == OF_CODE.most
    assert (tried.tries(own), tried.tries(of_codes(2, ""))) == (0, 0)
    tried.throttle.succeeded(tried.connection, own)
    assert codes_in_vain(tried.connection, 1) == OF_CODE.most
    assert (codes_in_vain(tried.connection, 2), tried.tries(strangers)) == (1, EVER)


def test_addresses_of_one_network_of_ipv6_are_one() -> None:
    one, other = of_address("2001:db8:1:2::1"), of_address("2001:db8:1:2:ffff::1")
    assert one == other != of_address("2001:db8:1:3::1")
    assert of_address("::ffff:192.0.2.1") == of_address("192.0.2.1") != of_address("192.0.2.2")
    assert of_address("no address") == of_address("no address")


def test_what_is_typed_as_an_e_mail_is_not_kept(tried: Tried) -> None:
    assert tried.tries(of_account("my password \udcff"), of_address("192.0.2.1")) == 0
    subjects = tried.connection.scalars(select(guesses.c.subject)).all()
    assert not [each for each in subjects if not set(each) <= set("0123456789abcdef")]


async def test_some_dozens_wait_for_their_password_to_be_compared_and_no_more() -> None:
    passwords = Passwords(QUICK_HASHER)
    asked = [passwords.are_right("", "guess") for _ in range(AT_ONCE + MOST_WAITING + 3)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    refused = [each for each in answers if isinstance(each, ApiError)]
    assert [(each.status, each.headers) for each in refused] == [(503, {"Retry-After": "5"})] * 3
    assert not any(answers[: AT_ONCE + MOST_WAITING])
    assert await passwords.hashed("another")
