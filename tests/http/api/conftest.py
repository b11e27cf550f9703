"""Every test of a resource runs on each database, on an installation of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from served_api import Api, serving


@pytest.fixture
async def api(data_dir: Path, database_url: str) -> AsyncIterator[Api]:
    async with serving(data_dir, database_url) as api:
        yield api
