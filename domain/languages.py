"""Languages in which an account writes to its users."""

from msgspec import Struct
from msgspec.structs import replace

from kanal.domain.errors import LanguageNotFound
from kanal.domain.event import Event
from kanal.domain.stream import Aggregate
from kanal.domain.work import Work


class LanguageSet(Event, frozen=True):
    """A language is added or changed. Holds all of it, so that a reader needs no earlier event."""

    NAME = "language.set.1"
    language_id: int
    code: str
    title: str
    active: bool


class Language(Struct, frozen=True):
    language_id: int
    code: str
    """As people see it: `РУС`, `ENG`."""
    title: str
    active: bool = True


DEFAULTS = (Language(1, "РУС", "Русский"), Language(2, "ENG", "English"))
"""Every account has them from the start, without an event. Omnidesk's examples show these codes."""


class Languages(Struct, frozen=True):
    known: tuple[Language, ...] = DEFAULTS


def evolve(languages: Languages, event: Event) -> Languages:
    if isinstance(event, LanguageSet):
        new = Language(event.language_id, event.code, event.title, event.active)
        others = [one for one in languages.known if one.language_id != event.language_id]
        return Languages(tuple(sorted([*others, new], key=lambda one: one.language_id)))
    return languages


LANGUAGES = Aggregate("languages", Languages(), evolve)
"""One stream, key "all": there are few."""


def add_language(work: Work, *, code: str, title: str, active: bool = True) -> int:
    """The new language's id."""
    language_id = max(one.language_id for one in work.load(LANGUAGES, "all").known) + 1
    _set(work, Language(language_id, code, title, active))
    return language_id


def change_language(
    work: Work,
    *,
    language_id: int,
    code: str | None = None,
    title: str | None = None,
    active: bool | None = None,
) -> int:
    """None means "as it is". Raises LanguageNotFound."""
    known = {one.language_id: one for one in work.load(LANGUAGES, "all").known}
    language = known.get(language_id)
    if language is None:
        raise LanguageNotFound(language_id)
    changed = replace(
        language,
        code=language.code if code is None else code,
        title=language.title if title is None else title,
        active=language.active if active is None else active,
    )
    if changed != language:
        _set(work, changed)
    return language_id


def _set(work: Work, language: Language) -> None:
    event = LanguageSet(
        language_id=language.language_id,
        code=language.code,
        title=language.title,
        active=language.active,
    )
    work.record(LANGUAGES, "all", event)
