"""/targets: by when customers are to be answered."""

from functools import partial
from typing import Any, Final, get_args

from aiohttp import web

from kanal.domain import response_targets as domain
from kanal.domain.errors import ResponseTargetNotFound
from kanal.domain.response_targets import Measure, Target
from kanal.http.api.response_targets import ALL, NewResponseTarget, target_of
from kanal.http.ids import id_in
from kanal.http.pages.condition_forms import UNITS, in_units
from kanal.http.pages.form_errors import NO_FAULTS, Faults
from kanal.http.pages.form_values import word, words
from kanal.http.pages.settings_forms import shown
from kanal.http.pages.visit import Visit
from kanal.projections import business_hours as read

MEASURES: Final[tuple[Measure, ...]] = get_args(Measure)


async def show_all(visit: Visit) -> web.StreamResponse:
    rows = await visit.read(read.targets)
    times = {
        row.response_target_id: {
            name: in_units(getattr(row.target, name))
            for name in MEASURES
            if getattr(row.target, name)
        }
        for row in rows
    }
    return await shown(visit, "targets.html", rows=rows, times=times)


async def form(visit: Visit) -> web.StreamResponse:
    return await _form(visit, NO_FAULTS, _shown(Target("")))


async def create(visit: Visit) -> web.StreamResponse:
    typed = await _typed(visit)
    with Faults() as faults:
        await visit.submit(partial(domain.add_response_target, target=_target(visit, typed)))
        return visit.see("/targets", done="saved")
    return await _form(visit, faults, typed)


async def edit(visit: Visit) -> web.StreamResponse:
    target_id = _target_id(visit)
    for row in await visit.read(read.targets):
        if row.response_target_id == target_id:
            return await _form(visit, NO_FAULTS, _shown(row.target))
    raise ResponseTargetNotFound(visit.path("target"))


async def change(visit: Visit) -> web.StreamResponse:
    typed = await _typed(visit)
    with Faults() as faults:
        target = _target(visit, typed)
        changes = {name: getattr(target, name) for name in target.__struct_fields__}
        command = partial(
            domain.change_response_target, response_target_id=_target_id(visit), **changes
        )
        await visit.submit(command)
        return visit.see("/targets", done="saved")
    return await _form(visit, faults, typed)


async def delete(visit: Visit) -> web.StreamResponse:
    target_id = _target_id(visit)
    await visit.submit(partial(domain.delete_response_target, response_target_id=target_id))
    return visit.see("/targets", done="deleted")


def _target(visit: Visit, typed: dict[str, Any]) -> Target:
    """Raises ApiError."""
    fields = {
        "title": typed["title"],
        "channels": list(typed["channels"]) or [ALL],
        "group_ids": list(typed["group_ids"]) or ["0"],
        "priorities": list(typed["priorities"]) or [ALL],
        "hours": typed["hours"],
    }
    for name in MEASURES:
        amount, unit = typed[name]
        known = amount.isdecimal() and len(amount) < 10
        fields[f"{name}_minutes"] = int(amount) * UNITS[unit] if known else amount or 0
    return target_of(NewResponseTarget.read(fields, visit.context))


async def _typed(visit: Visit) -> dict[str, Any]:
    fields = (await visit.body()).fields
    times: dict[str, Any] = {
        name: (
            word(fields.get(name)).strip(),
            unit if (unit := word(fields.get(f"{name}_unit"))) in UNITS else "minutes",
        )
        for name in MEASURES
    }
    return {
        "title": word(fields.get("title")).strip(),
        "channels": words(fields.get("channels")),
        "group_ids": words(fields.get("group_ids")),
        "priorities": words(fields.get("priorities")),
        "hours": word(fields.get("hours")) or "business",
        **times,
    }


def _shown(target: Target) -> dict[str, Any]:
    """As it is typed."""
    times: dict[str, Any] = {
        name: in_units(minutes) if (minutes := getattr(target, name)) else ("", "minutes")
        for name in MEASURES
    }
    return {
        "title": target.title,
        "channels": target.channels,
        "group_ids": tuple(map(str, target.groups)),
        "priorities": target.priorities,
        "hours": target.hours,
        **times,
    }


async def _form(visit: Visit, faults: Faults, typed: dict[str, Any]) -> web.StreamResponse:
    target_id = _target_id(visit) if "target" in visit.request.match_info else 0
    return await shown(
        visit, "target_form.html", faults, target_id=target_id, typed=typed, measures=MEASURES
    )


def _target_id(visit: Visit) -> int:
    return id_in(visit.path("target"), ResponseTargetNotFound)
