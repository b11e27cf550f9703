"""The secrets of channels where they are kept: beside their events, which hold fingerprints, and never shown again.

Each function runs in the transaction of the event that it belongs to.
"""

from collections.abc import Callable, Collection

from sqlalchemy import Connection, delete, func, insert, or_, select, update

from kanal.delivery.signing import Secret, new_private_key
from kanal.eventlog.tables import channel_secrets


def keep(
    connection: Connection,
    channel_id: int,
    secret: str,
    at: int,
    others_expire_at: int | None = None,
) -> None:
    """A new one with its key. Those that have expired by now are forgotten."""
    kept = channel_secrets.c
    own = kept.channel_id == channel_id
    connection.execute(delete(channel_secrets).where(own, kept.expires_at <= at))
    if others_expire_at is not None:
        later = or_(kept.expires_at.is_(None), kept.expires_at > others_expire_at)
        expiring = update(channel_secrets).where(own, later)
        connection.execute(expiring.values(expires_at=others_expire_at))
    # The log's time may stand still for a moment; the newest must be known from the others.
    newest = connection.scalar(select(func.max(kept.created_at)).where(own)) or 0
    row = {
        "channel_id": channel_id,
        "created_at": max(at, newest + 1),
        "secret": secret,
        "private_key": new_private_key(),
        "expires_at": None,
    }
    connection.execute(insert(channel_secrets).values(row))


def forget(connection: Connection, channel_id: int, is_it: Callable[[str], bool]) -> None:
    for each in read(connection, [channel_id]).get(channel_id, ()):
        if is_it(each.secret):
            own = channel_secrets.c.channel_id == channel_id
            gone = delete(channel_secrets).where(own, channel_secrets.c.secret == each.secret)
            connection.execute(gone)


def read(connection: Connection, channel_ids: Collection[int]) -> dict[int, tuple[Secret, ...]]:
    """By channel, the newest first; some may have expired."""
    kept = channel_secrets.c
    columns = [kept[name] for name in Secret._fields]
    query = select(kept.channel_id, *columns).where(kept.channel_id.in_(channel_ids))
    found: dict[int, tuple[Secret, ...]] = {}
    for channel_id, *values in connection.execute(query.order_by(kept.created_at.desc())):
        found[channel_id] = (*found.get(channel_id, ()), Secret(*values))
    return found
