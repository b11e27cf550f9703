"""`make screenshots`: every page of a small desk, in both languages and both themes, on a laptop and a phone, to be looked at."""

import asyncio
import itertools
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from browsing import LAPTOP, PHONE, browser, staff_browser
from delivering import LOOPBACK
from served_api import QUICK_HASHER, Api, caller, settings_of
from webhook_receiver import Receiver, status

from kanal.bootstrap import appoint_first_administrator, opened, running

PAGES: Final = {
    "inbox": "/inbox",
    "conversation": "/cases/1",
    "chat": "/cases/2",
    "new-case": "/cases/new?q=maria",
    "new-case-with": "/cases/new?user=1",
    "link": "/people/1/link?q=john&case=1",
    "nothing": "/inbox?view=mine",
    "found": "/inbox?q=refund&view=all",
    "past": "/cases/1/past",
    "viewers": "/cases/1/viewers",
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

PEOPLE: Final = [
    ("Maria Sokolova", "Where is my order?", "Hello! My order A-1042 has not arrived for a week."),
    ("John Smith", "Refund for order A-1042/17", "I sent the parcel back. When will I be paid?"),
    ("Ольга Кузнецова", "Вопрос по тарифу", "Здравствуйте! Можно ли сменить тариф сейчас?"),
    ("فاطمة الزهراء", "استفسار عن الطلب", "متى يصل طلبي؟"),
    ("Lars Müller", "Passwort vergessen", "Ich komme nicht mehr in mein Konto."),
    ("Chen Wei", "", "The invoice of October is missing. Could you send it again?"),
]


async def main(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as data_dir:
        settings = settings_of(Path(data_dir), "").model_copy(update={"webhook_allow": LOOPBACK})
        with opened(settings) as store:
            appoint_first_administrator(store, QUICK_HASHER)
            async with (
                browser() as started,
                Receiver() as receiver,
                running(store, hasher=QUICK_HASHER) as kanal,
                caller(kanal.address, store) as api,
            ):
                await fill(api, receiver)
                for look in itertools.product(LANGUAGES, THEMES, SCREENS):
                    await take(started, api.address, folder, *look)


async def fill(api: Api, receiver: Receiver) -> None:
    """A desk in the middle of a day."""
    for title, kind in (("Mobile app", "async"), ("Website chat", "sync"), ("Forum", "async")):
        await api.channel(title=title, webhook_url=receiver.url, channel_type=kind)
    for title in ("Sales", "Support"):
        await api.post("groups.json", {"group": {"group_title": title}})
    for title in ("refund", "vip"):
        await api.post("labels.json", {"label": {"label_title": title}})
    await api.put("staff/1.json", {"staff": {"staff_full_name": "Anna Ivanova"}})
    colleague = {"staff_email": "boris@example.com", "staff_full_name": "Boris Petrov"}
    await api.post("staff.json", {"staff": colleague})
    await automate(api)
    for number in range(18):
        name, subject, words = PEOPLE[number % len(PEOPLE)]
        case = await api.case(
            user_custom_id=f"customer-{number % len(PEOPLE)}",
            user_email=f"customer{number % len(PEOPLE)}@example.com",
            channel=f"cch{1 + number % 3}",
            user_full_name=name,
            subject=subject,
            content=words,
        )
        path = f"cases/{case['case_id']}.json"
        if number % 4 == 0:
            await api.message(case["case_id"], content="We are looking into it.")
        if number % 5 == 0:
            change = {"priority": "high", "staff_id": 2, "group_id": 1, "add_labels": [1, 2]}
            await api.put(path, {"case": change})
        if number % 7 == 3:
            await api.put(path, {"case": {"status": "closed"}})
    note = {"note": {"content": "A regular customer; the courier was called."}}
    await api.call("POST", "cases/1/note.json", note)
    await api.message(1, user_id=1, content="Thank you! It is the second week now.")
    receiver.then(status(500), status(500))
    await api.message(1, content="It arrives tomorrow before noon.")
    await receiver.wait_for(1)


async def automate(api: Api) -> None:
    """What Kanal does by itself, and what that names."""
    field = {"title": "Tariff", "field_type": "select", "field_level": "user"}
    field["field_data"] = {"1": "Basic", "2": "Gold"}  # type: ignore[assignment]
    await api.post("custom_fields.json", {"custom_field": field})
    week = {day: ["09:00-18:00"] for day in ("mon", "tue", "wed", "thu", "fri")}
    hours = {"title": "Weekdays", "zone": "Europe/Berlin", "hours": week, "holidays": ["01-01"]}
    await api.post("business_hours.json", {"business_hours": hours})
    target = {"title": "Urgent", "priorities": ["critical"], "first_response_minutes": 30}
    await api.post("response_targets.json", {"response_target": target})
    reply = {"action_type": "email_to_user", "action_destination": "Thank you, [user_name]!"}
    label = {"action_type": "add_labels", "action_destination": [1]}
    note = {"action_type": "add_note", "content": "Nobody has answered yet."}
    macro = {"title": "Close with thanks", "actions": [reply, label], "shared": True}
    await api.post("macros.json", {"macro": macro})
    money = {"field": "text", "operator": "contains", "value": "refund"}
    new = {"field": "first_message", "operator": "is", "value": True}
    gold = {"field": "cf_1", "operator": "is", "value": "2"}
    conditions = {"all": [money, {"any": [new, gold]}]}
    for rule in (
        {"kind": "incoming", "title": "Refunds", "conditions": conditions, "actions": [label]},
        {"kind": "incoming", "title": "Gold", "channels": ["cch1"], "actions": [reply]},
        {"kind": "timed", "since": "unanswered", "after_minutes": 240, "actions": [note]},
    ):
        await api.post("rules.json", {"rule": {"title": "Slow", "active": False, **rule}})
    await api.put("rules/1/enable.json")


async def take(
    started: Any, address: str, folder: Path, language: str, theme: str, screen: str
) -> None:
    settings = {"viewport": SCREENS[screen], "color_scheme": theme}
    async with staff_browser(started, address, language=LANGUAGES[language], **settings) as page:
        for name, path in PAGES.items():
            await page.goto(path)
            await page.screenshot(path=folder / f"{name}-{screen}-{theme}-{language}.png")
        await page.goto("/account")
        await page.locator("[action$='/sign-out'] button").dispatch_event("click")
        await page.wait_for_url("**/sign-in*")
        await page.screenshot(path=folder / f"sign-in-{screen}-{theme}-{language}.png")


if __name__ == "__main__":
    pictures = Path(sys.argv[1])
    pictures.mkdir(parents=True, exist_ok=True)
    asyncio.run(main(pictures))
