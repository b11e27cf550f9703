"""Every call and every page as every kind of caller, compared with what data/rights.txt says; one without a row fails."""

import re
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest
import pytest_asyncio
from served_api import Api, serving

from kanal.http import sessions
from kanal.http.pages.gate import PLAIN_COOKIE, TOKEN_HEADER
from kanal.http.pages.routes import PAGES
from kanal.http.pages.visit import now
from kanal.http.routes import ROUTES

pytestmark = pytest.mark.timeout(180)  # some thousand calls, on a machine that may be busy

MATRIX = Path(__file__).parent / "data" / "rights.txt"
ALLOWED = "+"
CALLERS = ("none", "own", "see", "answer", "manage", "staff", "administrator", "owner")
"""Own roles first: nothing, answers to one's own cases only, these levels, on the channel of all that is called for."""
ROLES: dict[str, dict[str, Any]] = {
    "none": {"channels": {"cch1": "none", "cch2": "manage"}},
    "own": {"custom_channels": "answer", "standard_channels": "answer", "cases": "own"},
    "see": {"channels": {"cch1": "see"}},
    "answer": {"channels": {"cch1": "answer"}},
    "manage": {"channels": {"cch1": "manage"}},
}
NO_RIGHT = "staff_has_not_access"
HIDDEN = {"channel_not_found", "case_not_found", "user_not_found", "message_not_found"} | {
    "delivery_not_found"
}
"""Codes of what is not there for a caller, although it is."""
NOBODY = "999"
"""In place of all other ids: who may make the call is told that there is no such thing."""
USED_UP = re.compile(r"DELETE (cases|users)")
"""Calls after which, if they were carried out, the next one needs other cases, users, messages."""
BODIES: dict[str, dict[str, Any]] = {
    "POST cases": {"case": {"channel": "cch1", "user_custom_id": "new", "content": "x"}},
    "PUT cases/{case}": {"case": {"status": "open"}},
    "PUT cases/{case}/merge": {"case": {"parent_case_id": "$parent"}},
    "PUT cases/{case}/rate": {"rate": {"rating": "high"}},
    "POST users": {"user": {"user_custom_id": "new", "user_custom_channel": "cch1"}},
    "POST users/identification": {"user": {"user_custom_id": "n", "user_custom_channel": "cch1"}},
    "PUT users/{user}/link": {"user_email": "a@example.com"},
    "PUT users/{user}/unlink": {"user_id": "$other"},
    "PUT custom_channels/{channel}/outbox/acknowledge": {"cursor": "$cursor"},
    "POST deliveries/replay": {"channel": "cch1", "dry_run": True},
    "POST deliveries/{delivery}/replay": {"dry_run": True},
    "POST staff/{staff}/api_keys": {"name": "x"},
    "POST rules/{rule}/test": {"test": {"case_id": "$case"}},
}
TEXT = {"content": "x"}
FORMS: dict[str, dict[str, Any]] = {
    "POST /inbox/change": {"case": "$case", "action": "open"},
    "POST /cases/new": {"user": "$user", "content": "x"},
    "POST /cases/new/draft": {"person": "$user", "content": "x"},
    "POST /cases/{case}/say": {"content": "x", "kind": "note"},
    "POST /cases/{case}/change": {"action": "take"},
    "POST /cases/{case}/chat": {"action": "complete"},
    "POST /cases/{case}/macro": {"macro": "$macro"},
    "POST /people/{user}": {"full_name": "x"},
    "POST /people/{user}/link": {"other": "$other"},
    "POST /people/{user}/unlink": {"other": "$other"},
    "POST /channels": {"title": "x", "channel_type": "async", "webhook_polling": "1"},
    "POST /channels/{channel}/state": {"action": "enable"},
    "POST /deliveries/replay": {"channel": "cch1"},
    "POST /start/message": {"channel": "cch1"},
    "POST /start/test": {"channel": "cch1"},
}
"""What is typed on pages; of the others nothing."""
REFUSED = re.compile(r'<body [^>]*data-refused="(\w+)"')
ENDING = ("POST /sign-out",)
STREAM = "GET /live"


def read_matrix() -> dict[str, dict[str, str]]:
    head, *lines = [line for line in MATRIX.read_text().splitlines() if line[:1] not in ("#", "")]
    columns = head.split()[2:]
    rows = (line.split() for line in lines)
    return {
        f"{method} {path}": dict(zip(columns, verdicts, strict=True))
        for method, path, *verdicts in rows
    }


class Callers(NamedTuple):
    api: Api
    """The first administrator's."""
    keys: dict[str, str]
    ids: dict[str, int]


def email_of(caller: str) -> str:
    return f"{caller}@example.com"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def callers(shared_data_dir: Path) -> AsyncIterator[Callers]:
    """Rights are the same on each database, so this is SQLite alone."""
    async with serving(shared_data_dir, "") as api:
        for _ in range(2):
            await api.channel()
        keys, ids = {}, {}
        for caller in CALLERS:
            role = {"role": caller}
            if caller in ROLES:
                made = await api.post("roles.json", {"role": {"title": caller, **ROLES[caller]}})
                role = {"role_id": made["role"]["role_id"]}
            given = {"staff_email": email_of(caller), **role}
            staff = (await api.post("staff.json", {"staff": given}))["staff"]
            keys[caller], ids[caller] = staff["api_key"], staff["staff_id"]
        yield Callers(api, keys, ids)


async def things(api: Api, caller: str) -> dict[str, str]:
    """What is called for, on the channel 1 and somebody else's."""
    person = {"user_custom_id": caller, "channel": "cch1"}
    parent, case = [await api.case(**person) for _ in range(2)]
    await api.put(f"cases/{case['case_id']}.json", {"case": {"staff_id": 1}})
    message = await api.message(case["case_id"])
    noted = await api.post(f"cases/{case['case_id']}/note.json", {"note": TEXT})
    path = f"deliveries.json?message_id={message['message_id']}"
    [delivery] = await api.items(path, "delivery")
    other = await api.case(user_custom_id=f"{caller}'s other", channel="cch1")
    outbox = (await api.get("custom_channels/1/outbox.json"))["outbox"]
    return {
        "case": str(case["case_id"]),
        "parent": str(parent["case_id"]),
        "user": str(case["user_id"]),
        "other": str(other["user_id"]),
        "channel": "1",
        "message": str(message["message_id"]),
        "note": str(noted["message"]["message_id"]),
        "delivery": delivery["delivery_id"],
        "event": "1",
        "cursor": outbox["cursor"],
    }


def path_of(pattern: str, there: dict[str, str]) -> str:
    if "/note" in pattern:
        there = {**there, "message": there["note"]}
    return re.sub(r"{(\w+)}", lambda name: there.get(name[1], NOBODY), pattern)


def body_of(call: str, there: dict[str, str]) -> dict[str, Any]:
    if "/messages" in call or "/note" in call:
        wrapper = "note" if "/note" in call else "message"
        return {"rate": {"rating": "high"}} if call.endswith("/rate") else {wrapper: TEXT}
    if "/rate/" in call:
        return {"rate": {"rating": "high"}}

    return filled(BODIES.get(call, {}), there)  # type: ignore[no-any-return]


def filled(value: Any, there: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: filled(each, there) for key, each in value.items()}
    return there[value[1:]] if str(value).startswith("$") else value


def verdict_of(status: int, code: str) -> str:
    hidden = status == 404 and code in HIDDEN
    return str(status) if hidden or (status == 403 and code == NO_RIGHT) else ALLOWED


def compare(found: dict[str, dict[str, str]], *, pages: bool) -> None:
    matrix = {call: row for call, row in read_matrix().items() if (" /" in call) == pages}
    assert found.keys() == matrix.keys()
    wrong = {call: (row, matrix[call]) for call, row in found.items() if row != matrix[call]}
    assert wrong == {}


@pytest.mark.asyncio(loop_scope="module")
async def test_every_call_is_for_those_whom_the_matrix_names(callers: Callers) -> None:
    api = callers.api
    found: dict[str, dict[str, str]] = {f"{r.method} {r.path}": {} for r in ROUTES}
    for caller in CALLERS:
        async with api.as_staff(email_of(caller), callers.keys[caller]) as asking:
            there = await things(api, caller)
            for route in ROUTES:
                call = f"{route.method} {route.path}"
                path = path_of(route.path, there)
                if call == "DELETE custom_channels/{channel}":
                    path = f"custom_channels/{await api.channel()}"
                answer = await asking.call(route.method, f"{path}.json", body_of(call, there))
                assert answer.status < 500, (caller, call, answer.text)
                code = answer.json["error"] if answer.status >= 400 else ""
                found[call][caller] = verdict_of(answer.status, code)
                if found[call][caller] == ALLOWED and USED_UP.match(call):
                    there = await things(api, f"{caller} after {call}")
    compare(found, pages=False)


async def signed_in(api: Api, staff_id: int) -> dict[str, str]:
    """Headers of a browser that is theirs, and of forms of its pages."""
    token = sessions.new_token()
    session_id = sessions.id_of(token)
    begin = partial(sessions.begin, session_id=session_id, staff_id=staff_id, now=now())
    await api.store.writer.run(partial(begin, address="", agent=""))
    form_token = api.store.stream_ids.keyed_hash(f"csrf/{session_id}").hex()
    ours = {"Sec-Fetch-Site": "same-origin", TOKEN_HEADER: form_token}
    return {"Cookie": f"{PLAIN_COOKIE}={token}", **ours}


async def looked_at(
    session: aiohttp.ClientSession, call: str, url: str, form: dict[str, Any]
) -> tuple[int, str]:
    """Status and the code of a refusal."""
    method = call.partition(" ")[0]
    data = form if method == "POST" else None
    async with session.request(method, url, data=data, allow_redirects=False) as answer:
        if call == STREAM and answer.status == 200:
            return 200, ""  # it goes on until somebody leaves
        text = await answer.text()
    refused = REFUSED.search(text)
    return answer.status, refused[1] if refused else ""


@pytest.mark.asyncio(loop_scope="module")
async def test_every_page_and_form_is_for_those_whom_the_matrix_names(callers: Callers) -> None:
    api = callers.api
    macro = {"title": "M", "actions": [{"action_type": "add_note", "content": "x"}]}
    made = await api.post("macros.json", {"macro": macro})
    found: dict[str, dict[str, str]] = {f"{page.method} {page.path}": {} for page in PAGES}
    calls = [*(call for call in found if call not in ENDING), *ENDING]
    for caller in CALLERS:
        headers = await signed_in(api, callers.ids[caller])
        there = {**await things(api, f"{caller}'s page"), "macro": str(made["macro"]["macro_id"])}
        async with aiohttp.ClientSession(headers=headers) as session:
            for call in calls:
                path = path_of(call.partition(" ")[2], there)
                if call == "POST /channels/{channel}/delete":
                    path = path_of(call.partition(" ")[2], {"channel": str(await api.channel())})
                form = filled(FORMS.get(call, {}), there)
                status, code = await looked_at(session, call, f"{api.address}{path}", form)
                assert status < 500, (caller, call)
                assert status != 401, (caller, call)
                found[call][caller] = verdict_of(status, code)
    compare(found, pages=True)
