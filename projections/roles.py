"""Own roles, and the channels that only those have whose role names them."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, MetaData, Table, select

from kanal.domain.channels import ChannelOpenedToRoles, ChannelRestricted
from kanal.domain.roles import BUILT_IN, Grants, RoleChanged, RoleCreated, RoleDeleted
from kanal.domain.stream import Recorded
from kanal.eventlog.projection import Changes, Tables
from kanal.projections.read_model import Names, ReadModel, Views, columns_of, number, one, text

_GRANTS = msgspec.json.Decoder(Grants)


class RoleRow(NamedTuple):
    role_id: int
    title: str
    gives: Grants
    created_at: int
    updated_at: int


def define(metadata: MetaData, name: Names) -> Iterable[Table]:
    yield Table(
        name("roles"),
        metadata,
        number("role_id", key=True),
        text("title"),
        text("gives"),
        number("created_at"),
        number("updated_at"),
    )
    yield Table(name("restricted_channels"), metadata, number("channel_id", key=True))


def fold(changes: Changes, tables: Tables, recorded: Recorded) -> None:
    roles, restricted = tables["roles"], tables["restricted_channels"]
    event, at = recorded.event, recorded.envelope.at
    match event:
        case RoleCreated():
            row = {"role_id": event.role_id, **_row(event), "created_at": at, "updated_at": at}
            changes.insert(roles, row)
        case RoleChanged():
            changes.update(roles, (event.role_id,), {**_row(event), "updated_at": at})
        case RoleDeleted():
            changes.delete(roles, (event.role_id,))
        case ChannelRestricted():
            changes.insert(restricted, {"channel_id": event.channel_id})
        case ChannelOpenedToRoles():
            changes.delete(restricted, (event.channel_id,))


def _row(event: RoleCreated | RoleChanged) -> dict[str, str]:
    return {"title": event.title, "gives": msgspec.json.encode(event.gives).decode()}


PROJECTION = ReadModel(
    name="roles",
    version=1,
    handles=dict.fromkeys(
        (RoleCreated, RoleChanged, RoleDeleted, ChannelRestricted, ChannelOpenedToRoles), fold
    ),
    define=define,
)


def find(connection: Connection, views: Views, role_id: int) -> RoleRow | None:
    """One that is not built in."""
    roles = views.roles["roles"]
    return one(connection, columns_of(roles, RoleRow).where(roles.c.role_id == role_id), _made)


def listed(connection: Connection, views: Views) -> list[RoleRow]:
    """Without those that are built in, the oldest first."""
    roles = views.roles["roles"]
    rows = connection.execute(columns_of(roles, RoleRow).order_by(roles.c.role_id))
    return [_made(row) for row in rows]


def titles(connection: Connection, views: Views) -> dict[int, str]:
    """Of all roles, those that are built in first."""
    roles = views.roles["roles"].c
    rows = connection.execute(select(roles.role_id, roles.title).order_by(roles.role_id))
    built_in = {role.role_id: role.title for role in BUILT_IN.values()}
    return built_in | {row.role_id: row.title for row in rows}


def restricted(connection: Connection, views: Views) -> frozenset[int]:
    """Ids of channels."""
    return frozenset(connection.scalars(select(views.roles["restricted_channels"].c.channel_id)))


def _made(row: Any) -> RoleRow:
    made = RoleRow._make(row)
    return made._replace(gives=_GRANTS.decode(row.gives))
