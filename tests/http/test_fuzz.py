"""Every call under requests that are made up from the OpenAPI document: no 500, no undeclared status, header or answer."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS
from served_api import EMAIL, KEY, Api, serving

from kanal.http import openapi

SCHEMA = schemathesis.openapi.from_dict(openapi.document())
CALLS = [
    each["operationId"]
    for methods in SCHEMA.raw_schema["paths"].values()
    for each in methods.values()
]
EXAMPLES = 8
"""Of each kind for each call: about a minute in all."""
KEPT_CHECKS = [
    CHECKS.get_one(name)
    for name in (
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
    )
]
"""Not those that demand refusals: requests are read leniently on purpose."""
CASES = 20
IDS: dict[str, Any] = {
    "case": st.integers(1, CASES).map(str),
    "user": st.integers(1, CASES),
    "message": st.integers(1, 2 * CASES),
    "channel": st.sampled_from(["1", "cch2"]),
    "staff": st.integers(2, 3),
    "key": st.integers(2, 3),
    "filter": st.integers(1, 12),
    "status": st.sampled_from([1, 101, 102]),
}
"""Ids of what there is; the caller, staff 1, stays as it is."""
ID = st.integers(1, 3)


@pytest.fixture(scope="module")
def address(shared_data_dir: Path, shared_database_url: str) -> Iterator[str]:
    """Of a Kanal on a thread of its own: what makes the requests up does not wait for it."""
    started, done = threading.Event(), threading.Event()
    found = ""

    async def serve() -> None:
        nonlocal found
        async with serving(shared_data_dir, shared_database_url) as api:
            await _fill(api)
            found = api.address
            started.set()
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=asyncio.run, args=[serve()])
    thread.start()
    while not started.wait(0.1):
        assert thread.is_alive()
    yield found
    done.set()
    thread.join()


async def _fill(api: Api) -> None:
    """Two or three of everything, since most made-up ids are of nothing."""
    await api.channel(channel_type="async")
    await api.channel(channel_type="sync")
    for name in ("bob", "eve", "joe"):
        select = {"field_type": "select", "field_data": {"1": "Red"}, "field_level": "case"}
        for path, entity, fields in (
            ("staff", "staff", {"staff_email": f"{name}@example.com"}),
            ("groups", "group", {"group_title": name}),
            ("labels", "label", {"label_title": name}),
            ("companies", "company", {"company_name": name}),
            ("custom_fields", "custom_field", {"title": name, **select}),
            ("filters", "filter", {"filter_name": name, "conditions": {"status": ["open"]}}),
            ("staff_statuses", "staff_status", {"status": name}),
        ):
            await api.post(f"{path}.json", {entity: fields})
    for number in range(CASES):
        channel = "cch2" if number % 4 == 0 else "cch1"
        case = await api.case(user_custom_id=f"u{number}", channel=channel)
        await api.message(case["case_id"])


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.auth = (EMAIL.encode(), KEY.encode())
        yield session


# Each kind of requests on one of the databases: twice would take twice as long.
@pytest.mark.parametrize(
    ("shared_database_url", "mode"),
    [("sqlite", GenerationMode.POSITIVE), ("postgres", GenerationMode.NEGATIVE)],
    indirect=["shared_database_url"],
    scope="module",  # one Kanal for all calls
)
@pytest.mark.parametrize("call", CALLS)
def test_a_call_answers_as_its_document_says(
    address: str, session: requests.Session, call: str, mode: GenerationMode
) -> None:
    operation = SCHEMA.find_operation_by_id(call)

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=mode), st.data())
    def asked(case: Any, data: st.DataObject) -> None:
        for name in case.path_parameters or ():
            if data.draw(st.integers(0, 3)):
                case.path_parameters[name] = data.draw(IDS.get(name, ID))
        response = case.call(base_url=address, session=session)
        case.validate_response(response, checks=KEPT_CHECKS)

    asked()
