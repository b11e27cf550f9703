"""What a role and a key let their holder reach: one function, asked by reads, commands and the past alike."""

from typing import Any

import pytest
from folding import email
from story import ANNA, APP, BORIS, FORUM, Story, desk

from kanal.domain.access import (
    EVERYTHING,
    Guarded,
    Scope,
    check_colleague,
    check_role,
    scope_in,
    scope_of,
)
from kanal.domain.cases import CASES, Case, change_case, delete_case, merge_case, trash_case
from kanal.domain.channels import (
    ChannelOpenedToRoles,
    ChannelRestricted,
    create_channel,
    delete_channel,
    restrict_channel,
)
from kanal.domain.conversation import add_staff_reply, open_case
from kanal.domain.errors import (
    BeyondOwnRights,
    CaseNotFound,
    ChannelNotFound,
    GroupNotFound,
    LastAdministrator,
    LastOwner,
    NoRightOnChannel,
    RoleFixed,
    RoleInUse,
    RoleNotFound,
)
from kanal.domain.identities import Identification
from kanal.domain.roles import (
    ADMINISTRATOR,
    BUILT_IN,
    OWNER,
    STAFF_ROLE,
    ChannelLevel,
    Grants,
    Right,
    RoleChanged,
    RoleCreated,
    RoleDeleted,
    RoleGiven,
    RoleTaken,
    change_role,
    create_role,
    delete_role,
)
from kanal.domain.staff import (
    STAFF,
    AdministratorAppointed,
    AdministratorStoodDown,
    KeyLimits,
    StaffRoleChanged,
    appoint_first_owner,
    change_role_of,
    create_staff,
    delete_staff,
    disable_staff,
    revoke_key,
)

OWN = 101
"""The first own role."""
CLARA = 3
ON_APP = Grants(channels=(ChannelLevel(APP, "answer"),))


def case_on(channel_id: int, group_id: int = 0, staff_id: int = 0) -> Case:
    return Case(case_id=1, channel_id=channel_id, group_id=group_id, staff_id=staff_id)


def night_shift(gives: Grants = ON_APP) -> Story:
    """Boris has the own role 101; case 1 on the App, case 2 on the Forum, both nobody's and of no group."""
    story = desk().given(create_role, title="Night", gives=gives)
    story.given(change_role_of, staff_id=BORIS, role_id=OWN)
    for channel_id in (APP, FORUM):
        story.given(open_case, who=Identification(channel_id=channel_id, external_id="u"))
    return story


def by_boris(story: Story, command: Any, right: Right = Right.ANSWER, **arguments: Any) -> Story:
    def guarded(work: Any, **given: Any) -> Any:
        return command(Guarded(work, scope_in(work, work.load(STAFF, BORIS)), right), **given)

    return story.when(guarded, **arguments)


@pytest.mark.parametrize(
    ("gives", "seen", "not_seen"),
    [
        (Grants(), [], [case_on(1), case_on(0)]),
        (Grants(custom_channels="see"), [case_on(7)], [case_on(0)]),
        (Grants(standard_channels="see"), [case_on(0)], [case_on(7)]),
        (
            Grants(custom_channels="see", channels=(ChannelLevel(7, "none"),)),
            [case_on(8)],
            [case_on(7)],
        ),
        (
            Grants(custom_channels="see", all_groups=False, groups=(0, 2)),
            [case_on(7), case_on(7, group_id=2)],
            [case_on(7, group_id=1)],
        ),
        (
            Grants(custom_channels="see", cases="own"),
            [case_on(7, staff_id=5)],
            [case_on(7), case_on(7, staff_id=6)],
        ),
        (
            Grants(custom_channels="see", cases="own_and_unassigned"),
            [case_on(7, staff_id=5), case_on(7)],
            [case_on(7, staff_id=6)],
        ),
    ],
)
def test_a_case_is_seen_if_channel_group_and_assignee_allow_it(
    gives: Grants, seen: list[Case], not_seen: list[Case]
) -> None:
    scope = scope_of(5, OWN, gives, restricted=())
    assert [*map(scope.sees, seen)] == [True] * len(seen)
    assert [*map(scope.sees, not_seen)] == [False] * len(not_seen)


def test_a_restricted_channel_is_had_by_administrators_and_by_roles_that_name_it() -> None:
    def level(role_id: int, gives: Grants) -> str:
        return scope_of(5, role_id, gives, restricted=(7,)).level(7)

    for role_id, at_all in ((ADMINISTRATOR, "manage"), (OWNER, "manage"), (STAFF_ROLE, "none")):
        assert level(role_id, BUILT_IN[role_id].gives) == at_all
    named = (ChannelLevel(7, "see"),)
    assert level(OWN, Grants(custom_channels="manage")) == "none"
    assert level(OWN, Grants(custom_channels="manage", channels=named)) == "see"


def test_rights_on_a_channel_are_had_where_the_level_is_high_enough() -> None:
    scope = scope_of(5, OWN, ON_APP, ())
    assert scope.rights == {Right.SEE, Right.SEE_DELIVERIES, Right.ANSWER}
    assert scope_of(5, OWN, Grants(rights=("share",)), ()).rights == {Right.SEE, Right.SHARE}
    administrator = scope_of(1, ADMINISTRATOR, BUILT_IN[ADMINISTRATOR].gives, ())
    assert administrator == Scope(staff_id=1, owner=False)
    assert administrator.sees_all


def test_a_key_takes_away_and_never_gives() -> None:
    key = KeyLimits(read_only=True, channels=(APP, FORUM))
    gives = Grants(
        custom_channels="manage", channels=(ChannelLevel(APP, "see"),), rights=("audit",)
    )
    scope = scope_of(5, OWN, gives, (), key)
    assert (scope.level(APP), scope.level(FORUM), scope.level(9), scope.level(0)) == (
        *("see", "manage", "none", "none"),
    )
    assert scope.key == key
    assert Right.AUDIT not in scope.rights
    assert EVERYTHING.covers(scope)
    assert not scope.covers(scope_of(5, OWN, gives, ()))


def test_what_is_not_seen_is_not_there_and_what_is_only_seen_is_refused() -> None:
    story = night_shift()
    by_boris(story, add_staff_reply, case_id=1, staff_id=BORIS).then_named(
        "case.message_added.1", "case.status_changed.1"
    )
    for command in (trash_case, change_case, delete_case):
        by_boris(story, command, case_id=2).refused(CaseNotFound)
    by_boris(story, merge_case, case_id=1, parent_case_id=2).refused(CaseNotFound)
    who = Identification(channel_id=FORUM, external_id="v")
    by_boris(story, open_case, who=who).refused(ChannelNotFound)
    story.given(change_role, role_id=OWN, channels=(ChannelLevel(FORUM, "see"),))
    by_boris(story, change_case, case_id=2, status="open").refused(NoRightOnChannel)
    by_boris(story, open_case, who=who).refused(NoRightOnChannel)
    by_boris(story, change_case, case_id=1).refused(CaseNotFound)


def test_a_case_may_be_moved_out_of_ones_own_sight_and_is_then_out_of_reach() -> None:
    story = night_shift(Grants(custom_channels="answer", cases="own_and_unassigned"))
    by_boris(story, change_case, case_id=1, staff_id=ANNA, priority="high").then_named(
        "case.priority_changed.1", "case.assigned.1"
    )
    by_boris(story, add_staff_reply, case_id=1, staff_id=BORIS).refused(CaseNotFound)
    assert story.load(CASES, 1).staff_id == ANNA


def test_roles_are_made_changed_and_deleted_as_events() -> None:
    story = desk()
    gives = Grants(
        channels=(ChannelLevel(FORUM, "see"), ChannelLevel(APP, "answer")),
        groups=(1, 0, 1),
        rights=("share", "delete"),
    )
    kept = Grants(
        channels=(ChannelLevel(APP, "answer"), ChannelLevel(FORUM, "see")),
        rights=("delete", "share"),
    )
    story.when(create_role, title="Night", gives=gives).then(RoleCreated(OWN, "Night", kept))
    story.when(change_role, role_id=OWN, title="Night", rights=("share", "delete")).then()
    changed = Grants(channels=kept.channels, rights=(), all_groups=False, groups=(0, 1))
    story.when(change_role, role_id=OWN, rights=(), all_groups=False, groups=(1, 0)).then(
        RoleChanged(OWN, "Night", changed)
    )
    story.when(create_role, title="x", gives=Grants(channels=(ChannelLevel(9, "see"),))).refused(
        ChannelNotFound
    )
    story.when(change_role, role_id=OWN, groups=(9,)).refused(GroupNotFound)
    # What was there when it was named may be gone: the rest can be changed all the same.
    story.given(delete_channel, channel_id=APP)
    story.when(change_role, role_id=OWN, title="Day").then(RoleChanged(OWN, "Day", changed))
    story.when(change_role, role_id=STAFF_ROLE, title="x").refused(RoleFixed)
    story.when(delete_role, role_id=OWNER).refused(RoleFixed)
    story.given(change_role_of, staff_id=BORIS, role_id=OWN)
    story.when(delete_role, role_id=OWN).refused(RoleInUse)
    assert f"is that of staff {BORIS}:" in str(story.refusal)
    story.given(delete_staff, staff_id=BORIS)
    story.when(delete_role, role_id=OWN).then(RoleDeleted(OWN))
    story.when(change_role_of, staff_id=ANNA, role_id=OWN).refused(RoleNotFound)
    story.when(delete_role, role_id=OWN).refused(RoleNotFound)


def test_a_change_of_role_is_an_event_and_administrators_and_owners_remain() -> None:
    story = desk().given(create_role, title="Night", gives=ON_APP)
    story.when(change_role_of, staff_id=ANNA, role_id=STAFF_ROLE).refused(LastAdministrator)
    story.when(appoint_first_owner).then(
        StaffRoleChanged(ANNA, ADMINISTRATOR, OWNER), RoleGiven(OWNER, ANNA)
    )
    story.when(appoint_first_owner).then()
    story.when(change_role_of, staff_id=BORIS, role_id=OWN).then(
        StaffRoleChanged(BORIS, STAFF_ROLE, OWN), RoleGiven(OWN, BORIS)
    )
    story.when(change_role_of, staff_id=BORIS, role_id=OWN).then()
    story.when(change_role_of, staff_id=BORIS, role_id=ADMINISTRATOR).then(
        StaffRoleChanged(BORIS, OWN, ADMINISTRATOR),
        RoleTaken(OWN, BORIS),
        AdministratorAppointed(BORIS),
    )
    for command, more in (
        (change_role_of, {"role_id": STAFF_ROLE}),
        (disable_staff, {}),
        (delete_staff, {}),
        (revoke_key, {"key_id": 1}),
    ):
        story.when(command, staff_id=ANNA, **more).refused(LastOwner)
    story.given(change_role_of, staff_id=BORIS, role_id=OWNER)
    story.when(change_role_of, staff_id=ANNA, role_id=STAFF_ROLE).then(
        AdministratorStoodDown(ANNA),
        StaffRoleChanged(ANNA, OWNER, STAFF_ROLE),
        RoleTaken(OWNER, ANNA),
    )
    story.when(disable_staff, staff_id=BORIS).refused(LastAdministrator)


def test_nobody_gives_more_than_they_have_or_acts_upon_those_who_may_more() -> None:
    managing = Grants(custom_channels="manage", standard_channels="see", rights=("manage_staff",))
    story = night_shift(managing)
    story.given(appoint_first_owner).given(create_role, title="Day", gives=ON_APP)
    story.given(
        create_staff,
        email=email("clara@example.com"),
        full_name="C",
        role_id=OWN + 1,
        key_fingerprint="f",
    )
    for role_id in (OWN, OWN + 1):
        by_boris(story, check_role, role_id=role_id).then()
    for role_id in (OWNER, ADMINISTRATOR, STAFF_ROLE):
        by_boris(story, check_role, role_id=role_id).refused(BeyondOwnRights)
    by_boris(story, check_colleague, staff_id=CLARA).then()
    by_boris(story, check_colleague, staff_id=ANNA).refused(BeyondOwnRights)
    owner, administrator = (
        scope_of(1, role_id, BUILT_IN[role_id].gives, ()) for role_id in (OWNER, ADMINISTRATOR)
    )
    assert owner.covers(administrator)
    assert not administrator.covers(owner)
    few = scope_of(1, OWN, Grants(all_groups=False, groups=(1,)), ())
    assert not few.covers(scope_of(1, OWN, Grants(), ()))
    assert not few.covers(scope_of(1, OWN, Grants(all_groups=False, groups=(1, 2)), ()))


def test_a_channel_is_restricted_and_opened_once() -> None:
    story = desk()
    story.when(restrict_channel, channel_id=APP, restricted=True).then(ChannelRestricted(APP))
    story.when(restrict_channel, channel_id=APP, restricted=True).then()
    story.when(restrict_channel, channel_id=APP, restricted=False).then(ChannelOpenedToRoles(APP))
    story.when(restrict_channel, channel_id=9, restricted=True).refused(ChannelNotFound)
    story.when(
        create_channel,
        title="New",
        channel_type="async",
        webhook_url="https://example.com",
        secret_fingerprint="f",
        restricted=True,
    ).then_named("channel.created.1", "restricted_channels.added.1")
