"""What the tests of faults share: processes that start in a moment, and a receiver."""

from collections.abc import AsyncIterator, Iterator

import pytest
from nursery import Nursery
from webhook_receiver import Receiver


@pytest.fixture(scope="session")
def kept_nursery() -> Iterator[Nursery]:
    nursery = Nursery()
    yield nursery
    nursery.close()


@pytest.fixture
async def nursery(kept_nursery: Nursery) -> AsyncIterator[Nursery]:
    async with kept_nursery:
        yield kept_nursery


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as receiver:
        yield receiver
