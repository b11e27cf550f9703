"""What came of deliveries, said in the reader's language."""

import re

from kanal.delivery.outcome import (
    GONE_SENTENCE,
    REDIRECT_SENTENCE,
    SENTENCES,
    Outcome,
    OutcomeClass,
)
from kanal.http.pages import wording
from kanal.http.pages.outcomes import PATTERNS
from kanal.http.pages.rendering import environment

ENGLISH = re.compile(r"[A-Za-z]{3,}")


def said(text: str, language: str = "ru") -> str:
    template = environment(language).from_string("{{ text|spoken }}")
    return template.render(text=text, language=language)


def test_every_outcome_is_known_and_keeps_what_the_failing_system_said() -> None:
    known = {each.replace("%(", "{").replace(")s", "}") for each in PATTERNS}
    assert known >= {*SENTENCES.values(), REDIRECT_SENTENCE, GONE_SENTENCE}
    assert "ru" in wording.LANGUAGES
    for kind in OutcomeClass:
        outcome = Outcome(
            outcome_class=kind, started_at=0, ended_at=1, http_status=502, detail="<12.5: 7>"
        )
        russian = said(outcome.sentence)
        assert not set(ENGLISH.findall(russian)) - {"HTTP", "DNS", "Kanal", "Webhook", "URL"}
        assert ("&lt;12.5: 7&gt;" in russian) == ("{detail}" in SENTENCES[kind])
        assert (
            said(outcome.sentence, "en")
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&#39;", "'")
            == outcome.sentence
        )


def test_reasons_are_said_sentence_by_sentence_and_others_left_as_they_are() -> None:
    refused = "The receiver answered HTTP 404, which is not a success."
    alone = "The receiver took other messages and refused this one, again and again."
    assert said(f"{alone} {refused}") == f"{said(alone)} {said(refused)}"
    assert said("<Anna> is away.") == "&lt;Anna&gt; is away."
    assert said(f"{alone} Said by hand.") == f"{said(alone)} Said by hand."
    assert said("") == ""
    assert said("Held by staff member 7. Not yet") == "Задержано, сотрудник: 7. Not yet"
