"""Owners of lanes: only what is certain is said of them."""

import subprocess
import sys

import pytest

from kanal.delivery.owner import BOOT_ID, has_ended, own_name

PRINT_NAME = "from kanal.delivery.owner import own_name; print(own_name()); input()"

linux = pytest.mark.skipif(not BOOT_ID.exists(), reason="needs /proc")


def test_names_differ_within_one_process() -> None:
    assert own_name() != own_name()


def test_a_process_that_runs_has_not_ended() -> None:
    assert not has_ended(own_name())


@linux
def test_a_process_that_was_killed_has_ended() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PRINT_NAME],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        name = process.stdout.readline().strip()
        assert not has_ended(name)
        process.kill()
        process.wait()
        assert has_ended(name)


@linux
def test_a_pid_that_was_given_out_again_is_another_process() -> None:
    machine, pid, _, unique = own_name().split("/")
    assert has_ended(f"{machine}/{pid}/1/{unique}")


@pytest.mark.parametrize("name", ["", "a1b2c3", "another-machine/1/2/a1b2c3"])
def test_nothing_is_said_of_a_process_elsewhere(name: str) -> None:
    assert not has_ended(name)
