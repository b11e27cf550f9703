"""Every call does what its file in contract/ says; contract/README.md describes the form."""

import json
import re
import uuid
from pathlib import Path
from typing import Any

import pytest
from aiohttp import FormData
from openapi_schema_validator import OAS31Validator
from served_api import Answer, Api

from kanal.http import openapi
from kanal.http.openapi import operation_id
from kanal.http.routes import ROUTES

CONTRACTS = Path(__file__).parent / "contract"
FILES = {file.stem: file.read_text() for file in sorted(CONTRACTS.glob("*.json"))}

NOT_YET: set[str] = set()
"""Calls whose file is still being written."""

NAME = re.compile(r"\$([A-Z][A-Z0-9_]*)")
DATE = re.compile(
    r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [+-]\d{4}"
)
MARKERS = {
    "<int>": lambda value: type(value) is int,
    "<string>": lambda value: type(value) is str,
    "<text>": lambda value: type(value) is str and value != "",
    "<bool>": lambda value: type(value) is bool,
    "<date>": lambda value: type(value) is str and bool(DATE.fullmatch(value)),
    "<date or ->": lambda value: value == "-" or bool(DATE.fullmatch(value)),
    "<int or ->": lambda value: value == "-" or type(value) is int,
    "<url>": lambda value: type(value) is str and value.startswith(("http://", "https://")),
    "<list>": lambda value: type(value) is list,
    "<object>": lambda value: type(value) is dict,
    "<any>": lambda value: True,
}
OTHERS = "*"
SECRETS = {"api_key", "secret"}
MAKES_NOTHING = {
    "post_cases_id_typing",
    "post_custom_channels_id_ping",
    "post_rules_id_webhooks_id_test",
}
"""A POST that is made anew each time: nothing of it is kept."""

DOCUMENT = openapi.document()

Kept = dict[str, Any]


def calls() -> dict[str, str]:
    """Name of the file -> the call as the file has to name it, whatever it calls the ids."""
    return {
        operation_id(each.method, each.path): f"{each.method} /api/{each.path}.json"
        for each in ROUTES
    }


def test_every_call_has_a_contract() -> None:
    assert FILES.keys() | NOT_YET == calls().keys()
    assert not FILES.keys() & NOT_YET


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("file", FILES)
async def test_a_call_keeps_its_contract(shared_api: Api, file: str) -> None:
    contract = json.loads(FILES[file])
    assert _without_names(contract["call"]) == _without_names(calls()[file])
    kept = await _names(shared_api)
    for step in contract.get("before", ()):
        answer = await _send(shared_api, step, kept)
        assert answer.status in (200, 201), (step, answer.text)
        _keep(step, answer, kept)
    variants = contract.get("cases") or [contract]
    called = set()
    for each in variants:
        answer = await _send(shared_api, each["request"], kept)
        assert answer.status == each["status"], (each["request"], answer.text)
        given = json.loads(answer.text) if answer.text else ""
        assert _difference(_filled(each["answer"], kept), given) == "", answer.text
        _check_documented(file, answer)
        assert answer.headers["api_calls_left"].isdecimal()
        _keep(each, answer, kept)
        called.add(each["request"]["method"])
    assert called == {contract["call"].split()[0]}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("file", [each for each in FILES if each.startswith("post_")])
async def test_a_post_is_carried_out_once_under_its_key(shared_api: Api, file: str) -> None:
    contract = json.loads(FILES[file])
    kept = await _names(shared_api)
    for step in contract.get("before", ()):
        _keep(step, await _send(shared_api, step, kept), kept)
    variants = contract.get("cases") or [contract]
    request = next(each["request"] for each in variants if each["status"] < 400)
    request = {**request, "headers": {"Idempotency-Key": f"{file} $UNIQUE"}}
    first = await _send(shared_api, request, kept)
    head = shared_api.head()
    again = await _send(shared_api, request, kept)
    assert shared_api.head() == head
    assert again.status == first.status
    if file not in MAKES_NOTHING:
        assert _without_secrets(again.json) == _without_secrets(first.json)


def _check_documented(call: str, answer: Answer) -> None:
    """What came is what the OpenAPI document says of this call and status."""
    operation = next(
        each
        for methods in DOCUMENT["paths"].values()
        for each in methods.values()
        if each["operationId"] == call
    )
    said = operation["responses"][str(answer.status)]
    if "$ref" in said:
        said = DOCUMENT["components"]["responses"][said["$ref"].rpartition("/")[2]]
    if "content" not in said:
        assert answer.text == ""
        return
    schema = said["content"]["application/json"]["schema"]
    # The references in it are to the document's components.
    whole = {**schema, "components": DOCUMENT["components"]}
    OAS31Validator(whole).validate(answer.json)


def _without_secrets(value: Any) -> Any:
    """Secrets are shown once."""
    if not isinstance(value, dict):
        return value
    return {key: _without_secrets(each) for key, each in value.items() if key not in SECRETS}


def _without_names(call: str) -> str:
    return re.sub("{[^}]*}", "{}", call)


async def _names(api: Api) -> Kept:
    unique = uuid.uuid4()
    rows = await api.items("custom_channels.json", "custom_channel")
    channel = rows[0]["channel_id"] if rows else await api.channel()
    return {
        "UNIQUE": f"u{unique.hex[:12]}",
        "NUMBER": f"{unique.int % 10**7:07}",
        "CHANNEL": f"cch{channel}",
        "STAFF": 1,
    }


async def _send(api: Api, request: dict[str, Any], kept: Kept) -> Answer:
    request = _filled(request, kept)
    kwargs: dict[str, Any] = {}
    if "form" in request:
        kwargs["data"] = FormData(list(map(tuple, request["form"])))
    elif "multipart" in request:
        kwargs["data"] = form = FormData(default_to_multipart=True)
        for name, value in request["multipart"]:
            if isinstance(value, dict):
                value, file = value["text"].encode(), value
                form.add_field(
                    name, value, filename=file["filename"], content_type=file["content_type"]
                )
            else:
                form.add_field(name, value)
    headers = request.get("headers", {})
    return await api.call(
        request["method"], request["path"], request.get("json"), headers=headers, **kwargs
    )


def _keep(step: dict[str, Any], answer: Answer, kept: Kept) -> None:
    for name, where in step.get("keep", {}).items():
        value = answer.json
        for key in where.split("."):
            value = value[int(key)] if isinstance(value, list) else value[key]
        kept[name] = value


def _filled(value: Any, kept: Kept) -> Any:
    """With the kept values in place of their names."""
    if isinstance(value, dict):
        return {_filled(key, kept): _filled(each, kept) for key, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, kept) for each in value]
    if not isinstance(value, str):
        return value
    alone = NAME.fullmatch(value)
    if alone:
        return kept[alone[1]]
    return NAME.sub(lambda found: str(kept[found[1]]), value)


def _difference(wanted: Any, given: Any, where: str = "answer") -> str:
    """One sentence on the first thing that is not as wanted, "" if all is."""
    if isinstance(wanted, str) and wanted in MARKERS:
        return "" if MARKERS[wanted](given) else f"{where}: {given!r} is no {wanted}"
    if type(wanted) is not type(given):
        return f"{where}: {given!r} instead of {wanted!r}"
    if isinstance(wanted, dict):
        named = wanted.keys() - {OTHERS}
        if named - given.keys() or (OTHERS not in wanted and given.keys() - named):
            return f"{where}: keys {sorted(given)} instead of {sorted(wanted)}"
        pairs = [
            (f"{where}.{key}", wanted[key if key in named else OTHERS], each)
            for key, each in given.items()
        ]
    elif isinstance(wanted, list):
        if len(wanted) != len(given):
            return f"{where}: {len(given)} items instead of {len(wanted)}"
        pairs = [
            (f"{where}[{at}]", *both) for at, both in enumerate(zip(wanted, given, strict=True))
        ]
    else:
        return "" if wanted == given else f"{where}: {given!r} instead of {wanted!r}"
    return next(filter(None, (_difference(a, b, at) for at, a, b in pairs)), "")
