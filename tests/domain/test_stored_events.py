"""The stored form of every event, as a file: a changed event without a new version fails here.

An event type is never changed once released: the changed one gets the next number, and the old bytes must stay readable.
"""

import importlib
import json
import pkgutil
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
from msgspec import Struct
from msgspec.structs import replace

import kanal.domain
from kanal.domain.conditions import Condition
from kanal.domain.event import EVENTS, Envelope, Event
from kanal.eventlog.mapper import EventMapper

for module in pkgutil.iter_modules(kanal.domain.__path__):
    importlib.import_module(f"kanal.domain.{module.name}")

STORED: dict[str, str] = json.loads(
    (Path(__file__).parent / "data" / "events.json").read_text(encoding="utf-8")
)
"""Stored name -> body."""
ENVELOPE = Envelope(at=1_700_000_000_000_000, who="staff:1", origin="api", request="req-1", cause=7)


def sample(event_type: type[Any]) -> Any:
    """One event, or a part of one, with a value of its own in each field."""
    hints = get_type_hints(event_type)
    values = {
        name: value_of(hints[name], number)
        for number, name in enumerate(event_type.__struct_fields__, start=1)
    }
    return event_type(**values)


def value_of(hint: Any, number: int) -> Any:
    if get_origin(hint) is Literal:
        return get_args(hint)[0]
    if get_origin(hint) is tuple:
        inner = get_args(hint)[0]
        if get_origin(inner) is Literal or issubclass(inner, Struct):
            return (value_of(inner, number),)
    if hint is Condition:
        leaf = Condition(field="status", operator="is", value=["open"])
        return Condition(all=(leaf, Condition(any=(leaf,))))
    if isinstance(hint, type) and issubclass(hint, Struct):
        return sample(hint)
    values = {
        int: number,
        bool: True,
        str: f"Текст {number} \"'\r\n 0",
        tuple[int, ...]: (number, number + 100),
        tuple[str, ...]: ("cf_1", f"cf_{number}"),
        dict[str, str]: {"1": f"Да {number}"},
        dict[str, str | bool]: {"cf_1": f"Текст {number}", "cf_2": True},
        dict[str, str | bool | None]: {"cf_1": None, "cf_2": False},
        Any: {"case_id": number},
    }
    return values[hint]


def body_of(event: Event) -> bytes:
    return EventMapper().encode(event, replace(ENVELOPE, about=event.about()))


def test_every_event_type_has_its_stored_form_in_the_file() -> None:
    assert sorted(STORED) == sorted(EVENTS)


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_an_event_is_stored_in_the_same_bytes_for_ever(name: str) -> None:
    assert body_of(sample(EVENTS[name])).decode() == STORED.get(name)


@pytest.mark.parametrize("name", sorted(STORED))
def test_the_stored_bytes_are_read_as_the_same_event(name: str) -> None:
    event, envelope = EventMapper().decode(name, STORED[name].encode())
    assert event == sample(EVENTS[name])
    assert envelope == replace(ENVELOPE, about=event.about())


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_personal_fields_and_users_are_fields_of_the_event(name: str) -> None:
    event_type = EVENTS[name]
    assert {*event_type.PERSONAL, *event_type.ABOUT} <= set(event_type.__struct_fields__)


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_a_name_says_subject_what_happened_and_version(name: str) -> None:
    subject, happened, version = name.split(".")
    assert subject
    assert happened
    assert int(version) >= 1


def test_a_name_is_taken_once() -> None:
    with pytest.raises(TypeError, match=r"two events are called case\.opened\.1"):
        type("CaseOpenedAgain", (Event,), {"NAME": "case.opened.1"}, frozen=True)
