"""What pages ask of the read models, what they show to whom, and what is done by their forms."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any

import pytest
from open_log import DEADLINE
from served_api import Api
from sqlalchemy import event
from visiting import GOOD, Visitor, join, visitor

from kanal.http.pages.drafts import MAX_DRAFT
from kanal.http.pages.live import MAX_OF_STAFF

pytestmark = pytest.mark.asyncio(loop_scope="module")

MOST = 32
"""Statements that the largest page asks: those of the session, of what stands beside every page, and its own."""
VALUES = re.compile(r"IN \((?:[^()]|\([^()]*\))*\)")
NOT_OF_PAGES = (
    *("BEGIN", "SELECT max(events", "SELECT generations", "SELECT events"),
    *('SELECT "case_id", "state"', 'SELECT "slot"', 'SELECT "unit"'),
)
"""Whoever follows the log reads meanwhile too."""
MARK = re.compile("</?mark>")
ONCE = re.compile(r'name="once" value="(\w+)"')


@contextmanager
def statements(api: Api) -> Iterator[Counter[str]]:
    """What readers are asked meanwhile, however many values there are."""
    asked: Counter[str] = Counter()

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        if not statement.startswith(NOT_OF_PAGES):
            asked[VALUES.sub("IN ()", statement)] += 1

    engine = api.store.database.reader
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(engine, "before_cursor_execute", note)


async def test_a_page_asks_as_much_of_one_case_as_of_many(shared_api: Api) -> None:
    api = shared_api
    await api.channel()
    first = await api.case(user_email="u1@example.com")
    await api.message(first["case_id"])
    paths = (
        "/inbox?view=all",
        f"/cases/{first['case_id']}",
        "/channels",
        "/channels/cch1",
        "/staff",
        "/statistics",
        "/statistics?view=staff",
        "/access",
        "/keys",
    )

    async def asked_for(anna: Visitor) -> list[Counter[str]]:
        found = []
        for path in paths:
            with statements(api) as asked:
                assert (await anna.get(path)).status == 200
            found.append(asked)
        return found

    async with visitor(api.address) as anna:
        await anna.sign_in()
        few = await asked_for(anna)
        for number in range(12):
            case = await api.case(user_custom_id=f"v{number}")
            await api.message(case["case_id"], user_id=case["user_id"])
            await api.message(first["case_id"])
        many = await asked_for(anna)
    assert [each - other for each, other in zip(many, few, strict=True)] == [Counter()] * len(paths)
    assert max(asked.total() for asked in many) <= MOST


async def test_staff_see_on_pages_what_their_role_sees_and_are_told_of_nothing_else(
    shared_api: Api,
) -> None:
    api = shared_api
    channels = [await api.channel(title=title) for title in ("Seen", "Answered", "Hidden")]
    seen, answered, hidden = [
        await api.case(channel=f"cch{each}", user_custom_id="x", subject=f"Case of {each}")
        for each in channels
    ]
    levels = {f"cch{channels[0]}": "see", f"cch{channels[1]}": "answer"}
    made = await api.post("roles.json", {"role": {"title": "Limited", "channels": levels}})
    async with visitor(api.address) as limited:
        await join(api, limited, "limited@example.com", role_id=made["role"]["role_id"])
        for asked in ("view=all", "q=case"):
            inbox = MARK.sub("", (await limited.get(f"/inbox?{asked}")).text)
            assert f"Case of {channels[0]}" in inbox
            assert f"Case of {channels[1]}" in inbox
            assert f"Case of {channels[2]}" not in inbox
            assert "Hidden" not in inbox
        assert (await limited.get(f"/cases/{hidden['case_id']}")).status == 404
        assert (await limited.get(f"/channels/cch{channels[2]}")).status == 404
        shown = await limited.get(f"/cases/{seen['case_id']}")
        assert (shown.status, "data-composer" in shown.text) == (200, False)
        shown = await limited.get(f"/cases/{answered['case_id']}")
        assert "data-composer" in shown.text
        words = {"kind": "reply", "content": "Hello"}
        say = "/cases/{}/say"
        assert (await limited.post(say.format(answered["case_id"]), words)).status == 200
        assert (await limited.post(say.format(seen["case_id"]), words)).status == 403
        assert (await limited.post(say.format(hidden["case_id"]), words)).status == 404
        assert (await limited.post(f"/people/{hidden['user_id']}/block")).status == 404
        assert (await limited.post(f"/channels/cch{channels[1]}/test")).status == 403


async def test_a_form_that_is_sent_twice_is_carried_out_once(shared_api: Api) -> None:
    channel = f"cch{await shared_api.channel(title='Twice')}"
    case = await shared_api.case(channel=channel, user_custom_id="twice")
    path = f"/cases/{case['case_id']}"
    async with visitor(shared_api.address) as anna:
        await anna.sign_in()
        once = ONCE.findall((await anna.get(path)).text)[0]
        words = {"kind": "reply", "content": "Only once", "once": once, "status": "closed"}
        for _ in range(2):
            assert (await anna.post(f"{path}/say", words)).path == f"{path}?done=sent"
        await anna.post(f"{path}/say", {**words, "content": "Something else"})
        empty = await anna.post(f"{path}/say", {"kind": "reply", "content": ""})
        assert (empty.status, "Write something" in empty.words) == (400, True)
    messages = await shared_api.items(f"cases/{case['case_id']}/messages.json", "message")
    said = [each["content"] for each in messages]
    assert said == ["Hello", "Only once", "Something else"]
    assert (await shared_api.get(f"cases/{case['case_id']}.json"))["case"]["status"] == "closed"


async def test_the_composer_says_beforehand_when_nobody_would_be_sent_a_reply(
    shared_api: Api,
) -> None:
    api = shared_api
    channel_id = await api.channel(title="Ending")
    case = await api.case(channel=f"cch{channel_id}", user_custom_id="e")
    mail = await api.case(channel="email", user_custom_id="", user_email="only@example.com")
    async with visitor(api.address) as anna:
        await anna.sign_in()

        async def warned(case_id: int) -> str:
            words = (await anna.get(f"/cases/{case_id}")).words
            found = re.search(r'class="way-out.*?<span>(.*?)</span>', words, re.DOTALL)
            return found[1] if found else ""

        assert await warned(case["case_id"]) == ""
        assert "has no custom channel (email)" in await warned(mail["case_id"])
        path = f"custom_channels/cch{channel_id}"
        await api.put(f"{path}/pause.json")
        assert "paused" in await warned(case["case_id"])
        await api.put(f"{path}/resume.json")
        await api.put(f"{path}/disable.json")
        assert "disabled" in await warned(case["case_id"])
        await api.call("DELETE", f"{path}.json")
        assert "was deleted" in await warned(case["case_id"])


async def test_the_stream_tells_once_what_happened_behind_a_position(shared_api: Api) -> None:
    api = shared_api
    channel = f"cch{await api.channel(title='Live')}"
    case = await api.case(channel=channel, user_custom_id="live")
    case_id = case["case_id"]
    async with visitor(api.address) as anna:
        await anna.sign_in()
        before = api.head()
        await api.message(case_id)

        async def told(after: int, last: str = "") -> list[str]:
            """The first two things that the stream says beside its settings."""
            headers = {"Last-Event-ID": last} if last else {}
            path = f"{api.address}/live?after={after}&case={case_id}"
            lines: list[str] = []
            async with anna.session.get(path, headers=headers) as stream:
                assert stream.headers["Content-Type"] == "text/event-stream"
                async with asyncio.timeout(DEADLINE):
                    async for line in stream.content:
                        if line.startswith((b"id:", b"data:")):
                            lines.append(line.decode().strip())
                        if len(lines) == 2:
                            return lines
            return lines

        [position, data] = await told(before)
        assert position == f"id: {api.head()}"
        assert '"everything":true' in data or f'"cases":[{case_id}]' in data
        waiting = asyncio.create_task(told(0, str(api.head())))
        await asyncio.sleep(0)
        await api.message(case_id)
        assert await waiting == [
            f"id: {api.head()}",
            f'data: {{"cases":[{case_id}],"everything":false}}',
        ]


@asynccontextmanager
async def colleague(api: Api, name: str, **role: Any) -> AsyncIterator[tuple[Visitor, int]]:
    """Signed in, with a role of their own; and their staff_id."""
    made = await api.post("roles.json", {"role": {"title": name, **role}})
    async with visitor(api.address) as joining:
        role_id = made["role"]["role_id"]
        staff_id = await join(api, joining, f"{name}@example.com", role_id=role_id)
        yield joining, staff_id


async def test_the_stream_tells_nothing_of_cases_that_are_not_seen(shared_api: Api) -> None:
    api = shared_api
    seen, hidden = await api.channel(title="Open"), await api.channel(title="Closed")
    case_id = (await api.case(channel=f"cch{hidden}", user_custom_id="h"))["case_id"]
    async with (
        colleague(api, "curious", **{f"cch{seen}": "answer"}) as (curious, _),
        visitor(api.address) as anna,
    ):
        await anna.sign_in()
        path = f"{api.address}/live?after={api.head()}&case={case_id}"
        async with (
            anna.session.get(path) as hers,
            curious.session.get(path) as stream,
            asyncio.timeout(DEADLINE),
        ):
            await api.message(case_id)
            while not (line := await hers.content.readline()).startswith(b"data:"):
                assert line
            while not (line := await stream.content.readline()).startswith(b"data:"):
                assert line
            assert b'"cases":[]' in line


async def test_lists_and_warnings_tell_nothing_of_people_and_cases_out_of_sight(
    shared_api: Api,
) -> None:
    api = shared_api
    seen, hidden = [f"cch{await api.channel(title=title)}" for title in ("Theirs", "Nobody's")]
    groups = [
        (await api.post("groups.json", {"group": {"group_title": title}}))["group"]["group_id"]
        for title in ("Of them", "Of others")
    ]
    child, parent = [
        (await api.case(channel=seen, user_custom_id="both", group_id=group))["case_id"]
        for group in groups
    ]
    await api.put(f"cases/{child}/merge.json", {"parent_case_id": parent})
    await api.message(parent, content="Said among others", staff_id=1)
    stranger = await api.case(channel=hidden, user_custom_id="s", user_full_name="Sam Stranger")
    role = {"channels": {seen: "answer"}, "groups": groups[:1]}
    async with colleague(api, "grouped", **role) as (grouped, _):
        assert (await grouped.get(f"/cases/{child}")).status == 200
        assert (await grouped.get(f"/cases/{parent}")).status == 404
        words = {"kind": "reply", "content": "Hello", "seen": "1"}
        refused = await grouped.post(f"/cases/{child}/say", words)
        assert (refused.status, "Said among others" in refused.text) == (404, False)
        listed = await grouped.get(f"/inbox?view=person:{stranger['user_id']}")
        assert (listed.status, "Sam Stranger" in listed.text) == (200, False)


async def test_numbers_that_no_computer_reads_are_refused_or_mean_nothing(shared_api: Api) -> None:
    long = "9" * 5000
    async with visitor(shared_api.address) as anna:
        await anna.sign_in()
        await anna.get("/inbox")
        for name in ("staff", "group", "label"):
            assert (await anna.post("/inbox/change", {"case[]": "1", name: long})).status == 400
        for path, edit in (("macros", "up-action"), ("rules", "remove-condition")):
            drawn = await anna.post(f"/{path}/draft", {"edit": f"{edit}:{long}"})
            assert drawn.status == 200, path
        units = {"unit[x]": "1", "conditions[match]": "all", "conditions[parts][0][unit][x]": "1"}
        assert (await anna.post("/rules/draft", units)).status == 200


async def test_a_stream_ends_with_its_session_and_answers_nothing_else(shared_api: Api) -> None:
    api = shared_api
    channel = f"cch{await api.channel(title='Ended')}"
    case_id = (await api.case(channel=channel, user_custom_id="e"))["case_id"]
    async with (
        colleague(api, "signed", channels={channel: "answer"}) as (here, _),
        colleague(api, "disabled", channels={channel: "answer"}) as (disabled, staff_id),
        visitor(api.address) as there,
        asyncio.timeout(DEADLINE),
    ):
        await there.sign_in("signed@example.com", GOOD)
        await there.get("/account")

        async def opened(who: Visitor) -> Any:
            stream = await who.session.get(f"{api.address}/live?after={api.head()}&case={case_id}")
            assert (await stream.content.readline()).startswith(b"retry:")
            return stream

        stream = await opened(here)
        await there.post("/account/sessions")
        # Whose name the stream has not told yet comes to the case.
        other = await opened(disabled)
        assert b"<" not in await stream.read()
        await api.put(f"staff/{staff_id}/disable.json")
        assert b"<" not in await other.read()


async def test_nobody_takes_the_streams_of_all(shared_api: Api) -> None:
    api = shared_api
    channel = f"cch{await api.channel(title='Many')}"
    async with (
        colleague(api, "many", channels={channel: "see"}) as (many, _),
        visitor(api.address) as anna,
        AsyncExitStack() as streams,
        asyncio.timeout(DEADLINE),
    ):
        await anna.sign_in()
        path = f"{api.address}/live"
        for _ in range(MAX_OF_STAFF):
            stream = await streams.enter_async_context(many.session.get(path))
            assert stream.status == 200
        async with many.session.get(path) as full:
            assert (full.status, full.headers["Retry-After"]) == (503, "5")
        async with anna.session.get(path) as stream:
            assert stream.status == 200


async def test_a_draft_that_is_too_long_leaves_the_former_one(shared_api: Api) -> None:
    channel = f"cch{await shared_api.channel(title='Drafts')}"
    path = f"/cases/{(await shared_api.case(channel=channel, user_custom_id='d'))['case_id']}"
    async with visitor(shared_api.address) as anna:
        await anna.sign_in()
        await anna.get(path)
        assert (await anna.post(f"{path}/draft", {"content": "Kept so far"})).status == 200
        too_long = await anna.post(f"{path}/draft", {"content": "x" * (MAX_DRAFT + 1)})
        assert too_long.status == 413
        assert "\nKept so far</textarea>" in (await anna.get(path)).text
        assert (await anna.post(f"{path}/draft", {"content": " "})).status == 200
        assert "Kept so far" not in (await anna.get(path)).text


async def test_who_gives_a_case_out_of_sight_is_led_to_the_inbox(shared_api: Api) -> None:
    api = shared_api
    role = {"custom_channels": "answer", "cases": "own"}
    async with colleague(api, "owning", **role) as (owning, staff_id):
        channel = f"cch{await api.channel(title='Own')}"
        case = await api.case(channel=channel, user_custom_id="o")
        path = f"/cases/{case['case_id']}"
        await api.put(f"{path[1:]}.json", {"case": {"staff_id": staff_id}})
        assert (await owning.get(path)).status == 200
        assert (await owning.post(f"{path}/change", {"priority": "high"})).path == path
        given = await owning.post(f"{path}/change", {"staff_id": "1"})
        assert (given.status, given.path) == (200, "/inbox?done=changed")
        assert (await owning.get(path)).status == 404
