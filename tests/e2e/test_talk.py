"""Conversations in a real browser: two of the staff at one case, what is taken back, files, alerts, the example chat."""

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest
import pytest_asyncio
from browsing import browser, leads_on, staff_browser
from delivering import LOOPBACK
from playwright.async_api import Browser, Page, expect
from served_api import EMAIL, KEY, Api, serving

from kanal.http.attachments import LIMITS

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

CHAT = Path(__file__).parents[2] / "examples" / "own_chat" / "chat.py"
SAYS = 30.0
"""Seconds within which a program has started, or a page has heard, on a busy machine too."""
HIDE = """() => {
  Object.defineProperty(document, "hidden", { value: true, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""
SHOW = """() => {
  delete document.hidden;
  document.dispatchEvent(new Event("visibilitychange"));
}"""
COUNT_TONES = """
  window.tones = 0;
  const start = OscillatorNode.prototype.start;
  OscillatorNode.prototype.start = function (...when) { window.tones++; start.apply(this, when); };
"""
BRING = """([kind, name, size]) => {
  const data = new DataTransfer();
  data.items.add(new File([new Uint8Array(size)], name));
  const text = document.querySelector("[data-content]");
  const event = kind === "drop" ? new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true })
    : new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true });
  text.dispatchEvent(event);
}"""


class Desk(NamedTuple):
    api: Api
    browser: Browser
    anna: Page
    """The administrator's."""
    boris: Page


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    """One Kanal, one browser, and two of the staff, signed in, for all tests here."""
    folder = tmp_path_factory.mktemp("talk")
    async with (
        browser() as started,
        serving(folder, role="all", webhook_allow=LOOPBACK) as api,
        staff_browser(started, api.address) as anna,
        await started.new_context(base_url=api.address) as theirs,
    ):
        boris = await theirs.new_page()
        await api.put("staff/1.json", {"staff": {"staff_full_name": "Anna"}})
        await api.channel(title="App", webhook_polling=True, webhook_url="")
        given = {"staff_email": "boris@example.com", "staff_full_name": "Boris"}
        await api.post("staff.json", {"staff": given})
        await _become(anna, boris, "boris@example.com")
        yield Desk(api, started, anna, boris)


async def test_two_at_one_case_see_each_other_and_do_not_answer_twice_unawares(desk: Desk) -> None:
    case_id = (await desk.api.case(subject="Both answer"))["case_id"]
    for page in (desk.anna, desk.boris):
        await page.goto(f"/cases/{case_id}")
    # Anna's other windows are Anna.
    await expect(desk.anna.locator("[data-company]")).to_have_text("also here: Boris")
    await desk.anna.fill("[data-content]", "It arrives on Monday")
    await desk.boris.locator("[data-content]").press_sequentially("It arrives")
    await expect(desk.anna.locator("[data-company]")).to_contain_text("typing: Boris")
    await desk.boris.locator("[data-content]").press("Control+Enter")
    await expect(desk.anna.locator(".staff_reply")).to_have_count(1)
    await desk.anna.locator("[data-content]").press("Control+Enter")
    warning = desk.anna.locator("[data-meanwhile]")
    await expect(warning).to_contain_text("Somebody else has answered meanwhile")
    await expect(warning).to_contain_text("Boris: It arrives")
    await expect(desk.anna.locator("[data-content]")).to_have_value("It arrives on Monday")
    await expect(desk.boris.locator(".staff_reply")).to_have_count(1)
    await desk.anna.locator("[data-content]").press("Control+Enter")
    await expect(desk.boris.locator(".staff_reply")).to_have_count(2)
    await expect(warning).to_be_empty()
    await desk.anna.get_by_label("Subject").fill("A slip")
    await desk.anna.get_by_label("Subject").press("Escape")
    # What one changes stays although the other's page is older.
    await desk.anna.get_by_label("Subject").fill("Changed by Anna")
    await desk.anna.get_by_label("Subject").press("Enter")
    await expect(desk.boris.get_by_role("heading", name="Changed by Anna")).to_be_visible()
    await desk.boris.get_by_label("Priority").select_option("high")
    await expect(desk.anna.get_by_label("Priority")).to_have_value("high")
    case = (await desk.api.get(f"cases/{case_id}.json"))["case"]
    assert (case["subject"], case["priority"]) == ("Changed by Anna", "high")


async def test_a_reply_is_taken_back_in_any_window_and_after_a_reload(desk: Desk) -> None:
    api, page = desk.api, desk.anna
    slowly = {"undo_seconds": 60, "webhook_polling": True, "webhook_url": ""}
    channel = f"cch{await api.channel(title='Slowly', **slowly)}"
    case_id = (await api.case(channel=channel, user_custom_id="slow"))["case_id"]
    await page.goto(f"/cases/{case_id}")
    await page.fill("[data-content]", "Not like this")
    await page.get_by_role("button", name="Send", exact=True).click()
    reply = page.locator(".staff_reply")
    await expect(reply).to_contain_text(re.compile(r"Goes out in \d+ s"))
    await desk.boris.goto(f"/cases/{case_id}")
    await expect(desk.boris.locator(".staff_reply")).to_contain_text("Goes out in")
    await expect(desk.boris.get_by_role("button", name="Undo")).to_have_count(0)
    async with await page.context.new_page() as other:
        await other.goto(f"/cases/{case_id}")
        await page.reload()
        await page.fill("[data-content]", "Begun since")
        await page.get_by_role("button", name="Undo").click()
        await expect(page.locator("[data-content]")).to_have_value("Not like this\n\nBegun since")
        await expect(reply).to_have_count(0)
        await expect(other.locator(".staff_reply")).to_have_count(0)
    await page.get_by_role("button", name="Send", exact=True).click()
    await page.get_by_role("button", name="Send now").click()
    await expect(desk.boris.locator(".staff_reply")).to_contain_text("On its way")


async def test_files_are_dropped_and_pasted_and_too_large_ones_refused_before(desk: Desk) -> None:
    page = desk.anna
    case_id = (await desk.api.case(user_custom_id="files"))["case_id"]
    await page.goto(f"/cases/{case_id}")
    await page.evaluate(BRING, ["drop", "dropped.bin", 3_000_000])
    await page.evaluate(BRING, ["paste", "pasted.png", 10])
    await page.evaluate(BRING, ["drop", "huge.iso", LIMITS.file + 1])
    await expect(page.locator(".toast.bad")).to_contain_text("huge.iso is too large")
    await expect(page.locator("[data-chosen] li")).to_have_text(["dropped.bin×", "pasted.png×"])
    await page.evaluate("""() => {
      window.shares = [];
      const bar = document.querySelector("[data-progress]");
      new MutationObserver(() => window.shares.push(bar.value)).observe(bar, { attributes: true });
    }""")
    await page.get_by_role("button", name="Send", exact=True).click()
    await expect(page.locator(".staff_reply .file")).to_have_count(2)
    assert 1 in await page.evaluate("shares")
    await expect(page.locator("[data-progress]")).to_be_hidden()
    await expect(page.locator("[data-chosen] li")).to_have_count(0)


async def test_who_looks_elsewhere_hears_of_customers_as_they_wish(desk: Desk) -> None:
    api, page = desk.api, desk.anna
    case = await api.case(user_custom_id="loud", subject="Loud")
    await page.add_init_script(COUNT_TONES)
    await page.goto("/inbox?view=mine")
    title = await page.title()
    await page.locator("#main").click()

    async def written() -> None:
        async with page.expect_request("**/live?watch=1"):
            await page.evaluate(HIDE)
        # Nobody tells when the stream has begun to listen; what comes before it does is not told.
        async with asyncio.timeout(SAYS):
            while not (await page.title()).startswith("("):
                await api.message(case["case_id"], user_id=case["user_id"])

    await written()
    assert await page.title() == f"(1) {title}"
    # Nor when the browser is ready to make a sound; two do not come close together.
    async with asyncio.timeout(SAYS):
        while not await page.evaluate("window.tones"):
            await api.message(case["case_id"], user_id=case["user_id"])
    assert await page.evaluate("window.tones") < 3
    await page.evaluate(SHOW)
    await expect(page).to_have_title(title)

    await page.goto("/account")
    await page.get_by_label("A short tone").uncheck()
    async with leads_on(page):
        await page.locator("form[action$='/account/alerts'] button").click()
    await expect(page.get_by_label("A short tone")).not_to_be_checked()
    title = await page.title()
    await written()
    assert await page.evaluate("window.tones") == 0
    await page.evaluate(SHOW)
    await expect(page).to_have_title(title)


async def test_by_keyboard_alone_a_case_is_begun_changed_and_sent(desk: Desk) -> None:
    api, page = desk.api, desk.anna
    await api.case(user_custom_id="keys", user_full_name="Karl Keyboard", subject="First")
    due = {"title": "Due", "field_type": "date", "field_level": "case"}
    await api.post("custom_fields.json", {"custom_field": due})
    await page.goto("/inbox")
    await page.keyboard.press("c")
    await page.wait_for_url("**/cases/new")
    await page.keyboard.type("karl")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/cases/new?q=karl")
    await _tab_to(page, "Write to Karl Keyboard")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/cases/new?user=*")
    await _tab_to(page, "Subject")
    await page.keyboard.type("By keyboard")
    await page.keyboard.press("Tab")
    await page.keyboard.type("Hello Karl")
    await _tab_to(page, "Send")
    await page.keyboard.press("Enter")
    await page.wait_for_url(re.compile(r"/cases/\d+"))
    await expect(page.locator(".staff_reply")).to_contain_text("Hello Karl")
    await _tab_to(page, "Priority")
    await page.keyboard.press("ArrowDown")
    await expect(page.locator(".event").last).to_contain_text("Normal → High")
    # What was changed keeps the focus.
    assert await page.evaluate("document.activeElement.name") == "priority"
    await _tab_to(page, "Due")
    await page.keyboard.type("04042026")
    await _tab_to(page, "Merge into another case…")
    # Once it is whole, and not with each of its digits.
    await expect(page.locator(".event", has_text="Due")).to_contain_text(["Due: 2026-04-04"])
    await page.keyboard.press("Enter")
    await _tab_to(page, "Of the same person")
    await page.keyboard.press("ArrowDown")
    await _tab_to(page, "Merge")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("link", name="merged into another case")).to_be_visible()
    await _tab_to(page, "Take out of the merge")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("link", name="merged into another case")).to_have_count(0)


async def test_a_customer_of_the_example_chat_and_staff_talk_live(
    desk: Desk, tmp_path: Path
) -> None:
    api, page = desk.api, desk.anna
    made = await api.post(
        "custom_channels.json",
        {
            "custom_channel": {
                "title": "Shop chat",
                "channel_type": "sync",
                "webhook_url": "http://127.0.0.1:9/",
            }
        },
    )
    channel = made["custom_channel"]
    environment = {
        **os.environ,
        "OWN_CHAT_API_KEY": KEY,
        "OWN_CHAT_WEBHOOK_SECRET": channel["secret"],
    }
    options = {
        "kanal-url": api.address,
        "email": EMAIL,
        "channel": channel["channel_api_key"],
        "port": "0",
        "database": str(tmp_path / "chat.db"),
    }
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    chat = await asyncio.create_subprocess_exec(
        sys.executable, str(CHAT), *arguments, env=environment, stdout=PIPE, stderr=STDOUT
    )
    try:
        assert chat.stdout
        async with asyncio.timeout(SAYS):
            while not (found := re.search(rb"http://\S+", await chat.stdout.readline())):
                assert chat.returncode is None
        address = found[0].decode().rstrip("/")
        url = {"custom_channel": {"webhook_url": f"{address}/webhook"}}
        await api.put(f"custom_channels/{channel['channel_api_key']}.json", url)
        await page.goto("/inbox?view=chats")
        customer = await desk.browser.new_page()
        await customer.goto(address)
        await customer.get_by_label("Message").fill("I want a person")
        await customer.keyboard.press("Enter")
        row = page.locator("[data-row]", has_text="I want a person")
        async with leads_on(page):
            await row.get_by_role("link").click()
        await page.get_by_role("button", name="Take the chat").click()
        await expect(page.get_by_role("button", name="End the chat")).to_be_visible()
        await page.fill("[data-content]", "Here I am, from the desk")
        await page.keyboard.press("Control+Enter")
        await expect(customer.get_by_text("Here I am, from the desk")).to_be_visible()
        await customer.get_by_label("Message").fill("Thank you, desk")
        await customer.keyboard.press("Enter")
        await expect(page.locator(".user_message").last).to_contain_text("Thank you, desk")
        await expect(page.locator(".staff_reply").last).to_contain_text("Delivered")
        await customer.close()
    finally:
        chat.terminate()
        await chat.wait()


async def _become(anna: Page, page: Page, email: str) -> None:
    """The colleague whom an administrator's link makes of a browser."""
    await anna.goto("/staff")
    row = anna.locator("tr", has_text=email)
    await row.get_by_role("button", name="Link for a password").click()
    link = await anna.locator(".secret .code").first.inner_text()
    await page.goto(link)
    for name in ("password", "again"):
        await page.fill(f"[name={name}]", "a password of his own")
    await page.get_by_role("button", name="Save and sign in").click()
    await page.wait_for_url("**/inbox*")


async def _tab_to(page: Page, name: str) -> None:
    """Press Tab until what has the focus is called so."""
    for _ in range(120):
        await page.keyboard.press("Tab")
        called = await page.evaluate(
            "(e => e.ariaLabel || e.labels?.[0]?.firstChild?.textContent || e.textContent || '')(document.activeElement)"
        )
        if called.strip() == name:
            return
    raise AssertionError(f"no way to {name} by Tab")
