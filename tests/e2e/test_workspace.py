"""The workspace in a real browser: live, on a phone, by keyboard, under attack, and judged by axe-core."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import axe_playwright_python
import pytest
import pytest_asyncio
from browsing import PHONE, browser, leads_on, staff_browser
from delivering import LOOPBACK
from playwright.async_api import Browser, Page, Route, expect
from served_api import Api, serving
from webhook_receiver import Line, Received, Receiver, status

from kanal.http.pages.drafts import MAX_DRAFT

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text()
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
CONTRAST = ["color-contrast"]
OTHERS = (
    *("/settings", "/channels/cch1", "/channels/new", "/staff", "/account"),
    *("/rules", "/hours/new", "/labels"),
    *("/statistics", "/statistics?view=channels", "/access?staff=1", "/roles/new", "/keys"),
    *("/audit", "/audit/1", "/cases/1/past"),
    *("/start", "/channels/cch1/settings", "/deliveries", "/deliveries/replay", "/system"),
)
"""Pages that axe judges beside inbox and conversation."""
ATTACK = "<script>document.title='caught'</script><img src=x onerror=\"document.title='caught'\">"
ATTACKS_IN_HTML = (
    ATTACK
    + '<a href="javascript:document.title=1">press</a><iframe srcdoc="<script>parent.document.title=1</script>"></iframe>'
    + '<svg onload="document.title=1"></svg><form action="/sign-out"><button>press</button></form>'
    + '<style>body{display:none}</style><p style="position:fixed;inset:0" class="toast" id="composer">over all</p>'
)
GONE = "There is no such case, or it was deleted for good."
HIDE = """() => {
  window.streamsClosed = 0;
  const close = EventSource.prototype.close;
  EventSource.prototype.close = function () { window.streamsClosed++; close.call(this); };
  Object.defineProperty(document, "hidden", { value: true, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""
SHOW = """() => {
  delete document.hidden;
  document.dispatchEvent(new Event("visibilitychange"));
}"""
LONG = "Donaudampfschifffahrtsgesellschaft" * 6


class Desk(NamedTuple):
    api: Api
    receiver: Receiver
    browser: Browser


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    """One Kanal, one receiver and one browser for all tests here."""
    folder = tmp_path_factory.mktemp("desk")
    async with (
        browser() as started,
        Receiver() as receiver,
        serving(folder, role="all", webhook_allow=LOOPBACK) as api,
    ):
        await api.channel(title="App", webhook_url=receiver.url)
        await api.channel(title="Chat", webhook_url=receiver.url, channel_type="sync")
        await api.put("staff/1.json", {"staff": {"staff_full_name": "Anna"}})
        yield Desk(api, receiver, started)


async def test_a_customer_writes_staff_see_it_live_and_the_answer_goes_out(desk: Desk) -> None:
    api, receiver = desk.api, desk.receiver
    async with staff_browser(desk.browser, api.address) as page:
        await expect(page.get_by_text("No cases here")).to_be_visible()
        case = await api.case(user_full_name="Maria", subject="Where is my order?")
        case_id = case["case_id"]
        async with leads_on(page):
            await page.get_by_role("link", name="Where is my order?").click()
        await api.message(case_id, user_id=case["user_id"], content="It is the second week now")
        await expect(page.get_by_text("It is the second week now")).to_be_visible()

        await page.fill("[data-content]", "It arrives tomorrow")
        await page.set_input_files(
            "[data-files]",
            {"name": "plan.txt", "mimeType": "text/plain", "buffer": b"tomorrow"},
        )
        pressed = asyncio.Event()

        async def when_pressed(request: Received, line: Line) -> None:
            # Kanal itself may come again before the button is pressed.
            await pressed.wait()
            await status(200)(request, line)

        receiver.then(status(503), when_pressed)
        await page.get_by_role("button", name="Send", exact=True).click()
        await expect(page.locator(".staff_reply")).to_contain_text("It arrives tomorrow")
        [first] = await receiver.wait_for(1)
        assert first.form["object[content]"] == "It arrives tomorrow"
        assert first.form["object[attachments][0][file_name]"] == "plan.txt"
        answer = page.locator(".staff_reply .message-foot")
        await expect(answer).to_contain_text("503")
        await answer.get_by_role("button", name="Send again").click()
        pressed.set()
        [_, again] = await receiver.wait_for(2)
        assert again.headers["webhook-id"] == first.headers["webhook-id"]
        await expect(answer).to_contain_text("Delivered")
        await expect(page.locator("[data-content]")).to_have_value("")

        await page.get_by_role("radio", name="Note").check()
        await page.fill("[data-content]", "Spoke with the courier")

        async def typing_meanwhile(route: Route) -> None:
            await page.locator("[data-content]").press_sequentially(", twice")
            await route.continue_()

        await page.route("**/say", typing_meanwhile)
        await page.get_by_role("button", name="Add note").click()
        await expect(page.locator(".note .text")).to_have_text("Spoke with the courier")
        await expect(page.locator("[data-content]")).to_have_value(", twice")
        await page.get_by_label("Priority").select_option("high")
        await expect(page.locator(".event").last).to_contain_text("Normal → High")
        assert (await api.get(f"cases/{case_id}.json"))["case"]["priority"] == "high"

        await page.fill("[data-content]", "Half a sentence")
        await expect(page.locator("[data-draft-state]")).to_have_text("Draft kept")
        await page.reload()
        await expect(page.locator("[data-content]")).to_have_value("Half a sentence")
        assert await page.locator("#messages .message").count() == 4
        await page.fill("[data-content]", "x" * (MAX_DRAFT + 1))
        await expect(page.locator("[data-draft-state]")).to_contain_text("Too long")

        # Nobody is left looking at what is gone.
        await api.call("DELETE", f"cases/{case_id}.json")
        await expect(page.locator("#main")).to_have_text(GONE)


async def test_a_lost_connection_misses_nothing_and_doubles_nothing(desk: Desk) -> None:
    api = desk.api
    case = await api.case(user_custom_id="u2", channel="cch2", content="First")
    case_id, user_id = case["case_id"], case["user_id"]
    async with staff_browser(desk.browser, api.address) as here:
        await here.goto(f"/cases/{case_id}")
        await here.context.set_offline(True)
        for number in range(3):
            await api.message(case_id, user_id=user_id, content=f"While away {number}")
        await here.context.set_offline(False)
        for number in range(3):
            await expect(here.get_by_text(f"While away {number}")).to_have_count(1)
        await expect(here.locator("#messages .message")).to_have_count(4)
        await api.message(case_id, user_id=user_id, content="Back again")
        await expect(here.get_by_text("Back again")).to_have_count(1)

        # A page that nobody looks at holds no connection.
        await here.evaluate(HIDE)
        assert await here.evaluate("streamsClosed") == 1
        await api.message(case_id, user_id=user_id, content="Behind")
        await here.evaluate(SHOW)
        await expect(here.get_by_text("Behind")).to_have_count(1)


async def test_a_phone_shows_everything_without_scrolling_sideways(desk: Desk) -> None:
    case = await desk.api.case(
        user_custom_id="u3", user_full_name=LONG, subject=LONG, content=f"{LONG}\n{LONG}"
    )
    await desk.api.case(user_custom_id="u4", user_full_name="فاطمة", subject="استفسار عن الطلب")
    async with staff_browser(
        desk.browser, desk.api.address, viewport=PHONE, has_touch=True, is_mobile=True
    ) as page:
        for path in ("/inbox", f"/cases/{case['case_id']}", "/channels/cch1", "/staff", "/account"):
            await page.goto(path)
            wide = "document.scrollingElement.scrollWidth - innerWidth"
            assert await page.evaluate(wide) <= 0, path
            main = "(m => m.scrollWidth - m.clientWidth)(document.getElementById('main'))"
            assert await page.evaluate(main) <= 0, path
        await page.goto("/inbox")
        await page.get_by_role("button", name="Menu").tap()
        await page.get_by_role("link", name="Unassigned").tap()
        await expect(page.get_by_role("heading", name="Unassigned")).to_be_visible()
        await page.get_by_role("link", name="استفسار عن الطلب").tap()
        await page.fill("[data-content]", "مرحبا")
        await page.get_by_role("button", name="Send", exact=True).tap()
        await expect(page.locator(".staff_reply")).to_contain_text("مرحبا")


async def test_everything_can_be_done_by_keyboard(desk: Desk) -> None:
    api = desk.api
    for number in (1, 2):
        await api.case(user_custom_id=f"k{number}", subject=f"Keyboard {number}")
    async with staff_browser(desk.browser, api.address) as page:
        await page.goto("/inbox?view=all&sort=created_at_desc")
        await page.keyboard.press("j")
        await expect(page.locator("[data-row].here")).to_contain_text("Keyboard 2")
        await page.keyboard.press("x")
        await page.keyboard.press("j")
        await page.keyboard.press("x")
        await expect(page.locator("[data-selected]")).to_have_text("2 selected")
        close = page.locator(".bulk-actions").get_by_role("button", name="Close")
        await close.focus()
        await page.keyboard.press("Enter")
        rows = page.locator("[data-row]", has_text="Keyboard")
        await expect(rows.locator(".status-closed")).to_have_count(2)
        await page.keyboard.press("?")
        await expect(page.get_by_role("dialog")).to_be_visible()
        await page.keyboard.press("Escape")
        await page.keyboard.press("/")
        await page.keyboard.type("keyboard 1")
        async with leads_on(page):
            await page.keyboard.press("Enter")
        await expect(page.locator("[data-row]")).to_have_count(1)
        await page.locator("body").focus()
        await page.keyboard.press("j")
        async with leads_on(page):
            await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="Keyboard 1")).to_be_visible()
        await page.keyboard.press("n")
        await page.keyboard.type("Written by keyboard")
        await page.keyboard.press("Control+Enter")
        await expect(page.locator(".note")).to_contain_text("Written by keyboard")
        await page.keyboard.press("Escape")
        await page.keyboard.press("u")
        await expect(page.locator("[data-row]")).to_have_count(1)


async def test_what_customers_write_neither_runs_nor_breaks_the_page(desk: Desk) -> None:
    api = desk.api
    await api.post("labels.json", {"label": {"label_title": ATTACK[:60]}})
    case = await api.case(
        user_custom_id=ATTACK,
        user_full_name=ATTACK,
        company_name=ATTACK,
        user_note=ATTACK,
        subject=ATTACK,
        content=ATTACK,
    )
    path = f"cases/{case['case_id']}/messages.json"
    html = {"content_html": ATTACKS_IN_HTML, "user_id": case["user_id"]}
    await api.post(path, {"message": html})
    for name in ("a.svg", "a.html"):
        data = {"message[user_id]": str(case["user_id"]), "message[content]": name}
        await _attach(api, path, data, name, ATTACKS_IN_HTML.encode())
    async with staff_browser(desk.browser, api.address) as page:
        for path in ("/inbox", f"/cases/{case['case_id']}"):
            await page.goto(path)
            await expect(page.locator(":text('caught'):visible").first).to_be_visible()
            assert "caught" not in (await page.title()).partition("document")[0]
            inside = page.locator("#main")
            for wrong in ("script", "iframe", "object", "[onerror]", "[onload]", ".html form"):
                assert await inside.locator(wrong).count() == 0, (path, wrong)
        over = page.get_by_text("over all")
        assert await over.evaluate("(e) => getComputedStyle(e).position") == "static"
        assert await page.locator("#composer").evaluate("(e) => e.tagName") == "FORM"
        links = page.locator(".html a")
        assert await links.first.get_attribute("href") is None
        for link in await page.locator("a.file").all():
            got = await page.context.request.get(str(await link.get_attribute("href")))
            assert got.headers["content-disposition"].startswith("attachment")


@pytest.mark.timeout(300)
async def test_axe_finds_no_barrier_light_or_dark(desk: Desk) -> None:
    api = desk.api
    case = await api.case(user_custom_id="a1", user_full_name="Maria", subject="Barriers")
    await api.call("POST", f"cases/{case['case_id']}/note.json", {"note": {"content": "Noted"}})
    await api.message(case["case_id"], content="Answered")
    shown = f"/cases/{case['case_id']}"
    talking = (
        *("/cases/new?q=maria", f"/cases/new?user={case['user_id']}"),
        f"/people/{case['user_id']}/link?q=maria",
    )
    # In the dark nothing differs but colours.
    judged = {
        "light": (WCAG, ("/inbox", shown, *talking, *OTHERS)),
        "dark": (CONTRAST, ("/inbox", shown, "/channels/cch1")),
    }
    async with staff_browser(desk.browser, api.address, bypass_csp=True) as page:
        for scheme, (rules, paths) in judged.items():
            await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            for path in paths:
                await page.goto(path)
                assert await _barriers(page, rules) == [], (path, scheme)
        await page.get_by_role("button", name="Sign out").click()
        await page.wait_for_url("**/sign-in*")
        assert await _barriers(page, CONTRAST) == []


async def test_a_channel_is_made_tested_and_shown_with_its_code(desk: Desk) -> None:
    async with staff_browser(desk.browser, desk.api.address) as page:
        await page.goto("/channels/new")
        await page.get_by_label("Title").fill("Форум")
        await page.get_by_role("textbox", name="Webhook URL").fill(desk.receiver.url)
        async with leads_on(page):
            await page.get_by_role("button", name="Make the channel").click()
        [*_, channel] = await desk.api.items("custom_channels.json", "custom_channel")
        key = f"cch{channel['channel_id']}"
        await expect(page.locator(".secret .code")).to_contain_text("whsec_")
        await page.get_by_role("button", name="Send a test").click()
        await expect(page.locator("#exchange")).to_contain_text("Received")
        await expect(page.locator("#exchange")).to_contain_text("ping")
        await expect(page.locator("details", has_text="curl").first).to_contain_text(key)
        async with leads_on(page):
            await page.locator(".tabs").get_by_role("link", name="Settings").click()
        await page.get_by_label("Notes").uncheck()
        async with leads_on(page):
            await page.get_by_role("button", name="Save").click()
        [*_, channel] = await desk.api.items("custom_channels.json", "custom_channel")
        assert (channel["title"], channel["webhook_notes"], channel["webhook_replies"]) == (
            "Форум",
            False,
            True,
        )


async def test_what_a_rule_sent_says_why_and_a_macro_does_several_things(desk: Desk) -> None:
    api = desk.api
    reply = {"action_type": "email_to_user", "action_destination": "We are on it."}
    rule = {"kind": "incoming", "title": "Received", "actions": [reply]}
    made = await api.post("rules.json", {"rule": rule})
    close = {"action_type": "status", "action_destination": "closed"}
    note = {"action_type": "add_note", "content": "Closed by hand"}
    await api.post("macros.json", {"macro": {"title": "Close it", "actions": [close, note]}})
    case = await api.case(user_custom_id="ruled", subject="Ruled")
    async with staff_browser(desk.browser, api.address) as page:
        await page.goto(f"/cases/{case['case_id']}")
        sent = page.locator(".rule_message")
        await expect(sent).to_contain_text("We are on it.")
        await sent.get_by_role("link", name="why?").click()
        await expect(page.locator(".chain")).to_contain_text("Done by rule “Received”, version 1.")
        await expect(page.locator(".chain")).to_contain_text("case.message_added.1")
        async with leads_on(page):
            await page.get_by_role("link", name="Back to the conversation").click()
        await page.get_by_label("Macro").select_option("Close it")
        await page.get_by_role("button", name="Apply").click()
        await expect(page.locator(".note")).to_contain_text("Closed by hand")
        await expect(page.locator("#talk-head")).to_contain_text("Closed")
    await api.call("DELETE", f"rules/{made['rule']['rule_id']}.json")


async def test_a_rule_is_put_together_and_tried_without_leaving_the_page(desk: Desk) -> None:
    api = desk.api
    case = await api.case(user_custom_id="tried", content="Is my parcel lost?", subject="Parcel")
    async with staff_browser(desk.browser, api.address, bypass_csp=True) as page:
        await page.goto("/rules/new")
        await page.get_by_label("What the rule is called").fill("Parcels")
        await page.get_by_label("Text of the message", exact=True).fill("parcel")
        await page.get_by_role("button", name="Condition", exact=True).click()
        field = page.get_by_label("What is asked").nth(1)
        await expect(field).to_be_focused()
        await field.select_option("status")
        await page.get_by_label("Waiting").check()
        await page.get_by_label("What is done").select_option("email_to_user")
        text = page.get_by_label("Text of the message", exact=True).nth(1)
        await text.fill("We look for it, ")
        await page.get_by_text("Put in something of the case").click()
        await page.get_by_role("button", name="customer’s name").click()
        await expect(text).to_have_value("We look for it, [user_name]")

        await page.get_by_label("On one case").fill(str(case["case_number"]))
        await page.get_by_role("button", name="Test", exact=True).click()
        await expect(page.locator(".condition .verdict.good")).to_have_count(1)
        await expect(page.locator(".condition .verdict.bad")).to_have_count(1)
        await page.get_by_label("Waiting").uncheck()
        await page.get_by_label("Open", exact=True).check()
        await page.get_by_role("button", name="What would it have done?").click()
        await expect(page.locator(".findings .run").last).to_contain_text("We look for it,")
        assert await _barriers(page, WCAG) == []

        async with leads_on(page):
            await page.get_by_role("button", name="Save", exact=True).click()
        await expect(page.locator(".sentence")).to_contain_text("Status is Open")
        rule_id = int(page.url.rsplit("/", 1)[-1].partition("?")[0])
        other = {"kind": "incoming", "title": "Other", "active": False}
        made = await api.post(
            "rules.json", {"rule": {**other, "actions": [{"action_type": "stop"}]}}
        )
        await page.goto("/rules")
        grips = page.locator("[data-grip]")
        await grips.nth(1).hover()
        await page.mouse.down()
        await grips.nth(0).hover()
        await page.mouse.move(0, 0)
        async with page.expect_response("**/rules/order"):
            await page.mouse.up()
        order = [each["rule_id"] for each in await api.items("rules.json", "rule")]
        assert order == [made["rule"]["rule_id"], rule_id]
        for each in order:
            await api.call("DELETE", f"rules/{each}.json")


async def test_the_slider_shows_a_case_as_it_was_and_stays_in_hand(desk: Desk) -> None:
    case = await desk.api.case(user_custom_id="slid", subject="At first", content="First words")
    await desk.api.message(case["case_id"], content="Second words")
    await desk.api.put(f"cases/{case['case_id']}.json", {"case": {"subject": "Later"}})
    async with staff_browser(desk.browser, desk.api.address) as page:
        await page.goto(f"/cases/{case['case_id']}")
        async with leads_on(page):
            await page.get_by_role("link", name="How it was before").click()
        slider = page.get_by_label("Event of this case")
        await expect(page.get_by_role("heading", name="Later")).to_be_visible()
        await slider.focus()
        await page.keyboard.press("Home")
        await expect(page.get_by_role("heading", name="At first")).to_be_visible()
        await expect(page.get_by_text("Second words")).to_have_count(0)
        await expect(slider).to_be_focused()
        await page.keyboard.press("ArrowRight")
        await expect(page.locator(".of-event")).to_contain_text("First words")
        await page.wait_for_url("**/past?step=2")
        await page.get_by_role("link", name="Last event").click()
        await expect(page.get_by_text("Second words")).to_have_count(1)


async def test_without_a_script_one_reads_and_answers(desk: Desk) -> None:
    case = await desk.api.case(user_custom_id="plain", subject="Plain")
    async with staff_browser(desk.browser, desk.api.address, java_script_enabled=False) as page:
        await page.goto(f"/cases/{case['case_id']}")
        await page.fill("[name=content]", "Answered without a script")
        async with leads_on(page):
            await page.locator("[data-send]").click()
        await expect(page.locator(".staff_reply")).to_contain_text("Answered without a script")
        await page.locator("[name=status]").last.select_option("closed")
        async with leads_on(page):
            await page.get_by_role("button", name="Save").click()
        assert (await desk.api.get(f"cases/{case['case_id']}.json"))["case"]["status"] == "closed"


async def _barriers(page: Page, rules: list[str]) -> list[Any]:
    await page.evaluate(AXE)
    options = {"runOnly": rules, "resultTypes": ["violations"], "preload": {"assets": ["media"]}}
    found = await page.evaluate("(options) => axe.run(document, options)", options)
    return [
        (each["id"], [(node["target"], node["failureSummary"]) for node in each["nodes"]])
        for each in found["violations"]
    ]


async def _attach(api: Api, path: str, data: dict[str, str], name: str, content: bytes) -> None:
    from io import BytesIO

    from aiohttp import FormData

    form = FormData(default_to_multipart=True, quote_fields=False)
    for field, value in data.items():
        form.add_field(field, value)
    form.add_field("message[attachments][]", BytesIO(content), filename=name)
    answer = await api.call("POST", path, data=form)
    assert answer.status == 201, answer.text


async def test_the_first_steps_go_on_by_themselves_until_the_answer_has_arrived(
    desk: Desk,
) -> None:
    key = f"cch{await desk.api.channel(title='Guided', webhook_url=desk.receiver.url)}"
    async with staff_browser(desk.browser, desk.api.address) as page:
        await page.goto(f"/start?channel={key}")
        await page.get_by_role("button", name="Send a test message").click()
        await expect(page.locator("#step-answer.now")).to_be_visible()
        path = await page.get_by_role("link", name="Open the conversation").get_attribute("href")
        other = await page.context.new_page()
        await other.goto(str(path))
        await other.fill("[name=content]", "I can read you")
        await other.locator("[data-send]").click()
        await expect(other.locator(".staff_reply")).to_contain_text("I can read you")
        await other.close()
        await expect(page.locator("#step-arrival.done")).to_contain_text("HTTP 200")
