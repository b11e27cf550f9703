"""KANAL_TEST_REQUIRE=all: a test that does not run is a failure, whatever kept it from running."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SKIPS = {
    "mark": "@pytest.mark.skip(reason='lazy')\ndef test_it(): pass",
    "call": "def test_it(): pytest.skip('lazy')",
    "fixture": "@pytest.fixture\ndef it(): pytest.skip('lazy')\ndef test_it(it): pass",
    "module": "pytest.skip('lazy', allow_module_level=True)",
}


def run(folder: Path, text: str, require: str) -> tuple[int, str]:
    (folder / "test_it.py").write_text(f"import pytest\n{text}\n")
    (folder / "pytest.ini").write_text("[pytest]\naddopts = -p conftest -p no:cacheprovider\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent), "KANAL_TEST_REQUIRE": require},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("text", SKIPS.values(), ids=SKIPS)
def test_a_skip_fails_when_everything_is_required(tmp_path: Path, text: str) -> None:
    status, output = run(tmp_path, text, "all")
    assert status != 0
    assert "KANAL_TEST_REQUIRE=all, but: Skipped: lazy" in output


def test_a_skip_passes_otherwise(tmp_path: Path) -> None:
    assert run(tmp_path, SKIPS["mark"], "")[0] == 0


def test_an_expected_failure_is_not_a_skip(tmp_path: Path) -> None:
    text = "@pytest.mark.xfail\ndef test_it(): assert False"
    assert run(tmp_path, text, "all")[0] == 0


def test_an_unknown_requirement_is_refused(tmp_path: Path) -> None:
    assert "KANAL_TEST_REQUIRE is 'postgres'" in run(tmp_path, SKIPS["call"], "postgres")[1]
