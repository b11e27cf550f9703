"""Values as forms send them, whatever was made of the form on the way."""

from typing import Any


def word(value: object) -> str:
    return value if isinstance(value, str) else ""


def words(value: object) -> tuple[str, ...]:
    return tuple(filter(None, map(word, value))) if isinstance(value, list) else ()


def mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
