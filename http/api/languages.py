"""/api/languages: the languages in which an account writes to its users."""

from functools import partial

from aiohttp import web
from msgspec import Struct

from kanal.domain.errors import LanguageNotFound
from kanal.domain.languages import add_language, change_language
from kanal.http.answers import answer, listing
from kanal.http.context import Call
from kanal.http.contract import Listed, One, Takes, contract
from kanal.http.fields import Fields, Flag, Line, Paging
from kanal.http.ids import id_in
from kanal.http.paging import page_of
from kanal.projections import languages as read
from kanal.projections.languages import LanguageRow


class NewLanguage(Fields):
    code: Line
    title: Line
    active: Flag = True


class LanguageChanges(Fields):
    code: Line | None = None
    title: Line | None = None
    active: Flag | None = None


class LanguageAnswer(Struct):
    language_id: int
    code: str
    title: str
    active: bool


@contract("List the languages", Listed("language", LanguageAnswer), query=Paging)
async def list_languages(call: Call) -> web.Response:
    found = await call.read(read.listed, page_of(call.asked(Paging)))
    return answer(listing("language", map(shown, found.rows), found.total))


@contract(
    "Add a language",
    One("language", LanguageAnswer, 201),
    body=Takes("language", NewLanguage, bare=True),
)
async def create(call: Call) -> web.Response:
    given = await call.given(NewLanguage)
    command = partial(add_language, code=given.code, title=given.title, active=given.active)
    done = await call.submit(command)
    return await _answer(call, done.result, 201)


@contract(
    "Change a language",
    One("language", LanguageAnswer),
    body=Takes("language", LanguageChanges, bare=True),
)
async def change(call: Call) -> web.Response:
    language_id = id_in(call.path("language"), LanguageNotFound)
    given = await call.given(LanguageChanges)
    await call.submit(partial(change_language, language_id=language_id, **given.given()))
    return await _answer(call, language_id)


def shown(row: LanguageRow) -> LanguageAnswer:
    return LanguageAnswer(
        language_id=row.language_id, code=row.code, title=row.title, active=row.active
    )


async def _answer(call: Call, language_id: int, status: int = 200) -> web.Response:
    row = await call.read(read.find, language_id)
    if row is None:
        raise LanguageNotFound(language_id)
    return answer({"language": shown(row)}, status)
