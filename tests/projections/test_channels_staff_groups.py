"""The small lists: channels, staff, groups."""

from folding import Log, email, folded_at_once
from sqlalchemy import Connection

from kanal.domain.channels import (
    change_channel,
    create_channel,
    delete_channel,
    disable_channel,
    enable_channel,
)
from kanal.domain.groups import (
    change_group,
    create_group,
    delete_group,
    disable_group,
    enable_group,
)
from kanal.domain.hand_overs import hand_over_cases
from kanal.domain.staff import (
    change_staff,
    create_staff,
    delete_staff,
    disable_staff,
    enable_staff,
)
from kanal.domain.webhook_options import WebhookOptions
from kanal.projections import channels, groups, staff
from kanal.projections.hand_overs import under_way
from kanal.projections.read_model import Page


def created(log: Log, title: str = "App") -> int:
    channel_id: int = log.do(
        create_channel,
        title=title,
        webhook_url="https://example.com/hook",
        channel_type="sync",
        secret_fingerprint="f",
    )
    return channel_id


def test_a_channel_shows_its_latest_settings(log: Log, connection: Connection) -> None:
    created(log)
    at = log.now
    changes = {"title": "Приложение", "icon": "fa-bullhorn", "undo_seconds": 7}
    log.do(change_channel, channel_id=1, **changes)
    log.do(disable_channel, channel_id=1)
    assert folded_at_once(connection, log.events).ask(channels.find, 1) == channels.ChannelRow(
        channel_id=1,
        title="Приложение",
        channel_type="sync",
        icon="fa-bullhorn",
        webhook_url="https://example.com/hook",
        chat_idle_minutes=0,
        chat_offer_seconds=30,
        chat_limit=0,
        webhook=WebhookOptions(),
        undo_seconds=7,
        active=False,
        deleted=False,
        created_at=at,
        updated_at=log.now,
    )


def test_an_enabled_channel_is_active_again(log: Log, connection: Connection) -> None:
    created(log)
    log.do(disable_channel, channel_id=1)
    models = folded_at_once(connection, log.events)
    already = len(log.events)
    log.do(enable_channel, channel_id=1)
    models.fold(log.events[already:])
    assert models.ask(channels.find, 1).active


def test_a_deleted_channel_is_known_but_not_listed(log: Log, connection: Connection) -> None:
    created(log, "App")
    created(log, "Forum")
    log.do(delete_channel, channel_id=1)
    models = folded_at_once(connection, log.events)
    assert [row.channel_id for row in models.ask(channels.listed)] == [2]
    gone = models.ask(channels.find, 1)
    assert (gone.deleted, gone.active) == (True, False)
    assert models.ask(channels.find, 3) is None


def test_staff_are_listed_disabled_ones_too(log: Log, connection: Connection) -> None:
    for name in ("anna", "boris", "clara"):
        address = email(f"{name}@example.com")
        log.do(create_staff, email=address, full_name=name, key_fingerprint="f", signature="--")
    hired = log.now
    log.do(disable_staff, staff_id=3)
    log.do(disable_staff, staff_id=2)
    log.do(enable_staff, staff_id=2)
    models = folded_at_once(connection, log.events)
    found = models.ask(staff.listed, Page(1, 2))
    assert ([row.staff_id for row in found.rows], found.total) == ([1, 2], 3)
    assert models.ask(staff.find, 2).active
    assert models.ask(staff.find, 3) == staff.StaffRow(
        staff_id=3,
        email="clara@example.com",
        full_name="clara",
        role_id=2,
        signature="--",
        signature_chat="",
        thumbnail="",
        active=False,
        status_id=2,
        replace_staff_id=0,
        hand_over_id=0,
        created_at=hired,
        updated_at=hired + 1_000_000,
    )
    assert models.ask(staff.find, 4) is None


def test_groups_are_listed(log: Log, connection: Connection) -> None:
    log.do(create_group, title="Sales", from_name="Shop", signature="Bye")
    log.do(create_group, title="Support")
    models = folded_at_once(connection, log.events)
    found = models.ask(groups.listed, Page())
    assert ([row.title for row in found.rows], found.total) == (["Sales", "Support"], 2)
    assert models.ask(groups.find, 2) == groups.GroupRow(
        group_id=2,
        title="Support",
        from_name="",
        signature="",
        active=True,
        replace_group_id=0,
        hand_over_id=0,
        created_at=log.now,
        updated_at=log.now,
    )
    assert models.ask(groups.find, 3) is None


def test_a_changed_colleague_shows_the_new_profile(log: Log, connection: Connection) -> None:
    address = email("anna@example.com")
    log.do(create_staff, email=address, full_name="Anna", key_fingerprint="f", thumbnail="a.png")
    log.do(change_staff, staff_id=1, email=email("a@example.com"), full_name="A", signature="--")
    row = folded_at_once(connection, log.events).ask(staff.find, 1)
    assert (row.email, row.full_name, row.signature) == ("a@example.com", "A", "--")
    assert (row.thumbnail, row.updated_at) == ("a.png", log.now)


def test_who_leaves_is_handing_over_until_it_is_finished(log: Log, connection: Connection) -> None:
    for name in ("anna", "boris", "clara"):
        log.do(
            create_staff, email=email(f"{name}@example.com"), full_name=name, key_fingerprint="f"
        )
    log.do(disable_staff, staff_id=2, replace_staff_id=1)
    disabled = len(log.events)
    log.do(delete_staff, staff_id=3)
    deleted = len(log.events)
    models = folded_at_once(connection, log.events)
    assert models.ask(under_way, 10) == [(1, disabled, 2, 0), (2, deleted, 3, 0)]
    assert models.ask(under_way, 1) == [(1, disabled, 2, 0)]
    assert models.ask(staff.find, 2).replace_staff_id == 1
    assert models.ask(staff.find, 3) is None
    assert [row.staff_id for row in models.ask(staff.listed, Page()).rows] == [1, 2]
    log.do(enable_staff, staff_id=2)
    log.do(hand_over_cases, case_ids=[], hand_over_id=2, staff_id=3)
    models.fold(log.events[deleted:])
    assert models.ask(under_way, 10) == []
    assert models.ask(staff.find, 2).replace_staff_id == 0


def test_groups_change_and_leave_in_the_same_way(log: Log, connection: Connection) -> None:
    for title in ("Sales", "Support", "Shop"):
        log.do(create_group, title=title)
    log.do(change_group, group_id=1, title="Sellers")
    log.do(disable_group, group_id=2, replace_group_id=1)
    disabled = len(log.events)
    log.do(delete_group, group_id=3)
    deleted = len(log.events)
    models = folded_at_once(connection, log.events)
    assert models.ask(under_way, 10) == [(1, disabled, 0, 2), (2, deleted, 0, 3)]
    found = models.ask(groups.listed, Page())
    assert [(row.title, row.active) for row in found.rows] == [
        ("Sellers", True),
        ("Support", False),
    ]
    assert models.ask(groups.find, 3) is None
    log.do(enable_group, group_id=2)
    log.do(hand_over_cases, case_ids=[], hand_over_id=2, group_id=3)
    models.fold(log.events[deleted:])
    assert models.ask(under_way, 10) == []
    assert models.ask(groups.find, 2).active
