"""What a Kanal does before it serves."""

import os
from pathlib import Path

import pytest

from kanal.bootstrap import _folder_for_uploads
from kanal.settings import Settings


def test_uploads_are_cleared_of_a_dead_process_whose_number_another_user_has_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = tmp_path / "uploads" / "1"
    left.mkdir(parents=True)

    def another_users(pid: int, signal: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", another_users)
    own = _folder_for_uploads(Settings(data_dir=tmp_path))
    assert (own.exists(), left.exists()) == (True, False)
