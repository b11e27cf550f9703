"""/settings: everything that is administered, as cards; each page of administration has its entry in `SETTINGS`."""

from typing import TYPE_CHECKING, Final, NamedTuple

from aiohttp import web
from sqlalchemy import Connection

from kanal.domain.roles import Right
from kanal.http.pages import sidebar
from kanal.http.pages.sidebar import Sidebar
from kanal.http.pages.wording import N_
from kanal.projections.read_model import Views

if TYPE_CHECKING:
    from kanal.http.pages.visit import Visit


class Entry(NamedTuple):
    title: str
    """As the next one: in English; templates translate it."""
    sentence: str
    path: str
    """The entry is also of all pages beneath it."""
    right: Right
    """Without it the entry is not shown; the same that the page itself asks for."""
    icon: str


class Section(NamedTuple):
    title: str
    entries: tuple[Entry, ...]


SETTINGS: Final = (
    Section(
        N_("Channels"),
        (
            Entry(
                N_("Custom channels"),
                N_("Webhook URLs, delivery, secrets, a test and code to copy."),
                "/channels",
                Right.SEE,
                "channel",
            ),
            Entry(
                N_("Deliveries"),
                N_("What goes out, what waits or was given up, and sending it again."),
                "/deliveries",
                Right.SEE_DELIVERIES,
                "send",
            ),
        ),
    ),
    Section(
        N_("People and rights"),
        (
            Entry(
                N_("Staff"),
                N_("Who works here, invitations, links for a new password."),
                "/staff",
                Right.SEE,
                "people",
            ),
            Entry(
                N_("Rights"),
                N_("Who may see, answer and manage what, now and on any day before."),
                "/access",
                Right.MANAGE_STAFF,
                "eye",
            ),
            Entry(
                N_("Roles"),
                N_("What a role gives: channels, groups, whose cases, the account."),
                "/roles",
                Right.MANAGE_STAFF,
                "shield",
            ),
            Entry(
                N_("API keys"),
                N_("What programs sign in with: whose, how far they reach, when they were used."),
                "/keys",
                Right.MANAGE_STAFF,
                "key",
            ),
            Entry(
                N_("Groups"),
                N_("Teams, and who gets their cases when one goes."),
                "/groups",
                Right.SEE,
                "group",
            ),
        ),
    ),
    Section(
        N_("Automation"),
        (
            Entry(
                N_("Rules"),
                N_("What Kanal does by itself, tried before it is switched on."),
                "/rules",
                Right.SEE,
                "bolt",
            ),
            Entry(
                N_("Macros"),
                N_("Several things at once, chosen below a conversation."),
                "/macros",
                Right.SEE,
                "send",
            ),
            Entry(
                N_("Business hours"),
                N_("When you work, and on which days you do not."),
                "/hours",
                Right.SEE,
                "clock",
            ),
            Entry(
                N_("Response targets"),
                N_("By when customers are to be answered."),
                "/targets",
                Right.SEE,
                "flag",
            ),
        ),
    ),
    Section(
        N_("Data"),
        (
            Entry(
                N_("Filters"),
                N_("Lists of cases under a name, beside the inbox."),
                "/filters",
                Right.SEE,
                "filter",
            ),
            Entry(
                N_("Labels"),
                N_("Short words that are put on cases."),
                "/labels",
                Right.SEE,
                "label",
            ),
            Entry(
                N_("Custom fields"),
                N_("What you want to know of customers and cases."),
                "/fields",
                Right.SEE,
                "note",
            ),
            Entry(
                N_("Audit log"),
                N_("What happened, who did it and why; every case as it was."),
                "/audit",
                Right.AUDIT,
                "clock",
            ),
            Entry(
                N_("System"),
                N_("The log, the read models behind it, what waits to go out."),
                "/system",
                Right.AUDIT,
                "pulse",
            ),
        ),
    ),
)


def is_beneath(path: str) -> bool:
    """Whether it is the address of a page of administration."""
    return any(
        path == entry.path or path.startswith(f"{entry.path}/")
        for section in SETTINGS
        for entry in section.entries
    )


async def show(visit: "Visit") -> web.StreamResponse:
    def query(connection: Connection, views: Views) -> Sidebar:
        return sidebar.read(connection, views, visit.who.staff_id)

    beside = await visit.read(query)
    seen = [
        Section(section.title, tuple(each for each in section.entries if visit.may(each.right)))
        for section in SETTINGS
    ]
    sections = [section for section in seen if section.entries]
    return visit.page("settings_index.html", sections=sections, sidebar=beside, position=None)
