"""What ids in rules, macros and settings stand for, and what there is to choose from."""

from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import Connection

from kanal.domain.custom_fields import key_of
from kanal.http.pages import sidebar
from kanal.http.pages.sidebar import EVERY, Sidebar
from kanal.projections import custom_fields, languages
from kanal.projections.custom_fields import CustomFieldRow
from kanal.projections.languages import LanguageRow
from kanal.projections.read_model import Views

EMAIL = "email"
"""The standard channel that is most used; others stand where a rule names them."""
Choice = tuple[str, str]
"""A value and its title."""


class Named(NamedTuple):
    sidebar: Sidebar
    languages: list[LanguageRow]
    fields: list[CustomFieldRow]

    @property
    def titles(self) -> dict[str, str]:
        """Of custom fields, by key."""
        return {key_of(row.field_id): row.title for row in self.fields}

    def choices(self, of: str, chosen: Collection[str] = ()) -> list[Choice]:
        """For a field of conditions or a type of actions that names ids; what is not active only where it is chosen."""
        match of:
            case "channel":
                known = [(key, row.title) for key, row in self.sidebar.channels.items()]
                keys = {key for key, _ in known}
                others = sorted({EMAIL, *chosen} - keys)
                return [*known, *((key, key) for key in others)]
            case "staff_id" | "round_robin":
                return [
                    (str(row.staff_id), row.full_name or row.email)
                    for row in self.sidebar.staff.values()
                    if row.active or str(row.staff_id) in chosen
                ]
            case "group_id":
                return [
                    (str(row.group_id), row.title)
                    for row in self.sidebar.groups.values()
                    if row.active or str(row.group_id) in chosen
                ]
            case "labels" | "add_labels" | "delete_labels":
                return [(str(row.label_id), row.title) for row in self.sidebar.labels.values()]
            case "language_id":
                return [(str(row.language_id), row.title) for row in self.languages]
        return []


def named(connection: Connection, views: Views, staff_id: int) -> Named:
    return Named(
        sidebar.read(connection, views, staff_id),
        [row for row in languages.listed(connection, views, EVERY).rows if row.active],
        custom_fields.listed(connection, views, EVERY).rows,
    )
