"""/macros: several changes of a case under one title, of one's own or for everybody."""

import secrets
from functools import partial
from typing import Any

from aiohttp import web
from msgspec import Struct

from kanal.domain import macros as domain
from kanal.domain.errors import MacroNotFound
from kanal.http.api.macros import NewMacro
from kanal.http.ids import id_in
from kanal.http.pages import action_forms
from kanal.http.pages.action_forms import OF_MACROS, ActionForm
from kanal.http.pages.form_errors import NO_FAULTS, Faults
from kanal.http.pages.form_values import word
from kanal.http.pages.settings_forms import shown
from kanal.http.pages.visit import Visit
from kanal.projections import macros as read
from kanal.projections.macros import MacroRow

PLACES = ("title", "group_name", "actions")


class MacroForm(Struct):
    actions: list[ActionForm]
    macro_id: int = 0
    """0 for a new one."""
    title: str = ""
    group_name: str = ""
    shared: bool = False
    look: str = ""
    """Where the cursor is to stand: the name of an input."""


async def show_all(visit: Visit) -> web.StreamResponse:
    rows = await visit.read_own(read.visible)
    both = {
        "shared": [(row, action_forms.forms_of(row.parsed())) for row in rows if not row.staff_id],
        "own": [(row, action_forms.forms_of(row.parsed())) for row in rows if row.staff_id],
    }
    return await shown(visit, "macros.html", rows=both)


async def form(visit: Visit) -> web.StreamResponse:
    return await _editor(visit, NO_FAULTS, MacroForm([ActionForm(action_type="email_to_user")]))


async def edit(visit: Visit) -> web.StreamResponse:
    row = await _row(visit, _macro_id(visit))
    made = MacroForm(
        action_forms.forms_of(row.parsed()),
        row.macro_id,
        row.title,
        row.group_name,
        not row.staff_id,
    )
    return await _editor(visit, NO_FAULTS, made)


async def redraw(visit: Visit) -> web.StreamResponse:
    """The form with one action more, or less, or with other inputs; nothing is kept."""
    sent = await _sent(visit)
    pressed, _, place = word((await visit.body()).fields.get("edit")).partition(":")
    number = action_forms.changed_actions(sent.actions, pressed, place)
    sent.look = f"actions[{number}][type]" if number is not None else ""
    return await _editor(visit, NO_FAULTS, sent)


async def anew(visit: Visit) -> web.StreamResponse:
    """Where a page that a form led to is asked for again."""
    return visit.see("/macros")


async def create(visit: Visit) -> web.StreamResponse:
    sent = await _sent(visit)
    with Faults() as faults:
        given = NewMacro.read(_fields(sent), visit.context)
        command = partial(
            domain.create_macro,
            by=visit.who.staff_id,
            title=given.title,
            group_name=given.group_name,
            actions=[each.action() for each in given.actions],
            shared=given.shared,
        )
        await visit.submit(command)
        return visit.see("/macros", done="saved")
    return await _editor(visit, faults, sent)


async def change(visit: Visit) -> web.StreamResponse:
    sent = await _sent(visit)
    sent.macro_id = _macro_id(visit)
    sent.shared = not (await _row(visit, sent.macro_id)).staff_id
    with Faults() as faults:
        given = NewMacro.read(_fields(sent), visit.context)
        command = partial(
            domain.change_macro,
            by=visit.who.staff_id,
            macro_id=sent.macro_id,
            title=given.title,
            group_name=given.group_name,
            actions=[each.action() for each in given.actions],
        )
        await visit.submit(command)
        return visit.see("/macros", done="saved")
    return await _editor(visit, faults, sent)


async def delete(visit: Visit) -> web.StreamResponse:
    command = partial(domain.delete_macro, by=visit.who.staff_id, macro_id=_macro_id(visit))
    await visit.submit(command)
    return visit.see("/macros", done="deleted")


def _fields(sent: MacroForm) -> dict[str, Any]:
    """As callers of the API write it."""
    return {
        "title": sent.title.strip(),
        "group_name": sent.group_name.strip(),
        "shared": sent.shared,
        "actions": [action_forms.fields_of(each) for each in sent.actions],
    }


async def _sent(visit: Visit) -> MacroForm:
    fields = (await visit.body()).fields
    macro_id = word(fields.get("macro_id"))
    return MacroForm(
        action_forms.read_actions(fields.get("actions")),
        macro_id=int(macro_id) if macro_id.isdecimal() and len(macro_id) < 19 else 0,
        title=word(fields.get("title")),
        group_name=word(fields.get("group_name")),
        shared=fields.get("shared") == "1",
    )


async def _editor(visit: Visit, faults: Faults, form_: MacroForm) -> web.StreamResponse:
    return await shown(
        visit,
        "macro_editor.html",
        faults,
        form=form_,
        places=PLACES,
        action_types=OF_MACROS,
        once=secrets.token_hex(16),
    )


async def _row(visit: Visit, macro_id: int) -> MacroRow:
    rows = await visit.read_own(read.visible)
    row = next((row for row in rows if row.macro_id == macro_id), None)
    if row is None:
        raise MacroNotFound(macro_id)
    return row


def _macro_id(visit: Visit) -> int:
    return id_in(visit.path("macro"), MacroNotFound)
