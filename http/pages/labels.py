"""/labels: short titles that are put on cases."""

from functools import partial
from typing import Any

from aiohttp import web

from kanal.domain import labels as domain
from kanal.domain.errors import LabelNotFound
from kanal.http.api.labels import NewLabel
from kanal.http.ids import id_in
from kanal.http.pages.form_errors import NO_FAULTS, Faults
from kanal.http.pages.form_values import word
from kanal.http.pages.settings_forms import shown
from kanal.http.pages.visit import Visit
from kanal.projections import labels as read


async def show_all(visit: Visit) -> web.StreamResponse:
    return await shown(visit, "labels.html", title="")


async def create(visit: Visit) -> web.StreamResponse:
    title = await _title(visit)
    with Faults() as faults:
        given = NewLabel.read({"label_title": title}, visit.context)
        await visit.submit(partial(domain.create_label, title=given.label_title))
        return visit.see("/labels", done="saved")
    return await shown(visit, "labels.html", faults, title=title)


async def edit(visit: Visit) -> web.StreamResponse:
    return await _form(visit, NO_FAULTS)


async def change(visit: Visit) -> web.StreamResponse:
    title = await _title(visit)
    with Faults() as faults:
        given = NewLabel.read({"label_title": title}, visit.context)
        command = partial(domain.rename_label, label_id=_label_id(visit), title=given.label_title)
        await visit.submit(command)
        return visit.see("/labels", done="saved")
    return await _form(visit, faults, title=title)


async def delete(visit: Visit) -> web.StreamResponse:
    await visit.submit(partial(domain.delete_label, label_id=_label_id(visit)))
    return visit.see("/labels", done="deleted")


async def _form(visit: Visit, faults: Faults, **typed: Any) -> web.StreamResponse:
    row = await visit.read(read.find, _label_id(visit))
    if row is None:
        raise LabelNotFound(visit.path("label"))
    return await shown(visit, "label.html", faults, row=row, title=typed.get("title", row.title))


async def _title(visit: Visit) -> str:
    return word((await visit.body()).fields.get("label_title")).strip()


def _label_id(visit: Visit) -> int:
    return id_in(visit.path("label"), LabelNotFound)
