"""Where the events of a case, a user or a channel stand."""

import importlib
import pkgutil

from folding import Log, email, folded_at_once
from sqlalchemy import Connection, select

import kanal.domain
from kanal.domain.cases import change_case
from kanal.domain.channels import create_channel, disable_channel
from kanal.domain.conversation import add_staff_reply, open_case
from kanal.domain.event import EVENTS
from kanal.domain.identities import Identification
from kanal.domain.staff import create_staff
from kanal.projections import history
from kanal.projections.read_model import Views


def positions(
    connection: Connection,
    views: Views,
    kind: history.Kind,
    id: int,
    after: int = 0,
    limit: int = 100,
) -> list[int]:
    source, position = history.where_all(views, [(kind, id)])
    query = select(position).select_from(source).where(position > after)
    return list(connection.scalars(query.order_by(position).limit(limit)))


def test_events_are_found_by_case_by_user_and_by_channel(log: Log, connection: Connection) -> None:
    log.do(create_staff, email=email("a@example.com"), full_name="Anna", key_fingerprint="f")
    log.do(
        create_channel,
        title="App",
        webhook_url="https://example.com/hook",
        channel_type="async",
        secret_fingerprint="f",
    )
    log.do(open_case, channel="", who=Identification(channel_id=1, external_id="a"), content="x")
    log.do(change_case, case_id=1, priority="high")
    log.do(open_case, channel="", who=Identification(email=email("b@example.com")), content="x")
    log.do(add_staff_reply, case_id=2, staff_id=1, content="y")
    log.do(disable_channel, channel_id=1)
    models = folded_at_once(connection, log.events)

    def names(kind: history.Kind, id: int) -> list[str]:
        found = models.ask(positions, kind, id, after=0, limit=100)
        return [log.events[position - 1].event.NAME for position in found]

    assert names("case", 1) == ["case.opened.1", "case.message_added.1", "case.priority_changed.1"]
    assert names("case", 2) == [
        "case.opened.1",
        "case.message_added.1",
        "case.message_added.1",
        "case.status_changed.1",
    ]
    assert names("user", 1) == [
        "identity.claimed.1",
        "user.registered.1",
        "case.opened.1",
        "case.message_added.1",
        "case.priority_changed.1",
    ]
    assert names("user", 2) == [
        "identity.claimed.1",
        "user.registered.1",
        "user.linked.1",
        "contact.linked.1",
        "case.opened.1",
        "case.message_added.1",
        "case.message_added.1",
        "case.status_changed.1",
    ]
    assert names("channel", 1) == [
        "channel.created.1",
        "identity.claimed.1",
        "user.registered.1",
        "case.opened.1",
        "case.message_added.1",
        "case.priority_changed.1",
        "channel.disabled.1",
    ]
    assert names("channel", 0) == []


def test_history_goes_on_behind_a_position(log: Log, connection: Connection) -> None:
    who = Identification(email=email("b@example.com"))
    for _ in range(3):
        log.do(open_case, channel="", who=who, content="x")
    models = folded_at_once(connection, log.events)
    everything = models.ask(positions, "user", 1, after=0, limit=100)
    first = models.ask(positions, "user", 1, after=0, limit=4)
    rest = models.ask(positions, "user", 1, after=first[-1], limit=100)
    assert first + rest == everything
    assert len(first) == 4


def test_every_event_that_has_a_subject_is_in_the_history() -> None:
    for module in pkgutil.iter_modules(kanal.domain.__path__):
        importlib.import_module(f"kanal.domain.{module.name}")
    subjects = {"case_id", "channel_id"}
    having = {t for t in EVENTS.values() if t.ABOUT or subjects & set(t.__struct_fields__)}
    assert having == set(history.PROJECTION.handles)
