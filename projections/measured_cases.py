"""What statistics know of one case while they read the log, and what each event adds to the figures. Pure.

docs/statistics.md says the same in words, with examples.
"""

from collections import Counter, defaultdict
from typing import Any, Final, Literal, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from kanal.domain import business_hours, response_targets
from kanal.domain.business_hours import (
    AccountHours,
    BusinessHoursDeleted,
    BusinessHoursSet,
    business_time,
)
from kanal.domain.case_events import (
    CaseAssigned,
    CaseDeleted,
    CaseGroupChanged,
    CaseMarkedAsSpam,
    CaseMerged,
    CaseOpened,
    CasePriorityChanged,
    CaseRated,
    CaseRestored,
    CaseStatusChanged,
    CaseTrashed,
    CaseUnmerged,
    MessageAdded,
    Priority,
    Rating,
)
from kanal.domain.chat_events import ChatCompleted
from kanal.domain.event import Event
from kanal.domain.message_events import MessageRated
from kanal.domain.response_targets import (
    AccountTargets,
    Deadline,
    Deadlines,
    Measure,
    ResponseTargetDeleted,
    ResponseTargetSet,
)
from kanal.domain.stream import Recorded

SECOND: Final = 1_000_000
SLOT: Final = 15 * 60 * SECOND
"""Figures are kept by quarters of an hour: each zone's midnight falls on one."""

Time = Literal["first_response", "response", "resolution"]
TIMES: Final[tuple[Time, ...]] = ("first_response", "response", "resolution")
AMOUNTS: Final = (
    "new_cases",
    "new_user_cases",
    "reopened_cases",
    "messages_in",
    "responses",
    "notes",
    "rule_messages",
    "rule_notes",
    "cases_with_a_response",
    "responses_for_resolution",
    "rated_low",
    "rated_middle",
    "rated_high",
)
PARTS: Final = ("count", "clock", "business", "targets", "violated")
"""Of each time: how often it was measured, seconds together by the clock and in business hours, and how many of them had a target
and missed it."""
LISTED: Final = ("clock_times", "business_times")
"""Of each time: every one of them, as a character."""
SUMS: Final = (*AMOUNTS, *(f"{time}_{part}" for time in TIMES for part in PARTS))
TEXTS: Final = tuple(f"{time}_{part}" for time in TIMES for part in LISTED)
CLOSED: Final = "resolution_count"
"""A case that is closed is a resolution that was measured."""

DIGITS: Final = 3
"""Times are listed to three digits: 1 h 23 min is 4980 s, exact below 1000 s and to half a percent beyond."""
FIRST_CHARACTER: Final = 0x4E00
"""Where Unicode has 20,000 letters in a row; ten years are the 6,300th."""


def as_character(seconds: int) -> str:
    """Three digits of a time."""
    lead, power = seconds, 0
    while lead >= 10**DIGITS:
        lead, power = lead // 10, power + 1
    ahead = 10**DIGITS + (power - 1) * 9 * 10 ** (DIGITS - 1) - 10 ** (DIGITS - 1) if power else 0
    return chr(FIRST_CHARACTER + ahead + lead)


def as_seconds(character: str) -> int:
    number = ord(character) - FIRST_CHARACTER
    power, step = 0, 9 * 10 ** (DIGITS - 1)
    while number >= 10**DIGITS:
        number, power = number - step, power + 1
    return number * int(10**power)


class Place(NamedTuple):
    """Where in the figures something of a case stands."""

    slot: int
    group_id: int
    staff_id: int


Figures = Counter[str | tuple[str, str]]
"""By a name of SUMS, or one of TEXTS with a character: how much more."""


class Wait(Struct, frozen=True, array_like=True):
    since: int
    deadline: int = 0
    """0: none."""
    position: int = 0
    """Of the event with which it began; next to it that event's version in the case's stream."""
    version: int = 0
    set_position: int = 0
    """Of the event with which the deadline was set as it is; next to it when that was."""
    set_at: int = 0


class Closing(Struct, frozen=True):
    """The last one, while nothing but the end of a chat has come behind it: a merge takes it back."""

    at: int
    request: str
    slot: int
    group_id: int
    staff_id: int
    seconds: tuple[int, int]
    targets: tuple[int, int]
    responses: int


class Rated(Struct, frozen=True):
    rating_id: int
    rating: Rating
    slot: int
    group_id: int
    staff_id: int


class Measured(Struct):
    """One case."""

    case_id: int
    channel: str
    channel_id: int
    group_id: int
    staff_id: int
    user_id: int
    priority: Priority
    opened_at: int
    by_user: bool
    closed: bool = False
    trashed: bool = False
    spam: bool = False
    merged: bool = False
    deleted: bool = False
    last_in: int = 0
    """When the user wrote last."""
    first: Wait | None = None
    """For the first reply."""
    waiting: Wait | None = None
    resolution: Wait | None = None
    responses: int = 0
    authors: tuple[int, ...] = ()
    closing: Closing | None = None
    rated: dict[str, Rated] = {}
    """By the message, "0" for the case itself."""

    @property
    def visible(self) -> bool:
        return not (self.trashed or self.spam or self.deleted)

    @property
    def in_backlog(self) -> bool:
        return self.visible and not self.closed and not self.merged

    @property
    def waits(self) -> dict[Measure, Wait]:
        """Those with a deadline."""
        every: tuple[tuple[Measure, Wait | None], ...] = (
            ("first_response", self.first),
            ("next_response", self.waiting),
            ("resolution", self.resolution),
        )
        return {measure: wait for measure, wait in every if wait and wait.deadline}

    @property
    def deadlines(self) -> Deadlines:
        return {
            measure: Deadline(wait.position, wait.version, wait.deadline)
            for measure, wait in self.waits.items()
        }


class Account(Struct):
    """What deadlines and business hours are reckoned by."""

    hours: AccountHours = AccountHours()
    targets: AccountTargets = AccountTargets()

    def learn(self, event: Event) -> None:
        self.hours = business_hours.evolve(self.hours, event)
        self.targets = response_targets.evolve(self.targets, event)


OF_ACCOUNT: Final = (
    BusinessHoursSet,
    BusinessHoursDeleted,
    ResponseTargetSet,
    ResponseTargetDeleted,
)
OF_CASES: Final = (
    CaseOpened,
    MessageAdded,
    CaseStatusChanged,
    CaseAssigned,
    CaseGroupChanged,
    CasePriorityChanged,
    CaseTrashed,
    CaseMarkedAsSpam,
    CaseRestored,
    CaseDeleted,
    CaseMerged,
    CaseUnmerged,
    CaseRated,
    MessageRated,
    ChatCompleted,
)


class Reading:
    """Goes through some events of the log. `cases` holds those it needs; new ones are added."""

    def __init__(self, account: Account, cases: dict[int, Measured]) -> None:
        self.account = account
        self.cases = cases
        self._place = (0, 0, 0)
        """Position, version and time of the event that is read."""
        self.figures: defaultdict[int, defaultdict[Place, Figures]] = defaultdict(
            lambda: defaultdict(Counter)
        )
        """By the case: what there is more than before."""
        self.ratings: dict[int, dict[str, Any]] = {}
        """By the rating: columns of it that are new."""

    def read(self, recorded: Recorded) -> None:
        event: Any = recorded.event
        self._place = (recorded.position, recorded.version, recorded.envelope.at)
        if isinstance(event, OF_ACCOUNT):
            self.account.learn(event)
            return
        if isinstance(event, CaseOpened):
            self._open(event, recorded.envelope.at)
            return
        case = self.cases.get(event.case_id)
        if case is None:
            return
        if not isinstance(event, ChatCompleted | CaseMerged):
            case.closing = None
        self._go_on(case, event, recorded)

    def _open(self, event: CaseOpened, at: int) -> None:
        at = event.created_at or at
        case = Measured(
            case_id=event.case_id,
            channel=event.channel,
            channel_id=event.channel_id,
            group_id=event.group_id,
            staff_id=event.staff_id,
            user_id=event.user_id,
            priority=event.priority,
            opened_at=at,
            by_user=event.opened_by == "user",
            closed=event.status == "closed",
        )
        self.cases[event.case_id] = case
        self._count_opening(case, 1)
        if not case.closed:
            case.resolution = self._wait(case, "resolution", at)
            case.first = self._wait(case, "first_response", at) if case.by_user else None

    def _go_on(self, case: Measured, event: Event, recorded: Recorded) -> None:
        at = recorded.envelope.at
        match event:
            case MessageAdded():
                self._say(case, event, event.sent_at or event.created_at or at)
            case CaseStatusChanged(new="closed"):
                self._close(case, recorded)
            case CaseStatusChanged(old="closed"):
                case.closed = False
                self._add(case, at, "reopened_cases")
                if event.by.startswith("user:"):
                    case.waiting = self._wait(case, "next_response", case.last_in)
            case CaseAssigned():
                self._move(case, case.group_id, event.new)
            case CaseGroupChanged():
                self._move(case, event.new, case.staff_id)
                self._set_deadlines(case)
            case CasePriorityChanged():
                case.priority = event.new
                self._set_deadlines(case)
            case CaseTrashed():
                case.trashed = True
            case CaseMarkedAsSpam():
                case.spam = True
            case CaseRestored():
                case.trashed = case.spam = False
                self._begin_again(case)
            case CaseDeleted():
                case.deleted = True
            case CaseMerged():
                self._merge(case, recorded)
            case CaseUnmerged():
                case.merged = False
                self._begin_again(case)
            case CaseRated():
                self._rate(
                    case, 0, event.rating, event.rating_comment, event.rated_staff_id, recorded
                )
            case MessageRated():
                self._rate(
                    case, event.message_id, event.rating, event.comment, event.staff_id, recorded
                )

    def _move(self, case: Measured, group_id: int, staff_id: int) -> None:
        """That it was opened stands with whoever has it: nobody had it when it came."""
        self._count_opening(case, -1)
        case.group_id, case.staff_id = group_id, staff_id
        self._count_opening(case, 1)

    def _count_opening(self, case: Measured, amount: int) -> None:
        self._add(case, case.opened_at, "new_cases", amount)
        if case.by_user:
            self._add(case, case.opened_at, "new_user_cases", amount)

    def _say(self, case: Measured, event: MessageAdded, at: int) -> None:
        match event.kind:
            case "user_message":
                self._add(case, at, "messages_in")
                case.last_in = at
                if not case.waiting and not case.closed:
                    case.waiting = self._wait(case, "next_response", at)
            case "staff_reply":
                self._answer(case, event.staff_id, at)
            case "rule_message":
                self._add(case, at, "rule_messages")
            case "note" if event.rule_id:
                self._add(case, at, "rule_notes")
            case "note":
                self._add(case, at, "notes", staff_id=event.staff_id)

    def _answer(self, case: Measured, staff_id: int, at: int) -> None:
        self._add(case, at, "responses", staff_id=staff_id)
        case.responses += 1
        if staff_id not in case.authors:
            case.authors = (*case.authors, staff_id)
            self._add(case, at, "cases_with_a_response", staff_id=staff_id)
        if case.first:
            self._measure(case, "first_response", case.first, at, staff_id)
        if case.waiting:
            self._measure(case, "response", case.waiting, at, staff_id)
        case.first = case.waiting = None

    def _close(self, case: Measured, recorded: Recorded) -> None:
        at = recorded.envelope.at
        wait = case.resolution or Wait(case.opened_at)
        seconds, targets = self._measure(case, "resolution", wait, at, case.staff_id)
        self._add(case, at, "responses_for_resolution", case.responses)
        case.closing = Closing(
            at=at,
            request=recorded.envelope.request,
            slot=at // SLOT,
            group_id=case.group_id,
            staff_id=case.staff_id,
            seconds=seconds,
            targets=targets,
            responses=case.responses,
        )
        case.closed = True
        case.first = case.waiting = case.resolution = None

    def _merge(self, case: Measured, recorded: Recorded) -> None:
        """Merging closes a case, which is no resolution: the conversation goes on elsewhere."""
        closing, envelope = case.closing, recorded.envelope
        if closing and (closing.at, closing.request) == (envelope.at, envelope.request):
            place = Place(closing.slot, closing.group_id, closing.staff_id)
            figures = self.figures[case.case_id][place]
            _count(figures, "resolution", closing.seconds, closing.targets, -1)
            figures["responses_for_resolution"] -= closing.responses
        case.closing = None
        case.merged = True

    def _rate(
        self,
        case: Measured,
        message_id: int,
        rating: Rating,
        comment: str,
        staff_id: int,
        recorded: Recorded,
    ) -> None:
        """A later rating takes the place of the one before, in the figures too."""
        at, key = recorded.envelope.at, str(message_id)
        before = case.rated.get(key)
        row: dict[str, Any] = {}
        if before:
            place = Place(before.slot, before.group_id, before.staff_id)
            self.figures[case.case_id][place][f"rated_{before.rating}"] -= 1
        else:
            row |= {
                "case_id": case.case_id,
                "message_id": message_id,
                "user_id": case.user_id,
                "channel": case.channel,
                "created_at": at,
            }
        rating_id = before.rating_id if before else recorded.position
        self._add(case, at, f"rated_{rating}", staff_id=staff_id)
        rated = Rated(rating_id, rating, at // SLOT, case.group_id, staff_id)
        case.rated = {**case.rated, key: rated}
        row |= {
            "rating": rating,
            "comment": comment,
            "rated_staff_id": staff_id,
            "staff_id": case.staff_id,
            "group_id": case.group_id,
            "updated_at": at,
        }
        self.ratings.setdefault(rating_id, {}).update(row)

    def _wait(self, case: Measured, measure: Measure, since: int) -> Wait:
        position, version, at = self._place
        deadline = self._deadline(case, measure, since)
        return Wait(since, deadline, position, version, position, at)

    def _deadline(self, case: Measured, measure: Measure, since: int) -> int:
        target = self.account.targets.of_case(case.channel, case.group_id, case.priority)
        if target is None:
            return 0
        calendar = self.account.hours.of_group(case.group_id)
        return target.deadline(measure, since, calendar)

    def _set_deadlines(self, case: Measured) -> None:
        case.first = self._set(case, "first_response", case.first)
        case.waiting = self._set(case, "next_response", case.waiting)
        case.resolution = self._set(case, "resolution", case.resolution)

    def _set(self, case: Measured, measure: Measure, wait: Wait | None) -> Wait | None:
        if wait is None:
            return None
        position, _, at = self._place
        deadline = self._deadline(case, measure, wait.since)
        return replace(wait, deadline=deadline, set_position=position, set_at=at)

    def _begin_again(self, case: Measured) -> None:
        """The case is back: its deadlines are as they were, and count anew for who asks what was set since."""
        position, _, at = self._place
        back = {"set_position": position, "set_at": at}
        case.first = case.first and replace(case.first, **back)
        case.waiting = case.waiting and replace(case.waiting, **back)
        case.resolution = case.resolution and replace(case.resolution, **back)

    def _measure(
        self, case: Measured, time: Time, wait: Wait, at: int, staff_id: int
    ) -> tuple[tuple[int, int], tuple[int, int]]:
        """Seconds by the clock and in business hours; whether there was a target, and whether it was missed."""
        calendar = self.account.hours.of_group(case.group_id)
        until = max(at, wait.since)
        clock = until - wait.since
        business = business_time(calendar, wait.since, until) if calendar else clock
        seconds = clock // SECOND, business // SECOND
        targets = int(wait.deadline > 0), int(0 < wait.deadline < until)
        place = Place(at // SLOT, case.group_id, staff_id)
        _count(self.figures[case.case_id][place], time, seconds, targets, 1)
        return seconds, targets

    def _add(
        self, case: Measured, at: int, name: str, amount: int = 1, *, staff_id: int | None = None
    ) -> None:
        """`staff_id`: whose doing it is; whose case it is, if nobody's."""
        whose = case.staff_id if staff_id is None else staff_id
        self.figures[case.case_id][Place(at // SLOT, case.group_id, whose)][name] += amount


def _count(
    figures: Figures, time: Time, seconds: tuple[int, int], targets: tuple[int, int], sign: int
) -> None:
    figures[f"{time}_count"] += sign
    for part, value in zip(("clock", "business"), seconds, strict=True):
        figures[f"{time}_{part}"] += sign * value
        figures[f"{time}_{part}_times", as_character(value)] += sign
    for part, value in zip(("targets", "violated"), targets, strict=True):
        figures[f"{time}_{part}"] += sign * value
