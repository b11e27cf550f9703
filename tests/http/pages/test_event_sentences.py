"""What the audit log says of events."""

import re
from typing import Any

import kanal.bootstrap  # with it every event is known
from kanal.domain.event import EVENTS
from kanal.http.pages.event_sentences import SENTENCES

PLACE = re.compile(r"%\((\w+)\)s")


def test_a_sentence_names_fields_that_its_event_has() -> None:
    assert kanal.bootstrap
    for name, sentence in SENTENCES.items():
        event: Any = EVENTS[name]
        assert set(PLACE.findall(sentence)) <= set(event.__struct_fields__), name
