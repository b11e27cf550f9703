"""What the tests of faults share: processes that start in a moment."""

from collections.abc import AsyncIterator, Iterator

import pytest
from nursery import Nursery


@pytest.fixture(scope="session")
def kept_nursery() -> Iterator[Nursery]:
    nursery = Nursery()
    yield nursery
    nursery.close()


@pytest.fixture
async def nursery(kept_nursery: Nursery) -> AsyncIterator[Nursery]:
    async with kept_nursery:
        yield kept_nursery
