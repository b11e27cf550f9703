"""Statistics are what a plain recount of the log says, for any history, period, channel, group and staff member."""

from datetime import datetime
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import histories
import pytest
from folding import Log, engine_of
from recounting import TIMES, Happening, backlog, happenings, quantile, totals
from sqlalchemy import Connection
from story import person

from kanal.domain import (
    business_hours,
    cases,
    chats,
    conversation,
    message_events,
    messages,
    response_targets,
    staff,
)
from kanal.domain.access import EVERYTHING as ALL_SEEN
from kanal.domain.access import Scope
from kanal.domain.business_hours import Calendar, Span
from kanal.domain.case_events import MessageAdded
from kanal.domain.errors import DomainError
from kanal.domain.groups import create_group
from kanal.domain.links import Contact
from kanal.domain.response_targets import Target
from kanal.eventlog.projection import Changes
from kanal.projections import figures
from kanal.projections.figures import EVERYTHING, Period, Wanted
from kanal.projections.measured_cases import SLOT, SUMS, as_character, as_seconds
from kanal.projections.read_model import Views
from kanal.projections.statistics import day_of, projection, slot_of_day

SECOND = 1_000_000
HOUR = 3600 * SECOND
ZONE = ZoneInfo("Asia/Kathmandu")
"""No whole hours off, so that days and hours are not those of UTC."""
OFFICE = Calendar("Europe/Berlin", tuple(Span(day, 540, 1080) for day in range(5)), ("12-25",))
NIGHT = Calendar("UTC", tuple(Span(day, 1320, 1800) for day in range(7)))
PAUSES = (0, 1, 60, 900, 3600, 20_000, 100_000, 900_000)
"""Seconds between two commands: within a slot, over a day, over a month."""


def rate_a_reply(log: Log, *, message_id: int, rating: Any) -> None:
    for event in (recorded.event for recorded in log.events):
        if isinstance(event, MessageAdded) and event.message_id == message_id:
            texts = message_events.Texts(event.content, event.content_html)
            of = messages.Original(message_id, event.case_id, event.kind, event.staff_id, texts)
            messages.rate_message(log, original=of, rating=rating)


def anything(random: Random, now: int) -> histories.Step:
    case = {"case_id": random.randint(1, 12)}
    earlier = now - random.choice(PAUSES) * SECOND
    target = Target(
        "x",
        channels=random.choice([(), ("cch1",)]),
        groups=random.choice([(), (1,)]),
        priorities=random.choice([(), ("high", "critical")]),
        first_response=random.choice([0, 10]),
        next_response=random.choice([0, 300]),
        resolution=1000,
        hours=random.choice(["clock", "business"]),
    )
    own: list[histories.Step] = [
        (
            cases.change_case,
            {
                **case,
                "priority": random.choice(["low", "critical"]),
                "group_id": random.randint(0, 2),
                "staff_id": random.randint(0, 2),
            },
        ),
        (cases.change_case, {**case, "status": random.choice(["open", "closed"])}),
        (conversation.add_staff_reply, {**case, "staff_id": 2, "created_at": earlier}),
        (conversation.add_rule_note, {**case, "rule_id": 1, "content": "x"}),
        (
            conversation.open_case,
            {
                "who": person("7", 1),
                "content": "x",
                "created_at": earlier,
                "status": random.choice([None, "closed"]),
            },
        ),
        (rate_a_reply, {"message_id": random.randint(1, 40), "rating": "middle"}),
        (response_targets.add_response_target, {"target": target}),
        (response_targets.delete_response_target, {"response_target_id": random.randint(1, 3)}),
        (
            business_hours.change_business_hours,
            {"business_hours_id": 1, "zone": random.choice(["UTC", "Asia/Tokyo"])},
        ),
    ]
    return random.choice(own)


def history(seed: int, steps: int) -> Log:
    random = Random(seed)
    log = Log()
    boris = Contact("email", "b@example.com", "b@example.com", "test.1")
    preparing: list[histories.Step] = [
        *histories.beginning(),
        (staff.create_staff, {"email": boris, "full_name": "Boris", "key_fingerprint": "f"}),
        (create_group, {"title": "Support"}),
        (business_hours.add_business_hours, {"title": "Office", "calendar": OFFICE}),
        (
            business_hours.add_business_hours,
            {"title": "Night", "calendar": NIGHT, "groups": (2,)},
        ),
    ]
    for command, arguments in preparing:
        log.do(command, **arguments)
    for _ in range(steps):
        log.now += random.choice(PAUSES) * SECOND
        draw = histories.anything(random) if random.random() < 0.7 else anything(random, log.now)
        command, arguments = draw
        try:
            log.do(command, **arguments)
        except DomainError:
            continue
    return log


class Statistics:
    """The one read model, in some zone."""

    def __init__(self, connection: Connection, zone: ZoneInfo = ZONE, generation: int = 1) -> None:
        self.connection = connection
        self.zone = zone
        self.model = projection(str(zone))
        self.tables = self.model.tables(generation)
        self.views = Views({"statistics": self.tables})
        for table in self.tables.values():
            table.create(connection)
        connection.info["tables"] = "more"

    def fold(self, log: Log, size: int) -> None:
        for at in range(0, len(log.events), size):
            changes = Changes()
            for recorded in log.events[at : at + size]:
                if type(recorded.event) in self.model.handles:
                    fold = self.model.handles[type(recorded.event)]
                    fold(changes, self.tables, recorded)
            changes.flush(self.connection)

    def summed(
        self, period: Period, *args: Any, scope: Scope = ALL_SEEN, **named: Any
    ) -> dict[Any, figures.Sums]:
        views = self.views.within(scope)
        return figures.summed(self.connection, views, self.zone, period, *args, **named)


def key_of(by: figures.By | None, happening: Happening) -> Any:
    local = datetime.fromtimestamp(happening.at // SECOND, ZONE)
    hour = local.replace(minute=0, second=0)
    return {
        None: "",
        "channel": happening.channel,
        "group": happening.group,
        "staff": happening.staff,
        "day": local.date().toordinal(),
        "hour": int(hour.timestamp()) * SECOND // SLOT,
    }[by]


BYS: tuple[figures.By | None, ...] = (None, "channel", "group", "staff", "day", "hour")


def compare(
    statistics: Statistics,
    found: list[Happening],
    period: Period,
    wanted: Wanted = EVERYTHING,
    scope: Scope = ALL_SEEN,
) -> None:
    inside = [
        each
        for each in found
        if period.since <= each.at // SLOT < period.until
        and (not wanted.channels or each.channel in wanted.channels)
        and (not wanted.groups or each.group in wanted.groups)
        and (not wanted.staff or each.staff in wanted.staff)
        and scope.reaches(int(each.channel.partition("cch")[2] or 0), "see")
        and (scope.groups is None or each.group in scope.groups)
    ]
    for by in BYS:
        for part in ("clock", "business"):
            summed = statistics.summed(period, by, wanted, scope=scope, quantiles=part)
            sums = {
                key: {name: each[name] for name in SUMS if each[name]}
                for key, each in summed.items()
            }
            expected: dict[Any, list[Happening]] = {}
            for each in inside:
                expected.setdefault(key_of(by, each), []).append(each)
            shown = {key: amounts for key, amounts in sums.items() if amounts}
            assert shown == {
                key: recounted for key, each in expected.items() if (recounted := totals(each))
            }
            for key, group in expected.items():
                for time in TIMES:
                    for share in (0.5, 0.9):
                        assert summed[key].quantile(time, share, part) == quantile(
                            group, time, part, share
                        )


def test_every_figure_is_that_of_a_plain_recount(connection: Connection) -> None:
    for seed, steps in ((0, 140), (1, 180)):
        log, random = history(seed, steps), Random(seed)
        found = list(happenings(log.events))
        first, last = min(each.at for each in found), log.now
        statistics = Statistics(connection, generation=seed + 2)
        statistics.fold(log, random.choice([1, 7, 50]))
        compare(statistics, found, Period.of(first, last + SLOT))
        for _ in range(2):
            since, until = sorted(random.randint(first, last) for _ in range(2))
            wanted = Wanted(
                channels=random.choice([(), ("cch1",)]),
                staff=random.choice([(), (1,), (0, 2)]),
            )
            scope = Scope(
                groups=random.choice([None, frozenset({0, 2})]),
                channels=random.choice([{}, {1: "none"}]),
            )
            compare(statistics, found, Period.of(since, until), wanted, scope)
        waiting = backlog(log.events)
        rows = connection.execute(statistics.tables["stat_backlog"].select()).all()
        assert sorted(tuple(row)[:6] for row in rows) == waiting
        shown = figures.backlog(connection, statistics.views, log.now, "channel")
        assert sum(each.waiting for each in shown.values()) == sum(bool(row[5]) for row in waiting)
        assert min(each.oldest for each in shown.values()) == min(r[4] for r in waiting) // SECOND


def test_times_are_listed_to_three_digits() -> None:
    for seconds, kept in ((0, 0), (7, 7), (999, 999), (1000, 1000), (1009, 1000), (4987, 4980)):
        assert as_seconds(as_character(seconds)) == kept
    many = sorted([*range(0, 20_000, 7), *(10**power for power in range(4, 9))])
    shown = [as_character(each) for each in many]
    assert shown == sorted(shown)
    assert all(0 <= each - as_seconds(as_character(each)) < max(1, each / 100) for each in many)


@pytest.mark.parametrize(
    "zone", ["UTC", "Asia/Kathmandu", "America/New_York", "Africa/Cairo", "America/Havana"]
)
def test_days_are_those_of_the_zone_also_where_midnight_is_left_out(zone: str) -> None:
    for day in range(datetime(2026, 1, 1).toordinal(), datetime(2027, 1, 1).toordinal()):
        slot = slot_of_day(day, zone)
        assert day_of(slot - 1, zone) == day - 1
        assert day_of(slot, zone) == day


UTC = ZoneInfo("UTC")
MINUTE = 60 * SECOND
MONDAY = 1_767_571_200 * SECOND
"""2026-01-05 00:00, a Monday."""
BUSY = Calendar("UTC", tuple(Span(day, 540, 1020) for day in range(5)))
"""09:00 to 17:00 on weekdays."""
GIVEN: Target = Target("x", first_response=60, next_response=30, resolution=480)


class Example:
    """A desk on which things happen at such times of one week: `said("mon 16:30", ...)`."""

    def __init__(self) -> None:
        self.log = Log()
        for command, arguments in histories.beginning():
            self.log.do(command, **arguments)
        boris = Contact("email", "b@example.com", "b@example.com", "test.1")
        self.log.do(
            staff.create_staff, email=boris, full_name="Boris", key_fingerprint="f", role="staff"
        )
        self.log.do(business_hours.add_business_hours, title="Office", calendar=BUSY)
        self.log.do(response_targets.add_response_target, target=GIVEN)

    def at(self, text: str) -> int:
        day, _, clock = text.partition(" ")
        hours, minutes = map(int, clock.split(":"))
        days = ("mon", "tue", "wed", "thu", "fri", "sat", "sun").index(day)
        return MONDAY + days * 24 * HOUR + hours * HOUR + minutes * MINUTE

    def do(self, text: str, command: Any, **arguments: Any) -> "Example":
        # A command of the log comes a second after the time that it is set to.
        self.log.now = self.at(text) - SECOND
        self.log.do(command, **arguments)
        return self

    def opened(self, text: str, channel_id: int = 1, **more: Any) -> "Example":
        return self.do(text, conversation.open_case, who=person("1", channel_id), **more)

    def wrote(self, text: str) -> "Example":
        return self.do(text, conversation.add_user_message, case_id=1, user_id=1, content="x")

    def replied(self, text: str, staff_id: int = 1, **more: Any) -> "Example":
        return self.do(
            text, conversation.add_staff_reply, case_id=1, staff_id=staff_id, content="x", **more
        )

    def closed(self, text: str) -> "Example":
        return self.do(text, cases.change_case, case_id=1, status="closed")

    def figures(self, by: figures.By | None = None, since: str = "mon 00:00") -> dict[Any, Any]:
        with engine_of("").connect() as connection:
            statistics = Statistics(connection, UTC)
            statistics.fold(self.log, 100)
            period = Period.of(self.at(since), MONDAY + 28 * 24 * HOUR)
            summed = statistics.summed(period, by, quantiles="clock")
            return {
                key: {name: each[name] for name in SUMS if each[name]}
                for key, each in summed.items()
            }


def minutes(figures: dict[str, int], time: str) -> tuple[float, float, int, int]:
    """By the clock, in business hours, with a target, of these missed."""
    clock, business = figures[f"{time}_clock"] / 60, figures[f"{time}_business"] / 60
    return clock, business, figures.get(f"{time}_targets", 0), figures.get(f"{time}_violated", 0)


def test_example_a_question_over_night() -> None:
    """docs/statistics.md, "A question over night"."""
    found = (
        Example()
        .opened("mon 16:30")
        .wrote("mon 16:45")
        .replied("tue 09:30")
        .wrote("tue 10:00")
        .replied("tue 10:20", staff_id=2)
        .replied("tue 10:25", staff_id=2)
        .closed("tue 16:30")
        .figures()[""]
    )
    assert minutes(found, "first_response") == (1020, 60, 1, 0)
    assert minutes(found, "response") == (1040, 80, 2, 1)
    assert minutes(found, "resolution") == (1440, 480, 1, 0)
    amounts = ("messages_in", "responses", "response_count", "cases_with_a_response")
    assert [found[name] for name in amounts] == [3, 3, 2, 2]
    assert found["responses_for_resolution"] == 3


def test_example_a_case_comes_back() -> None:
    """docs/statistics.md, "A case that comes back"."""
    example = Example().opened("mon 09:00").closed("mon 09:10")
    assert "first_response_count" not in example.figures()[""]
    found = example.wrote("mon 12:00").replied("mon 12:30").closed("mon 13:00").figures()[""]
    assert (found["reopened_cases"], found["resolution_count"]) == (1, 2)
    assert "first_response_count" not in found
    assert minutes(found, "response") == (30, 30, 1, 0)
    assert minutes(found, "resolution") == (10 + 240, 10 + 240, 1, 0)


def test_example_whose_it_is() -> None:
    """docs/statistics.md, "Whose a figure is"."""
    example = (
        Example()
        .opened("mon 09:00")
        .do("mon 09:05", cases.change_case, case_id=1, staff_id=2)
        .replied("mon 09:10", staff_id=1)
        .closed("mon 10:00")
    )
    by_staff = example.figures("staff")
    assert by_staff[1]["responses"] == by_staff[1]["first_response_count"] == 1
    assert by_staff[2]["new_cases"] == by_staff[2]["resolution_count"] == 1
    assert by_staff[0] == {"messages_in": 1}


def test_example_what_is_put_away_counts_no_more() -> None:
    """docs/statistics.md, "Trash, spam, deletion"."""
    for hide in (cases.trash_case, cases.mark_case_as_spam):
        example = Example().opened("mon 09:00").replied("mon 10:00")
        before = example.figures()[""]
        assert example.do("tue 09:00", hide, case_id=1).figures()[""] == {}
        assert example.do("tue 10:00", cases.restore_case, case_id=1).figures()[""] == before
    assert example.do("tue 11:00", cases.delete_case, case_id=1).figures() == {"": {}}


def test_example_a_merged_case_is_no_resolution() -> None:
    """docs/statistics.md, "Merged cases"."""
    example = Example().opened("mon 09:00").opened("mon 09:30")
    example.do("mon 10:00", cases.merge_case, case_id=1, parent_case_id=2).replied("mon 10:30")
    found = example.figures()[""]
    assert found["new_cases"] == 2
    assert "resolution_count" not in found
    assert minutes(found, "first_response") == (60, 60, 1, 0)
    closed_before = Example().opened("mon 09:00").opened("mon 09:30").closed("mon 09:40")
    closed_before.do("mon 10:00", cases.merge_case, case_id=1, parent_case_id=2)
    assert closed_before.figures()[""]["resolution_count"] == 1


def test_example_what_is_brought_in_counts_when_it_was() -> None:
    """docs/statistics.md, "What is brought in later"."""
    example = Example()
    opened, replied = example.at("mon 09:00"), example.at("mon 09:20")
    example.opened("wed 09:00", created_at=opened, status="closed")
    example.replied("wed 09:01", created_at=replied)
    assert "new_cases" not in example.figures(since="tue 00:00")[""]
    found = example.figures()[""]
    assert {name for name in found if name.endswith("_count")} == set()
    other = Example().opened("wed 09:00", created_at=opened)
    found = other.replied("wed 09:01", created_at=replied).figures()[""]
    assert minutes(found, "first_response") == (20, 20, 1, 0)


def test_example_targets_hold_for_waits_that_begin_later() -> None:
    """docs/statistics.md, "What a change of hours or targets changes"."""
    example = Example().opened("mon 09:00")
    tight = {"response_target_id": 1, "first_response": 10}
    example.do("mon 09:01", response_targets.change_response_target, **tight)
    found = example.replied("mon 09:30").figures()[""]
    assert minutes(found, "first_response") == (30, 30, 1, 0)
    example = Example().opened("mon 09:00")
    example.do("mon 09:01", response_targets.change_response_target, **tight)
    example.do("mon 09:02", cases.change_case, case_id=1, priority="high")
    found = example.replied("mon 09:30").figures()[""]
    assert minutes(found, "first_response") == (30, 30, 1, 1)


def test_example_a_chat_is_measured_like_any_case() -> None:
    """docs/statistics.md, "Chats"."""
    example = Example().opened("mon 09:00", channel_id=2)
    example.do("mon 09:01", chats.accept_chat, case_id=1, staff_id=2)
    found = example.replied("mon 09:03", staff_id=2).figures("channel")["cch2"]
    assert minutes(found, "first_response") == (3, 3, 1, 0)
    done = example.do("mon 09:30", chats.complete_chat, case_id=1, staff_id=2)
    assert "resolution_count" not in done.figures()[""]
