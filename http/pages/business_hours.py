"""/hours: when an account and its groups work."""

from functools import cache, partial
from typing import Any
from zoneinfo import available_timezones

from aiohttp import web

from kanal.domain import business_hours as domain
from kanal.domain.business_hours import Calendar
from kanal.domain.errors import BusinessHoursNotFound
from kanal.http.api.business_hours import WEEKDAYS, NewBusinessHours
from kanal.http.api.business_hours import shown as as_answer
from kanal.http.ids import id_in
from kanal.http.pages.form_errors import NO_FAULTS, Faults
from kanal.http.pages.form_values import mapping, word, words
from kanal.http.pages.settings_forms import shown
from kanal.http.pages.visit import Visit
from kanal.projections import business_hours as read

WORKING = "09:00-18:00"
"""What a new calendar has from Monday to Friday until somebody says otherwise."""


async def show_all(visit: Visit) -> web.StreamResponse:
    rows = await visit.read(read.hours)
    shown_ = [as_answer(row, visit.context.dates) for row in rows]
    return await shown(visit, "hours.html", rows=shown_, weekdays=WEEKDAYS)


async def form(visit: Visit) -> web.StreamResponse:
    week = {day: WORKING if day not in ("sat", "sun") else "" for day in WEEKDAYS}
    zone = str(visit.context.dates.zone)
    typed = {"title": "", "zone": zone, "hours": week, "holidays": "", "group_ids": ()}
    return await _form(visit, NO_FAULTS, typed)


async def create(visit: Visit) -> web.StreamResponse:
    typed = await _typed(visit)
    with Faults() as faults:
        given = _given(visit, typed)
        command = partial(
            domain.add_business_hours,
            title=given.title,
            calendar=Calendar(given.zone or "", given.hours, given.holidays or ()),
            groups=given.group_ids or (),
        )
        await visit.submit(command)
        return visit.see("/hours", done="saved")
    return await _form(visit, faults, typed)


async def edit(visit: Visit) -> web.StreamResponse:
    hours_id = _hours_id(visit)
    for row in await visit.read(read.hours):
        if row.business_hours_id == hours_id:
            answer = as_answer(row, visit.context.dates)
            typed = {
                "title": answer.title,
                "zone": answer.zone,
                "hours": {day: ", ".join(spans) for day, spans in answer.hours.items()},
                "holidays": "\n".join(answer.holidays),
                "group_ids": tuple(map(str, answer.group_ids)),
            }
            return await _form(visit, NO_FAULTS, typed)
    raise BusinessHoursNotFound(visit.path("hours"))


async def change(visit: Visit) -> web.StreamResponse:
    typed = await _typed(visit)
    with Faults() as faults:
        given = _given(visit, typed)
        command = partial(
            domain.change_business_hours,
            business_hours_id=_hours_id(visit),
            title=given.title,
            zone=given.zone,
            spans=given.hours,
            holidays=given.holidays or (),
            groups=given.group_ids or (),
        )
        await visit.submit(command)
        return visit.see("/hours", done="saved")
    return await _form(visit, faults, typed)


async def delete(visit: Visit) -> web.StreamResponse:
    hours_id = _hours_id(visit)
    await visit.submit(partial(domain.delete_business_hours, business_hours_id=hours_id))
    return visit.see("/hours", done="deleted")


def _given(visit: Visit, typed: dict[str, Any]) -> NewBusinessHours:
    """Raises ApiError."""
    account_zone = str(visit.context.dates.zone)
    fields = {**typed, "zone": typed["zone"] or account_zone}
    fields["holidays"] = typed["holidays"].split()
    fields["group_ids"] = list(typed["group_ids"])
    return NewBusinessHours.read(fields, visit.context)


async def _typed(visit: Visit) -> dict[str, Any]:
    fields = (await visit.body()).fields
    week = mapping(fields.get("hours"))
    return {
        "title": word(fields.get("title")).strip(),
        "zone": word(fields.get("zone")).strip(),
        "hours": {day: word(week.get(day)) for day in WEEKDAYS},
        "holidays": word(fields.get("holidays")),
        "group_ids": words(fields.get("group_ids")),
    }


async def _form(visit: Visit, faults: Faults, typed: dict[str, Any]) -> web.StreamResponse:
    hours_id = _hours_id(visit) if "hours" in visit.request.match_info else 0
    return await shown(
        visit,
        "hours_form.html",
        faults,
        hours_id=hours_id,
        typed=typed,
        weekdays=WEEKDAYS,
        zones=_zones(),
    )


@cache
def _zones() -> list[str]:
    """Those named by a place."""
    return sorted(name for name in available_timezones() if "/" in name or name == "UTC")


def _hours_id(visit: Visit) -> int:
    return id_in(visit.path("hours"), BusinessHoursNotFound)
