"""Statistics recounted from the raw log, case by case and with nothing kept, as docs/statistics.md defines them."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from math import ceil
from typing import Any, NamedTuple

from kanal.domain import business_hours, response_targets
from kanal.domain.business_hours import AccountHours, business_time
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
)
from kanal.domain.chat_events import ChatCompleted
from kanal.domain.message_events import MessageRated
from kanal.domain.response_targets import AccountTargets
from kanal.domain.stream import Recorded

SECOND = 1_000_000


class Happening(NamedTuple):
    at: int
    name: str
    channel: str
    group: int
    staff: int
    case_id: int
    amount: int = 1
    clock: int = 0
    """Seconds, of a time that was measured; so is the next."""
    business: int = 0
    targets: int = 0
    violated: int = 0


class CaseLog:
    """What happened to one case, and what was so before an event of it."""

    def __init__(self, own: Sequence[Recorded], log: Sequence[Recorded]) -> None:
        self.own = own
        self.log = log
        opened = own[0].event
        assert isinstance(opened, CaseOpened)
        self.opened = opened
        self.opened_at = opened.created_at or own[0].envelope.at

    def last(self, kind: type[Any], before: int, field: str, default: Any) -> Any:
        found = [r.event for r in self.own if r.position < before and isinstance(r.event, kind)]
        return getattr(found[-1], field) if found else default

    def group(self, before: int) -> int:
        return self.last(CaseGroupChanged, before, "new", self.opened.group_id)

    def staff(self, before: int) -> int:
        return self.last(CaseAssigned, before, "new", self.opened.staff_id)

    def status(self, before: int) -> str:
        return self.last(CaseStatusChanged, before, "new", self.opened.status)

    def hours(self, before: int) -> AccountHours:
        state = AccountHours()
        for recorded in self.log:
            if recorded.position < before:
                state = business_hours.evolve(state, recorded.event)
        return state

    def targets(self, before: int) -> AccountTargets:
        state = AccountTargets()
        for recorded in self.log:
            if recorded.position < before:
                state = response_targets.evolve(state, recorded.event)
        return state

    def deadline(self, measure: Any, since: int, begun: int, ended: int) -> int:
        """Reckoned where the wait began, and anew with each change of what a target is chosen by."""
        changes = [
            r.position
            for r in self.own
            if begun < r.position < ended
            and isinstance(r.event, CaseGroupChanged | CasePriorityChanged)
        ]
        at = max([begun, *changes]) + 1
        group = self.group(at)
        priority = self.last(CasePriorityChanged, at, "new", self.opened.priority)
        target = self.targets(at).of_case(self.opened.channel, group, priority)
        calendar = self.hours(at).of_group(group)
        return target.deadline(measure, since, calendar) if target else 0

    def visible(self) -> bool:
        trashed = spam = False
        for event in (r.event for r in self.own):
            if isinstance(event, CaseDeleted):
                return False
            trashed = (trashed or isinstance(event, CaseTrashed)) and not isinstance(
                event, CaseRestored
            )
            spam = (spam or isinstance(event, CaseMarkedAsSpam)) and not isinstance(
                event, CaseRestored
            )
        return not (trashed or spam)

    def is_merging(self, recorded: Recorded) -> bool:
        """Whether this closing is the merge's own."""
        for later in self.own:
            if later.position <= recorded.position or isinstance(later.event, ChatCompleted):
                continue
            same = later.envelope.at == recorded.envelope.at
            return (
                isinstance(later.event, CaseMerged)
                and same
                and later.envelope.request == recorded.envelope.request
            )
        return False


class Message(NamedTuple):
    position: int
    at: int
    event: MessageAdded


def happenings(log: Sequence[Recorded]) -> Iterator[Happening]:
    for case in cases_of(log):
        if case.visible():
            yield from _of_case(case)


def cases_of(log: Sequence[Recorded]) -> Iterator[CaseLog]:
    opened = [r.event.case_id for r in log if isinstance(r.event, CaseOpened)]
    for case_id in opened:
        yield CaseLog([r for r in log if getattr(r.event, "case_id", 0) == case_id], log)


def _of_case(case: CaseLog) -> Iterator[Happening]:
    end = case.own[-1].position + 1

    def at(moment: int, name: str, before: int, staff: int | None = None, **more: int) -> Happening:
        whose = case.staff(before) if staff is None else staff
        channel, case_id = case.opened.channel, case.opened.case_id
        return Happening(moment, name, channel, case.group(before), whose, case_id, **more)

    def time(
        name: str,
        measure: Any,
        since: int,
        begun: int,
        recorded: Recorded,
        until: int,
        staff: int,
        *,
        with_target: bool = True,
    ) -> Happening:
        until = max(since, until)
        calendar = case.hours(recorded.position).of_group(case.group(recorded.position))
        deadline = case.deadline(measure, since, begun, recorded.position) if with_target else 0
        return at(
            until,
            name,
            recorded.position,
            staff,
            clock=(until - since) // SECOND,
            business=business_time(calendar, since, until) // SECOND,
            targets=int(deadline > 0),
            violated=int(0 < deadline < until),
        )

    yield at(case.opened_at, "new_cases", end)
    if case.opened.opened_by == "user":
        yield at(case.opened_at, "new_user_cases", end)
    messages = [
        Message(r.position, r.event.sent_at or r.event.created_at or r.envelope.at, r.event)
        for r in case.own
        if isinstance(r.event, MessageAdded)
    ]
    replies = [each for each in messages if each.event.kind == "staff_reply"]
    closings = [
        r for r in case.own if isinstance(r.event, CaseStatusChanged) and r.event.new == "closed"
    ]
    by_position = {r.position: r for r in case.own}
    for message in messages:
        kind, staff = message.event.kind, message.event.staff_id
        if kind == "user_message":
            yield at(message.at, "messages_in", message.position)
        elif kind == "rule_message":
            yield at(message.at, "rule_messages", message.position)
        elif kind == "note" and message.event.rule_id:
            yield at(message.at, "rule_notes", message.position)
        elif kind == "note":
            yield at(message.at, "notes", message.position, staff)
        else:
            yield at(message.at, "responses", message.position, staff)
    for staff in {each.event.staff_id for each in replies}:
        first = next(each for each in replies if each.event.staff_id == staff)
        yield at(first.at, "cases_with_a_response", first.position, staff)
    ends = sorted([*(each.position for each in replies), *(r.position for r in closings)])
    if replies and replies[0].position == ends[0]:
        first = replies[0]
        if case.opened.opened_by == "user" and case.opened.status != "closed":
            begun = case.own[0].position
            yield time(
                "first_response",
                "first_response",
                case.opened_at,
                begun,
                by_position[first.position],
                first.at,
                first.event.staff_id,
            )
    for reply in replies:
        after = max((each for each in ends if each < reply.position), default=0)
        wait = next(_waits(case, messages, after, reply.position), None)
        if wait:
            since, begun = wait
            recorded = by_position[reply.position]
            staff = reply.event.staff_id
            yield time("response", "next_response", since, begun, recorded, reply.at, staff)
    for number, recorded in enumerate(closings):
        if case.is_merging(recorded):
            continue
        before = recorded.position
        yield time(
            "resolution",
            "resolution",
            case.opened_at,
            case.own[0].position,
            recorded,
            recorded.envelope.at,
            case.staff(before),
            with_target=number == 0 and case.opened.status != "closed",
        )._replace(at=recorded.envelope.at)
        amount = sum(each.position < before for each in replies)
        yield at(recorded.envelope.at, "responses_for_resolution", before, amount=amount)
    for recorded in case.own:
        event = recorded.event
        if isinstance(event, CaseStatusChanged) and event.old == "closed":
            yield at(recorded.envelope.at, "reopened_cases", recorded.position)
    ratings: dict[int, Happening] = {}
    for recorded in case.own:
        event, when = recorded.event, recorded.envelope.at
        if isinstance(event, CaseRated):
            whose = event.rated_staff_id
            ratings[0] = at(when, f"rated_{event.rating}", recorded.position, whose)
        elif isinstance(event, MessageRated):
            ratings[event.message_id] = at(
                when, f"rated_{event.rating}", recorded.position, event.staff_id
            )
    yield from ratings.values()


def _waits(
    case: CaseLog, messages: Sequence[Message], after: int, before: int
) -> Iterator[tuple[int, int]]:
    """Since when the user waits between these positions, and at which position that began; the first one counts."""
    written = [each for each in messages if each.event.kind == "user_message"]
    begins = [
        (each.position, each.at)
        for each in written
        if after < each.position < before and case.status(each.position) != "closed"
    ]
    for recorded in case.own:
        event = recorded.event
        if (
            after < recorded.position < before
            and isinstance(event, CaseStatusChanged)
            and event.old == "closed"
            and event.by.startswith("user:")
        ):
            last = [each.at for each in written if each.position < recorded.position]
            begins.append((recorded.position, last[-1]))
    for position, at in sorted(begins):
        yield at, position


def backlog(log: Sequence[Recorded]) -> list[tuple[int, str, int, int, int, int]]:
    """Case, channel, group, staff, when it was opened, since when its user waits."""
    found = []
    for case in cases_of(log):
        end = log[-1].position + 1
        merged = False
        for recorded in case.own:
            if isinstance(recorded.event, CaseMerged | CaseUnmerged):
                merged = isinstance(recorded.event, CaseMerged)
        if not case.visible() or merged or case.status(end) == "closed":
            continue
        messages = [
            Message(r.position, r.event.sent_at or r.event.created_at or r.envelope.at, r.event)
            for r in case.own
            if isinstance(r.event, MessageAdded)
        ]
        ends = [
            r.position
            for r in case.own
            if (isinstance(r.event, MessageAdded) and r.event.kind == "staff_reply")
            or (isinstance(r.event, CaseStatusChanged) and r.event.new == "closed")
        ]
        wait = next(_waits(case, messages, max(ends, default=0), end), (0, 0))
        opened = case.opened
        place = opened.channel, case.group(end), case.staff(end)
        found.append((opened.case_id, *place, case.opened_at, wait[0]))
    return sorted(found)


TIMES = ("first_response", "response", "resolution")


def totals(found: Iterable[Happening]) -> dict[str, int]:
    """Without what is nothing."""
    sums: Counter[str] = Counter()
    for each in found:
        if each.name in TIMES:
            sums[f"{each.name}_count"] += 1
            for part in ("clock", "business", "targets", "violated"):
                sums[f"{each.name}_{part}"] += getattr(each, part)
        else:
            sums[each.name] += each.amount
    return {name: amount for name, amount in sums.items() if amount}


def quantile(found: Iterable[Happening], time: str, part: str, share: float) -> int | None:
    times = sorted(getattr(each, part) for each in found if each.name == time)
    if not times:
        return None
    exact = times[ceil(len(times) * share) - 1]
    digits = len(str(exact))
    return exact if digits <= 3 else exact // 10 ** (digits - 3) * 10 ** (digits - 3)
