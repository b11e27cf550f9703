"""Labels: their titles, and how they come onto cases and off them."""

import pytest
from story import Story, desk, person

from kanal.domain.case_events import CaseDeleted, CaseLabelsChanged
from kanal.domain.cases import change_case, delete_case, existing_case, set_labels
from kanal.domain.conversation import open_case
from kanal.domain.errors import CaseNotFound, LabelNotFound, LabelTitleTaken, UnknownLabels
from kanal.domain.labels import (
    LabelCreated,
    LabelDeleted,
    LabelRenamed,
    LabelTitleClaimed,
    LabelTitleReleased,
    create_label,
    delete_label,
    rename_label,
)
from kanal.domain.work import Work


def labelled_desk() -> Story:
    """Labels 1 to 3, case 1 with label 1."""
    story = desk()
    for title in ("Blocked", "Urgent", "VIP"):
        story.given(create_label, title=title)
    return story.given(open_case, who=person("u1"), content="Hello", labels=[1])


def change_by_rule(work: Work, *, add: tuple[int, ...] = (), remove: tuple[int, ...] = ()) -> None:
    set_labels(work, existing_case(work, 1), add=add, remove=remove, by_rule=True)


def changed(
    added: tuple[int, ...],
    removed: tuple[int, ...],
    labels: tuple[int, ...],
    locked: tuple[int, ...] = (),
) -> CaseLabelsChanged:
    return CaseLabelsChanged(
        case_id=1,
        user_id=1,
        channel_id=1,
        added=added,
        removed=removed,
        labels=labels,
        locked_labels=locked,
    )


def test_a_label_claims_its_title() -> None:
    story = Story().when(create_label, title="Blocked")
    assert story.result == 1
    story.then(LabelTitleClaimed(1), LabelCreated(label_id=1, title="Blocked"))


@pytest.mark.parametrize("title", ["Срочно", "СРОЧНО", " срочно\t", "Срочно "])
def test_a_title_that_people_take_for_the_same_one_is_refused(title: str) -> None:
    story = Story().given(create_label, title="Срочно")
    story.when(create_label, title=title).refused(LabelTitleTaken)
    other = story.do(create_label, title="Other")
    story.when(rename_label, label_id=other, title=title).refused(LabelTitleTaken)


def test_a_renamed_label_gives_its_old_title_free() -> None:
    story = Story().given(create_label, title="Old")
    story.when(rename_label, label_id=1, title="New").then(
        LabelTitleClaimed(1), LabelTitleReleased(1), LabelRenamed(label_id=1, title="New")
    )
    story.when(create_label, title="old").then_named("label_title.claimed.1", "label.created.1")


def test_a_label_may_spell_its_own_title_otherwise() -> None:
    story = Story().given(create_label, title="vip")
    story.when(rename_label, label_id=1, title="VIP").then(LabelRenamed(label_id=1, title="VIP"))
    story.when(rename_label, label_id=1, title="VIP").then()
    story.when(rename_label, label_id=1).then()


def test_a_deleted_label_is_gone_and_its_title_free() -> None:
    story = Story().given(create_label, title="Old")
    story.when(delete_label, label_id=1).then(LabelTitleReleased(1), LabelDeleted(1))
    story.when(delete_label, label_id=1).refused(LabelNotFound)
    story.when(rename_label, label_id=1, title="New").refused(LabelNotFound)
    story.when(create_label, title="Old")
    assert story.result == 2


def test_a_case_is_opened_with_labels() -> None:
    story = labelled_desk()
    story.when(open_case, who=person("u2"), content="x", labels=[3, 1, 3])
    [event] = story.recorded(CaseLabelsChanged)
    assert (event.added, event.removed, event.labels) == ((1, 3), (), (1, 3))
    story.when(open_case, who=person("u2"), content="x")
    assert story.recorded(CaseLabelsChanged) == []


def test_labels_are_added_and_deleted_and_what_is_set_already_is_no_event() -> None:
    story = labelled_desk()
    story.when(change_case, case_id=1, add_labels=[2], delete_labels=[1])
    story.then(changed((2,), (1,), (2,)))
    story.when(change_case, case_id=1, add_labels=[2], delete_labels=[1, 3]).then()
    story.when(change_case, case_id=1, add_labels=[3], delete_labels=[3]).then()
    story.when(change_case, case_id=1, add_labels=[2], delete_labels=[2]).then(
        changed((), (2,), ())
    )


def test_labels_that_do_not_exist_are_refused_and_named() -> None:
    story = labelled_desk().given(delete_label, label_id=2)
    story.when(change_case, case_id=1, add_labels=[9, 2, 3]).refused(UnknownLabels)
    assert "label 2, 9." in str(story.refusal)
    story.when(open_case, who=person("u2"), content="x", labels=[0]).refused(UnknownLabels)
    story.when(change_case, case_id=9, add_labels=[1]).refused(CaseNotFound)


def test_a_label_that_was_deleted_cannot_be_put_on_again_but_taken_off() -> None:
    story = labelled_desk().given(delete_label, label_id=1)
    story.when(change_case, case_id=1, add_labels=[1]).refused(UnknownLabels)
    story.when(change_case, case_id=1, delete_labels=[1]).then(changed((), (1,), ()))


def test_what_a_rule_puts_on_only_a_rule_takes_off() -> None:
    story = labelled_desk()
    story.when(change_by_rule, add=(1, 2)).then(changed((2,), (), (1,), (2,)))
    story.when(change_case, case_id=1, add_labels=[2], delete_labels=[2]).then()
    story.when(change_by_rule, remove=(1, 2)).then(changed((), (1, 2), (), ()))


def test_a_deleted_case_tells_which_labels_it_had() -> None:
    story = labelled_desk().given(change_by_rule, add=(3,))
    story.when(delete_case, case_id=1).then(
        CaseDeleted(case_id=1, user_id=1, channel_id=1, labels=(1, 3))
    )
