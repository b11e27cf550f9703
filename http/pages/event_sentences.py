"""What an event says to people: a sentence for each type that they meet, filled with names in place of ids."""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from kanal.domain.cases import case_number
from kanal.domain.event import Event
from kanal.domain.roles import ADMINISTRATOR, OWNER, STAFF_ROLE
from kanal.http.ids import channel_key
from kanal.http.pages.sidebar import Sidebar
from kanal.http.pages.wording import N_

LONGEST: Final = 120
"""Characters of a text that stands in a sentence."""
NOTHING: Final = "–"
NOBODY: Final = N_("Nobody")
SYSTEM: Final = N_("Kanal")
USER: Final = N_("User %(user_id)s")
RULE: Final = N_("Rule “%(title)s”")
STANDARD: Final = N_("a standard channel")
WEBHOOK: Final = N_("a rule's webhook")
"""Where channels stand (domain/rule_webhooks.py)."""

SUBJECTS: Final[Mapping[str, str]] = {
    "case": N_("Cases"),
    "message": N_("Messages, later"),
    "user": N_("Users"),
    "identity": N_("Identities"),
    "contact": N_("Contacts"),
    "company": N_("Companies"),
    "channel": N_("Channels"),
    "restricted_channels": N_("Restricted channels"),
    "delivery": N_("Deliveries"),
    "staff": N_("Staff"),
    "administrators": N_("Administrators"),
    "role": N_("Roles"),
    "role_holders": N_("Holders of roles"),
    "group": N_("Groups"),
    "rule": N_("Rules"),
    "rules": N_("Order of rules"),
    "macro": N_("Macros"),
    "label": N_("Labels"),
    "custom_field": N_("Custom fields"),
    "filter": N_("Filters"),
    "business_hours": N_("Business hours"),
    "response_target": N_("Response targets"),
    "language": N_("Languages"),
}
"""What stands before the first point of an event's name -> what it is about, for whoever looks for it."""

SENTENCES: Final[Mapping[str, str]] = {
    "case.opened.1": N_("Case %(case_id)s was opened on %(channel_id)s: %(subject)s"),
    "case.message_added.1": N_("Case %(case_id)s got a message: %(content)s"),
    "case.status_changed.1": N_("Case %(case_id)s: status %(old)s → %(new)s"),
    "case.priority_changed.1": N_("Case %(case_id)s: priority %(old)s → %(new)s"),
    "case.subject_changed.1": N_("Case %(case_id)s: subject “%(old)s” → “%(new)s”"),
    "case.assigned.1": N_("Case %(case_id)s: assigned to %(new)s, before to %(old)s"),
    "case.group_changed.1": N_("Case %(case_id)s: group %(old)s → %(new)s"),
    "case.labels_changed.1": N_(
        "Case %(case_id)s: labels put on: %(added)s; taken off: %(removed)s"
    ),
    "case.fields_changed.1": N_("Case %(case_id)s: fields changed: %(values)s"),
    "case.language_changed.1": N_("Case %(case_id)s: another language"),
    "case.rated.1": N_("Case %(case_id)s was rated: %(rating)s %(rating_comment)s"),
    "case.trashed.1": N_("Case %(case_id)s was moved to the trash"),
    "case.marked_as_spam.1": N_("Case %(case_id)s was marked as spam"),
    "case.restored.1": N_("Case %(case_id)s was restored"),
    "case.deleted.1": N_("Case %(case_id)s was deleted for good"),
    "case.merged.1": N_("Case %(case_id)s was merged into %(parent_case_id)s"),
    "case.unmerged.1": N_("Case %(case_id)s was taken out of %(parent_case_id)s"),
    "case.child_merged.1": N_("Case %(child_case_id)s came into case %(case_id)s"),
    "case.child_unmerged.1": N_("Case %(child_case_id)s left case %(case_id)s"),
    "case.chat_started.1": N_("Case %(case_id)s: the chat began"),
    "case.chat_offered.1": N_("Case %(case_id)s: the chat was offered to %(staff_id)s"),
    "case.chat_accepted.1": N_("Case %(case_id)s: the chat was taken by %(staff_id)s"),
    "case.chat_transferred.1": N_("Case %(case_id)s: the chat went from %(old)s to %(new)s"),
    "case.chat_returned.1": N_("Case %(case_id)s: the chat was given back by %(staff_id)s"),
    "case.chat_completed.1": N_("Case %(case_id)s: the chat ended"),
    "case.chat_reopened.1": N_("Case %(case_id)s: the chat began again"),
    "message.edited.1": N_("Case %(case_id)s: message %(message_id)s was edited"),
    "message.deleted.1": N_("Case %(case_id)s: message %(message_id)s was deleted"),
    "message.rated.1": N_("Case %(case_id)s: message %(message_id)s was rated: %(rating)s"),
    "message.scheduled.1": N_("Case %(case_id)s: a message waits for its time: %(content)s"),
    "message.sent.1": N_("Case %(case_id)s: message %(message_id)s was sent at its time"),
    "message.discarded.1": N_("Case %(case_id)s: message %(message_id)s is not sent: %(reason)s"),
    "message.files_awaited.1": N_("Case %(case_id)s: message %(message_id)s waits for its files"),
    "message.files_fetched.1": N_("Case %(case_id)s: message %(message_id)s got its files"),
    "user.registered.1": N_("User %(user_id)s was registered"),
    "user.changed.1": N_("User %(user_id)s was changed"),
    "user.fields_changed.1": N_("User %(user_id)s: fields changed"),
    "user.identity_changed.1": N_("User %(user_id)s is known by something else"),
    "user.linked.1": N_("User %(user_id)s was linked with an e-mail or phone"),
    "user.unlinked.1": N_("User %(user_id)s: a link with an e-mail or phone was undone"),
    "user.linked_to_user.1": N_("User %(user_id)s was linked with another profile"),
    "user.unlinked_from_user.1": N_("User %(user_id)s: the link with another profile was undone"),
    "user.link_refused.1": N_(
        "User %(user_id)s: a link was refused, it would have made two people one"
    ),
    "user.link_to_user_refused.1": N_(
        "User %(user_id)s: a link with a profile was refused, it would have made two people one"
    ),
    "user.joined_company.1": N_("User %(user_id)s joined a company"),
    "user.left_company.1": N_("User %(user_id)s left a company"),
    "user.blocked.1": N_("User %(user_id)s was blocked"),
    "user.disabled.1": N_("User %(user_id)s was disabled"),
    "user.restored.1": N_("User %(user_id)s was restored"),
    "user.deleted.1": N_("User %(user_id)s was deleted"),
    "user.cases_deleted.1": N_("User %(user_id)s: the cases were deleted"),
    "channel.created.1": N_("Channel “%(title)s” was made"),
    "channel.changed.1": N_("Channel “%(title)s” was changed"),
    "channel.disabled.1": N_("Channel %(channel_id)s was disabled"),
    "channel.enabled.1": N_("Channel %(channel_id)s was enabled"),
    "channel.deleted.1": N_("Channel %(channel_id)s was deleted"),
    "channel.secret_made.1": N_("Channel %(channel_id)s: a new signing secret"),
    "channel.secret_revoked.1": N_("Channel %(channel_id)s: a signing secret was revoked"),
    "channel.delivery_paused.1": N_("Channel %(channel_id)s: delivery was paused. %(reason)s"),
    "channel.delivery_resumed.1": N_("Channel %(channel_id)s: delivery was resumed"),
    "channel.delivery_failing.1": N_("Channel %(channel_id)s: deliveries fail"),
    "channel.delivery_recovered.1": N_("Channel %(channel_id)s: deliveries arrive again"),
    "restricted_channels.added.1": N_("Channel %(channel_id)s is for those roles that name it"),
    "restricted_channels.removed.1": N_("Channel %(channel_id)s is for everybody again"),
    "delivery.held.1": N_("Channel %(channel_id)s: a delivery is held. %(reason)s"),
    "delivery.released.1": N_("Channel %(channel_id)s: a delivery goes on"),
    "delivery.skipped.1": N_("Channel %(channel_id)s: a delivery was skipped. %(reason)s"),
    "delivery.retried.1": N_("Channel %(channel_id)s: a delivery is tried again"),
    "delivery.dead_lettered.1": N_("Channel %(channel_id)s: a delivery was given up. %(reason)s"),
    "delivery.replay_asked.1": N_("Channel %(channel_id)s: %(count)s deliveries are sent again"),
    "delivery.replay_cancelled.1": N_("Channel %(channel_id)s: sending again was cancelled"),
    "staff.created.1": N_("%(full_name)s (%(email)s) came"),
    "staff.changed.1": N_("The profile of %(full_name)s was changed"),
    "staff.role_changed.1": N_("%(staff_id)s: role %(old)s → %(new)s"),
    "staff.disabled.1": N_("%(staff_id)s was disabled"),
    "staff.enabled.1": N_("%(staff_id)s was enabled"),
    "staff.deleted.1": N_("%(staff_id)s was deleted"),
    "staff.cases_handed_over.1": N_("%(staff_id)s: the cases were handed over"),
    "staff.status_changed.1": N_("%(staff_id)s chose another status"),
    "staff.key_issued.1": N_("%(staff_id)s got the API key “%(name)s”"),
    "staff.key_revoked.1": N_("%(staff_id)s lost an API key"),
    "staff.second_factor_turned_on.1": N_("%(staff_id)s turned the second step of signing in on"),
    "staff.second_factor_turned_off.1": N_(
        "The second step of signing in of %(staff_id)s was turned off"
    ),
    "staff.invited.1": N_("%(staff_id)s got a link for a new password"),
    "staff.password_changed.1": N_("%(staff_id)s has a new password"),
    "staff.recovery_code_used.1": N_("%(staff_id)s signed in with a recovery code"),
    "staff.recovery_codes_renewed.1": N_("%(staff_id)s made new recovery codes"),
    "administrators.appointed.1": N_("%(staff_id)s administers"),
    "administrators.stood_down.1": N_("%(staff_id)s does not administer any more"),
    "role.created.1": N_("Role “%(title)s” was made"),
    "role.changed.1": N_("Role “%(title)s” was changed"),
    "role.deleted.1": N_("Role %(role_id)s was deleted"),
    "role_holders.given.1": N_("%(staff_id)s has the role %(role_id)s"),
    "role_holders.taken.1": N_("%(staff_id)s has the role %(role_id)s no more"),
    "group.created.1": N_("Group “%(title)s” was made"),
    "group.changed.1": N_("Group “%(title)s” was changed"),
    "group.disabled.1": N_("Group %(group_id)s was disabled"),
    "group.enabled.1": N_("Group %(group_id)s was enabled"),
    "group.deleted.1": N_("Group %(group_id)s was deleted"),
    "group.cases_handed_over.1": N_("Group %(group_id)s: the cases were handed over"),
    "rule.created.1": N_("Rule “%(title)s” was made"),
    "rule.changed.1": N_("Rule “%(title)s” was changed"),
    "rule.fired.1": N_("Case %(case_id)s: rule %(rule_id)s ran"),
    "rule.loop_cut.1": N_("Case %(case_id)s: rule %(rule_id)s was stopped, it went in circles"),
    "rule.webhook_called.1": N_("Rule %(rule_id)s called a webhook"),
    "rule.webhook_secret_made.1": N_("Rule %(rule_id)s: a new signing secret of a webhook"),
    "rule.webhook_secret_revoked.1": N_(
        "Rule %(rule_id)s: a signing secret of a webhook was revoked"
    ),
    "rule.disabled.1": N_("Rule %(rule_id)s was disabled"),
    "rule.enabled.1": N_("Rule %(rule_id)s was enabled"),
    "rule.deleted.1": N_("Rule %(rule_id)s was deleted"),
    "rules.ordered.1": N_("The rules were put into another order"),
    "macro.created.1": N_("Macro “%(title)s” was made"),
    "macro.changed.1": N_("Macro “%(title)s” was changed"),
    "macro.deleted.1": N_("Macro %(macro_id)s was deleted"),
    "label.created.1": N_("Label “%(title)s” was made"),
    "label.renamed.1": N_("A label is called “%(title)s” now"),
    "label.deleted.1": N_("Label %(label_id)s was deleted"),
    "custom_field.created.1": N_("Custom field “%(title)s” was made"),
    "custom_field.changed.1": N_("Custom field “%(title)s” was changed"),
    "custom_field.disabled.1": N_("Custom field %(field_id)s was disabled"),
    "custom_field.enabled.1": N_("Custom field %(field_id)s was enabled"),
    "custom_field.deleted.1": N_("Custom field %(field_id)s was deleted"),
    "filter.created.1": N_("Filter “%(title)s” was made"),
    "filter.changed.1": N_("Filter “%(title)s” was changed"),
    "filter.deleted.1": N_("Filter %(filter_id)s was deleted"),
    "business_hours.set.1": N_("Business hours “%(title)s” were set"),
    "business_hours.deleted.1": N_("Business hours %(business_hours_id)s were deleted"),
    "response_target.set.1": N_("Response target %(response_target_id)s was set"),
    "response_target.deleted.1": N_("Response target %(response_target_id)s was deleted"),
    "language.set.1": N_("Language “%(title)s” was set"),
    "company.created.1": N_("Company “%(name)s” was made"),
    "company.changed.1": N_("Company “%(name)s” was changed"),
    "company.blocked.1": N_("Company %(company_id)s was blocked"),
    "company.disabled.1": N_("Company %(company_id)s was disabled"),
    "company.restored.1": N_("Company %(company_id)s was restored"),
    "company.deleted.1": N_("Company %(company_id)s was deleted"),
}

WORDS: Final[Mapping[str, str]] = {
    "open": N_("Open"),
    "waiting": N_("Waiting"),
    "closed": N_("Closed"),
    "low": N_("Low"),
    "normal": N_("Normal"),
    "high": N_("High"),
    "critical": N_("Critical"),
}
RATINGS: Final[Mapping[str, str]] = {
    "low": N_("Bad"),
    "middle": N_("Middling"),
    "high": N_("Good"),
}
BUILT_IN_ROLES: Final[Mapping[int, str]] = {
    OWNER: N_("Owner"),
    ADMINISTRATOR: N_("Administrator"),
    STAFF_ROLE: N_("Staff member"),
}
OLD_AND_NEW: Final[Mapping[str, str]] = {
    "case.assigned.1": "staff_id",
    "case.chat_transferred.1": "staff_id",
    "case.group_changed.1": "group_id",
    "case.status_changed.1": "word",
    "case.priority_changed.1": "word",
    "staff.role_changed.1": "role_id",
}
"""What the fields `old` and `new` hold where it is no text."""
NUMBERED: Final = frozenset(
    {
        "business_hours_id",
        "company_id",
        "field_id",
        "filter_id",
        "label_id",
        "macro_id",
        "response_target_id",
    }
)
"""Ids that stand for nothing that has a name any more, or for what the page does not look up."""


class Names(NamedTuple):
    """What ids are called."""

    sidebar: Sidebar
    roles: Mapping[int, str]
    """Own ones."""
    rules: Mapping[int, str]
    translate: Callable[[str], str]

    def of_staff(self, staff_id: int) -> str:
        row = self.sidebar.staff.get(staff_id)
        if row is None:
            return f"#{staff_id}" if staff_id else self.translate(NOBODY)
        return row.full_name or row.email

    def of_author(self, who: str) -> str:
        """`staff:1`, `rule:3`, `user:2`, `system`."""
        kind, _, number = who.partition(":")
        match kind:
            case "staff":
                return self.of_staff(int(number))
            case "rule":
                title = self.rules.get(int(number), f"#{number}")
                return self.translate(RULE) % {"title": title}
            case "user":
                return self.translate(USER) % {"user_id": number}
        return self.translate(SYSTEM)

    def of_role(self, role_id: int) -> str:
        if role_id in BUILT_IN_ROLES:
            return self.translate(BUILT_IN_ROLES[role_id])
        return self.roles.get(role_id, f"#{role_id}")

    def of(self, field: str, value: Any) -> str:
        """What a field of an event says."""
        match field:
            case "case_id" | "parent_case_id" | "child_case_id":
                return case_number(value) if value else NOTHING
            case "staff_id" | "replace_staff_id" | "rated_staff_id":
                return self.of_staff(value)
            case "group_id":
                group = self.sidebar.groups.get(value)
                return group.title if group else f"#{value}" if value else NOTHING
            case "channel_id":
                if not value:
                    return self.translate(STANDARD)
                if value < 0:
                    return self.translate(WEBHOOK)
                channel = self.sidebar.channels.get(channel_key(value))
                return channel.title if channel else channel_key(value)
            case "role_id":
                return self.of_role(value)
            case "rule_id":
                return self.rules.get(value, f"#{value}")
            case _ if field in NUMBERED:
                return f"#{value}"
            case "word":
                return self.translate(WORDS[value]) if value in WORDS else str(value)
            case "rating":
                return self.translate(RATINGS[value]) if value in RATINGS else NOTHING
            case "added" | "removed":
                labels = self.sidebar.labels
                called = [labels[each].title if each in labels else f"#{each}" for each in value]
                return ", ".join(called) or NOTHING
        if isinstance(value, Mapping):
            return "; ".join(f"{key}: {each}" for key, each in value.items())[:LONGEST]
        text = " ".join(str(value).split())
        return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def sentence_of(event: Event, names: Names) -> str:
    """ "" of a type that has none."""
    sentence = SENTENCES.get(event.NAME)
    if sentence is None:
        return ""
    kind = OLD_AND_NEW.get(event.NAME, "")
    values = {
        field: names.of(kind if kind and field in ("old", "new") else field, getattr(event, field))
        for field in event.__struct_fields__
    }
    return (names.translate(sentence) % values).strip()
