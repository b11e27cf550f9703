"""Filters that staff defined."""

from folding import Log, email, folded_at_once
from sqlalchemy import Connection

from kanal.domain.filters import change_filter, create_filter, delete_filter, select_filter
from kanal.domain.staff import create_staff
from kanal.projections import filters


def desk(log: Log) -> None:
    for name in ("anna", "boris"):
        address = email(f"{name}@example.com")
        log.do(
            create_staff,
            email=address,
            full_name=name,
            key_fingerprint="f",
            role="administrator",
        )


def test_one_sees_everybodys_and_ones_own(log: Log, connection: Connection) -> None:
    desk(log)
    log.do(create_filter, by=1, title="Anna's", conditions={"status": ["open"], "subject": "№"})
    at = log.now
    log.do(create_filter, by=2, title="Boris'", conditions={})
    log.do(create_filter, by=2, title="Ours", conditions={}, shared=True)
    log.do(create_filter, by=1, title="Gone", conditions={})
    log.do(delete_filter, by=1, filter_id=104)
    models = folded_at_once(connection, log.events)
    assert [row.title for row in models.ask(filters.visible, 1)] == ["Anna's", "Ours"]
    assert [row.title for row in models.ask(filters.visible, 2)] == ["Boris'", "Ours"]
    own = models.ask(filters.find, 101, 1)
    assert (own.staff_id, own.created_at) == (1, at)
    assert own.parsed() == {"status": ["open"], "subject": "№"}
    for filter_id, staff_id in ((101, 2), (104, 1), (105, 1)):
        assert models.ask(filters.find, filter_id, staff_id) is None
    already = len(log.events)
    log.do(change_filter, by=1, filter_id=101, title="New", conditions={"spam": True})
    models.fold(log.events[already:])
    changed = models.ask(filters.find, 101, 1)
    assert (changed.title, changed.parsed(), changed.updated_at) == ("New", {"spam": True}, log.now)


def test_the_last_selection_counts(log: Log, connection: Connection) -> None:
    desk(log)
    log.do(select_filter, by=1, filter_id=3)
    log.do(select_filter, by=1, filter_id=4)
    models = folded_at_once(connection, log.events)
    assert [models.ask(filters.selected, staff_id) for staff_id in (1, 2, 3)] == [4, 0, 0]
