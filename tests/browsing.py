"""A real browser: Debian's chromium, driven by Playwright."""

import contextlib
import re
import shutil
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect
from served_api import EMAIL, PASSWORD

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
LAPTOP = {"width": 1366, "height": 768}
PHONE = {"width": 390, "height": 844}
INSIDE = re.compile(r"/(inbox|start)(\?|$)")
"""Where one is after signing in; an empty installation leads to the first steps."""
PATIENCE = 30_000
"""Milliseconds for what a page does by itself; a busy machine takes its time."""


@contextlib.asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium: apt-get install chromium")
    expect.set_options(timeout=PATIENCE)
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        async with started:
            yield started


@contextlib.asynccontextmanager
async def staff_browser(
    browser: Browser,
    address: str,
    *,
    language: str = "en-GB",
    email: str = EMAIL,
    password: str = PASSWORD,
    **settings: Any,
) -> AsyncIterator[Page]:
    """A browser of the administrator's, signed in. What its pages complain of fails the test."""
    complaints: list[str] = []
    context: BrowserContext = await browser.new_context(
        base_url=address, locale=language, **{"viewport": LAPTOP, **settings}
    )
    context.set_default_timeout(PATIENCE)
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    context.on(
        "request",
        lambda request: complaints.append(request.url) if _outside(request.url, address) else None,
    )
    async with context:
        page = await context.new_page()
        await sign_in(page, email, password)
        yield page
    assert complaints == []


async def sign_in(page: Page, email: str = EMAIL, password: str = PASSWORD) -> None:
    await page.goto("/sign-in")
    await page.fill("[name=email]", email)
    await page.fill("[name=password]", password)
    await page.press("[name=password]", "Enter")
    await page.wait_for_url(INSIDE)


@contextlib.asynccontextmanager
async def leads_on(page: Page) -> AsyncIterator[None]:
    """What is done within leads to another page, or to this one anew; at the end its scripts listen.

    What a page shows may be seen before they do, and on the page before as well.
    """
    async with page.expect_event("load"):
        yield


def _outside(url: str, address: str) -> bool:
    return not url.startswith((address, "data:", "about:"))
