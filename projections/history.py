"""Where in the log the events of one case, user or channel stand, so that its history can be paged."""

from collections.abc import Collection, Iterable
from typing import Any, Final, Literal, NamedTuple
from weakref import WeakKeyDictionary

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    LargeBinary,
    MetaData,
    Table,
    func,
    literal,
    select,
)

from kanal.domain.case_events import (
    CaseAssigned,
    CaseDeleted,
    CaseFieldsChanged,
    CaseGroupChanged,
    CaseLabelsChanged,
    CaseLanguageChanged,
    CaseMarkedAsSpam,
    CaseMerged,
    CaseOpened,
    CasePriorityChanged,
    CaseRated,
    CaseRestored,
    CaseStatusChanged,
    CaseSubjectChanged,
    CaseTrashed,
    CaseUnmerged,
    ChildCaseMerged,
    ChildCaseUnmerged,
    MessageAdded,
)
from kanal.domain.channel_delivery import (
    ChannelDeliveryFailing,
    ChannelDeliveryPaused,
    ChannelDeliveryRecovered,
    ChannelDeliveryResumed,
)
from kanal.domain.channels import (
    ChannelChanged,
    ChannelCreated,
    ChannelOpenedToRoles,
    ChannelRestricted,
    ChannelSecretMade,
    ChannelSecretRevoked,
    ChannelWasDeleted,
    ChannelWasDisabled,
    ChannelWasEnabled,
)
from kanal.domain.chat_events import (
    ChatAccepted,
    ChatCompleted,
    ChatOffered,
    ChatReopened,
    ChatReturned,
    ChatStarted,
    ChatTransferred,
)
from kanal.domain.deliveries import (
    DeliveryDeadLettered,
    DeliveryHeld,
    DeliveryReleased,
    DeliveryReplayAsked,
    DeliveryReplayCancelled,
    DeliveryRetried,
    DeliverySkipped,
)
from kanal.domain.firings import RuleFired, RuleLoopCut
from kanal.domain.identities import IdentityClaimed, IdentityReleased
from kanal.domain.links import ContactLinked, ContactUnlinked
from kanal.domain.message_events import (
    MessageDeleted,
    MessageDiscarded,
    MessageEdited,
    MessageFilesAwaited,
    MessageFilesFetched,
    MessageRated,
    MessageScheduled,
    MessageSent,
)
from kanal.domain.rule_webhooks import RuleWebhookCalled
from kanal.domain.stream import Recorded
from kanal.domain.users import (
    UserCasesDeleted,
    UserChanged,
    UserFieldsChanged,
    UserIdentityChanged,
    UserJoinedCompany,
    UserLeftCompany,
    UserLinked,
    UserLinkedToUser,
    UserLinkRefused,
    UserLinkToUserRefused,
    UserRegistered,
    UserUnlinked,
    UserUnlinkedFromUser,
    UserWasBlocked,
    UserWasDeleted,
    UserWasDisabled,
    UserWasRestored,
)
from kanal.eventlog.database import Database
from kanal.eventlog.projection import Changes, Tables
from kanal.projections.read_model import Found, Names, Page, ReadModel, Views, number, text

Kind = Literal["case", "user", "channel"]
Filters = list[tuple[Kind, int]]

STRETCH: Final = 10_000
"""Positions that are looked through at once for what no index knows."""
MOST_STRETCHES: Final = 5
"""Of one page; whoever wants what lies before goes on from there."""

_counted: WeakKeyDictionary[Database, tuple[int, int]] = WeakKeyDictionary()
"""A position of the log and how many events there are up to it. Both are final, and counting a long log anew for each
page would make reading it through quadratic."""


def define(metadata: MetaData, name: Names) -> Iterable[Table]:
    yield Table(
        name("history"),
        metadata,
        text("kind", key=True),
        number("id", key=True),
        number("position", key=True),
        sqlite_with_rowid=False,
    )


def fold(changes: Changes, tables: Tables, recorded: Recorded) -> None:
    history = tables["history"]
    event: Any = recorded.event
    position = recorded.position
    case_id = getattr(event, "case_id", 0)
    if case_id:
        changes.insert(history, {"kind": "case", "id": case_id, "position": position})
    channel_id = getattr(event, "channel_id", 0)
    if channel_id > 0:
        changes.insert(history, {"kind": "channel", "id": channel_id, "position": position})
    for user_id in recorded.envelope.about:
        changes.insert(history, {"kind": "user", "id": user_id, "position": position})


PROJECTION = ReadModel(
    name="history",
    version=12,
    handles=dict.fromkeys(
        (
            CaseOpened,
            MessageAdded,
            CaseStatusChanged,
            CasePriorityChanged,
            CaseSubjectChanged,
            CaseAssigned,
            CaseGroupChanged,
            CaseLabelsChanged,
            CaseLanguageChanged,
            CaseRated,
            CaseFieldsChanged,
            CaseTrashed,
            CaseMarkedAsSpam,
            CaseRestored,
            CaseMerged,
            CaseUnmerged,
            ChildCaseMerged,
            ChildCaseUnmerged,
            CaseDeleted,
            ChatStarted,
            ChatOffered,
            ChatAccepted,
            ChatTransferred,
            ChatReturned,
            ChatCompleted,
            ChatReopened,
            MessageScheduled,
            MessageSent,
            MessageDiscarded,
            MessageEdited,
            MessageFilesAwaited,
            MessageFilesFetched,
            MessageDeleted,
            MessageRated,
            UserRegistered,
            UserChanged,
            UserFieldsChanged,
            UserLinked,
            UserLinkRefused,
            UserUnlinked,
            UserLinkedToUser,
            UserUnlinkedFromUser,
            UserLinkToUserRefused,
            UserIdentityChanged,
            UserJoinedCompany,
            UserLeftCompany,
            UserWasBlocked,
            UserWasDisabled,
            UserWasRestored,
            UserWasDeleted,
            UserCasesDeleted,
            IdentityClaimed,
            IdentityReleased,
            ContactLinked,
            ContactUnlinked,
            ChannelCreated,
            ChannelChanged,
            ChannelWasDisabled,
            ChannelWasEnabled,
            ChannelWasDeleted,
            ChannelRestricted,
            ChannelOpenedToRoles,
            ChannelSecretMade,
            ChannelSecretRevoked,
            ChannelDeliveryPaused,
            ChannelDeliveryResumed,
            ChannelDeliveryFailing,
            ChannelDeliveryRecovered,
            DeliveryDeadLettered,
            DeliveryHeld,
            DeliveryReleased,
            DeliverySkipped,
            DeliveryRetried,
            RuleFired,
            RuleLoopCut,
            RuleWebhookCalled,
            DeliveryReplayAsked,
            DeliveryReplayCancelled,
        ),
        fold,
    ),
    define=define,
)


def events(
    connection: Connection,
    views: Views,
    database: Database,
    filters: Filters,
    after: int | None,
    page: Page,
    order: Literal["asc", "desc"] = "asc",
) -> Found[Recorded]:
    """A page of the log: all of it, or what all filters hold for. `after`: the position before the page, in that order.

    The total is what the filters hold for, whatever `after` says.
    """
    log = database.events
    position = log.c.position
    query = select(log)
    if filters:
        source, position = where_all(views, filters)
        query = query.select_from(source.join(log, log.c.position == position))
        total = connection.scalar(select(func.count()).select_from(source)) or 0
    else:
        total = _count(connection, database)
    if after is not None:
        query = query.where(position > after if order == "asc" else position < after)
    ordered = query.order_by(position.asc() if order == "asc" else position.desc())
    rows = database.decoded(connection, ordered.limit(page.limit).offset(page.offset))
    return Found(rows, total)


class Wanted(NamedTuple):
    """Events of which the log has no index; nothing given: all."""

    names: Collection[str] = ()
    who: str = ""
    """`staff:1`, `rule:3`, `system`."""


class Section(NamedTuple):
    rows: list[Recorded]
    before: int
    """Where an earlier section goes on, 0 if there is none."""


def newest(
    connection: Connection,
    views: Views,
    database: Database,
    filters: Filters,
    wanted: Wanted,
    *,
    since: int,
    until: int,
    limit: int,
) -> Section:
    """Events behind `since` and up to the position `until`, the newest first.

    What is wanted by name or author is looked for in stretches, so that a page costs a bounded look at the log, and may have
    less than `limit` rows though there are more before.
    """
    log = database.events
    position = log.c.position
    query = select(log)
    if filters:
        source, position = where_all(views, filters)
        query = query.select_from(source.join(log, log.c.position == position))
    if wanted.names:
        query = query.where(log.c.name.in_(sorted(wanted.names)))
    if wanted.who:
        query = query.where(_holds(database, log.c.body, f'"who":"{wanted.who}"'.encode()))
    rows: list[Recorded] = []
    high, stretches = until, 0
    searching = bool(wanted.names or wanted.who)
    while high > since and len(rows) <= limit and stretches < MOST_STRETCHES:
        low = max(since, high - STRETCH) if searching else since
        stretch = query.where(position > low, position <= high).order_by(position.desc())
        found = database.decoded(connection, stretch.limit(limit + 1 - len(rows)))
        # An author's name may also stand in what somebody wrote.
        rows += [each for each in found if wanted.who in ("", each.envelope.who)]
        high, stretches = low, stretches + 1
    if len(rows) > limit:
        return Section(rows[:limit], rows[limit - 1].position - 1)
    return Section(rows, high if high > since else 0)


def _holds(database: Database, body: ColumnElement[bytes], octets: bytes) -> ColumnElement[bool]:
    if database.shared:
        return func.position(literal(octets, LargeBinary).op("IN")(body)) > 0
    return func.instr(body, literal(octets, LargeBinary)) > 0


def where_all(views: Views, filters: Filters) -> tuple[FromClause, Any]:
    """What holds the positions for which all filters hold, and its column of them."""
    history = views.history["history"]
    source: FromClause | None = None
    first: Any = None
    for place, (kind, key) in enumerate(filters):
        part = (
            select(history.c.position)
            .where(history.c.kind == kind, history.c.id == key)
            .subquery(f"filter_{place}")
        )
        if source is None:
            source, first = part, part.c.position
        else:
            source = source.join(part, part.c.position == first)
    assert source is not None
    return source, first


def _count(connection: Connection, database: Database) -> int:
    position, count = _counted.get(database, (0, 0))
    column = database.events.c.position
    query = select(func.count(), func.max(column)).where(column > position)
    more, last = connection.execute(query).one()
    if more:
        position, count = last, count + more
        _counted[database] = (position, count)
    return count
