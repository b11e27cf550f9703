"""Whoever visits the pages in most tests."""

from collections.abc import AsyncIterator

import pytest_asyncio
from served_api import Api
from visiting import Visitor, visitor


@pytest_asyncio.fixture(loop_scope="module")
async def anna(shared_api: Api) -> AsyncIterator[Visitor]:
    """The administrator, signed in."""
    async with visitor(shared_api.address) as anna:
        await anna.sign_in()
        yield anna
