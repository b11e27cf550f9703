"""A log with its writer on each database in turn."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from open_log import OpenLog, open_log


@pytest.fixture
def log(database_url: str, data_dir: Path) -> Iterator[OpenLog]:
    with open_log(database_url, data_dir) as log:
        yield log
