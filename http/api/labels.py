"""/api/labels: short titles that are put on cases."""

from functools import partial
from typing import Annotated

from aiohttp import web
from msgspec import Struct
from pydantic import AfterValidator

from kanal.domain.errors import LabelNotFound
from kanal.domain.labels import create_label, delete_label, rename_label
from kanal.http.answers import answer, empty, listing
from kanal.http.context import Call
from kanal.http.contract import Empty, Listed, One, Takes, contract
from kanal.http.fields import Fields, Id, Line, Many, Paging, wrong
from kanal.http.ids import id_in
from kanal.http.paging import page_of
from kanal.projections import labels as read
from kanal.projections.labels import LabelRow

MAX_LABELS = 100
"""In one call: each is looked up while the log waits."""


def _few(label_ids: tuple[int, ...]) -> tuple[int, ...]:
    if len(label_ids) > MAX_LABELS:
        raise wrong(f"may name up to {MAX_LABELS} labels")
    return label_ids


LabelIds = Annotated[tuple[Id, ...], Many, AfterValidator(_few)]


class NewLabel(Fields):
    label_title: Line


class LabelChanges(Fields):
    label_title: Line | None = None


class LabelAnswer(Struct):
    label_id: int
    label_title: str


def _takes(model: type[Fields]) -> Takes:
    """Omnidesk's own example of a request says `labels`."""
    return Takes("label", model, others=("labels",), bare=True)


@contract("List the labels", Listed("label", LabelAnswer), query=Paging)
async def list_labels(call: Call) -> web.Response:
    found = await call.read(read.listed, page_of(call.asked(Paging)))
    return answer(listing("label", [shown(row) for row in found.rows], found.total))


@contract("Show a label", One("label", LabelAnswer))
async def show(call: Call) -> web.Response:
    return await _answer(call, _label_id(call))


@contract("Make a label", One("label", LabelAnswer, 201), body=_takes(NewLabel))
async def create(call: Call) -> web.Response:
    given = await call.given(NewLabel)
    done = await call.submit(partial(create_label, title=given.label_title))
    return await _answer(call, done.result, 201)


@contract("Rename a label", One("label", LabelAnswer), body=_takes(LabelChanges))
async def change(call: Call) -> web.Response:
    given = await call.given(LabelChanges)
    command = partial(rename_label, label_id=_label_id(call), title=given.label_title)
    done = await call.submit(command)
    return await _answer(call, done.result)


@contract("Delete a label, which takes it off all cases", Empty())
async def delete(call: Call) -> web.Response:
    await call.submit(partial(delete_label, label_id=_label_id(call)))
    return empty()


def shown(row: LabelRow) -> LabelAnswer:
    return LabelAnswer(label_id=row.label_id, label_title=row.title)


def _label_id(call: Call) -> int:
    return id_in(call.path("label"), LabelNotFound)


async def _answer(call: Call, label_id: int, status: int = 200) -> web.Response:
    row = await call.read(read.find, label_id)
    if row is None:
        raise LabelNotFound(label_id)
    return answer({"label": shown(row)}, status)
