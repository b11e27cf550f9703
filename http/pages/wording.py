"""The languages of the pages: gettext catalogues, read as their translators write them, and whose turn it is.

English stands in the templates; `languages/<language>.po` holds the others.
"""

from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Final

from babel.core import Locale, negotiate_locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations

FOLDER: Final = Path(__file__).parent / "languages"
LANGUAGES: Final = {"en": "English", "ru": "Русский"}
"""Each under its own name; the first one is for whoever reads none of them."""
MAX_WISHES: Final = 20
"""Languages of a browser that are looked at."""


def N_(text: str) -> str:
    """A sentence that stands in code and is translated where it is shown; the name is gettext's."""
    return text


@cache
def translations(language: str) -> NullTranslations:
    file = FOLDER / f"{language}.po"
    if not file.exists():
        return NullTranslations()
    with file.open("rb") as opened:
        catalogue = read_po(opened, locale=language, abort_invalid=True)
    compiled = BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return Translations(compiled)


def chosen(preferred: str, accepted: str) -> str:
    """The staff member's own language, else the best of what the browser accepts (RFC 9110, 12.5.4)."""
    if preferred in LANGUAGES:
        return preferred
    found = negotiate_locale(_wishes(accepted), list(LANGUAGES), sep="-")
    return found or next(iter(LANGUAGES))


@cache
def locale_of(language: str) -> Locale:
    # Dates as in Europe: an American order of day and month would be read wrongly by most of the world.
    return Locale.parse("en_GB" if language == "en" else language)


def _wishes(accepted: str) -> list[str]:
    weighed = []
    for place, wish in enumerate(accepted.split(",")[:MAX_WISHES]):
        name, _, weight = wish.partition(";")
        try:
            quality = float(weight.partition("=")[2] or 1)
        except ValueError:
            continue
        if name.strip() and quality > 0:
            weighed.append((-quality, place, name.strip()))
    names = [name for _, _, name in sorted(weighed)]
    # `ru-RU` is met by `ru`.
    return list(dict.fromkeys(part for name in names for part in (name, name.partition("-")[0])))
