"""Every call as every kind of caller, compared with what data/rights.txt says; a call without a row fails."""

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from served_api import Answer, Api, serving

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


def read_matrix() -> dict[str, dict[str, str]]:
    head, *lines = [line for line in MATRIX.read_text().splitlines() if line[:1] not in ("#", "")]
    columns = head.split()[2:]
    rows = (line.split() for line in lines)
    return {
        f"{method} {path}": dict(zip(columns, verdicts, strict=True))
        for method, path, *verdicts in rows
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(shared_data_dir: Path) -> AsyncIterator[Api]:
    """Rights are the same on each database, so this is SQLite alone."""
    async with serving(shared_data_dir, "") as api:
        for _ in range(2):
            await api.channel()
        yield api


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

    def filled(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: filled(each) for key, each in value.items()}
        return there[value[1:]] if str(value).startswith("$") else value

    return filled(BODIES.get(call, {}))  # type: ignore[no-any-return]


def verdict_of(answer: Answer) -> str:
    hidden = answer.status == 404 and answer.json["error"] in HIDDEN
    return str(answer.status) if answer.status == 403 or hidden else ALLOWED


@pytest.mark.asyncio(loop_scope="module")
async def test_every_call_is_for_those_whom_the_matrix_names(api: Api) -> None:
    found: dict[str, dict[str, str]] = {f"{r.method} {r.path}": {} for r in ROUTES}
    async with AsyncExitStack() as stack:
        for caller in CALLERS:
            role = {"role": caller}
            if caller in ROLES:
                made = await api.post("roles.json", {"role": {"title": caller, **ROLES[caller]}})
                role = {"role_id": made["role"]["role_id"]}
            email = f"{caller}@example.com"
            staff = (await api.post("staff.json", {"staff": {"staff_email": email, **role}}))[
                "staff"
            ]
            asking = await stack.enter_async_context(api.as_staff(email, staff["api_key"]))
            there = await things(api, caller)
            for route in ROUTES:
                call = f"{route.method} {route.path}"
                path = path_of(route.path, there)
                if call == "DELETE custom_channels/{channel}":
                    path = f"custom_channels/{await api.channel()}"
                answer = await asking.call(route.method, f"{path}.json", body_of(call, there))
                assert answer.status < 500, (caller, call, answer.text)
                found[call][caller] = verdict_of(answer)
                if found[call][caller] == ALLOWED and USED_UP.match(call):
                    there = await things(api, f"{caller} after {call}")
    matrix = read_matrix()
    assert found.keys() == matrix.keys()
    wrong = {call: (row, matrix[call]) for call, row in found.items() if row != matrix[call]}
    assert wrong == {}
