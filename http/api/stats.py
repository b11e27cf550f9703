"""/api/stats_...: figures of a period. Two calls are Omnidesk's; `stats_channels` is Kanal's own. docs/statistics.md defines each."""

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, tzinfo
from functools import partial
from typing import Annotated, Any, Literal, NamedTuple, get_args

from aiohttp import web
from msgspec import Struct
from msgspec.structs import FieldInfo, fields
from pydantic import AfterValidator
from sqlalchemy import ColumnElement, Connection, Select, select

from kanal.delivery import health
from kanal.delivery.health import Health
from kanal.domain.case_events import Priority, Rating, Status
from kanal.domain.cases import case_number
from kanal.http.answers import NEVER, Date, answer, listing
from kanal.http.api.custom_fields import FieldFilters
from kanal.http.api.labels import LabelIds
from kanal.http.conditions import check_channel
from kanal.http.context import Call, Caller
from kanal.http.contract import Listed, Whole, contract
from kanal.http.csv_answers import Cell, csv_answer
from kanal.http.dates import SECOND, Dates
from kanal.http.errors import ApiError
from kanal.http.fields import INVALID, Fields, Flag, Id, Many, Moment, Paging, Text
from kanal.http.paging import page_of
from kanal.http.periods import PeriodName, period
from kanal.projections import cases as cases_read
from kanal.projections import channels, figures
from kanal.projections.cases import CaseFilter
from kanal.projections.figures import (
    Backlog,
    By,
    Key,
    Part,
    Period,
    RatingRow,
    Sums,
    Wanted,
)
from kanal.projections.measured_cases import CLOSED, SLOT, Time
from kanal.projections.read_model import Found, Page, Views

HOUR = 3600 * SECOND
DAY = 24 * HOUR
LONGEST = 93 * DAY
"""Omnidesk's three months, for `from_time` and `to_time` of its own calls."""
MOST_HOURS = 31 * DAY
MOST_DAYS = 366 * DAY
"""Of figures by the hour and by the day: more rows than anybody reads."""
DEFAULT: PeriodName = "last_30_days"
"""Omnidesk publishes none."""

CLASSES = {
    "social": ("facebook", "vkontakte", "twitter", "instagram_posts", "youscan"),
    "messengers": (
        *("fb_chat", "vk_chat", "instagram_chat", "ok_chat", "telegram", "skype", "slack"),
        *("mattermost", "viber", "line", "zalo", "wa_chat", "avito"),
    ),
}
"""Classes of channels as `channel` names them, beside the two kinds of custom ones. Which channels Omnidesk counts to them is
not published."""
KINDS = ("sync", "async")
RATINGS: dict[Rating, Literal["1", "2", "3"]] = {"low": "1", "middle": "2", "high": "3"}
"""Omnidesk's numbers; that 3 is the best is inferred."""


def _check_channels(given: tuple[str, ...]) -> tuple[str, ...]:
    for each in given:
        if each not in CLASSES and each not in KINDS:
            check_channel(each)
    return given


class StatsQuery(Fields):
    period: PeriodName | None = None
    from_time: Moment | None = None
    to_time: Moment | None = None
    channel: Annotated[tuple[Text, ...], Many, AfterValidator(_check_channels)] = ()
    """`cch1` or a standard one, or a class: `sync`, `async`, `social`, `messengers`."""
    group_id: Annotated[tuple[Id, ...], Many] = ()
    staff_id: Annotated[tuple[Id | Literal["all"], ...], Many] = ()
    """Whose doing it is, or whose case; `all` is as good as none."""
    status: Annotated[tuple[Status, ...], Many] = ()
    """This and what follows says something of the cases, as they are now."""
    priority: Annotated[tuple[Priority, ...], Many] = ()
    labels: LabelIds = ()
    custom_fields: FieldFilters | None = None
    user_id: Annotated[tuple[Id, ...], Many] = ()
    user_email: Annotated[tuple[Text, ...], Many] = ()
    user_phone: Annotated[tuple[Text, ...], Many] = ()
    company_id: Annotated[tuple[Id, ...], Many] = ()
    initiator: Literal["user", "agent"] | None = None
    """Who opened the case."""
    assignee_role_id: Annotated[tuple[Id, ...], Many] = ()
    """Whose case it is has such a role."""
    participant_id: Annotated[tuple[Id, ...], Many] = ()
    """Who replied in the case or wrote a note, within the period."""
    participant_role_id: Annotated[tuple[Id, ...], Many] = ()
    format: Literal["json", "csv"] = "json"
    bom: Flag = False
    """Begins a CSV with the mark by which Excel knows UTF-8."""

    @property
    def staff(self) -> list[int]:
        return [each for each in self.staff_id if isinstance(each, int)]


class SatisfactionQuery(StatsQuery, Paging):
    rating_id: Annotated[tuple[Id, ...], Many] = ()
    rating: Annotated[tuple[Rating, ...], Many] = ()
    rating_comment: Flag | None = None
    """Whether there is a comment."""
    rated_staff_id: Annotated[tuple[Id, ...], Many] = ()
    rated_assignee_role_id: Annotated[tuple[Id, ...], Many] = ()
    sort: Literal["added_at_desc", "added_at_asc"] = "added_at_desc"


class ChannelStatsQuery(StatsQuery):
    group_by: Literal["channel", "staff", "group", "day", "hour", "total"] = "channel"
    hours: Part = "clock"
    """Whether times are those of the clock or of business hours."""


Minutes = int | Literal["-"]
"""Rounded; `-` where there is nothing to take the mean of."""


class LeaderboardAnswer(Struct):
    staff_id: int
    staff_name: str
    new_cases_in_total: int
    new_user_cases: int
    reopened_cases: int
    cases_being_handled: int
    """At this moment."""
    cases_with_a_response: int
    first_response_time: Minutes
    first_response_sla_violated: str
    """`5%` of those that had a target."""
    response_time: Minutes
    response_sla_violated: str
    response_writing_time: Literal["-"]
    """Not known."""
    total_number_of_responses: int
    total_number_of_notes: int
    number_of_responses_for_resolution: float | Literal["-"]
    closed_cases: int
    resolution_time: Minutes
    resolution_sla_violated: str
    ratings_of_responses: str
    """The share of high ones, `72%`; `-` without any."""


class LeaderAnswer(Struct):
    staff: LeaderboardAnswer


class SatisfactionAnswer(Struct):
    rating_id: int
    rating: Literal["1", "2", "3"]
    """3 is the best."""
    rating_comment: str
    rated_staff_id: int
    case_id: int
    case_number: str
    user_id: int
    staff_id: int
    group_id: int
    created_at: Date
    updated_at: Date
    message_id: int
    """Kanal's own: the reply that is rated, 0 if it is the case."""


class TimesAnswer(Struct):
    """In seconds, to three digits but for the mean; null where none was measured."""

    count: int
    median: int | None
    p90: int | None
    mean: int | None
    with_target: int
    violated: int


class BacklogAnswer(Struct):
    """At this moment. Ages in seconds, null without such cases."""

    cases: int
    oldest_age: int | None
    mean_age: int | None
    waiting_cases: int
    """Whose users wait for an answer."""
    longest_wait: int | None
    first_response_overdue: int
    next_response_overdue: int
    resolution_overdue: int


class DeliveryHealthAnswer(Struct):
    deliveries: int
    failed: int
    waiting: int
    timed: int
    """How many of the newest ones the next two are taken from."""
    arrival_median_ms: int | None
    arrival_p99_ms: int | None


class ChannelStatsAnswer(Struct):
    key: str
    """A channel, the id of a staff member or group (0: nobody's, none), a day or the beginning of an hour, or `total`."""
    name: str
    """Its title or name."""
    new_cases: int
    new_user_cases: int
    reopened_cases: int
    closed_cases: int
    messages_in: int
    messages_out: int
    notes: int
    rule_messages: int
    rule_notes: int
    cases_with_a_response: int
    first_response: TimesAnswer
    first_response_sla_violated: str
    response: TimesAnswer
    response_sla_violated: str
    resolution: TimesAnswer
    resolution_sla_violated: str
    responses_for_resolution: float | None
    ratings_high: int
    ratings_middle: int
    ratings_low: int
    backlog: BacklogAnswer | None
    """Not by days and hours."""
    delivery: DeliveryHealthAnswer | None
    """Of custom channels alone."""


class Measured(NamedTuple):
    """What one moment of the database knows."""

    sums: dict[Key, Sums]
    backlog: dict[Key, Backlog]
    names: dict[Key, str]
    health: dict[Key, Health]


@contract(
    "Figures of each staff member",
    Whole(dict[str, LeaderAnswer] | list[LeaderAnswer]),
    query=StatsQuery,
    csv=True,
)
async def leaderboard(call: Call) -> web.StreamResponse:
    """{"0": {"staff": {...}}, "1": ...}, or [] without any."""
    asked = call.asked(StatsQuery)
    span = span_of(call, asked, LONGEST)
    measured = await _look(call, asked, span, "staff")
    wanted = [key for key in keys_of("staff", measured) if key in measured.names]
    items = [_leader(int(key), measured) for key in wanted if key in (asked.staff or wanted)]
    if _as_csv(call, asked):
        return await csv_table("stats_leaderboard", LeaderboardAnswer, once(items), bom=asked.bom)
    return answer({str(at): LeaderAnswer(each) for at, each in enumerate(items)} or [])


@contract(
    "List the ratings",
    Whole(dict[str, SatisfactionAnswer | int]),
    query=SatisfactionQuery,
    csv=True,
)
async def satisfaction(call: Call) -> web.StreamResponse:
    """{"0": {...}, "1": {...}, "total_count": 2}: the items have no wrapper."""
    asked = call.asked(SatisfactionQuery)
    span = span_of(call, asked, LONGEST)
    await call.context.follower.catch_up()
    query = partial(rated_in, asked=asked, span=span)
    dates = call.context.dates
    if _as_csv(call, asked):

        async def items() -> AsyncIterator[Struct]:
            number = 1
            while rows := (await call.read(query, page=Page(number, CSV_ROWS))).rows:
                for row in rows:
                    yield _shown_rating(row, dates)
                number += 1

        return await csv_table("stats_satisfaction", SatisfactionAnswer, items(), bom=asked.bom)
    found = await call.read(query, page=page_of(asked))
    shown: dict[str, Any] = {
        str(at): _shown_rating(row, dates) for at, row in enumerate(found.rows)
    }
    return answer(shown | {"total_count": found.total})


@contract(
    "Figures by channel, staff, group, day or hour",
    Listed("stats", ChannelStatsAnswer),
    query=ChannelStatsQuery,
    csv=True,
)
async def by_channel(call: Call) -> web.StreamResponse:
    asked = call.asked(ChannelStatsQuery)
    longest = {"hour": MOST_HOURS, "day": MOST_DAYS}.get(asked.group_by)
    span = span_of(call, asked, longest)
    by: By | None = None if asked.group_by == "total" else asked.group_by
    measured = await _look(call, asked, span, by, quantiles=asked.hours)
    now = call.context.writer.clock()
    items = [
        row_of(key, by, measured, asked.hours, now, call.context.dates)
        for key in keys_of(by, measured)
    ]
    if _as_csv(call, asked):
        return await csv_table("stats_channels", ChannelStatsAnswer, once(items), bom=asked.bom)
    return answer(listing("stats", items, len(items)))


CSV_ROWS = 1000
"""Ratings that are read at once."""


def span_of(call: Caller, asked: StatsQuery, longest: int | None) -> tuple[int, int]:
    """Microseconds. Raises ApiError."""
    now = call.context.writer.clock()
    given = asked.from_time is not None or asked.to_time is not None
    name = asked.period or ("custom" if given else DEFAULT)
    if name != "custom":
        since, until = period(name, now, call.context.dates)
    else:
        missing = [each for each in ("from_time", "to_time") if getattr(asked, each) is None]
        if missing:
            raise _wrong(dict.fromkeys(missing, "is required, for a period of one's own"))
        since, until = asked.from_time or 0, asked.to_time or 0
        if until <= since:
            raise _wrong({"to_time": "must be later than from_time"})
        if longest == LONGEST and not HOUR <= until - since <= LONGEST:
            raise _wrong({"to_time": "must be an hour to three months after from_time"})
    if longest not in (None, LONGEST) and until - since > longest:
        raise _wrong({"period": f"may be up to {longest // DAY} days, grouped like this"})
    return since, until


def _wrong(fields: dict[str, str]) -> ApiError:
    message = "; ".join(f"{name} {words}" for name, words in fields.items())
    return ApiError(400, INVALID, f"{message}.", fields=fields)


async def _look(
    call: Caller,
    asked: StatsQuery,
    span: tuple[int, int],
    by: By | None,
    quantiles: Part | None = None,
) -> Measured:
    """With all that was written before this call."""
    await call.context.follower.catch_up()
    return await call.read(
        partial(
            measured_in,
            asked=asked,
            span=span,
            by=by,
            zone=call.context.dates.zone,
            now=call.context.writer.clock(),
            quantiles=quantiles,
        )
    )


def measured_in(
    connection: Connection,
    views: Views,
    *,
    asked: StatsQuery,
    span: tuple[int, int],
    by: By | None,
    zone: tzinfo,
    now: int,
    quantiles: Part | None = None,
) -> Measured:
    wanted = wanted_in(connection, views, asked, span)
    period = Period.of(*span)
    sums = figures.summed(connection, views, zone, period, by, wanted, quantiles=quantiles)
    backlog: dict[Key, Backlog] = {}
    if by not in ("day", "hour"):
        backlog = figures.backlog(connection, views, now, by, wanted)
    arrivals: dict[Key, Health] = {}
    of_channels = wanted.cases is None and not (wanted.staff or wanted.groups)
    if by == "channel" and of_channels and views.scope.sees_whole_channels:
        known = [row.channel_id for row in channels.listed(connection, views)]
        own = [each for each in known if not wanted.channels or f"cch{each}" in wanted.channels]
        found = health.of_channels(connection, own, *span)
        arrivals = {f"cch{channel_id}": each for channel_id, each in found.items()}
    return Measured(sums, backlog, _names(connection, views, by, {*sums, *backlog}), arrivals)


def wanted_in(
    connection: Connection, views: Views, asked: StatsQuery, span: tuple[int, int]
) -> Wanted:
    return Wanted(
        channels=_channels(connection, views, asked.channel),
        groups=asked.group_id,
        staff=asked.staff,
        cases=_cases(connection, views, asked, Period.of(*span)),
    )


def _channels(connection: Connection, views: Views, given: Sequence[str]) -> list[str]:
    """Classes as what they consist of; a class of nothing finds nothing."""
    named = [each for each in given if each not in CLASSES and each not in KINDS]
    for each in given:
        named += CLASSES.get(each, ())
    if set(KINDS) & set(given):
        rows = channels.listed(connection, views)
        named += [f"cch{row.channel_id}" for row in rows if row.channel_type in given]
    return named or (["-"] if given else [])


def _cases(
    connection: Connection, views: Views, asked: StatsQuery, period: Period
) -> Select[Any] | None:
    """Ids of those that are asked for by what they are now; None: of all."""
    like = CaseFilter(
        status=asked.status,
        priority=asked.priority,
        user_id=asked.user_id,
        user_email=asked.user_email,
        user_phone=asked.user_phone,
        labels=asked.labels,
        custom_fields=asked.custom_fields,
    )
    conditions: list[ColumnElement[bool]] = []
    c = views.cases["cases"].c
    if asked.company_id:
        users = views.users["users"].c
        those = select(users.user_id).where(users.company_id.in_(asked.company_id))
        conditions.append(c.user_id.in_(those))
    if asked.initiator:
        conditions.append(c.opened_by == {"user": "user", "agent": "staff"}[asked.initiator])
    if asked.assignee_role_id:
        conditions.append(c.staff_id.in_(_having_role(views, asked.assignee_role_id)))
    if asked.participant_id:
        conditions.append(c.case_id.in_(figures.participated(views, period, asked.participant_id)))
    if asked.participant_role_id:
        having = _having_role(views, asked.participant_role_id)
        conditions.append(c.case_id.in_(figures.participated(views, period, having)))
    if like == CaseFilter() and not conditions:
        return None
    merged_too = like._replace(show_merged_cases=True, show_active_chats=True)
    return cases_read.matching(connection, views, merged_too).where(*conditions)


def _having_role(views: Views, role_ids: Sequence[int]) -> Select[Any]:
    staff = views.staff["staff"].c
    return select(staff.staff_id).where(staff.role_id.in_(role_ids))


def rated_in(
    connection: Connection,
    views: Views,
    *,
    asked: SatisfactionQuery,
    span: tuple[int, int],
    page: Page,
) -> Found[RatingRow]:
    rated_staff: set[int] | None = set(asked.rated_staff_id) or None
    if asked.rated_assignee_role_id:
        having = _having_role(views, asked.rated_assignee_role_id)
        with_role = set(connection.scalars(having))
        rated_staff = with_role if rated_staff is None else rated_staff & with_role
    return figures.ratings(
        connection,
        views,
        *span,
        page,
        newest_first=asked.sort == "added_at_desc",
        rating_id=asked.rating_id,
        rating=asked.rating,
        commented=asked.rating_comment,
        rated_staff=None if rated_staff is None else sorted(rated_staff),
        wanted=wanted_in(connection, views, asked, span),
    )


def _names(
    connection: Connection, views: Views, by: By | None, there: AbstractSet[Key]
) -> dict[Key, str]:
    """Of what is there, and of all that somebody may expect: channels, groups and staff that were not deleted."""
    if by == "channel":
        rows = channels.listed(connection, views)
        return {f"cch{row.channel_id}": row.title for row in rows}
    if by == "group":
        table = views.groups["groups"].c
        query = select(table.group_id, table.title, table.deleted)
    elif by == "staff":
        table = views.staff["staff"].c
        query = select(table.staff_id, table.full_name, table.deleted)
    else:
        return {}
    return {
        key: name for key, name, deleted in connection.execute(query) if not deleted or key in there
    }


def keys_of(by: By | None, measured: Measured) -> list[Key]:
    """Of the rows, in their order. Whatever has a name has a row, so that it is seen to have done nothing."""
    keys = {*measured.sums, *measured.backlog, *measured.names}
    if by == "channel":
        # cch2 before cch10.
        return sorted(keys, key=lambda key: (len(str(key)), str(key)))
    return sorted(keys or ({""} if by is None else set()))


def row_of(
    key: Key, by: By | None, measured: Measured, part: Part, now: int, dates: Dates
) -> ChannelStatsAnswer:
    sums = measured.sums.get(key) or Sums()
    backlog = measured.backlog.get(key) or Backlog(*[0] * len(Backlog._fields))
    arrivals = measured.health.get(key)
    return ChannelStatsAnswer(
        key=_shown_key(key, by, dates),
        name=measured.names.get(key, ""),
        new_cases=sums["new_cases"],
        new_user_cases=sums["new_user_cases"],
        reopened_cases=sums["reopened_cases"],
        closed_cases=sums[CLOSED],
        messages_in=sums["messages_in"],
        messages_out=sums["responses"],
        notes=sums["notes"],
        rule_messages=sums["rule_messages"],
        rule_notes=sums["rule_notes"],
        cases_with_a_response=sums["cases_with_a_response"],
        first_response=_times(sums, "first_response", part),
        first_response_sla_violated=_violated(sums, "first_response"),
        response=_times(sums, "response", part),
        response_sla_violated=_violated(sums, "response"),
        resolution=_times(sums, "resolution", part),
        resolution_sla_violated=_violated(sums, "resolution"),
        responses_for_resolution=_responses_for_resolution(sums),
        ratings_high=sums["rated_high"],
        ratings_middle=sums["rated_middle"],
        ratings_low=sums["rated_low"],
        backlog=None if by in ("day", "hour") else shown_backlog(backlog, now),
        delivery=_shown_health(arrivals) if arrivals else None,
    )


def _shown_key(key: Key, by: By | None, dates: Dates) -> str:
    if by == "day":
        return date.fromordinal(int(key)).isoformat()
    if by == "hour":
        return dates.render(int(key) * SLOT)
    return "total" if by is None else str(key)


def _times(sums: Sums, time: Time, part: Part) -> TimesAnswer:
    return TimesAnswer(
        count=sums[f"{time}_count"],
        median=sums.quantile(time, 0.5, part),
        p90=sums.quantile(time, 0.9, part),
        mean=sums.mean(time, part),
        with_target=sums[f"{time}_targets"],
        violated=sums[f"{time}_violated"],
    )


def _violated(sums: Sums, time: Time) -> str:
    return _percent(sums[f"{time}_violated"], sums[f"{time}_targets"]) or "0%"


def _percent(part: int, whole: int) -> str:
    """Rounded; "" of nothing."""
    return f"{round(100 * part / whole)}%" if whole else ""


def _responses_for_resolution(sums: Sums) -> float | None:
    closed = sums[CLOSED]
    return round(sums["responses_for_resolution"] / closed, 1) if closed else None


def shown_backlog(backlog: Backlog, now: int) -> BacklogAnswer:
    second = now // SECOND

    def age(since: int) -> int | None:
        return max(0, second - since) if since else None

    return BacklogAnswer(
        cases=backlog.cases,
        oldest_age=age(backlog.oldest),
        mean_age=age(backlog.mean),
        waiting_cases=backlog.waiting,
        longest_wait=age(backlog.waiting_since),
        first_response_overdue=backlog.first_response_overdue,
        next_response_overdue=backlog.next_response_overdue,
        resolution_overdue=backlog.resolution_overdue,
    )


def _shown_health(arrivals: Health) -> DeliveryHealthAnswer:
    return DeliveryHealthAnswer(
        deliveries=arrivals.deliveries,
        failed=arrivals.failed,
        waiting=arrivals.waiting,
        timed=arrivals.timed,
        arrival_median_ms=arrivals.median if arrivals.timed else None,
        arrival_p99_ms=arrivals.p99 if arrivals.timed else None,
    )


def _leader(staff_id: int, measured: Measured) -> LeaderboardAnswer:
    sums = measured.sums.get(staff_id) or Sums()
    backlog = measured.backlog.get(staff_id)
    ratings = sum(sums[f"rated_{each}"] for each in RATINGS)
    responses_for_resolution = _responses_for_resolution(sums)
    return LeaderboardAnswer(
        staff_id=staff_id,
        staff_name=measured.names[staff_id],
        new_cases_in_total=sums["new_cases"],
        new_user_cases=sums["new_user_cases"],
        reopened_cases=sums["reopened_cases"],
        cases_being_handled=backlog.cases if backlog else 0,
        cases_with_a_response=sums["cases_with_a_response"],
        first_response_time=_minutes(sums, "first_response"),
        first_response_sla_violated=_violated(sums, "first_response"),
        response_time=_minutes(sums, "response"),
        response_sla_violated=_violated(sums, "response"),
        response_writing_time=NEVER,
        total_number_of_responses=sums["responses"],
        total_number_of_notes=sums["notes"],
        number_of_responses_for_resolution=NEVER
        if responses_for_resolution is None
        else responses_for_resolution,
        closed_cases=sums[CLOSED],
        resolution_time=_minutes(sums, "resolution"),
        resolution_sla_violated=_violated(sums, "resolution"),
        ratings_of_responses=_percent(sums["rated_high"], ratings) or NEVER,
    )


def _minutes(sums: Sums, time: Time) -> Minutes:
    seconds = sums.mean(time)
    return NEVER if seconds is None else round(seconds / 60)


def _shown_rating(row: RatingRow, dates: Dates) -> SatisfactionAnswer:
    return SatisfactionAnswer(
        rating_id=row.rating_id,
        rating=RATINGS[row.rating],
        rating_comment=row.comment,
        rated_staff_id=row.rated_staff_id,
        case_id=row.case_id,
        case_number=case_number(row.case_id),
        user_id=row.user_id,
        staff_id=row.staff_id,
        group_id=row.group_id,
        created_at=dates.render(row.created_at),
        updated_at=dates.render(row.updated_at),
        message_id=row.message_id,
    )


def _as_csv(call: Call, asked: StatsQuery) -> bool:
    return asked.format == "csv" or call.path("suffix").startswith(".csv")


async def csv_table(
    name: str, shape: type[Struct], items: AsyncIterable[Struct], *, bom: bool
) -> web.Response:
    """What the answer has in objects stands in columns of its own: `first_response_median`."""

    async def rows() -> AsyncIterator[list[Cell]]:
        async for item in items:
            yield list(_cells(item))

    return await csv_answer(name, list(_columns(shape)), rows(), bom=bom)


async def once(items: Iterable[Struct]) -> AsyncIterator[Struct]:
    for item in items:
        yield item


def _inner(field: FieldInfo) -> type[Struct] | None:
    kinds = get_args(field.type) or (field.type,)
    return next(
        (each for each in kinds if isinstance(each, type) and issubclass(each, Struct)), None
    )


def _columns(shape: type[Struct]) -> Iterator[str]:
    for field in fields(shape):
        inner = _inner(field)
        if inner:
            yield from (f"{field.name}_{name}" for name in _columns(inner))
        else:
            yield field.name


def _cells(item: Struct) -> Iterator[Cell]:
    for field in fields(item):
        value, inner = getattr(item, field.name), _inner(field)
        if inner:
            yield from _cells(value) if value else [None for _ in _columns(inner)]
        else:
            yield None if value == NEVER else value
