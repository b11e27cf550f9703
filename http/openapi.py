"""The OpenAPI 3.1 document, made from the table of routes and the contracts of its handlers."""

import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import msgspec
from pydantic.json_schema import models_json_schema

from kanal import __version__
from kanal.domain.access import PLAIN_STAFF
from kanal.http.answers import JSON
from kanal.http.contract import Answers, Empty, Listed, One, Takes, Whole
from kanal.http.fields import Fields
from kanal.http.middleware import API
from kanal.http.routes import ROUTES, Route

Json = dict[str, Any]

SCHEMAS = "#/components/schemas/"
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"

DESCRIPTION = """\
Kanal speaks the HTTP API of Omnidesk. What holds for every call, forms of bodies, dates, lists, errors, stands in docs/api.md; \
what differs from Omnidesk, in docs/compatibility.md.

Requests are read leniently: paths with and without `.json` and with a trailing slash; ids as numbers or strings; `null`, `""` and \
`[]` mean "not given"; unknown fields are ignored; lists in queries and forms as `name=1&name=2`, `name[]=1&name[]=2`, `name[0]=1` or, where a comma cannot be part of a value, `name=1,2`."""

ID: Json = {"type": "integer", "format": "int64", "minimum": 1}
IN_PATHS: dict[str, tuple[str, Json]] = {
    "case": (
        "case_id or case_number; several, joined by commas, where the answer has case_success_id",
        {"type": "string", "examples": ["1", "051-666140"]},
    ),
    "delivery": ("delivery_id", {"type": "string", "examples": ["msg_1"]}),
    "event": ("position in the log", ID),
    "channel": ("channel_id or channel_api_key", {"type": "string", "examples": ["1", "cch1"]}),
}
"""Parts of paths that are no plain ids."""

ERRORS = {
    400: "What was sent cannot be read or is wrong; `fields` names all wrong fields.",
    401: "No e-mail and API key, or not a live pair.",
    403: "The key's owner has no right to this call.",
    404: "There is no such thing.",
    429: "More calls in this minute than KANAL_RATE_LIMIT_PER_MINUTE.",
    500: "A mistake of Kanal's; `error_id` stands in its log.",
    503: "The log cannot be written now: come again after `Retry-After` seconds.",
}
ERRORS_OF_BODIES = {
    413: "The body is too large.",
    415: "A media type, charset or encoding that is not understood.",
}
ERRORS_OF_POSTS = {
    422: "This Idempotency-Key was used for another request.",
}
HEADERS: dict[str, Json] = {
    "api_calls_left": {
        "description": "Calls left in this minute; without a limit it never falls.",
        "required": True,
        "schema": {"type": "integer"},
    },
    "rate_limit_per_minute": {
        "description": "Calls that the account has in a minute; only if there is a limit. POST, PUT and DELETE count as two.",
        "schema": {"type": "integer"},
    },
    "retry_after": {
        "description": "Seconds until there are calls again; only when there are none left.",
        "schema": {"type": "integer"},
    },
    "X-Request-Id": {
        "description": "Yours if you sent one; the events of the request carry it. Not with what is no well-formed HTTP.",
        "schema": {"type": "string"},
    },
}
IDEMPOTENCY_KEY: Json = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The same request under the same key is carried out once. A UUID is usual.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
}
ERROR: Json = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {"type": "string", "description": "A stable code, for programs."},
        "message": {"type": "string", "description": "A sentence, for people."},
        "fields": {"type": "object", "additionalProperties": {"type": "string"}},
        "error_id": {"type": "string", "description": "Of a 500 alone."},
    },
}


_FILES: Json = {"type": "array", "items": {"type": "string", "format": "binary"}}


def operation_id(method: str, path: str) -> str:
    """`put_cases_id_trash`"""
    return f"{method}_{re.sub('{[^}]*}', 'id', path).replace('/', '_')}".lower()


@cache
def document() -> Json:
    schemas = _schemas(ROUTES)
    paths: Json = {}
    for route in ROUTES:
        methods = paths.setdefault(f"{API}{route.path}.json", {})
        methods[route.method.lower()] = _operation(route, schemas)
    errors = ERRORS | ERRORS_OF_BODIES | ERRORS_OF_POSTS
    return {
        "openapi": "3.1.0",
        "info": {"title": "Kanal", "version": __version__, "description": DESCRIPTION},
        "servers": [{"url": "/"}],
        "security": [{"basic": []}],
        "tags": [{"name": name} for name in dict.fromkeys(map(_tag, ROUTES))],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "basic": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "User: a staff member's e-mail. Password: one of their API keys.",
                }
            },
            "headers": HEADERS,
            "parameters": {"Idempotency-Key": IDEMPOTENCY_KEY},
            "responses": {str(status): _refusal(text) for status, text in errors.items()},
            "schemas": schemas,
        },
    }


@cache
def text() -> str:
    """As docs/openapi.json holds it."""
    return json.dumps(document(), ensure_ascii=False, indent=2) + "\n"


def _schemas(routes: Iterable[Route]) -> Json:
    """Of bodies and answers, by name."""
    bodies = [route.operation.body for route in routes if route.operation.body]
    models = list(dict.fromkeys(taken.model for taken in bodies))
    _, given = models_json_schema(
        [(model, "validation") for model in models], ref_template=SCHEMAS + "{model}"
    )
    schemas: Json = {name: _plain(each) for name, each in given.get("$defs", {}).items()}
    several = {model.__name__ for model in models} - schemas.keys()
    if several:
        raise TypeError(f"several models have one name: {sorted(several)}")
    shapes = [shape for route in routes for shape in _shapes(route.operation.answer)]
    _, answered = msgspec.json.schema_components(shapes, ref_template=SCHEMAS + "{name}")
    twice = schemas.keys() & answered.keys()
    if twice:
        raise TypeError(f"one name for a model and an answer: {sorted(twice)}")
    schemas |= answered
    schemas["Error"] = ERROR
    return dict(sorted(schemas.items()))


def _operation(route: Route, schemas: Json) -> Json:
    operation, right = route.operation, route.right
    needs = "" if right in PLAIN_STAFF.rights else ", which administrators have"
    described = [operation.handler.__doc__ or "", f"Needs the right to {right.value}{needs}."]
    parameters = [_in_path(name) for name in re.findall(r"{(\w+)}", route.path)]
    if operation.query:
        parameters += _in_query(operation.query)
    errors = dict(ERRORS)
    if operation.body:
        errors |= ERRORS_OF_BODIES
    if route.method == "POST":
        errors |= ERRORS_OF_BODIES | ERRORS_OF_POSTS
        parameters.append({"$ref": "#/components/parameters/Idempotency-Key"})
    status, answered = _answered(operation.answer)
    if operation.csv:
        answered["content"]["text/csv"] = {"schema": {"type": "string"}}
    refused = {str(each): {"$ref": f"#/components/responses/{each}"} for each in sorted(errors)}
    made: Json = {
        "operationId": operation_id(route.method, route.path),
        "tags": [_tag(route)],
        "summary": operation.summary,
        "description": "\n\n".join(filter(None, described)),
        "parameters": parameters,
        "responses": {str(status): answered, **refused},
    }
    if operation.body:
        made["requestBody"] = _body(operation.body, schemas)
    return made


def _tag(route: Route) -> str:
    """The resource: the file that the handler stands in."""
    return route.operation.handler.__module__.rpartition(".")[2]


def _in_path(name: str) -> Json:
    about, schema = IN_PATHS.get(name, (f"{name}_id", ID))
    return {"name": name, "in": "path", "required": True, "description": about, "schema": schema}


def _in_query(model: type[Fields]) -> list[Json]:
    """Lists may also come as `name[]=1&name[]=2` and, but for external ids, as `name=1,2`."""
    schema = _plain(model.model_json_schema(mode="validation"))
    parameters = []
    for name, each in schema.get("properties", {}).items():
        each = _without_null(each)
        about = each.pop("description", None)
        parameter: Json = {"name": name, "in": "query", "schema": each}
        if about:
            parameter["description"] = about
        if name in schema.get("required", ()):
            parameter["required"] = True
        if each.get("type") == "object":
            parameter |= {"style": "deepObject", "explode": True}
        parameters.append(parameter)
    return parameters


def _body(taken: Takes, schemas: Json) -> Json:
    fields: Json = {"$ref": SCHEMAS + taken.model.__name__}
    required = bool(schemas[taken.model.__name__].get("required"))
    if taken.wrapper:
        fields = {"type": "object", "properties": {taken.wrapper: fields}}
        if not taken.bare:
            fields["required"] = [taken.wrapper]
    content = {JSON: {"schema": fields}, FORM: {"schema": _form(taken, schemas)}}
    if taken.files:
        content[MULTIPART] = {"schema": _form(taken, schemas, files=True)}
    return {"required": required or not taken.bare, "content": content}


def _form(taken: Takes, schemas: Json, *, files: bool = False) -> Json:
    """The same fields with PHP's brackets: `case[subject]`, `case[labels][]`, `case[custom_fields][cf_1]`."""
    model = schemas[taken.model.__name__]
    properties = {}
    patterns = {}
    names = {}
    for name, each in model.get("properties", {}).items():
        each = _FILES if files and name == "attachments" else _without_null(each)
        names[name] = f"{taken.wrapper}[{name}]" if taken.wrapper else name
        if each.get("type") == "array":
            names[name] += "[]"
        if each.get("type") == "object":
            inner = each.get("additionalProperties")
            patterns[f"^{re.escape(names[name])}\\["] = inner if isinstance(inner, dict) else {}
        else:
            properties[names[name]] = each
    form: Json = {"type": "object", "properties": properties}
    if patterns:
        form["patternProperties"] = patterns
    required = [names[name] for name in model.get("required", ())]
    if required:
        form["required"] = required
    return form


def _answered(answers: Answers) -> tuple[int, Json]:
    headers = {name: {"$ref": f"#/components/headers/{name}"} for name in HEADERS}
    made: Json = {"description": "Done.", "headers": headers}
    if isinstance(answers, Empty):
        return 200, {**made, "description": "Done; no body."}
    if isinstance(answers, Listed):
        item = _holding(answers.entity, answers.shape)
        schema: Json = {
            "type": "object",
            "required": [answers.total],
            "properties": {
                answers.total: {
                    "type": "integer",
                    "description": "How many the filters find, on all pages.",
                }
            },
            "patternProperties": {"^[0-9]+$": item},
        }
        return 200, {**made, "content": {JSON: {"schema": schema}}}
    if isinstance(answers, One):
        schema = _holding(answers.entity, answers.shape)
    else:
        schema = _schema_of(answers.shape)
    return answers.status, {**made, "content": {JSON: {"schema": schema}}}


def _holding(entity: str, shape: Any) -> Json:
    properties = {entity: _schema_of(shape)}
    return {"type": "object", "required": [entity], "properties": properties}


def _schema_of(shape: Any) -> Json:
    [schema], _ = msgspec.json.schema_components([shape], ref_template=SCHEMAS + "{name}")
    return schema


def _shapes(answers: Answers) -> list[Any]:
    return [answers.shape] if isinstance(answers, One | Listed | Whole) else []


def _refusal(sentence: str) -> Json:
    headers = {name: {"$ref": f"#/components/headers/{name}"} for name in HEADERS}
    content = {JSON: {"schema": {"$ref": SCHEMAS + "Error"}}}
    return {"description": sentence, "headers": headers, "content": content}


def _plain(schema: Mapping[str, Any]) -> Json:
    """Without the titles, which are the names once more."""
    made: Json = {}
    for name, value in schema.items():
        if name == "properties":
            made[name] = {field: _plain(each) for field, each in value.items()}
        elif name == "title" and isinstance(value, str):
            continue
        elif isinstance(value, dict):
            made[name] = _plain(value)
        elif isinstance(value, list):
            made[name] = [_plain(each) if isinstance(each, dict) else each for each in value]
        else:
            made[name] = value
    return made


def _without_null(schema: Json) -> Json:
    """Queries and forms have no null."""
    schema = {
        key: value for key, value in schema.items() if (key, value) not in [("default", None)]
    }
    kinds = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    if len(kinds) == 1:
        del schema["anyOf"]
        return {**kinds[0], **schema}
    return {**schema, "anyOf": kinds} if kinds else schema
