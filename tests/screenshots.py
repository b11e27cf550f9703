"""`make screenshots`: every page of the demo's company, in both languages and both themes, on a laptop and a phone, to be looked at."""

import argparse
import asyncio
import itertools
import socket
import tempfile
from pathlib import Path
from typing import Any, Final

from browsing import LAPTOP, PHONE, browser, staff_browser
from company import STAFF
from fill import Addresses, demo_settings, fill
from plan import BLOCKED_ID
from programs import Programs, answering, today
from served_api import QUICK_HASHER, Api, caller

from kanal.bootstrap import opened, running

ANNA: Final = STAFF[0].email
PAGES: Final = {
    "inbox": "/inbox",
    "conversation": "/cases/{mail}",
    "chat": "/cases/{chat}",
    "new-case": "/cases/new?q=maria",
    "new-case-with": "/cases/new?user=1",
    "link": "/people/1/link?q=emma&case={mail}",
    "nothing": "/inbox?view=mine",
    "found": "/inbox?q=refund&view=all",
    "past": "/cases/{mail}/past",
    "viewers": "/cases/{mail}/viewers",
    "statistics": "/statistics?period=last_7_days",
    "statistics-channels": "/statistics?view=channels",
    "statistics-staff": "/statistics?view=staff",
    "satisfaction": "/statistics?view=ratings",
    "settings": "/settings",
    "access": "/access",
    "access-changed": "/access?staff=2",
    "roles": "/roles",
    "keys": "/keys",
    "new-role": "/roles/new",
    "audit": "/audit",
    "event": "/audit/20",
    "channels": "/channels",
    "channel": "/channels/cch1",
    "new-channel": "/channels/new",
    "staff": "/staff",
    "account": "/account",
    "rules": "/rules",
    "rule": "/rules/1",
    "rule-editor": "/rules/1/edit",
    "new-rule": "/rules/new?kind=timed",
    "macros": "/macros",
    "macro-editor": "/macros/1",
    "labels": "/labels",
    "filters": "/filters",
    "filter": "/filters/new",
    "fields": "/fields",
    "field": "/fields/1",
    "groups": "/groups",
    "group": "/groups/1",
    "hours": "/hours",
    "hours-form": "/hours/1",
    "targets": "/targets",
    "target": "/targets/1",
    "channel-settings": "/channels/cch2/settings",
    "deliveries": "/deliveries",
    "send-again": "/deliveries/replay",
    "first-steps": "/start",
    "system": "/system",
    "refused": "/cases/999",
}
SCREENS: Final = {"laptop": LAPTOP, "phone": PHONE}
THEMES: Final = ("light", "dark")
LANGUAGES: Final = {"en": "en-GB", "ru": "ru-RU"}

README: Final = {"viewport": {"width": 1280, "height": 760}, "color_scheme": "light"}
"""Of the picture that the README begins with."""


async def main(folder: Path, readme: Path | None) -> None:
    """`readme`: the picture of the README instead of all others."""
    with tempfile.TemporaryDirectory() as data_dir:
        settings, addresses = demo_settings(Path(data_dir)), Addresses(_free(), _free())
        filled = await fill(settings, addresses, hasher=QUICK_HASHER)
        programs = Programs(today(), today, [BLOCKED_ID])
        with opened(settings) as store:
            async with (
                browser() as started,
                answering(programs, addresses.chat, addresses.others),
                running(store, hasher=QUICK_HASHER) as kanal,
                caller(kanal.address, store, ANNA, filled.api_key) as api,
            ):
                signed_in = {"email": ANNA, "password": filled.passwords[ANNA]}
                cases = await _cases(api)
                if readme:
                    async with staff_browser(started, api.address, **signed_in, **README) as page:
                        await page.goto(f"/cases/{cases['mail']}")
                        await page.screenshot(path=readme)
                    return
                for look in itertools.product(LANGUAGES, THEMES, SCREENS):
                    await take(started, api.address, folder, signed_in, cases, *look)


async def _cases(api: Api) -> dict[str, int]:
    """Ids of those that are shown whole."""
    mail = await api.items("cases.json?subject=Refund&channel=cch2&limit=1", "case")
    chat = await api.items("cases.json?channel=cch1&show_active_chats=1&limit=1", "case")
    return {"mail": mail[0]["case_id"], "chat": chat[0]["case_id"]}


def _free() -> str:
    """An address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return f"http://127.0.0.1:{found.getsockname()[1]}"


async def take(
    started: Any,
    address: str,
    folder: Path,
    signed_in: dict[str, str],
    cases: dict[str, int],
    language: str,
    theme: str,
    screen: str,
) -> None:
    settings = {"viewport": SCREENS[screen], "color_scheme": theme}
    async with staff_browser(
        started, address, language=LANGUAGES[language], **signed_in, **settings
    ) as page:
        for name, path in PAGES.items():
            await page.goto(path.format(**cases))
            await page.screenshot(path=folder / f"{name}-{screen}-{theme}-{language}.png")
        await page.goto("/account")
        await page.locator("[action$='/sign-out'] button").dispatch_event("click")
        await page.wait_for_url("**/sign-in*")
        await page.screenshot(path=folder / f"sign-in-{screen}-{theme}-{language}.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--readme", type=Path, help="take the README's picture alone, into this file"
    )
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(main(given.folder, given.readme))
