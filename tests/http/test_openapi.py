"""The OpenAPI document and the page that shows it."""

import json
import re
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from openapi_compatibility import breaking
from openapi_spec_validator import validate
from served_api import Api

from kanal.http import docs_page, openapi
from kanal.http.routes import ROUTES

PUBLISHED = Path(__file__).parents[2] / "docs" / "openapi.json"
RELEASED = Path(__file__).parent / "data" / "openapi-released.json"


def test_the_document_is_valid_openapi() -> None:
    validate(openapi.document())


def test_every_call_is_in_the_document_once() -> None:
    paths = openapi.document()["paths"]
    made = {(method, path) for path, methods in paths.items() for method in methods}
    assert made == {(each.method.lower(), f"/api/{each.path}.json") for each in ROUTES}
    ids = [each["operationId"] for methods in paths.values() for each in methods.values()]
    assert len(ids) == len(set(ids)) == len(ROUTES)


def test_the_published_document_is_the_present_one() -> None:
    assert PUBLISHED.read_text() == openapi.text(), "run: kanal openapi > docs/openapi.json"


def test_nothing_that_clients_rely_on_has_gone_since_the_last_release() -> None:
    """A new release copies docs/openapi.json over the released one."""
    assert breaking(json.loads(RELEASED.read_text()), openapi.document()) == []


@pytest.mark.asyncio(loop_scope="module")
async def test_document_and_page_are_served_to_everybody(shared_api: Api) -> None:
    async with aiohttp.ClientSession(shared_api.address) as anybody:
        async with anybody.get("/api/openapi.json") as document:
            assert document.headers["Content-Type"] == "application/json"
            assert await document.text() == openapi.text()
        async with anybody.get("/api/docs") as page:
            policy = page.headers["Content-Security-Policy"]
            html = await page.text()
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "<script>" not in html
        for name in re.findall(r'(?:src|href)="(docs/[^"]+)"', html):
            async with anybody.get(f"/api/{name}") as file:
                assert file.status == 200
                assert len(await file.read()) > 100
        async with anybody.get("/api/cases.json") as refused:
            assert refused.status == 401


def test_the_page_asks_no_other_host() -> None:
    """Swagger UI's own files hold addresses as texts; what a browser fetches is in the page and its policy."""
    assert "//" not in docs_page.PAGE + docs_page.START
    assert "validatorUrl: null" in docs_page.START


def _call(answer: Any = None, **changes: Any) -> dict[str, Any]:
    schema = answer or {
        "type": "object",
        "required": ["id"],
        "properties": {"id": {"type": "integer"}, "state": {"enum": ["a", "b"]}},
    }
    return {
        "parameters": changes.get("parameters", []),
        "requestBody": {
            "content": {"application/json": {"schema": changes.get("body", {"type": "object"})}}
        },
        "responses": {
            changes.get("status", "200"): {"content": {"application/json": {"schema": schema}}}
        },
    }


def _document(*args: Any, **changes: Any) -> dict[str, Any]:
    return {"paths": {"/x": {"get": _call(*args, **changes)}}, "components": {}}


NAME = {"name": "n", "in": "query", "schema": {"type": "string"}}


@pytest.mark.parametrize(
    ("then", "now"),
    [
        (_document(), {"paths": {}, "components": {}}),
        (_document(), _document(status="201")),
        (_document(), _document({"type": "object", "properties": {"state": {"enum": ["a", "b"]}}})),
        (
            _document(),
            _document(
                {
                    "type": "object",
                    "properties": {"id": {"type": "integer"}, "state": {"enum": ["a", "b"]}},
                }
            ),
        ),
        (
            _document(),
            _document(
                {
                    "type": "object",
                    "required": ["id"],
                    "properties": {"id": {"type": "integer"}, "state": {"enum": ["a", "b", "c"]}},
                }
            ),
        ),
        (
            _document(),
            _document(
                {
                    "type": "object",
                    "required": ["id"],
                    "properties": {"id": {"type": "string"}, "state": {"enum": ["a", "b"]}},
                }
            ),
        ),
        (_document(), _document(parameters=[{**NAME, "required": True}])),
        (_document(parameters=[NAME]), _document()),
        (
            _document(parameters=[NAME]),
            _document(parameters=[{**NAME, "schema": {"type": "integer"}}]),
        ),
        (
            _document(body={"type": "object", "properties": {"a": {"type": "string"}}}),
            _document(body={"type": "object"}),
        ),
        (
            _document(body={"type": "object", "properties": {"a": {"type": "string"}}}),
            _document(
                body={
                    "type": "object",
                    "required": ["a"],
                    "properties": {"a": {"type": "string"}},
                }
            ),
        ),
        (
            _document(body={"type": "object", "properties": {"a": {"enum": ["x", "y"]}}}),
            _document(body={"type": "object", "properties": {"a": {"enum": ["x"]}}}),
        ),
        (
            _document(body={"type": "object", "properties": {"a": {"type": "string"}}}),
            _document(
                body={"type": "object", "properties": {"a": {"type": "string", "maxLength": 9}}}
            ),
        ),
    ],
    ids=[
        "path gone",
        "other status",
        "answer key gone from what is always there",
        "always there no more",
        "answer with a new value",
        "answer type changed",
        "new required parameter",
        "parameter gone",
        "parameter type narrowed",
        "body field gone",
        "body field now required",
        "body values narrowed",
        "body length narrowed",
    ],
)
def test_what_breaks_clients_is_seen(then: dict[str, Any], now: dict[str, Any]) -> None:
    assert breaking(then, now)
    assert not breaking(then, then)


def test_what_breaks_no_client_is_allowed() -> None:
    then = _document(parameters=[NAME], body={"type": "object", "properties": {}})
    wider = {
        "type": "object",
        "required": ["id", "new"],
        "properties": {
            "id": {"type": "integer"},
            "state": {"enum": ["a", "b"]},
            "new": {"type": "string"},
        },
    }
    now = _document(
        wider,
        parameters=[{**NAME, "schema": {"type": ["string", "integer"]}}, {**NAME, "name": "m"}],
        body={"type": "object", "properties": {"b": {"type": "string"}}},
    )
    now["paths"]["/y"] = {"post": _call()}
    assert breaking(then, now) == []
