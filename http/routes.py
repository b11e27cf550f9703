"""The table of calls: method, path, handler with its contract, and the right that the caller needs.

Paths are written without `/api/` and `.json`; both forms and a trailing slash are taken, as Omnidesk's clients send them.
"""

from typing import NamedTuple

from kanal.domain.staff import Right
from kanal.http.api import (
    cases,
    chats,
    client_emails,
    custom_channels,
    custom_fields,
    deliveries,
    events,
    groups,
    labels,
    languages,
    messages,
    staff,
    staff_statuses,
    users,
)
from kanal.http.contract import Operation


class Route(NamedTuple):
    method: str
    path: str
    operation: Operation
    right: Right


ROUTES = (
    Route("POST", "cases/{case}/messages", messages.create, Right.ANSWER),
    Route("GET", "cases/{case}/messages", messages.list_messages, Right.SEE),
    Route("POST", "cases/{case}/note", messages.create_note, Right.ANSWER),
    Route("POST", "cases/{case}/notes", messages.create_note, Right.ANSWER),
    Route("POST", "cases", cases.create, Right.ANSWER),
    Route("GET", "cases", cases.list_cases, Right.SEE),
    Route("GET", "cases/{case}", cases.show, Right.SEE),
    Route("PUT", "cases/{case}", cases.change, Right.ANSWER),
    Route("DELETE", "cases/{case}", cases.delete, Right.DELETE),
    Route("PUT", "cases/{case}/rate", cases.rate, Right.ANSWER),
    Route("PUT", "cases/{case}/merge", cases.merge, Right.ANSWER),
    Route("PUT", "cases/{case}/unmerge", cases.unmerge, Right.ANSWER),
    Route("PUT", "cases/{case}/trash", cases.trash, Right.ANSWER),
    Route("PUT", "cases/{case}/spam", cases.mark_as_spam, Right.ANSWER),
    Route("PUT", "cases/{case}/restore", cases.restore, Right.ANSWER),
    Route("PUT", "cases/{case}/chat/accept", chats.accept, Right.ANSWER),
    Route("PUT", "cases/{case}/chat/complete", chats.complete, Right.ANSWER),
    Route("GET", "chats", chats.list_chats, Right.SEE),
    Route("POST", "users", users.create, Right.ANSWER),
    Route("GET", "users", users.list_users, Right.SEE),
    Route("GET", "users/{user}", users.show, Right.SEE),
    Route("POST", "users/identification", users.identify, Right.ANSWER),
    Route("PUT", "users/{user}", users.change, Right.ANSWER),
    Route("DELETE", "users/{user}", users.delete, Right.DELETE),
    Route("PUT", "users/{user}/link", users.link, Right.ANSWER),
    Route("PUT", "users/{user}/unlink", users.unlink, Right.ANSWER),
    Route("PUT", "users/{user}/disable", users.disable, Right.ANSWER),
    Route("PUT", "users/{user}/block", users.block, Right.ANSWER),
    Route("PUT", "users/{user}/restore", users.restore, Right.ANSWER),
    Route("GET", "custom_channels", custom_channels.list_channels, Right.SEE),
    Route("POST", "custom_channels", custom_channels.create, Right.MANAGE_CHANNELS),
    Route("GET", "custom_channels/{channel}", custom_channels.show, Right.SEE),
    Route("PUT", "custom_channels/{channel}", custom_channels.change, Right.MANAGE_CHANNELS),
    Route("DELETE", "custom_channels/{channel}", custom_channels.delete, Right.MANAGE_CHANNELS),
    Route(
        "PUT", "custom_channels/{channel}/disable", custom_channels.disable, Right.MANAGE_CHANNELS
    ),
    Route("PUT", "custom_channels/{channel}/enable", custom_channels.enable, Right.MANAGE_CHANNELS),
    Route("POST", "custom_channels/{channel}/ping", custom_channels.ping, Right.MANAGE_CHANNELS),
    Route("GET", "staff", staff.list_staff, Right.SEE),
    Route("POST", "staff", staff.create, Right.MANAGE_STAFF),
    Route("GET", "staff/{staff}", staff.show, Right.SEE),
    Route("PUT", "staff/{staff}", staff.change, Right.MANAGE_STAFF),
    Route("DELETE", "staff/{staff}", staff.delete, Right.MANAGE_STAFF),
    Route("PUT", "staff/{staff}/disable", staff.disable, Right.MANAGE_STAFF),
    Route("PUT", "staff/{staff}/enable", staff.enable, Right.MANAGE_STAFF),
    Route("POST", "staff/{staff}/keys", staff.issue_key, Right.MANAGE_STAFF),
    Route("DELETE", "staff/{staff}/keys/{key}", staff.revoke_key, Right.MANAGE_STAFF),
    Route("GET", "staff_roles", staff.list_roles, Right.SEE),
    Route("PUT", "staff/{staff}/status", staff_statuses.choose, Right.ANSWER),
    Route("GET", "staff_statuses", staff_statuses.list_statuses, Right.SEE),
    Route("POST", "staff_statuses", staff_statuses.create, Right.MANAGE_STAFF),
    Route("PUT", "staff_statuses/{status}", staff_statuses.change, Right.MANAGE_STAFF),
    Route("DELETE", "staff_statuses/{status}", staff_statuses.delete, Right.MANAGE_STAFF),
    Route("GET", "groups", groups.list_groups, Right.SEE),
    Route("POST", "groups", groups.create, Right.MANAGE_STAFF),
    Route("GET", "groups/{group}", groups.show, Right.SEE),
    Route("PUT", "groups/{group}", groups.change, Right.MANAGE_STAFF),
    Route("DELETE", "groups/{group}", groups.delete, Right.MANAGE_STAFF),
    Route("PUT", "groups/{group}/disable", groups.disable, Right.MANAGE_STAFF),
    Route("PUT", "groups/{group}/enable", groups.enable, Right.MANAGE_STAFF),
    Route("GET", "labels", labels.list_labels, Right.SEE),
    Route("POST", "labels", labels.create, Right.ANSWER),
    Route("GET", "labels/{label}", labels.show, Right.SEE),
    Route("PUT", "labels/{label}", labels.change, Right.ANSWER),
    Route("DELETE", "labels/{label}", labels.delete, Right.MANAGE_FIELDS),
    Route("GET", "custom_fields", custom_fields.list_fields, Right.SEE),
    Route("POST", "custom_fields", custom_fields.create, Right.MANAGE_FIELDS),
    Route("GET", "custom_fields/{field}", custom_fields.show, Right.SEE),
    Route("PUT", "custom_fields/{field}", custom_fields.change, Right.MANAGE_FIELDS),
    Route("DELETE", "custom_fields/{field}", custom_fields.delete, Right.MANAGE_FIELDS),
    Route("PUT", "custom_fields/{field}/disable", custom_fields.disable, Right.MANAGE_FIELDS),
    Route("PUT", "custom_fields/{field}/enable", custom_fields.enable, Right.MANAGE_FIELDS),
    Route("GET", "languages", languages.list_languages, Right.SEE),
    Route("POST", "languages", languages.create, Right.MANAGE_FIELDS),
    Route("PUT", "languages/{language}", languages.change, Right.MANAGE_FIELDS),
    Route("GET", "client_emails", client_emails.list_client_emails, Right.SEE),
    Route("POST", "client_emails", client_emails.create, Right.MANAGE_FIELDS),
    Route("PUT", "client_emails/{email}", client_emails.change, Right.MANAGE_FIELDS),
    Route("DELETE", "client_emails/{email}", client_emails.delete, Right.MANAGE_FIELDS),
    Route("GET", "deliveries", deliveries.list_deliveries, Right.SEE_DELIVERIES),
    Route("GET", "deliveries/{delivery}", deliveries.show, Right.SEE_DELIVERIES),
    Route("GET", "events", events.list_events, Right.AUDIT),
)
