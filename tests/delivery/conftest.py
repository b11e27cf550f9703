"""What nearly every test of delivery stands on: one process' writer with its outbox, and an endpoint."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from delivering import Desk, open_database
from webhook_receiver import Receiver


@pytest.fixture
async def desk(database_url: str, data_dir: Path) -> AsyncIterator[Desk]:
    async with Desk(open_database(database_url, data_dir)) as desk:
        yield desk


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as receiver:
        yield receiver
