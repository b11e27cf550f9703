"""How often a password may be tried."""

from kanal.http.pages.throttle import OF_ACCOUNT, OF_ADDRESS, REMEMBERED, WINDOW, Throttle


def test_an_account_and_an_address_may_fail_so_often_within_the_window() -> None:
    now = 0.0
    throttle = Throttle(lambda: now)
    for _ in range(OF_ACCOUNT):
        assert throttle.wait("here", "anna") == 0
        throttle.failed("here", "anna")
    assert throttle.wait("here", "anna") == throttle.wait("elsewhere", "anna") == WINDOW
    assert throttle.wait("here", "boris") == 0
    for number in range(OF_ADDRESS - OF_ACCOUNT):
        throttle.failed("here", f"guess {number}")
    assert throttle.wait("here", "boris") == WINDOW
    assert throttle.wait("elsewhere", "boris") == 0
    now = WINDOW - 10.0
    assert throttle.wait("here", "anna") == 10
    now = WINDOW + 1.0
    assert throttle.wait("here", "anna") == 0


def test_success_clears_the_account_and_not_the_address() -> None:
    throttle = Throttle(lambda: 0.0)
    for _ in range(OF_ADDRESS):
        throttle.failed("here", "anna")
    throttle.succeeded("anna")
    assert throttle.wait("elsewhere", "anna") == 0
    assert throttle.wait("here", "anna") == WINDOW


def test_what_it_remembers_is_bounded() -> None:
    throttle = Throttle(lambda: 0.0)
    for number in range(REMEMBERED):
        throttle.failed("here", f"guess {number}")
    assert len(throttle._failures) == REMEMBERED
    assert throttle.wait("here", "anna") == WINDOW
