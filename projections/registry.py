"""Every read model there is, and how each is kept up."""

from datetime import UTC, tzinfo

from kanal.eventlog.projection import Projection
from kanal.projections import (
    business_hours,
    case_times,
    cases,
    channels,
    chats,
    client_emails,
    companies,
    custom_fields,
    files,
    filters,
    groups,
    history,
    labels,
    languages,
    links,
    macros,
    messages,
    notices,
    roles,
    rules,
    scheduled,
    staff,
    staff_keys,
    staff_statuses,
    statistics,
    users,
    words,
)

CORE: tuple[Projection, ...] = (
    channels.PROJECTION,
    users.PROJECTION,
    links.PROJECTION,
    companies.PROJECTION,
    cases.PROJECTION,
    messages.PROJECTION,
    files.PROJECTION,
    scheduled.PROJECTION,
    staff.PROJECTION,
    roles.PROJECTION,
    staff_keys.PROJECTION,
    groups.PROJECTION,
    labels.PROJECTION,
    chats.PROJECTION,
    staff_statuses.PROJECTION,
    custom_fields.PROJECTION,
    languages.PROJECTION,
    client_emails.PROJECTION,
    filters.PROJECTION,
    macros.PROJECTION,
    notices.PROJECTION,
    rules.PROJECTION,
    business_hours.PROJECTION,
)
"""Applied inside the writer's transaction: what was answered can be read."""


def followed(zone: tzinfo) -> tuple[Projection, ...]:
    """Applied a moment later, behind the log. `zone`: the account's, whose days statistics are summed up by."""
    return (
        history.PROJECTION,
        case_times.PROJECTION,
        statistics.projection(str(zone)),
        words.PROJECTION,
    )


FOLLOWED = followed(UTC)
"""Of an account that has no other zone."""
