"""What of one OpenAPI document clients cannot rely on any more in a later one."""

from collections.abc import Iterator
from itertools import product
from typing import Any

Json = dict[str, Any]

JSON_TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")
LIMITS = {
    "maxLength": -1,
    "maximum": -1,
    "maxItems": -1,
    "minLength": 1,
    "minimum": 1,
    "minItems": 1,
}
"""With the direction in which a limit narrows."""


def breaking(then: Json, now: Json) -> list[str]:
    """Sentences; none if every client of `then` works with `now`.

    Requests must stay accepted: no parameter or field gone, none newly required, no narrower type. Answers must stay readable:
    no key gone or no longer always there, no type or value that was not there before.
    """
    return list(_paths(then, now))


def _paths(then: Json, now: Json) -> Iterator[str]:
    for path, methods in then["paths"].items():
        for method, old in methods.items():
            where = f"{method.upper()} {path}"
            new = now["paths"].get(path, {}).get(method)
            if new is None:
                yield f"{where} is gone"
                continue
            yield from _parameters(where, _each(old, then), _each(new, now), then, now)
            yield from _bodies(where, old, new, then, now)
            yield from _answers(where, old, new, then, now)


def _each(operation: Json, document: Json) -> dict[tuple[str, str], Json]:
    found = [_resolved(each, document) for each in operation.get("parameters", ())]
    return {(each["in"], each["name"]): each for each in found}


def _parameters(
    where: str, old: dict[Any, Json], new: dict[Any, Json], then: Json, now: Json
) -> Iterator[str]:
    # Parts of the path have no names for clients.
    old = {key: each for key, each in old.items() if key[0] != "path"}
    for key, each in old.items():
        if key not in new:
            yield f"{where}: {key[0]} parameter {key[1]} is gone"
        else:
            at = f"{where}: {key[1]}"
            yield from _taken(at, each["schema"], new[key]["schema"], then, now)
    for key, each in new.items():
        if key[0] != "path" and each.get("required") and not old.get(key, {}).get("required"):
            yield f"{where}: {key[0]} parameter {key[1]} is required now"


def _bodies(where: str, old: Json, new: Json, then: Json, now: Json) -> Iterator[str]:
    kinds = old.get("requestBody", {}).get("content", {})
    taken = new.get("requestBody", {}).get("content", {})
    for kind, each in kinds.items():
        if kind not in taken:
            yield f"{where}: {kind} is not taken any more"
        else:
            yield from _taken(where, each["schema"], taken[kind]["schema"], then, now)
    if new.get("requestBody", {}).get("required") and not old.get("requestBody", {}).get(
        "required"
    ):
        yield f"{where}: the body is required now"


def _answers(where: str, old: Json, new: Json, then: Json, now: Json) -> Iterator[str]:
    for status, answer in old["responses"].items():
        answered = new["responses"].get(status)
        if answered is None:
            yield f"{where}: does not answer {status} any more"
            continue
        before, after = _resolved(answer, then), _resolved(answered, now)
        for name in before.get("headers", {}).keys() - after.get("headers", {}).keys():
            yield f"{where}: header {name} of {status} is gone"
        for kind, each in before.get("content", {}).items():
            if kind not in after.get("content", {}):
                yield f"{where}: {status} is not {kind} any more"
            else:
                at = f"{where} {status}"
                yield from _answered(
                    at, each["schema"], after["content"][kind]["schema"], then, now, set()
                )


def _taken(where: str, old: Json, new: Json, then: Json, now: Json) -> Iterator[str]:
    """What was accepted is accepted still."""
    old, new = _resolved(old, then), _resolved(new, now)
    if not new:
        return
    narrower = _kinds(old, then) - _kinds(new, now)
    if narrower:
        yield f"{where}: {', '.join(sorted(narrower))} is not taken any more"
    for lacking in _values(old, then) - _values(new, now) if _values(new, now) else ():
        yield f"{where}: {lacking!r} is not taken any more"
    if _values(new, now) and not _values(old, then):
        yield f"{where}: only certain values are taken now"
    for one, other in product(_variants(old, then), _variants(new, now)):
        if _kinds(one, then) == _kinds(other, now):
            yield from _limits(where, one, other)
            if "items" in one and "items" in other:
                yield from _taken(f"{where}[]", one["items"], other["items"], then, now)
            fields, others = one.get("properties", {}), other.get("properties", {})
            for name, each in fields.items():
                if name not in others:
                    yield f"{where}.{name} is gone"
                else:
                    yield from _taken(f"{where}.{name}", each, others[name], then, now)
            for name in set(other.get("required", ())) - set(one.get("required", ())):
                yield f"{where}.{name} is required now"


def _limits(where: str, old: Json, new: Json) -> Iterator[str]:
    for name, direction in LIMITS.items():
        if name in new and (name not in old or (new[name] - old[name]) * direction > 0):
            yield f"{where}: {name} is {new[name]} now"
    for name in ("pattern", "format"):
        if name in new and new[name] != old.get(name):
            yield f"{where}: {name} is {new[name]} now"


def _answered(
    where: str, old: Json, new: Json, then: Json, now: Json, seen: set[tuple[int, int]]
) -> Iterator[str]:
    """What could be read can be read still."""
    old, new = _resolved(old, then), _resolved(new, now)
    if not old or (id(old), id(new)) in seen:
        return
    seen = seen | {(id(old), id(new))}
    wider = _kinds(new, now) - _kinds(old, then)
    if wider:
        yield f"{where} may be {', '.join(sorted(wider))} now"
    if _values(old, then):
        if not _values(new, now):
            yield f"{where} may have any value now"
        for value in _values(new, now) - _values(old, then):
            yield f"{where} may be {value!r} now"
    for one, other in product(_variants(old, then), _variants(new, now)):
        if _kinds(one, then) == _kinds(other, now):
            if "items" in one:
                items = other.get("items", {})
                yield from _answered(f"{where}[]", one["items"], items, then, now, seen)
            for part in ("properties", "patternProperties"):
                for name, each in one.get(part, {}).items():
                    if name not in other.get(part, {}):
                        yield f"{where}.{name} is gone"
                    else:
                        at = f"{where}.{name}"
                        yield from _answered(at, each, other[part][name], then, now, seen)
            for name in set(one.get("required", ())) - set(other.get("required", ())):
                yield f"{where}.{name} is not always there any more"


def _resolved(schema: Json, document: Json) -> Json:
    while "$ref" in schema:
        target: Json = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        schema = target
    return schema


def _variants(schema: Json, document: Json) -> list[Json]:
    schema = _resolved(schema, document)
    if "anyOf" not in schema:
        return [schema]
    return [each for part in schema["anyOf"] for each in _variants(part, document)]


def _kinds(schema: Json, document: Json) -> set[str]:
    """Types that a value may have."""
    kinds: set[str] = set()
    for each in _variants(schema, document):
        given = each.get("type")
        if isinstance(given, str):
            kinds.add(given)
        elif given:
            kinds.update(given)
        elif "enum" in each:
            kinds |= {"string" if isinstance(value, str) else "integer" for value in each["enum"]}
        else:
            kinds |= set(JSON_TYPES)
    return kinds | {"integer"} if "number" in kinds else kinds


def _values(schema: Json, document: Json) -> set[Any]:
    """The only values that there are, if all variants say so."""
    variants = [each for each in _variants(schema, document) if each.get("type") != "null"]
    if not all("enum" in each for each in variants):
        return set()
    return {value for each in variants for value in each["enum"]}
