"""/statistics: the figures of a period as charts and tables, beside those of the period before. docs/statistics.md defines them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Final, Literal, NamedTuple, get_args
from urllib.parse import urlencode

from aiohttp import web
from babel.dates import format_date, format_datetime
from pydantic import BeforeValidator
from sqlalchemy import Connection

from kanal.http.api import stats
from kanal.http.api.stats import (
    BacklogAnswer,
    ChannelStatsAnswer,
    ChannelStatsQuery,
    Measured,
    SatisfactionQuery,
)
from kanal.http.dates import SECOND
from kanal.http.errors import ApiError
from kanal.http.fields import Fields, Text
from kanal.http.pages import charts, sidebar, wording
from kanal.http.pages.charts import Chart, Series, Unit
from kanal.http.pages.sidebar import Sidebar
from kanal.http.pages.visit import Visit
from kanal.http.pages.wording import N_
from kanal.http.periods import PeriodName
from kanal.projections import figures
from kanal.projections.figures import Backlog, By, Part, Period, RatingRow, Sums, hour_of
from kanal.projections.measured_cases import CLOSED, SLOT, Time
from kanal.projections.read_model import Page, Views
from kanal.projections.statistics import day_of

View = Literal["overview", "channels", "staff", "ratings"]
VIEWS: Final[tuple[View, ...]] = get_args(View)
TABLES: Final[Mapping[str, By]] = {
    "days.csv": "day",
    "hours.csv": "hour",
    "channels.csv": "channel",
    "staff.csv": "staff",
}
"""Files -> what their rows are."""
PERIODS: Final[Mapping[PeriodName, str]] = {
    "today": N_("Today"),
    "yesterday": N_("Yesterday"),
    "last_7_days": N_("Last 7 days"),
    "last_14_days": N_("Last 14 days"),
    "last_30_days": N_("Last 30 days"),
    "this_week": N_("This week"),
    "last_week": N_("Last week"),
    "this_month": N_("This month"),
    "last_month": N_("Last month"),
    "3_previous_months": N_("Last three months"),
    "this_year": N_("This year"),
    "last_year": N_("Last year"),
    "custom": N_("From … to …"),
}
DEFAULT: Final = "last_30_days"
DAY_NAME: Final = "EEE, d MMM y"
HOUR_NAME: Final = "EEE, d MMM, HH:mm"
MOST_DAYS: Final = 93
"""In one chart; longer periods are shown by the week, as nobody sees a day in them."""
MOST_DAYS_BY_HOUR: Final = 8
"""In one chart; longer periods are shown by the day, whatever is asked for."""
WEEK: Final = 7
FEW_DAYS: Final = 2
"""Up to so many a period is shown by the hour unless somebody wants days."""
NO_BACKLOG: Final = Backlog(*[0] * len(Backlog._fields))
RATINGS: Final = 20
"""That the page lists; the API has them all."""


def _one(value: object) -> object:
    """Of a field that is given once; of several the first."""
    return (value or [""])[0] if isinstance(value, list) else value


class StatisticsQuery(Fields):
    view: Annotated[str, BeforeValidator(_one)] = "overview"
    period: Annotated[str, BeforeValidator(_one)] = DEFAULT
    since: Text = ""
    """A day, as `until`, which is the last one; for a period of one's own."""
    until: Text = ""
    unit: Annotated[str, BeforeValidator(_one)] = ""
    hours: Annotated[str, BeforeValidator(_one)] = "clock"
    channel: Text = ""
    group: Text = ""
    staff: Text = ""

    def address(self, **others: str) -> str:
        """The query of the same figures, with these fields otherwise."""
        return urlencode({**{name: str(value) for name, value in self.given().items()}, **others})


class Stretch(NamedTuple):
    """An hour, a day or a week of a chart, with the keys of its figures."""

    unit: Unit
    keys: range


class Card(NamedTuple):
    """A figure beside that of the period before."""

    title: str
    value: float | None
    before: float | None
    kind: Literal["amount", "time", "percent"] = "amount"
    less_is_better: bool | None = None
    """None: neither is."""

    @property
    def change(self) -> int | None:
        """In percent; None where there is nothing to compare."""
        if self.value is None or not self.before:
            return None
        return round(100 * (self.value - self.before) / self.before)

    @property
    def look(self) -> str:
        if not self.change or self.less_is_better is None:
            return ""
        return "good" if (self.change < 0) == self.less_is_better else "bad"


class Figure(NamedTuple):
    """A chart with what is said of it."""

    key: str
    title: str
    sentence: str
    chart: Chart


class Shown(NamedTuple):
    sidebar: Sidebar
    cards: Sequence[Card] = ()
    charts: Sequence[Figure] = ()
    rows: Sequence[ChannelStatsAnswer] = ()
    backlog: BacklogAnswer | None = None
    shares: tuple[int, int, int] = (0, 0, 0)
    """Ratings: high, middle, low."""
    ratings: Sequence[RatingRow] = ()


class Span(NamedTuple):
    """Microseconds."""

    since: int
    until: int

    @property
    def before(self) -> "Span":
        """As long, and over when this one begins."""
        return Span(2 * self.since - self.until, self.since)


async def show(visit: Visit) -> web.StreamResponse:
    asked = visit.asked(StatisticsQuery)
    problem: ApiError | None = None
    shown, by_hour = None, False
    try:
        query, span, by_hour = _understood(visit, asked)
        await visit.context.follower.catch_up()
        shown = await visit.read(_shown, visit, asked, query, span, by_hour)
    except ApiError as error:
        if error.status != 400:
            raise
        problem = error
    if shown is None:
        shown = await visit.read(_nothing, visit)
    return visit.page(
        "statistics.html",
        status=400 if problem else 200,
        asked=asked,
        problem=problem,
        shown=shown,
        sidebar=shown.sidebar,
        view=asked.view if asked.view in VIEWS else "overview",
        periods=PERIODS,
        by_hour=by_hour,
        position=None,
    )


async def as_csv(visit: Visit) -> web.StreamResponse:
    """The same figures as a table with the columns of the API's."""
    name = visit.path("table")
    asked = visit.asked(StatisticsQuery)
    if name not in TABLES:
        raise ApiError(404, "path_not_found", "There is no such table.")
    query, span, _ = _understood(visit, asked)
    by = TABLES[name]
    await visit.context.follower.catch_up()
    zone, now = visit.context.dates.zone, visit.context.writer.clock()

    def read(connection: Connection, views: Views) -> Measured:
        return stats.measured_in(
            connection, views, asked=query, span=span, by=by, zone=zone, now=now, quantiles=query.hours
        )  # fmt: skip

    measured = await visit.read(read)
    rows = [
        stats.row_of(key, by, measured, query.hours, now, visit.context.dates)
        for key in stats.keys_of(by, measured)
    ]
    return await stats.csv_table(
        f"statistics_{name.removesuffix('.csv')}", ChannelStatsAnswer, stats.once(rows), bom=True
    )


def _understood(visit: Visit, asked: StatisticsQuery) -> tuple[ChannelStatsQuery, Span, bool]:
    """As the API is asked, the period, and whether by the hour. Raises ApiError."""
    given: dict[str, Any] = {
        "period": asked.period,
        "hours": asked.hours,
        "channel": asked.channel,
        "group_id": asked.group,
        "staff_id": asked.staff,
    }
    if asked.period == "custom":
        given |= {"from_time": asked.since, "to_time": _day_after(asked.until)}
    query = ChannelStatsQuery.read(given, visit.context)
    since, until = stats.span_of(visit, query, stats.MOST_DAYS)
    now = visit.context.writer.clock()
    span = Span(since, min(until, now) if since < now else until)
    length = span.until - span.since
    wanted = asked.unit == "hour" or (not asked.unit and length <= FEW_DAYS * stats.DAY)
    return query, span, wanted and length <= MOST_DAYS_BY_HOUR * stats.DAY


def _day_after(given: str) -> str:
    """A day that nobody can read is left to whoever says what is wrong."""
    try:
        return (date.fromisoformat(given.strip()) + timedelta(1)).isoformat()
    except (ValueError, OverflowError):
        return given


def _nothing(connection: Connection, views: Views, visit: Visit) -> Shown:
    return Shown(sidebar.read(connection, views, visit.who.staff_id))


def _shown(
    connection: Connection,
    views: Views,
    visit: Visit,
    asked: StatisticsQuery,
    query: ChannelStatsQuery,
    span: Span,
    by_hour: bool,
) -> Shown:
    zone, now = visit.context.dates.zone, visit.context.writer.clock()

    def measured(by: Any, span: Span) -> Measured:
        return stats.measured_in(
            connection, views, asked=query, span=span, by=by, zone=zone, now=now, quantiles=query.hours
        )  # fmt: skip

    shown = _nothing(connection, views, visit)
    match asked.view:
        case "channels" | "staff":
            by: Any = "channel" if asked.view == "channels" else "staff"
            found = measured(by, span)
            rows = [
                stats.row_of(key, by, found, query.hours, now, visit.context.dates)
                for key in stats.keys_of(by, found)
            ]
            return shown._replace(rows=[row for row in rows if row.name or _worked(row)])
        case "ratings":
            by = "hour" if by_hour else "day"
            stretches = _stretches(visit, span, by_hour)
            sums = _in_order(measured(by, span), stretches)
            rated = SatisfactionQuery.model_construct(**query.given())
            ratings = stats.rated_in(
                connection, views, asked=rated, span=span, page=Page(limit=RATINGS)
            )
            whole = Sums.together(sums)
            return shown._replace(
                charts=[_ratings(sums, [each.unit for each in stretches])],
                shares=(whole["rated_high"], whole["rated_middle"], whole["rated_low"]),
                ratings=ratings.rows,
            )
    by = "hour" if by_hour else "day"
    stretches = _stretches(visit, span, by_hour)
    sums = _in_order(measured(by, span), stretches)
    before = _in_order(measured(by, span.before), _stretches(visit, span.before, by_hour))
    wanted = stats.wanted_in(connection, views, query, span)
    waiting = figures.backlog(connection, views, now, None, wanted)
    return shown._replace(
        cards=_cards(Sums.together(sums), Sums.together(before), query.hours),
        charts=_charts(sums, before, [each.unit for each in stretches], query.hours),
        backlog=stats.shown_backlog(waiting.get("") or NO_BACKLOG, now),
    )


def _worked(row: ChannelStatsAnswer) -> bool:
    return any((row.new_cases, row.closed_cases, row.messages_out, row.notes, row.messages_in))


def _stretches(visit: Visit, span: Span, by_hour: bool) -> list[Stretch]:
    """All hours, days or weeks of a period; weeks begin with it."""
    zone, locale = visit.context.dates.zone, wording.locale_of(visit.language)
    period = Period.of(*span)
    if by_hour:
        hours = dict.fromkeys(hour_of(slot, zone) for slot in range(*period))
        moments = {hour: datetime.fromtimestamp(hour * SLOT // SECOND, zone) for hour in hours}
        return [
            Stretch(
                Unit(
                    format_datetime(at, HOUR_NAME, locale=locale),
                    format_datetime(at, "HH:mm", locale=locale),
                ),
                range(hour, hour + 1),
            )
            for hour, at in moments.items()
        ]
    first, last = day_of(period.since, str(zone)), day_of(period.until - 1, str(zone))
    length = 1 if last - first < MOST_DAYS else WEEK
    found = []
    for begun in range(first, last + 1, length):
        days = range(begun, min(begun + length, last + 1))
        names = [format_date(date.fromordinal(day), DAY_NAME, locale=locale) for day in days]
        name = names[0] if len(names) == 1 else f"{names[0]} – {names[-1]}"
        label = format_date(date.fromordinal(begun), "d MMM", locale=locale)
        found.append(Stretch(Unit(name, label), days))
    return found


def _in_order(measured: Measured, stretches: Iterable[Stretch]) -> list[Sums]:
    return [
        Sums.together(measured.sums[key] for key in stretch.keys if key in measured.sums)
        for stretch in stretches
    ]


def _cards(sums: Sums, before: Sums, part: Part) -> list[Card]:
    def amount(title: str, name: str, less_is_better: bool | None = None) -> Card:
        return Card(title, sums[name], before[name], less_is_better=less_is_better)

    def median(title: str, time: Time) -> Card:
        now, then = [each.quantile(time, 0.5, part) for each in (sums, before)]
        return Card(title, now, then, "time", less_is_better=True)

    return [
        amount(N_("New cases"), "new_cases"),
        amount(N_("Closed cases"), CLOSED),
        amount(N_("Reopened cases"), "reopened_cases", less_is_better=True),
        median(N_("First response, median"), "first_response"),
        median(N_("Resolution, median"), "resolution"),
        Card(N_("Good ratings"), _good(sums), _good(before), "percent", less_is_better=False),
    ]


def _good(sums: Sums) -> int | None:
    rated = sum(sums[f"rated_{each}"] for each in ("high", "middle", "low"))
    return round(100 * sums["rated_high"] / rated) if rated else None


def _charts(sums: list[Sums], before: list[Sums], units: list[Unit], part: Part) -> list[Figure]:
    def amounts(title: str, look: str, name: str, of: list[Sums] = sums) -> Series:
        return Series(title, look, [each[name] for each in of][: len(units)])

    def times(title: str, look: str, time: Time, share: float, of: list[Sums] = sums) -> Series:
        return Series(title, look, [each.quantile(time, share, part) for each in of][: len(units)])

    def chart_of_times(key: str, title: str, sentence: str, time: Time) -> Figure:
        series = [
            times(N_("Median"), "one", time, 0.5),
            times(N_("Nine of ten"), "two", time, 0.9),
            times(N_("Median of the period before"), "before", time, 0.5, before),
        ]
        return Figure(key, title, sentence, charts.lines(series, units, times=True))

    return [
        Figure(
            "cases",
            N_("Cases"),
            N_("How many were opened, closed and opened again."),
            charts.lines(
                [
                    amounts(N_("New"), "one", "new_cases"),
                    amounts(N_("Closed"), "two", CLOSED),
                    amounts(N_("Reopened"), "three", "reopened_cases"),
                    amounts(N_("New in the period before"), "before", "new_cases", before),
                ],
                units,
            ),
        ),
        Figure(
            "messages",
            N_("Messages"),
            N_("What users wrote, what staff replied, what rules sent."),
            charts.lines(
                [
                    amounts(N_("From users"), "one", "messages_in"),
                    amounts(N_("Replies"), "two", "responses"),
                    amounts(N_("By rules"), "three", "rule_messages"),
                ],
                units,
            ),
        ),
        chart_of_times(
            "first-response",
            N_("First response"),
            N_("From the opening of a case to the first reply of staff."),
            "first_response",
        ),
        chart_of_times(
            "response",
            N_("Response"),
            N_("From the user’s message to the next reply."),
            "response",
        ),
        chart_of_times(
            "resolution",
            N_("Resolution"),
            N_("From the opening of a case to its closing."),
            "resolution",
        ),
        _ratings(sums, units),
    ]


def _ratings(sums: list[Sums], units: list[Unit]) -> Figure:
    series = [
        Series(title, look, [each[name] for each in sums])
        for title, look, name in (
            (N_("Good"), "two", "rated_high"),
            (N_("Middling"), "three", "rated_middle"),
            (N_("Bad"), "four", "rated_low"),
        )
    ]
    sentence = N_("How users rated cases and replies.")
    return Figure("ratings", N_("Ratings"), sentence, charts.stacks(series, units))
