"""Response targets: which one holds for a case, by when something is due, and what may be done to them."""

from story import APP, Story, desk

from kanal.domain.business_hours import Calendar, Span
from kanal.domain.channels import delete_channel
from kanal.domain.errors import (
    ChannelNotFound,
    GroupNotFound,
    ResponseTargetNotFound,
    TargetWithoutTime,
)
from kanal.domain.response_targets import (
    RESPONSE_TARGETS,
    ResponseTargetDeleted,
    ResponseTargetSet,
    Target,
    add_response_target,
    change_response_target,
    delete_response_target,
)

MINUTE = 60_000_000
ANY = Target("Any", first_response=60, resolution=600)
APP_ONLY = Target("App", channels=(f"cch{APP}",), first_response=30)
URGENT = Target("Urgent", priorities=("critical",), first_response=5, hours="clock")
SALES = Target("Urgent in sales", groups=(1,), priorities=("critical",), next_response=10)


def test_the_most_particular_target_holds_and_of_several_the_oldest() -> None:
    story = desk()
    for target in (ANY, APP_ONLY, URGENT, SALES):
        story.given(add_response_target, target=target)
    targets = story.load(RESPONSE_TARGETS, "all")
    assert targets.of_case("email", 0, "normal") is ANY
    assert targets.of_case("cch1", 0, "normal") is APP_ONLY
    assert targets.of_case("cch1", 0, "critical") is APP_ONLY
    assert targets.of_case("email", 0, "critical") is URGENT
    assert targets.of_case("cch1", 1, "critical") is SALES
    story.given(delete_response_target, response_target_id=1)
    assert story.load(RESPONSE_TARGETS, "all").of_case("email", 0, "normal") is None


def test_a_deadline_is_in_clock_or_business_hours() -> None:
    calendar = Calendar("UTC", (Span(0, 9 * 60, 18 * 60),))
    monday, hour = 1_763_366_400 * 1_000_000, 60 * MINUTE  # 2025-11-17 08:00
    assert ANY.deadline("first_response", monday, calendar) == monday + 2 * hour
    assert ANY.deadline("first_response", monday, None) == monday + hour
    assert ANY.deadline("next_response", monday, calendar) == 0
    assert URGENT.deadline("first_response", monday, calendar) == monday + 5 * MINUTE
    never = Calendar("UTC")
    assert ANY.deadline("first_response", monday, never) == 0


def test_targets_name_what_there_is_and_keep_what_there_was() -> None:
    story = desk().when(add_response_target, target=APP_ONLY).then(ResponseTargetSet(1, APP_ONLY))
    story.when(add_response_target, target=Target("x")).refused(TargetWithoutTime)
    nowhere = Target("x", channels=("cch9",), first_response=1)
    story.when(add_response_target, target=nowhere).refused(ChannelNotFound)
    story.when(change_response_target, response_target_id=1, groups=(9,)).refused(GroupNotFound)
    story.given(delete_channel, channel_id=APP)
    story.when(change_response_target, response_target_id=1, title="App").then()
    renamed = Target("Old app", channels=("cch1",), first_response=30)
    story.when(change_response_target, response_target_id=1, title="Old app")
    story.then(ResponseTargetSet(1, renamed))
    story.when(change_response_target, response_target_id=1, first_response=0)
    story.refused(TargetWithoutTime)


def test_a_deleted_target_is_gone() -> None:
    story = Story().given(add_response_target, target=ANY)
    story.when(delete_response_target, response_target_id=1).then(ResponseTargetDeleted(1))
    story.when(delete_response_target, response_target_id=1).refused(ResponseTargetNotFound)
    story.when(change_response_target, response_target_id=1, title="x")
    story.refused(ResponseTargetNotFound)
