"""/cases/.../past: a conversation as it was at one of its events, to be read only, and a slider over all of them."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from aiohttp import web
from sqlalchemy import Connection, func, select

from kanal.domain.custom_fields import key_of
from kanal.domain.errors import CaseNotFound
from kanal.domain.stream import Recorded
from kanal.http import as_of
from kanal.http.fields import Fields, Id
from kanal.http.ids import case_id_in
from kanal.http.pages import audit, event_sentences
from kanal.http.pages.conversation import SHOWN
from kanal.http.pages.event_sentences import Names
from kanal.http.pages.sidebar import EVERY
from kanal.http.pages.visit import Visit
from kanal.projections import cases, custom_fields, files, labels, messages, users
from kanal.projections.cases import CaseRow
from kanal.projections.custom_fields import CustomFieldRow
from kanal.projections.files import Attached
from kanal.projections.messages import MessageRow
from kanal.projections.read_model import Page, Views


class PastQuery(Fields):
    step: Id = 0
    """The event by its number among the case's, counted from 1; 0: the last one."""
    position: Id = 0
    """The event by its place in the log; the last one of the case up to there."""


class Then(NamedTuple):
    """What the case showed."""

    case: CaseRow | None
    """None after an event by which it had gone."""
    messages: list[MessageRow]
    total: int
    attached: Mapping[int, Attached]
    labels: Mapping[int, str]
    fields: Mapping[str, CustomFieldRow]
    """By key."""


class Moment(NamedTuple):
    names: Names
    person: str
    step: int
    steps: int
    recorded: Recorded
    then: Then


async def show(visit: Visit) -> web.StreamResponse:
    case_id = case_id_in(visit.path("case"))
    asked = visit.asked(PastQuery)
    # What says which events are about a case follows the log.
    await visit.context.follower.catch_up()
    found = await visit.read(_moment, visit, case_id, asked)
    envelope = found.recorded.envelope
    return visit.page(
        "past.html",
        case_id=case_id,
        found=found,
        case=found.then.case,
        sentence=event_sentences.sentence_of(found.recorded.event, found.names),
        author=found.names.of_author(envelope.who),
        envelope=envelope,
        message_id=getattr(found.recorded.event, "message_id", 0),
        sidebar=found.names.sidebar,
        position=None,
    )


def _moment(
    connection: Connection, views: Views, visit: Visit, case_id: int, asked: PastQuery
) -> Moment:
    """Raises CaseNotFound."""
    now = cases.find(connection, views, case_id)
    if now is None:
        raise CaseNotFound(case_id)
    history = views.history["history"].c
    own = [history.kind == "case", history.id == case_id]
    steps = _count(connection, *own)
    step = asked.step or steps
    if asked.position:
        step = _count(connection, *own, history.position <= asked.position)
    step = min(max(1, step), steps)
    nth = select(history.position).where(*own).order_by(history.position)
    position = connection.scalar(nth.limit(1).offset(step - 1))
    database = visit.context.database
    [recorded] = database.events_at(connection, position - 1, limit=1)
    known = users.known(connection, views, [now.user_id]).get(now.user_id)

    def then(memory: Connection, views: Views) -> Then:
        found = messages.of_case(memory, views, case_id, Page(limit=SHOWN), "desc")
        rows = found.rows[::-1]
        return Then(
            case=cases.find(memory, views, case_id),
            messages=rows,
            total=found.total,
            attached=files.of_messages(memory, views, [row.message_id for row in rows]),
            labels={row.label_id: row.title for row in labels.listed(memory, views, EVERY).rows},
            fields={
                key_of(row.field_id): row for row in custom_fields.listed(memory, views, EVERY).rows
            },
        )

    return Moment(
        names=audit.names_in(connection, views, visit),
        person=known.name if known else "",
        step=step,
        steps=steps,
        recorded=recorded,
        then=as_of.earlier(connection, views, visit.context, case_id, position, then),
    )


def _count(connection: Connection, *conditions: Any) -> int:
    history_rows = select(func.count()).where(*conditions)
    return connection.scalar(history_rows) or 0
