"""The pages speak every language that they offer."""

import re

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from kanal.http.pages import wording
from kanal.http.pages.rendering import HERE

PLACE = re.compile(r"%\(\w+\)s|\{\w+\}")


def spoken() -> set[str]:
    """What stands in templates and code, in the singular."""
    templates = extract_from_dir(HERE / "templates", [("**.html", "jinja2")])
    code = extract_from_dir(HERE, [("**.py", "python")])
    found = [each[2] for each in (*templates, *code)]
    return {each[0] if isinstance(each, tuple) else each for each in found}


def catalogue(language: str) -> Catalog:
    with (wording.FOLDER / f"{language}.po").open("rb") as file:
        return read_po(file, locale=language, abort_invalid=True)


def texts(message: Message) -> list[str]:
    return [message.string] if isinstance(message.string, str) else list(message.string)


def test_each_sentence_is_translated_once_and_nothing_else() -> None:
    for language in set(wording.LANGUAGES) - {"en"}:
        messages = [message for message in catalogue(language) if message.id]
        known = {each.id if isinstance(each.id, str) else each.id[0] for each in messages}
        assert known == spoken(), language
        assert all(text.strip() for message in messages for text in texts(message))


def test_a_translation_names_the_same_places() -> None:
    for language in set(wording.LANGUAGES) - {"en"}:
        for message in catalogue(language):
            if message.id:
                first = message.id if isinstance(message.id, str) else message.id[0]
                places = [sorted(PLACE.findall(text)) for text in texts(message)]
                assert places == [sorted(PLACE.findall(first))] * len(places), first


def test_the_staff_members_language_comes_first_then_the_browsers_best() -> None:
    assert wording.chosen("ru", "en") == "ru"
    assert wording.chosen("", "ru-RU,ru;q=0.9,en;q=0.8") == "ru"
    assert wording.chosen("", "de, en;q=0.5, ru;q=0.7") == "ru"
    assert wording.chosen("", "ru;q=0, en") == "en"
    assert wording.chosen("xx", "de") == wording.chosen("", "") == "en"
    assert wording.chosen("", "ru;q=x,,;;" + "a," * 1000) == "en"
