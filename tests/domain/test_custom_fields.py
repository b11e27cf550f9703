"""Custom fields: their definitions, and how values come to cases and users."""

from typing import Any

import pytest
from story import Story, desk, person

from kanal.domain.case_events import CaseDeleted, CaseFieldsChanged
from kanal.domain.cases import change_case, delete_case
from kanal.domain.conversation import open_case
from kanal.domain.custom_fields import (
    MAX_VALUE,
    CustomFieldChanged,
    CustomFieldCreated,
    CustomFieldDeleted,
    CustomFieldDisabled,
    CustomFieldEnabled,
    GivenValues,
    change_field,
    create_field,
    delete_field,
    disable_field,
    enable_field,
)
from kanal.domain.errors import (
    CustomFieldNotFound,
    NoOptions,
    OptionKeyTaken,
    WrongFieldValues,
)
from kanal.domain.identities import delete_user, register_user
from kanal.domain.users import UserFieldsChanged, UserWasDeleted, change_user

COLOURS = {"1": "Red", "7": "Green"}
TEXT, TICK, CHOICE, DAY, OF_USER, TICK_OF_USER = (f"cf_{number}" for number in range(1, 7))


def day(given: object) -> str:
    if given == "today":
        return "2021-12-01"
    raise ValueError("must be a date")


def given(*cleared: str, **values: Any) -> GivenValues:
    return GivenValues(day=day, values=values, cleared=cleared)


def defined() -> Story:
    """Of cases: text 1, checkbox 2, select 3, date 4; of users: textarea 5, checkbox 6. Case 1 without values."""
    story = desk()
    for field_type, level in [
        ("text", "case"),
        ("checkbox", "case"),
        ("select", "case"),
        ("date", "case"),
        ("textarea", "user"),
        ("checkbox", "user"),
    ]:
        story.given(
            create_field, title="F", field_type=field_type, field_level=level, options=COLOURS
        )
    return story.given(open_case, who=person("u1"), content="Hello")


def of_case(old: dict[str, Any], values: dict[str, Any]) -> CaseFieldsChanged:
    return CaseFieldsChanged(case_id=1, user_id=1, channel_id=1, old=old, values=values)


def test_a_field_is_defined_with_its_type_level_and_options() -> None:
    wanted = {"title": "Colour", "field_type": "select", "field_level": "user"}
    story = Story().when(create_field, **wanted, options=COLOURS)
    assert story.result == 1
    story.then(CustomFieldCreated(field_id=1, **wanted, options=COLOURS))


def test_a_select_needs_options_and_nothing_else_has_any() -> None:
    story = Story()
    select = {"title": "Colour", "field_type": "select", "field_level": "case"}
    story.when(create_field, **select).refused(NoOptions)
    text = select | {"field_type": "text"}
    story.when(create_field, **text, options=COLOURS)
    [created] = story.recorded(CustomFieldCreated)
    assert created.options == {}
    story.when(change_field, field_id=created.field_id, options=COLOURS).then()


def test_title_and_options_change_and_what_is_set_already_is_no_event() -> None:
    story = defined()
    story.when(change_field, field_id=3, title="Colour").then(
        CustomFieldChanged(field_id=3, title="Colour", options=COLOURS)
    )
    story.when(change_field, field_id=3, title="Colour", options=COLOURS).then()
    story.when(change_field, field_id=3, options={"2": "Blue"}).then(
        CustomFieldChanged(field_id=3, title="Colour", options={"2": "Blue"}, retired=COLOURS)
    )
    story.when(change_field, field_id=3, options={}).refused(NoOptions)


def test_an_option_s_key_never_comes_back_for_another_one() -> None:
    story = defined().given(change_field, field_id=3, options={"1": "Scarlet"})
    story.given(change_field, field_id=3, options={"1": "Scarlet", "2": "Blue"})
    story.when(change_field, field_id=3, options={"1": "Red", "7": "Grey"}).refused(OptionKeyTaken)
    # The very option may come back, and what is there may be called otherwise.
    again = {"1": "Red", "7": "Green"}
    story.when(change_field, field_id=3, options=again).then(
        CustomFieldChanged(field_id=3, title="F", options=again, retired={"2": "Blue"})
    )
    story.when(change_field, field_id=3, title="G").then(
        CustomFieldChanged(field_id=3, title="G", options=again, retired={"2": "Blue"})
    )


def test_fields_are_disabled_enabled_and_deleted_once() -> None:
    story = defined()
    story.when(disable_field, field_id=1).then(CustomFieldDisabled(1))
    story.when(disable_field, field_id=1).then()
    story.when(enable_field, field_id=1).then(CustomFieldEnabled(1))
    story.when(enable_field, field_id=1).then()
    story.when(delete_field, field_id=1).then(CustomFieldDeleted(1))
    for command in (delete_field, disable_field, enable_field, change_field):
        story.when(command, field_id=1).refused(CustomFieldNotFound)


@pytest.mark.parametrize(
    ("key", "value", "kept"),
    [
        (TEXT, " x ", " x "),
        (TEXT, 55, "55"),
        (TEXT, "Ё" * MAX_VALUE, "Ё" * MAX_VALUE),
        (TICK, True, True),
        (TICK, "0", False),
        (TICK, 1, True),
        (TICK, "False", False),
        (CHOICE, "7", "7"),
        (CHOICE, 7, "7"),
        (DAY, "today", "2021-12-01"),
    ],
)
def test_a_value_is_kept_as_its_type_says(key: str, value: Any, kept: Any) -> None:
    story = defined()
    story.when(change_case, case_id=1, given_values=given(**{key: value}))
    story.then(of_case({key: None}, {key: kept}))
    assert type(story.recorded(CaseFieldsChanged)[0].values[key]) is type(kept)
    story.when(change_case, case_id=1, given_values=given(**{key: value})).then()


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        (TEXT, True, "must be a text"),
        (TEXT, 1.5, "must be a text"),
        (TEXT, ["x"], "must be a text"),
        (TEXT, "x" * (MAX_VALUE + 1), "may have up to 10000 characters"),
        (TICK, "maybe", "must be true or false"),
        (TICK, 2, "must be true or false"),
        (TICK, {}, "must be true or false"),
        (CHOICE, "2", "must be a key of the field's field_data"),
        (CHOICE, "Red", "must be a key of the field's field_data"),
        (CHOICE, True, "must be a key of the field's field_data"),
        (CHOICE, [1], "must be a key of the field's field_data"),
        (DAY, "x", "must be a date"),
        (TICK_OF_USER, "x", "must be true or false"),
    ],
)
def test_a_wrong_value_is_refused_and_its_field_named(key: str, value: Any, words: str) -> None:
    story = defined()
    for command, whose in (
        (change_case, {"case_id": 1}),
        (open_case, {"who": person("u2"), "content": "x"}),
    ):
        story.when(command, **whose, given_values=given(**{key: value})).refused(WrongFieldValues)
        assert story.refusal
        assert story.refusal.fields == {f"custom_fields.{key}": words}


def test_all_wrong_values_are_named_at_once() -> None:
    wrong = given(cf_2="x", cf_3="x", cf_6="x", cf_1="right")
    story = defined().when(change_case, case_id=1, given_values=wrong)
    assert list((story.refusal and story.refusal.fields) or ()) == [
        "custom_fields.cf_2",
        "custom_fields.cf_3",
        "custom_fields.cf_6",
    ]


def test_keys_of_no_living_field_are_ignored() -> None:
    story = defined().given(disable_field, field_id=1).given(delete_field, field_id=2)
    unknown = given("cf_9", "cf_2", cf_1="x", cf_2="x", cf_99="x")
    story.when(change_case, case_id=1, given_values=unknown).then()
    story.when(change_user, user_id=1, given_values=given("cf_3", cf_3="x")).then()


def test_a_new_case_takes_values_of_the_case_and_of_its_user() -> None:
    story = defined()
    both = given(cf_1="x", cf_5="vip")
    story.when(open_case, who=person("u2"), content="x", given_values=both)
    [case], [user] = story.recorded(CaseFieldsChanged), story.recorded(UserFieldsChanged)
    assert (case.case_id, case.values) == (2, {"cf_1": "x"})
    assert (user.user_id, user.values) == (2, {"cf_5": "vip"})
    story.when(open_case, who=person("u2"), content="x", given_values=both)
    assert story.recorded(UserFieldsChanged) == []


def test_a_changed_case_takes_values_of_its_user_too() -> None:
    story = defined().when(change_case, case_id=1, given_values=given(cf_6=True))
    story.then(UserFieldsChanged(user_id=1, old={"cf_6": None}, values={"cf_6": True}))


def test_values_are_changed_and_taken_away_one_by_one() -> None:
    story = defined().given(change_case, case_id=1, given_values=given(cf_3="1", cf_1="x"))
    story.when(change_case, case_id=1, given_values=given(cf_1="y", cf_2=False)).then(
        of_case({"cf_1": "x", "cf_2": None}, {"cf_1": "y", "cf_2": False, "cf_3": "1"})
    )
    story.when(change_case, case_id=1, given_values=given("cf_1", "cf_4")).then(
        of_case({"cf_1": "y"}, {"cf_2": False, "cf_3": "1"})
    )
    story.given(disable_field, field_id=2)
    story.when(change_case, case_id=1, given_values=given("cf_2")).then(
        of_case({"cf_2": False}, {"cf_3": "1"})
    )


def test_users_are_registered_and_changed_with_values() -> None:
    story = defined()
    story.when(register_user, who=person("u2"), given_values=given(cf_5="a\r\nb", cf_1="case"))
    [registered] = story.recorded(UserFieldsChanged)
    assert (registered.user_id, registered.values) == (2, {"cf_5": "a\r\nb"})
    story.when(change_user, user_id=2, full_name="Ann", given_values=given("cf_5", cf_6=1))
    [changed] = story.recorded(UserFieldsChanged)
    assert (changed.old, changed.values) == ({"cf_5": "a\r\nb", "cf_6": None}, {"cf_6": True})
    story.when(change_user, user_id=2, given_values=given(cf_6="x")).refused(WrongFieldValues)


def test_a_deleted_user_tells_which_values_it_had_and_takes_none() -> None:
    story = defined().given(change_user, user_id=1, given_values=given(cf_5="x"))
    story.when(delete_user, user_id=1)
    assert story.recorded(UserWasDeleted) == [UserWasDeleted(1, fields=("cf_5",))]
    story.when(change_case, case_id=1, given_values=given(cf_5="y")).then()


def test_a_deleted_case_tells_which_values_it_had() -> None:
    story = defined().given(change_case, case_id=1, given_values=given(cf_3="1", cf_1="x"))
    story.when(delete_case, case_id=1).then(
        CaseDeleted(case_id=1, user_id=1, channel_id=1, fields=("cf_1", "cf_3"))
    )
