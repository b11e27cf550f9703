"""The first steps, channels with their settings and code, the log of deliveries with decisions and replays, and the system's page."""

import asyncio
import re

import pytest
from open_log import DEADLINE
from served_api import Api
from sqlalchemy import delete
from visiting import Visitor, join, visitor

from kanal.projections import groups

pytestmark = pytest.mark.asyncio(loop_scope="module")

DELIVERY = re.compile(r"/deliveries/(msg_\w+)\"")
SECRET = re.compile(r"whsec_[\w+/=]+")


async def test_the_first_steps_lead_to_a_channel_and_know_how_far_one_is(shared_api: Api) -> None:
    api = shared_api
    async with visitor(api.address) as anna:
        seen = await anna.sign_in()
        assert seen.path == "/start"
        wrong = {"title": "App", "webhook_url": "http://10.0.0.1/", "channel_type": "async"}
        refused = await anna.post("/start/channel", wrong)
        assert refused.status == 400
        assert 'value="http://10.0.0.1/"' in refused.text
        assert "field-error" in refused.text
        made = await anna.post(
            "/start/channel", {**wrong, "webhook_url": "https://app.example.com/"}
        )
        assert SECRET.search(made.text)
        assert "&#34;channel&#34;: &#34;cch1&#34;" in made.text
        sent = await anna.post("/start/message", {"channel": "cch1"})
        assert sent.path == "/start?channel=cch1"
        assert "Open the conversation" in sent.text
        [case] = await api.items("cases.json", "case")
        await api.message(case["case_id"], content="I can")
        answered = await anna.get("/start")
        assert "Your answer is in the conversation." in answered.text
        assert "On its way" in answered.text
        assert 'href="/start"' in (await anna.get("/inbox")).text
        hidden = await anna.post("/start/hide")
        assert hidden.path == "/inbox"
        assert 'href="/start"' not in hidden.text


async def test_all_of_a_channel_is_set_on_its_page_and_taken_back_there(shared_api: Api) -> None:
    api = shared_api
    key = f"cch{await api.channel(title='Set')}"
    page, path = f"/channels/{key}", f"/channels/{key}/settings"
    async with visitor(api.address) as anna:
        await anna.sign_in()
        full = {
            "title": "Форум",
            "icon": "fa-globe",
            "channel_type": "sync",
            "webhook_url": "https://app.example.com/hook",
            "webhook_notes": "0",
            "webhook_edits": "1",
            "webhook_format": "json",
            "webhook_order": "channel",
            "webhook_on_exhausted": "hold",
            "webhook_signature": "v1a",
            "webhook_timeout": "9",
            "webhook_rate_limit": "60",
            "webhook_networks": "93.184.216.0/24\n1.1.1.1",
            "headers": "X-Token: very secret\nX-Shop: one",
            "webhook_shadow_url": "https://new.example.com/",
            "restricted": "1",
        }
        saved = await anna.post(path, full)
        assert saved.path == f"{path}?done=saved"
        assert "very secret" not in saved.text
        assert "X-Shop, X-Token" in saved.words
        channel = (await api.get(f"custom_channels/{key}.json"))["custom_channel"]
        assert channel["webhook_networks"] == ["93.184.216.0/24", "1.1.1.1/32"]
        assert channel["webhook_headers"] == ["X-Shop", "X-Token"]
        assert (channel["icon"], channel["restricted"]) == ("fa-globe", True)
        wrong = {**full, "webhook_timeout": "99", "webhook_networks": "nowhere", "title": "Kept"}
        refused = await anna.post(path, wrong)
        assert refused.status == 400
        assert refused.text.count("field-error") == 2
        assert 'value="Kept"' in refused.text
        assert "nowhere" in refused.text
        emptied = {"webhook_networks": "", "webhook_shadow_url": "", "headers_off": "1"}
        await anna.post(path, {**emptied, "webhook_url": "", "webhook_polling": "1"})
        channel = (await api.get(f"custom_channels/{key}.json"))["custom_channel"]
        assert [
            channel[name] for name in ("webhook_networks", "webhook_shadow_url", "webhook_headers")
        ] == [[], "", []]
        assert (channel["webhook_url"], channel["title"]) == ("", "Форум")
        assert "outbox.json?wait=30" in (await anna.get(page)).text
        refused = await anna.post(path, {"webhook_polling": "0"})
        assert "A channel needs a Webhook URL" in refused.text
        back = {"webhook_url": "https://app.example.com/", "webhook_polling": "0"}
        await anna.post(path, {**back, "webhook_format": "form", "restricted": "0"})
        rotated = await anna.post(f"{page}/secrets", {"expires_in_hours": "1"})
        assert SECRET.search(rotated.text)
        kept = await anna.get(path)
        assert not SECRET.search(kept.text)
        [old] = re.findall(r'name="secret" value="(\w+)"', kept.text)
        await anna.post(f"{page}/secrets/revoke", {"secret": old})
        assert len(await api.items(f"custom_channels/{key}/secrets.json", "secret")) == 1
        await anna.post(path, {"webhook_shadow_url": "https://new.example.com/"})
        await anna.post(f"{page}/shadow", {"action": "switch"})
        channel = (await api.get(f"custom_channels/{key}.json"))["custom_channel"]
        assert channel["webhook_url"] == "https://new.example.com/"
        gone = await api.channel(title="Gone")
        await anna.post(f"/channels/cch{gone}/delete")
        await api.get(f"custom_channels/{gone}.json")
        await anna.post(f"/channels/cch{gone}/delete", {"sure": "1"})
        assert (await api.call("GET", f"custom_channels/{gone}.json")).status == 404


async def test_deliveries_are_found_decided_about_and_sent_again(shared_api: Api) -> None:
    api = shared_api
    channel = await api.channel(title="Log")
    case = await api.case(channel=f"cch{channel}", user_custom_id="log")
    for number in range(3):
        await api.message(case["case_id"], content=f"Answer {number}")
    async with visitor(api.address) as anna:
        await anna.sign_in()
        asked = f"/deliveries?channel=cch{channel}"
        log = await anna.get(asked)
        found = list(dict.fromkeys(DELIVERY.findall(log.text)))
        assert len(found) == 3
        for narrowed, amount in (
            ("&state=pending", 3),
            ("&state=dead", 0),
            (f"&case={case['case_number']}&kind=message_new", 3),
            ("&since=2020-01-01T00:00&until=2020-01-02T00:00", 0),
            ("&outcome=http_status", 0),
            ("&state=anything", 3),
        ):
            shown = await anna.get(asked + narrowed)
            assert len(set(DELIVERY.findall(shown.text))) == amount, narrowed
        refused = await anna.get(f"{asked}&since=tomorrow&case=x")
        assert refused.status == 400
        assert "field-error" in refused.text
        newest, _, oldest = found
        held = await anna.post(f"/deliveries/{newest}/hold", {"reason": "Wrong price"})
        assert "Wrong price" in held.text
        assert "Release" in held.text
        await anna.post(f"/deliveries/{newest}/release")
        for each in (oldest, newest):
            skipped = await anna.post(f"/deliveries/{each}/skip")
            assert "It was given up" in skipped.text
        assert (await anna.post(f"/deliveries/{newest}/hold")).status == 400
        counted = await anna.post(
            "/deliveries/replay", {"channel": f"cch{channel}", "ended_as": "dead"}
        )
        assert "2 deliveries would be sent again" in counted.text
        assert await api.items("replays.json", "replay") == []
        begun = await anna.post(
            "/deliveries/replay",
            {
                "channel": f"cch{channel}",
                "ended_as": "dead",
                "until": "9999-12-31T23:59",
                "step": "begin",
            },
        )
        assert begun.path == "/replays/1"
        assert "0 of 2" in begun.text
        # Where it is a day later already.
        anna.session.cookie_jar.update_cookies({"kanal_zone": "Pacific/Auckland"})
        ended = await anna.post("/replays/1/cancel")
        assert "The sending was cancelled" in ended.text
        assert (await anna.post("/deliveries/replay", {"step": "begin"})).status == 400


async def test_what_a_receiver_asks_for_is_not_offered_to_be_sent(shared_api: Api) -> None:
    api = shared_api
    channel = await api.channel(title="Asks", webhook_polling=True)
    case = await api.case(channel=f"cch{channel}", user_custom_id="asks")
    await api.message(case["case_id"], content="Answer")
    [delivery] = await api.items(f"deliveries.json?channel=cch{channel}", "delivery")
    page = f"/deliveries/{delivery['delivery_id']}"
    async with visitor(api.address) as anna:
        await anna.sign_in()
        pending = await anna.get(page)
        assert f"{page}/skip" in pending.text
        skipped = await anna.post(f"{page}/skip")
        talk = await anna.get(f"/cases/{case['case_id']}")
        assert page in talk.text
        assert f"{page}/retry" not in talk.text
        for seen in (pending, skipped):
            assert f'formaction="{page}/retry"' not in seen.text
            assert "asking from an earlier cursor" in seen.text
        assert f"{page}/skip" not in skipped.text
        refused = await anna.post(f"{page}/retry")
        assert (refused.status, "from an earlier cursor" in refused.text) == (400, True)


async def test_read_models_are_rebuilt_from_the_page_while_it_serves(shared_api: Api) -> None:
    api = shared_api
    async with visitor(api.address) as anna, visitor(api.address) as vera:
        await anna.sign_in()
        before = (await anna.get("/system")).text
        assert (await anna.post("/system/rebuild", {"model": "nothing"})).status == 400
        await anna.post("/system/rebuild", {"model": "cases"})
        seen = await _shows(anna, "It holds what the one before it held.")
        assert _generation(seen, "cases") == _generation(before, "cases") + 1
        await api.post("groups.json", {"group": {"group_title": "Lost"}})
        table = groups.PROJECTION.tables(_generation(before, "groups"))["groups"]
        await api.store.writer.run(lambda connection: connection.execute(delete(table)).rowcount)
        await anna.post("/system/rebuild", {"model": "groups"})
        await _shows(anna, "What was live before differed: groups.")
        await join(api, vera, "vera@example.com", role_id=await _auditor(api))
        assert "/system/rebuild" not in (await vera.get("/system")).text
        assert (await vera.post("/system/rebuild", {"model": "all"})).status == 403


async def _shows(anna: Visitor, words: str) -> str:
    """The page of the system, as soon as it says that."""
    async with asyncio.timeout(DEADLINE):
        while words not in (seen := await anna.get("/system")).text:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return seen.text


async def _auditor(api: Api) -> int:
    made = await api.post("roles.json", {"role": {"title": "Looking on", "rights": ["audit"]}})
    return int(made["role"]["role_id"])


def _generation(text: str, name: str) -> int:
    row = text.partition(f'<td class="mono">{name}</td>')[2]
    numbers = re.findall(r'<td class="number">(\d+)</td>', row)
    return int(numbers[1])
