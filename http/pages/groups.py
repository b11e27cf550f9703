"""/groups: groups of staff, to which cases can be given; who gets their cases when a group is disabled or deleted."""

from functools import partial
from typing import Any

from aiohttp import web

from kanal.domain import groups as domain
from kanal.domain.errors import GroupNotFound
from kanal.http.api.groups import GroupReplacement, NewGroup, check_replacement
from kanal.http.ids import id_in
from kanal.http.pages.form_errors import NO_FAULTS, Faults
from kanal.http.pages.form_values import word
from kanal.http.pages.settings_forms import shown
from kanal.http.pages.visit import Visit
from kanal.projections import groups as read

TYPED = ("group_title", "group_from_name", "group_signature")


async def show_all(visit: Visit) -> web.StreamResponse:
    return await shown(visit, "groups.html")


async def form(visit: Visit) -> web.StreamResponse:
    return await _new(visit, NO_FAULTS, dict.fromkeys(TYPED, ""))


async def create(visit: Visit) -> web.StreamResponse:
    typed = await _typed(visit)
    with Faults() as faults:
        settings = _settings(visit, typed)
        await visit.submit(partial(domain.create_group, **settings))
        return visit.see("/groups", done="saved")
    return await _new(visit, faults, typed=typed)


async def edit(visit: Visit) -> web.StreamResponse:
    return await _form(visit, NO_FAULTS)


async def change(visit: Visit) -> web.StreamResponse:
    typed = await _typed(visit)
    with Faults() as faults:
        settings = _settings(visit, typed)
        await visit.submit(partial(domain.change_group, group_id=_group_id(visit), **settings))
        return visit.see("/groups", done="saved")
    return await _form(visit, faults, typed=typed)


async def change_state(visit: Visit) -> web.StreamResponse:
    """Cases that are not closed go to the group that is named."""
    action = word((await visit.body()).fields.get("action"))
    group_id = _group_id(visit)
    with Faults() as faults:
        given = await visit.given(GroupReplacement)
        whose: dict[str, Any] = {
            "group_id": group_id,
            "replace_group_id": given.replace_group_id,
        }
        match action:
            case "enable":
                await visit.submit(partial(domain.enable_group, group_id=group_id))
            case "disable":
                await visit.submit(partial(domain.disable_group, **whose))
            case "delete":
                await check_replacement(visit, **whose)
                await visit.submit(partial(domain.delete_group, **whose))
        return visit.see("/groups", done="saved")
    return await _form(visit, faults)


def _settings(visit: Visit, typed: dict[str, str]) -> dict[str, Any]:
    """As the domain calls them. Raises ApiError."""
    given = NewGroup.read(typed, visit.context)
    return {name.removeprefix("group_"): getattr(given, name) for name in TYPED}


async def _typed(visit: Visit) -> dict[str, str]:
    fields = (await visit.body()).fields
    return {name: word(fields.get(name)).strip() for name in TYPED}


async def _new(visit: Visit, faults: Faults, typed: dict[str, str]) -> web.StreamResponse:
    return await shown(visit, "group.html", faults, row=None, typed=typed)


async def _form(visit: Visit, faults: Faults, **values: Any) -> web.StreamResponse:
    row = await visit.read(read.find, _group_id(visit))
    if row is None:
        raise GroupNotFound(visit.path("group"))
    now = (row.title, row.from_name, row.signature)
    typed = values.get("typed") or dict(zip(TYPED, now, strict=True))
    return await shown(visit, "group.html", faults, row=row, typed=typed)


def _group_id(visit: Visit) -> int:
    return id_in(visit.path("group"), GroupNotFound)
