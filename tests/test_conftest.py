"""KANAL_TEST_REQUIRE=all: a test that does not run is a failure, whatever kept it from running."""

import os
import subprocess
import sys
from pathlib import Path

SKIPS = {
    "mark": "@pytest.mark.skip(reason='lazy')\ndef test_it(): pass",
    "call": "def test_it(): pytest.skip('lazy')",
    "fixture": "@pytest.fixture\ndef it(): pytest.skip('lazy')\ndef test_it(it): pass",
    "module": "pytest.skip('lazy', allow_module_level=True)",
}
XFAIL = "@pytest.mark.xfail\ndef test_it(): assert False"


def run(folder: Path, texts: dict[str, str], require: str) -> tuple[int, str]:
    for name, text in texts.items():
        (folder / f"test_{name}.py").write_text(f"import pytest\n{text}\n")
    (folder / "pytest.ini").write_text("[pytest]\naddopts = -p conftest -p no:cacheprovider\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--continue-on-collection-errors"],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parent),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "KANAL_TEST_REQUIRE": require,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_skip_fails_when_everything_is_required(tmp_path: Path) -> None:
    status, output = run(tmp_path, SKIPS, "all")
    assert status != 0
    assert "passed" not in output
    assert output.count("KANAL_TEST_REQUIRE=all, but: Skipped: lazy") >= len(SKIPS)


def test_a_skip_passes_otherwise_and_an_expected_failure_is_none(tmp_path: Path) -> None:
    assert run(tmp_path, SKIPS, "")[0] == 0
    (tmp_path / "expected").mkdir()
    assert run(tmp_path / "expected", {"expected": XFAIL}, "all")[0] == 0


def test_an_unknown_requirement_is_refused(tmp_path: Path) -> None:
    assert "KANAL_TEST_REQUIRE is 'postgres'" in run(tmp_path, SKIPS, "postgres")[1]
