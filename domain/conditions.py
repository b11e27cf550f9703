"""Conditions of rules: what a rule asks of a case and of what has just happened to it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal, NamedTuple, Protocol, TypeVar, get_args

from msgspec import Struct

from kanal.domain.business_hours import BUSINESS_HOURS, is_open
from kanal.domain.case_events import Priority, Status
from kanal.domain.cases import Case
from kanal.domain.channels import CHANNELS, ChannelType
from kanal.domain.companies import COMPANIES, Company
from kanal.domain.custom_fields import KEY
from kanal.domain.response_targets import Deadlines, Measure
from kanal.domain.stream import Aggregate
from kanal.domain.users import USERS, User

S = TypeVar("S")

Author = Literal["user", "staff", "rule", "system"]
Change = Literal[
    "user_message",
    "staff_reply",
    "note",
    "rule_message",
    "status",
    "priority",
    "group",
    "staff",
    "labels",
    "subject",
    "custom_fields",
    "language",
    "rating",
    "trash",
    "spam",
    "restore",
    "chat_started",
    "chat_accepted",
    "chat_transferred",
    "chat_returned",
    "chat_completed",
    "chat_reopened",
    "time",
]
"""What can happen to a case and make rules run; `time`: nothing has, for some time."""

Operator = Literal[
    "is",
    "is_not",
    "include",
    "exclude",
    "contains",
    "not_contains",
    "matches",
    "not_matches",
    "is_empty",
    "is_not_empty",
    "at_least",
    "at_most",
]

MAX_VALUES = 100
"""Of one condition."""
MAX_TEXT = 1000
"""Characters of what a text is compared with."""
MAX_NUMBER = 2**63 - 1
LOOKED_AT = 64 * 1024
"""Characters of a text that conditions look at: who writes more says what it is about before."""

MINUTE = 60 * 1_000_000
NEVER = -1
"""In place of a number: neither at least nor at most anything."""

Matches = Callable[[str, str], bool]
"""Whether a pattern is found in a text; in linear time, whatever the pattern."""


class Condition(Struct, frozen=True, omit_defaults=True):
    """All of `all` and any of `any` and, if there is a field, what it says of that one. Empty, it always holds."""

    all: "tuple[Condition, ...]" = ()
    any: "tuple[Condition, ...]" = ()
    field: str = ""
    operator: Operator | Literal[""] = ""
    value: Any = None
    """A list for choices, ids and labels."""


ALWAYS = Condition()


class Cause(Struct, frozen=True):
    """What has happened to a case."""

    position: int
    case_id: int
    change: Change
    version: int
    """Its place in the case's stream."""
    author: Author
    text: str = ""
    """Of a message or note; of HTML alone what is read of it."""


class States(Protocol):
    """A `Work` is one."""

    def load(self, aggregate: Aggregate[S], key: object) -> S: ...


TimeOf = Callable[[int], int | None]
"""When the event of that version of the case's stream was recorded (microseconds); None: later than was looked."""


def _just_now(_: int) -> None:
    return None


def _no_deadlines() -> Deadlines:
    return {}


AWAITED: Mapping[Measure, Callable[[Case], int]] = {
    "first_response": lambda case: case.first_response_awaited,
    "next_response": lambda case: case.next_response_awaited,
    "resolution": lambda case: case.resolution_awaited,
}
"""What response targets are for, with the version of the case with which the wait for it began, 0 while nobody waits."""


class Facts:
    """What conditions can ask."""

    def __init__(
        self,
        states: States,
        case: Case,
        cause: Cause,
        now: int = 0,
        time_of: TimeOf = _just_now,
        deadlines: Callable[[], Deadlines] = _no_deadlines,
    ) -> None:
        """`now`: microseconds. `deadlines`: of the case, asked where a condition asks for them."""
        self.states = states
        self.case = case
        self.cause = cause
        self.now = now
        self.time_of = time_of
        self._find_deadlines = deadlines
        self._known: dict[str, Any] = {}
        self._folded: dict[str, tuple[str, ...]] = {}

    def known(self, name: str) -> Any:
        """Of the field of that name; texts without what is not looked at."""
        if (known := self._known.get(name)) is None:
            field = field_called(name)
            known = field.known(self)
            if field.kind == "text":
                known = tuple(text[:LOOKED_AT] for text in known)
            self._known[name] = known
        return known

    def folded(self, name: str) -> tuple[str, ...]:
        """Texts as they are compared: letter case does not count, but in patterns."""
        if (folded := self._folded.get(name)) is None:
            folded = self._folded[name] = tuple(text.casefold() for text in self.known(name))
        return folded

    @cached_property
    def user(self) -> User:
        return self.states.load(USERS, self.case.user_id)

    @cached_property
    def company(self) -> Company:
        """An empty one if the user has none."""
        if not self.user.company_id:
            return Company()
        company = self.states.load(COMPANIES, self.user.company_id)
        return Company() if company.deleted else company

    def channel_type(self) -> str:
        if not self.case.channel_id:
            return "standard"
        return self.states.load(CHANNELS, self.case.channel_id).channel_type

    def business_hours(self) -> bool:
        """Of the case's group, when it is asked; always, where nobody has set any."""
        calendar = self.states.load(BUSINESS_HOURS, "all").of_group(self.case.group_id)
        return is_open(calendar, self.now)

    def minutes_since(self, version: int) -> int:
        """NEVER, if there was no such event."""
        if not version:
            return NEVER
        at = self.time_of(version)
        return 0 if at is None else max(0, self.now - at) // MINUTE

    @cached_property
    def _deadlines(self) -> Deadlines:
        return self._find_deadlines()

    def deadline(self, measure: Measure) -> int:
        """Of the wait that goes on, in microseconds; 0 if there is none."""
        awaited = AWAITED[measure](self.case)
        found = self._deadlines.get(measure) if awaited else None
        return found.at if found and found.version == awaited else 0

    def violated(self, measure: Measure) -> bool:
        return 0 < self.deadline(measure) < self.now

    def minutes_to(self, measure: Measure) -> int:
        """NEVER, if there is no deadline or it is over."""
        deadline = self.deadline(measure)
        return -((self.now - deadline) // MINUTE) if deadline >= self.now and deadline else NEVER

    def contacts(self, kind: str) -> tuple[str, ...]:
        linked = tuple(value for each, value in self.user.contacts if each == kind)
        return (self.user.identity, *linked) if self.user.type == kind else linked

    def custom_field(self, key: str) -> tuple[str, ...]:
        """As a text; of the case, else of its user."""
        value = self.case.values.get(key, self.user.values.get(key))
        if value is None:
            return ()
        return (value if isinstance(value, str) else str(value).lower(),)


Kind = Literal["choice", "channel", "id", "labels", "text", "number", "flag"]

OPERATORS: Mapping[Kind, tuple[Operator, ...]] = {
    "choice": ("is", "is_not"),
    "channel": ("is", "is_not"),
    "id": ("is", "is_not"),
    "labels": ("include", "exclude"),
    "text": (
        "is",
        "is_not",
        "contains",
        "not_contains",
        "matches",
        "not_matches",
        "is_empty",
        "is_not_empty",
    ),
    "number": ("is", "is_not", "at_least", "at_most"),
    "flag": ("is",),
}
OPPOSITES: Mapping[str, str] = {
    "is_not": "is",
    "exclude": "include",
    "not_contains": "contains",
    "not_matches": "matches",
    "is_not_empty": "is_empty",
}
"""Operators that hold when the other one does not."""


COSTS: Mapping[str, int] = {"matches": 2, "not_matches": 2, "contains": 1, "not_contains": 1}
COST_OF_TARGETS = 3
"""A case's deadlines are reckoned from its stream."""


class Field(NamedTuple):
    kind: Kind
    known: Callable[[Facts], Any]
    """Ids and texts as a tuple: a user may have several e-mails."""
    choices: tuple[str, ...] = ()
    of_cause: bool = False
    """Whether it says something of what has happened, not of the case."""


def _text(known: Callable[[Facts], str]) -> Field:
    return Field("text", lambda facts: tuple(filter(None, (known(facts),))))


def _since(version: Callable[[Case], int]) -> Field:
    return Field("number", lambda facts: facts.minutes_since(version(facts.case)))


TIMES: Mapping[str, Callable[[Case], int]] = {
    "minutes_since_opened": lambda case: case.opened,
    "minutes_since_user_message": lambda case: case.user_wrote,
    "minutes_since_staff_reply": lambda case: case.replied,
    "minutes_since_status": lambda case: case.status_since,
}
"""Fields that say how long something has been so, with the version of the case with which it began."""


def _violated(measure: Measure) -> Field:
    return Field("flag", lambda facts: facts.violated(measure))


def _minutes_to(measure: Measure) -> Field:
    return Field("number", lambda facts: facts.minutes_to(measure))


OF_TARGETS: Mapping[str, Field] = {
    **{f"{measure}_violated": _violated(measure) for measure in AWAITED},
    **{f"minutes_to_{measure}": _minutes_to(measure) for measure in AWAITED},
}
"""Fields that ask about response targets."""


FIELDS: Mapping[str, Field] = {
    "channel": Field("channel", lambda facts: (facts.case.channel,)),
    "channel_type": Field(
        "choice", lambda facts: (facts.channel_type(),), (*get_args(ChannelType), "standard")
    ),
    "status": Field("choice", lambda facts: (facts.case.status,), get_args(Status)),
    "priority": Field("choice", lambda facts: (facts.case.priority,), get_args(Priority)),
    "group_id": Field("id", lambda facts: (facts.case.group_id,)),
    "staff_id": Field("id", lambda facts: (facts.case.staff_id,)),
    "language_id": Field("id", lambda facts: (facts.case.language_id,)),
    "user_id": Field("id", lambda facts: (facts.case.user_id,)),
    "company_id": Field("id", lambda facts: (facts.company.company_id,)),
    "labels": Field("labels", lambda facts: (*facts.case.labels, *facts.case.locked_labels)),
    "subject": _text(lambda facts: facts.case.subject),
    "user_name": _text(lambda facts: facts.user.details.full_name),
    "user_note": _text(lambda facts: facts.user.details.note),
    "user_position": _text(lambda facts: facts.user.details.company_position),
    "user_custom_id": _text(
        lambda facts: facts.user.identity if facts.user.type == "custom" else ""
    ),
    "user_email": Field("text", lambda facts: facts.contacts("email")),
    "user_phone": Field("text", lambda facts: facts.contacts("phone")),
    "company_name": _text(lambda facts: facts.company.details.name),
    "user_messages": Field("number", lambda facts: facts.case.user_messages),
    "staff_replies": Field("number", lambda facts: facts.case.staff_replies),
    **{name: _since(version) for name, version in TIMES.items()},
    **OF_TARGETS,
    "business_hours": Field("flag", lambda facts: facts.business_hours()),
    "text": _text(lambda facts: facts.cause.text)._replace(of_cause=True),
    "author": Field("choice", lambda facts: (facts.cause.author,), get_args(Author), of_cause=True),
    "change": Field("choice", lambda facts: (facts.cause.change,), get_args(Change), of_cause=True),
    "first_message": Field(
        "flag", lambda facts: facts.cause.version == facts.case.first_message, of_cause=True
    ),
}
"""Beside these there are custom fields, `cf_1`, of cases and users, as texts."""


def field_called(name: str) -> Field:
    """Raises ValueError with a sentence."""
    if name in FIELDS:
        return FIELDS[name]
    if KEY.fullmatch(name):
        return Field("text", lambda facts: facts.custom_field(name))
    raise ValueError(f"field must be one of {', '.join(FIELDS)} or a custom field like cf_1")


def read_leaf(
    name: str, operator: str, value: Any, wrong_pattern: Callable[[str], str]
) -> Condition:
    """One condition as a caller gives it. `wrong_pattern`: why a pattern is none, "" if it is one.

    Raises ValueError with a sentence.
    """
    field = field_called(name)
    known = OPERATORS[field.kind]
    if operator not in known:
        raise ValueError(f"operator must be {' or '.join(known)} for {name}")
    read: Any = None
    if operator not in ("is_empty", "is_not_empty"):
        read = _read(field, value)
    if operator in ("matches", "not_matches") and (reason := wrong_pattern(read)):
        raise ValueError(f"value is no pattern: {reason}")
    return Condition(field=name, operator=operator, value=read)


def _read(field: Field, value: Any) -> Any:
    match field.kind:
        case "choice":
            return _several(value, lambda each: _choice(each, field.choices), "values")
        case "channel":
            return _several(value, _channel, "channels like cch1")
        case "id" | "labels":
            return _several(value, _id, "ids")
        case "number":
            return _id(value)
        case "flag":
            return _flag(value)
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value):
        raise ValueError("value must be a text")
    if len(str(value)) > MAX_TEXT:
        raise ValueError(f"value may have up to {MAX_TEXT} characters")
    return str(value)


def _several(value: Any, read: Callable[[Any], Any], words: str) -> list[Any]:
    given = value if isinstance(value, list) else [value]
    if not 1 <= len(given) <= MAX_VALUES:
        raise ValueError(f"value must be 1 to {MAX_VALUES} {words}")
    return list(dict.fromkeys(read(each) for each in given))


def _choice(value: Any, choices: Sequence[str]) -> str:
    if value not in choices:
        raise ValueError(f"value must be of {', '.join(choices)}")
    return str(value)


def _channel(value: Any) -> str:
    if not isinstance(value, str) or not value or len(value) > MAX_TEXT:
        raise ValueError("value must be channels like cch1 or email")
    return value


def _id(value: Any) -> int:
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 20:
        value = int(value)
    if type(value) is not int or not 0 <= value <= MAX_NUMBER:
        raise ValueError("value must be a number, or several where there may be")
    return value


def _flag(value: Any) -> bool:
    words = {"1": True, "true": True, "0": False, "false": False}
    if str(value).lower() not in words:
        raise ValueError("value must be true or false")
    return words[str(value).lower()]


Asked = Callable[[Facts, Matches], bool]
"""A condition made into a function: each message is asked about by every rule."""


def asked(condition: Condition) -> Asked:
    """For who asks it again and again."""
    every = [asked(each) for each in sorted(condition.all, key=_cost)]
    some = [asked(each) for each in sorted(condition.any, key=_cost)]
    if condition.field:
        every.insert(0, _asked_leaf(condition))
    if not some and len(every) == 1:
        return every[0]

    # Loops in place of generators: a third of the time.
    def ask(facts: Facts, matches: Matches) -> bool:
        for each in every:
            if not each(facts, matches):
                return False
        for each in some:
            if each(facts, matches):
                return True
        return not some

    return ask


def holds(condition: Condition, facts: Facts, matches: Matches) -> bool:
    return asked(condition)(facts, matches)


class Verdict(NamedTuple):
    place: str
    """`conditions.all.0`"""
    holds: bool


def verdicts(
    condition: Condition, facts: Facts, matches: Matches, place: str = "conditions"
) -> Iterator[Verdict]:
    """Of the condition and of each one in it."""
    yield Verdict(place, holds(condition, facts, matches))
    for inner, at in parts(condition, place):
        yield from verdicts(inner, facts, matches, at)


def parts(condition: Condition, place: str) -> Iterator[tuple[Condition, str]]:
    """What stands directly in it, with the places."""
    for name, inner in (("all", condition.all), ("any", condition.any)):
        for number, each in enumerate(inner):
            yield each, f"{place}.{name}.{number}"


def leaves(condition: Condition, place: str = "conditions") -> Iterator[tuple[Condition, str]]:
    """The conditions of single fields, with their places."""
    if condition.field:
        yield condition, place
    for inner, at in parts(condition, place):
        yield from leaves(inner, at)


def asks_times(condition: Condition) -> bool:
    return any(leaf.field in TIMES for leaf, _ in leaves(condition))


def asks_targets(condition: Condition) -> bool:
    return any(leaf.field in OF_TARGETS for leaf, _ in leaves(condition))


def _asked_leaf(condition: Condition) -> Asked:
    field = field_called(condition.field)
    find = _finding(condition, field)
    if condition.operator in OPPOSITES:
        return lambda facts, matches: not find(facts, matches)
    return find


def _finding(condition: Condition, field: Field) -> Asked:
    name, value = condition.field, condition.value
    match OPPOSITES.get(condition.operator, condition.operator):
        case "at_least":
            return lambda facts, _: facts.known(name) >= value
        case "at_most":
            return lambda facts, _: 0 <= facts.known(name) <= value
        case "is_empty":
            return lambda facts, _: not facts.known(name)
        case "matches":
            return lambda facts, matches: any(matches(value, each) for each in facts.known(name))
        case "contains":
            part = value.casefold()
            return lambda facts, _: any(part in each for each in facts.folded(name))
    if field.kind == "text":
        whole = value.strip().casefold()
        return lambda facts, _: any(whole == each.strip() for each in facts.folded(name))
    if field.kind in ("number", "flag"):
        return lambda facts, _: bool(facts.known(name) == value)
    wanted = frozenset(value)
    return lambda facts, _: not wanted.isdisjoint(facts.known(name))


def _cost(condition: Condition) -> int:
    """Who asks what is cheap first need not ask the rest; the order does not matter otherwise."""
    if condition.field in OF_TARGETS:
        return COST_OF_TARGETS
    if condition.field:
        return COSTS.get(condition.operator, 0)
    return max((_cost(each) for each in (*condition.all, *condition.any)), default=0)
