"""Macros, and what the variables in their texts stand for."""

from folding import Log, email, folded_at_once
from sqlalchemy import Connection
from story import person

from kanal.domain.actions import Action
from kanal.domain.cases import case_number, change_case
from kanal.domain.channels import create_channel
from kanal.domain.conversation import add_note, add_staff_reply, open_case
from kanal.domain.groups import create_group
from kanal.domain.macros import change_macro, create_macro, delete_macro
from kanal.domain.staff import create_staff
from kanal.domain.variables import VARIABLES
from kanal.projections import macros
from kanal.projections.variables import values_for

ACTIONS = [Action("status", "closed"), Action("email_to_user", {"1": "Привет"})]


def desk(log: Log) -> None:
    for name in ("Anna", "Boris"):
        log.do(
            create_staff,
            email=email(f"{name}@example.com"),
            full_name=name,
            key_fingerprint="f",
            role="administrator",
        )


def test_one_sees_everybodys_and_ones_own_by_position(log: Log, connection: Connection) -> None:
    desk(log)
    for by, title, position in ((1, "A", 2), (1, "B", 1), (2, "C", 0), (2, "D", 1)):
        shared = title == "D"
        log.do(create_macro, by=by, title=title, position=position, actions=ACTIONS, shared=shared)
    models = folded_at_once(connection, log.events)
    rows = models.ask(macros.visible, 1)
    assert [(row.title, row.staff_id) for row in rows] == [("B", 1), ("D", 0), ("A", 1)]
    assert [row.title for row in models.ask(macros.visible, 2)] == ["C", "D"]
    actions = rows[0].parsed()
    assert [(each.type, each.destination) for each in actions] == [
        ("status", "closed"),
        ("email_to_user", {"1": "Привет"}),
    ]
    already = len(log.events)
    log.do(change_macro, by=1, macro_id=1, title="A2", group_name="Shop", actions=ACTIONS[:1])
    log.do(delete_macro, by=1, macro_id=2)
    models.fold(log.events[already:])
    _, changed = models.ask(macros.visible, 1)
    assert (changed.title, changed.group_name, len(changed.parsed())) == ("A2", "Shop", 1)


def test_every_variable_has_a_value(log: Log, connection: Connection) -> None:
    desk(log)
    log.do(create_group, title="Sales")
    log.do(
        create_channel,
        title="App",
        webhook_url="https://example.com/hook",
        channel_type="async",
        secret_fingerprint="f",
    )
    who = person("u1", mail=" Ann@example.com", tel="+79161234567", details={"full_name": "Ann"})
    log.do(open_case, who=who, subject="Order", content="Where is it?")
    log.do(change_case, case_id=1, group_id=1)
    log.do(add_staff_reply, case_id=1, staff_id=1, content_html="<p>On its</p><p>way</p>")
    log.do(add_note, case_id=1, staff_id=1, content="Secret")
    models = folded_at_once(connection, log.events)
    values = models.ask(values_for, 1, 2)
    assert tuple(values) == VARIABLES
    assert values == {
        "case_id": "1",
        "case_number": case_number(1),
        "case_subject": "Order",
        "case_description": "Where is it?",
        "last_message": "On its\n\nway",
        "user_id": "1",
        "user_name": "Ann",
        "user_email": "Ann@example.com",
        "user_phone": "+79161234567",
        "staff_id": "2",
        "staff_name": "Boris",
        "staff_email": "Boris@example.com",
        "group_name": "Sales",
    }
    assert models.ask(values_for, 2, 1) is None


def test_an_e_mail_profiles_own_address_is_the_users_and_what_is_unknown_is_empty(
    log: Log, connection: Connection
) -> None:
    desk(log)
    log.do(open_case, who=person(mail="ann@example.com"), content="Hi")
    values = folded_at_once(connection, log.events).ask(values_for, 1, 1)
    assert (values["user_email"], values["user_phone"]) == ("ann@example.com", "")
    assert (values["user_name"], values["group_name"]) == ("", "")
