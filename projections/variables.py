"""What the variables of a prepared text stand for in one case, asked of the read models."""

from sqlalchemy import Connection, select

from kanal.domain.cases import case_number
from kanal.domain.plain_text import plain_text
from kanal.domain.variables import Values
from kanal.projections import cases, groups, links, staff, users
from kanal.projections.read_model import Views


def values_for(connection: Connection, views: Views, case_id: int, staff_id: int) -> Values | None:
    """`staff_id`: whose text it is. What is not known is ""; None if there is no such case."""
    case = cases.find(connection, views, case_id)
    if case is None:
        return None
    user = users.find(connection, views, case.user_id)
    contacts = links.contacts_of(connection, views, [case.user_id])[case.user_id]
    author = staff.find(connection, views, staff_id)
    group = groups.find(connection, views, case.group_id)
    return {
        "case_id": str(case_id),
        "case_number": case_number(case_id),
        "case_subject": case.subject,
        "case_description": _message(connection, views, case_id, last=False),
        "last_message": _message(connection, views, case_id, last=True),
        "user_id": str(case.user_id),
        "user_name": user.full_name if user else "",
        "user_email": user.identity if user and user.type == "email" else contacts.get("email", ""),
        "user_phone": user.identity if user and user.type == "phone" else contacts.get("phone", ""),
        "staff_id": str(staff_id),
        "staff_name": author.full_name if author else "",
        "staff_email": author.email if author else "",
        "group_name": group.title if group else "",
    }


def _message(connection: Connection, views: Views, case_id: int, *, last: bool) -> str:
    """The text of the first or last message that the user sees."""
    messages = views.messages["messages"].c
    query = select(messages.content, messages.content_html)
    shown = (messages.staff_only.is_(False), messages.deleted.is_(False))
    query = query.where(messages.case_id == case_id, *shown)
    order = messages.message_id.desc() if last else messages.message_id
    row = connection.execute(query.order_by(order).limit(1)).first()
    return (row.content or plain_text(row.content_html)) if row else ""
