"""What is refused, in the reader's language: by its code, and what is wrong with a field by the sentence that the API says of it.

Every code that can come of a page stands here; tests/http/pages/test_refusals.py looks for those that do not.
"""

import re
from typing import Final

from jinja2 import pass_context
from jinja2.runtime import Context

from kanal.http.errors import ApiError
from kanal.http.pages import wording
from kanal.http.pages.wording import N_

REASONS: Final = {
    # What is not there
    "channel_not_found": N_("There is no such channel, or it is not for you."),
    "case_not_found": N_("There is no such case, or it was deleted for good."),
    "message_not_found": N_("There is no such message any more."),
    "user_not_found": N_("There is no such person any more."),
    "staff_not_found": N_("There is no such staff member any more."),
    "group_not_found": N_("There is no such group any more."),
    "filter_not_found": N_("There is no such filter any more."),
    "company_not_found": N_("There is no such company any more."),
    "macro_not_found": N_("There is no such macro any more, or it is somebody else's."),
    "rule_not_found": N_("There is no such rule any more."),
    "webhook_not_found": N_("The rule has no such webhook any more."),
    "event_not_found": N_("There is no such event, or it is not for you."),
    "label_not_found": N_("There is no such label any more."),
    "incorrect_labels": N_("There is no such label any more."),
    "delivery_not_found": N_("There is no such delivery, or it is not for you."),
    "shadow_not_found": N_("The channel has no second receiver."),
    "secret_not_found": N_("There is no such secret any more."),
    "replay_not_found": N_("There is no such replay."),
    "custom_field_not_found": N_("There is no such field any more."),
    "language_not_found": N_("There is no such language."),
    "business_hours_not_found": N_("There are no such business hours any more."),
    "response_target_not_found": N_("There is no such target any more."),
    "role_not_found": N_("There is no such role."),
    "key_not_found": N_("There is no such API key any more."),
    "path_not_found": N_("There is no such page."),
    # What one may not
    "staff_has_not_access": N_("Your role does not allow this."),
    "user_has_not_access": N_("The case belongs to somebody with whom this person is not linked."),
    "foreign_form": N_(
        "This form does not come from a page of this session. Load the page anew and try again."
    ),
    "second_step_required": N_(
        "Everybody here needs it: set it up, and all pages are open to you."
    ),
    "signed_out": N_("You are not signed in any more."),
    # What others have already
    "email_already_exist": N_("Somebody else has this e-mail already."),
    "phone_already_exist": N_("Somebody else has this phone number already."),
    "user_custom_id_already_exist": N_("Somebody else on this channel has this id already."),
    "identity_already_exist": N_("Somebody else has this id already."),
    "company_name_already_exist": N_("Another company has this name already."),
    "company_domain_already_exist": N_("Another company has this domain already."),
    "business_hours_already_exist": N_(
        "These groups, or the account, have business hours already."
    ),
    "label_title_already_exist": N_("There is such a label already."),
    # Channels and what goes out
    "channel_disabled": N_("The channel is disabled."),
    "channel_deleted": N_("The channel was deleted."),
    "webhook_url_required": N_(
        "A channel needs a Webhook URL, unless its receiver asks for messages."
    ),
    "webhook_url_refused": N_("This address cannot be called."),
    "channel_polled": N_(
        "The receiver of this channel asks for what goes out: it asks once more from an earlier cursor."
    ),
    "too_many_secrets": N_("There are as many secrets as there may be: end one first."),
    "newest_secret": N_("The newest secret stays, since webhooks are always signed."),
    "delivery_has_ended": N_("It has ended meanwhile."),
    "delivery_has_not_ended": N_("It has not ended yet: it goes out by itself, or is held."),
    "delivery_waits": N_("It cannot go before what stands in front of it."),
    # Cases and messages
    "content_required": N_("Write something, or add a file."),
    "message_is_sent": N_("It has gone out already."),
    "draft_too_long": N_("This is too long to be kept as a draft."),
    "cannot_merge": N_(
        "These cases cannot be merged: both must be of one person on one channel, neither merged already, and nothing merged into this one."
    ),
    "case_is_not_a_chat": N_("This case is no chat."),
    "chat_already_accepted": N_("Somebody else has taken this chat."),
    "chat_completed": N_("This chat is completed. It opens again when the customer writes."),
    "staff_not_active": N_("This staff member is disabled."),
    "group_not_active": N_("That group is switched off."),
    "user_custom_id_required": N_("Give the id that the person has on this channel."),
    "channel_required": N_("Choose a channel for this id."),
    "user_identity_required": N_("Give an e-mail, a phone number or an id."),
    "incorrect_channel": N_("There is no such channel any more."),
    "incorrect_custom_fields": N_("A field does not take this value."),
    "too_many_cases": N_("These are too many cases at once."),
    "file_too_large": N_("A file is too large."),
    "files_too_large": N_("The files together are too large."),
    "too_many_files": N_("These are too many files."),
    "body_too_large": N_("This is too much at once."),
    # Rules, hours, fields
    "incorrect_rule": N_("Something in this rule is not as it should be."),
    "webhook_body_too_long": N_("With its variables filled, the body is too long."),
    "webhook_removed": N_("This webhook belongs to no rule any more."),
    "too_many_rules": N_("There are as many rules as there may be."),
    "too_many_business_hours": N_("There are as many business hours as there may be."),
    "too_many_response_targets": N_("There are as many targets as there may be."),
    "field_data_required": N_("A choice needs at least one option."),
    "field_data_key_taken": N_(
        "An option that was taken away meanwhile comes back as it was called, or as a further one."
    ),
    "replacement_required": N_(
        "There are cases in this group that are not closed: say which group gets them."
    ),
    "incorrect_replacement": N_("A group cannot hand its cases to itself."),
    "what_if_busy": N_("Others are trying rules at this moment. Try again in half a minute."),
    "what_if_too_long": N_("This takes too long: ask about fewer days."),
    # Staff, roles, signing in
    "last_administrator": N_("Somebody must remain who administers."),
    "last_owner": N_("Somebody must remain who owns the account."),
    "role_in_use": N_("Somebody has this role: choose which one they get."),
    "role_fixed": N_("This role is built in and stays as it is."),
    "title_required": N_("A role has a title of up to 255 characters."),
    "invitation_void": N_("This link was used, has expired, or was replaced by a newer one."),
    "weak_password": N_("The password is too short."),
    "passwords_differ": N_("The two passwords are not the same."),
    "wrong_password": N_("That is not your password."),
    "throttled": N_("Too many attempts. Try again in some minutes."),
    "busy": N_("Too many people are signing in at the moment. Try again soon."),
    # What was sent
    "refused": N_("This has changed meanwhile. Look at it again."),
    "invalid_parameters": N_("Something in this form is not as it should be."),
    "too_long": N_("Something in this form is too long."),
    "content_too_long": N_("This text is too long."),
    "wrong_email": N_("This is no e-mail address."),
    "wrong_phone": N_("This is no phone number. It is best written with the code of its country."),
    "wrong_date": N_("This is no date."),
    "invalid_encoding": N_("This form cannot be read."),
    "malformed_body": N_("This form cannot be read."),
    "malformed_multipart": N_("This form cannot be read."),
    "invalid_character": N_("This form holds a character that cannot be kept."),
    "too_many_fields": N_("This form has more fields than any that Kanal shows."),
    "bad_request": N_("This form cannot be read."),
    "log_unavailable": N_("Nothing can be saved at the moment. Try again soon."),
}
"""Code of a refusal -> what the page says."""

FAULTS: Final = {
    "is required": N_("This is needed."),
    "is required%(rest)s": N_("This is needed."),
    "must be a text": N_("This must be a text."),
    "must be a whole number": N_("This must be a whole number."),
    "must be an id": N_("This must be a number from 0 on."),
    "must be true or false": N_("Choose yes or no."),
    "must be at least %(n)s": N_("This must be at least %(n)s."),
    "must be at most %(n)s in this installation": N_("This must be at most %(n)s."),
    "must be at most %(n)s": N_("This must be at most %(n)s."),
    "may be up to %(n)s": N_("This must be at most %(n)s."),
    "must be '%(rest)s": N_("Choose one of them."),
    "may have up to %(n)s characters": N_("This may have up to %(n)s characters."),
    "may have up to %(n)s octets of UTF-8": N_("This text is too long."),
    "may have up to %(n)s MB": N_("This may have up to %(n)s MB."),
    "may have up to %(n)s e-mail addresses": N_("These are too many: there may be up to %(n)s."),
    "may have up to %(n)s addresses": N_("These are too many: there may be up to %(n)s."),
    "may have up to %(n)s channels": N_("These are too many: there may be up to %(n)s."),
    "may have up to %(n)s conditions": N_("These are too many: there may be up to %(n)s."),
    "may have up to %(n)s days": N_("These are too many: there may be up to %(n)s."),
    "may have up to %(n)s groups": N_("These are too many: there may be up to %(n)s."),
    "may have up to %(n)s spans": N_("These are too many: there may be up to %(n)s."),
    "may name up to %(n)s": N_("These are too many: there may be up to %(n)s."),
    "may name up to %(n)s fields": N_("These are too many: there may be up to %(n)s."),
    "may name up to %(n)s labels": N_("These are too many: there may be up to %(n)s."),
    "may name up to %(n)s rules": N_("These are too many: there may be up to %(n)s."),
    "there may be up to %(n)s": N_("These are too many: there may be up to %(n)s."),
    "must not be blank": N_("This is needed."),
    "must be an e-mail address": N_("This is no e-mail address."),
    "must be e-mail addresses, joined by commas": N_("This is no e-mail address."),
    "must be domains of e-mails, such as example.com": N_("Write domains such as example.com."),
    "must be a phone number, %(rest)s": N_(
        "This is no phone number. It is best written with the code of its country."
    ),
    "must be a date of the calendar": N_("There is no such day."),
    "must be a date such as 2021-12-01": N_("This is no date."),
    "must be a date and a time": N_("This is no date with a time."),
    "must be a Unix timestamp %(rest)s": N_("This is no date with a time."),
    "must be a time between 1900 and 9999; %(rest)s": N_("This is no date with a time."),
    "must be a time zone such as Europe/Berlin": N_("Write a time zone such as Europe/Berlin."),
    "must be dates such as 2026-05-09, %(rest)s": N_(
        "Write days such as 2026-05-09, or 05-09 for every year."
    ),
    "%(day)s must have hours like 09:00-18:00%(rest)s": N_("Write hours such as 09:00-18:00."),
    "must be a key of the field's field_data": N_("Choose one of them."),
    "is the key of an option that was taken away": N_(
        "An option that was taken away meanwhile comes back as it was called, or as a further one."
    ),
    "must be later than from_time": N_("The end must come after the beginning."),
    "must be an hour to three months after from_time": N_(
        "The period must last from an hour to three months."
    ),
    "may be up to %(n)s days, grouped like this": N_(
        "Grouped like this, a period has up to %(n)s days."
    ),
    "is still to come": N_("This time is still to come."),
    "must have 1 to %(n)s actions": N_("There must be at least one action, and at most %(n)s."),
    "may be nested up to %(n)s deep": N_("Groups may stand within each other up to %(n)s deep."),
    "content is required": N_("Write the text of the note."),
    "value must be a text": N_("Say with what it is compared."),
    "value must be a number, or several where there may be": N_("This must be a whole number."),
    "value must be true or false": N_("Choose yes or no."),
    "value may have up to %(n)s characters": N_("This may have up to %(n)s characters."),
    "value is no pattern: %(rest)s": N_("This is no pattern: %(rest)s"),
    "value must be 1 to %(n)s %(rest)s": N_("Choose at least one."),
    "value must be of %(rest)s": N_("Choose one of them."),
    "value must be channels like cch1 or email": N_("There is no such channel any more."),
    "must be channels like cch1 or email": N_("There is no such channel any more."),
    "value %(ids)s does not exist": N_("What is chosen here is not there any more."),
    "field is no custom field": N_("There is no such field any more."),
    "field change is for rules of the kind changed": N_(
        "Rules of this kind do not know what was changed."
    ),
    "field %(name)s is not for rules of the kind timed": N_(
        "Rules about time cannot ask for this."
    ),
    "is for rules of the kind timed": N_("Only rules about time have this."),
    "is for response targets": N_("Only rules about response targets have this."),
    "is required for rules of the kind timed": N_("This is needed."),
    "cannot have after_minutes and before_minutes": N_(
        "It runs so long before, or so long after, not both."
    ),
    "is no channel": N_("There is no such channel any more."),
    "is no case": N_("There is no such case."),
    "There is no case %(rest)s": N_("There is no such case."),
    "is no active custom field": N_("There is no such field any more."),
    "names what is not there: %(rest)s": N_("What is chosen here is not there any more."),
    "action_destination must be the text, or an object of texts by language_id": N_(
        "Write the text of the message."
    ),
    "action_destination must be the text of the reply": N_("Write the text of the message."),
    "action_destination may have up to %(n)s octets of UTF-8": N_("This text is too long."),
    "action_destination must be a text of up to %(n)s characters": N_(
        "Write a subject of up to %(n)s characters."
    ),
    "action_destination must be an id, 0 for nobody": N_("Choose one of them."),
    "action_destination must be 1 %(rest)s": N_("Choose at least one."),
    "action_destination must be low, %(rest)s": N_("Choose one of them."),
    "action_destination must be an object of values %(rest)s": N_("Fill in at least one field."),
    "action_destination cannot be me: a rule is nobody": N_("A rule is nobody: choose somebody."),
    "action_destination: url is required": N_("Give the address that is called."),
    "action_destination: url names %(name)s, which is no variable": N_(
        "The address names %(name)s, which is no variable."
    ),
    "action_destination: url must be an address whose host holds no variable": N_(
        "Give an address with a host that holds no variable."
    ),
    "action_destination: body is not for %(method)s": N_("%(method)s has no body."),
    "action_destination: body may have up to %(n)s octets": N_("The body is too long."),
    "action_destination: body must be JSON, %(rest)s": N_(
        "The body must be JSON, with [variables] in place of values or in texts."
    ),
    "action_destination: body must be an object of %(rest)s": N_(
        "The body must be pairs of names and texts."
    ),
    "action_destination: headers%(rest)s": N_(
        "A header has a name of letters, digits and hyphens that Kanal does not set itself, and a value."
    ),
    "webhook_id is none of this rule's, or there twice": N_(
        "The rule has no such webhook any more."
    ),
    "'%(name)s' is not a name of up to %(n)s letters, digits and hyphens%(rest)s": N_(
        "A header has a name of letters, digits and hyphens that Kanal does not set itself, and a value."
    ),
    "'%(name)s' is set by Kanal or belongs to the connection%(rest)s": N_(
        "A header has a name of letters, digits and hyphens that Kanal does not set itself, and a value."
    ),
    "the value of '%(name)s' must be 1 to %(n)s printable %(rest)s": N_(
        "The value of %(name)s must be printable ASCII without a blank at either end."
    ),
    "'%(name)s' is there twice%(rest)s": N_("%(name)s is there twice."),
    "together they may have up to %(n)s characters": N_(
        "Together they may have up to %(n)s characters."
    ),
    "'%(name)s' is not a network like %(rest)s": N_(
        "%(name)s is no network such as 10.1.0.0/16 or 2001:db8::/32."
    ),
    "'%(name)s' has bits behind its prefix: %(found)s would be the network%(rest)s": N_(
        "%(name)s has bits behind its prefix: %(found)s would be the network."
    ),
    "'%(name)s' must be written as a network of IPv4%(rest)s": N_(
        "%(name)s must be written as a network of IPv4."
    ),
    "%(address)s of the Webhook URL lies in none of webhook_networks": N_(
        "The Webhook URL (%(address)s) lies in none of these networks."
    ),
    "This Webhook URL cannot be called: it must start with http:// or https://.": N_(
        "The address must start with http:// or https://."
    ),
    "This Webhook URL cannot be called: it must not hold a user name or password.": N_(
        "The address must not hold a user name or password."
    ),
    "This Webhook URL cannot be called: it needs a host.": N_("The address needs a host."),
    "This Webhook URL cannot be called: it is longer %(rest)s": N_("The address is too long."),
    "This Webhook URL cannot be called: it holds %(rest)s": N_(
        "The address holds a character that it may not: a space, a backslash or a fragment (#…)."
    ),
    "This Webhook URL cannot be called: its %(rest)s": N_("Its host or port cannot be read."),
    "This Webhook URL cannot be called: %(host)s is not a valid %(rest)s": N_(
        "%(host)s is no host."
    ),
    "This Webhook URL cannot be called: %(host)s must be written as %(address)s.": N_(
        "%(host)s must be written as %(address)s."
    ),
    "This Webhook URL cannot be called: %(host)s is %(reason)s, which KANAL_WEBHOOK_ALLOW does not name.": N_(
        "%(host)s lies inside a network that may not be called from here (KANAL_WEBHOOK_ALLOW)."
    ),
    "%(host)s is %(reason)s, which KANAL_WEBHOOK_ALLOW does not name%(rest)s": N_(
        "%(host)s lies inside a network that may not be called from here (KANAL_WEBHOOK_ALLOW)."
    ),
}
"""What the API says of a field, with places, the narrower ones first -> what the page says beside it."""

PLACE: Final = re.compile(r"%\\\((\w+)\\\)s")
"""As `re.escape` leaves it."""


def _pattern(sentence: str) -> re.Pattern[str]:
    pattern = PLACE.sub(lambda place: f"(?P<{place[1]}>.*?)", re.escape(sentence))
    return re.compile(pattern, re.DOTALL)


BESIDE: Final = frozenset(
    {
        *("invalid_parameters", "incorrect_rule", "incorrect_custom_fields", "too_long"),
        "field_data_key_taken",
        *("content_too_long", "wrong_email", "wrong_phone", "wrong_date"),
    }
)
"""Codes of which everything is said beside the fields."""

PATTERNS: Final = {_pattern(sentence): said for sentence, said in FAULTS.items()}


@pass_context
def reason(context: Context, refused: ApiError) -> str:
    """What the page says of a refusal; of one that no form of a page can come to what the API says."""
    return _said(context, REASONS[refused.code]) if refused.code in REASONS else refused.message


@pass_context
def reason_of(context: Context, code: str, otherwise: str = "") -> str:
    return _said(context, REASONS[code]) if code in REASONS else otherwise


@pass_context
def fault(context: Context, sentence: str) -> str:
    """What is wrong with a field."""
    for pattern, said in PATTERNS.items():
        if found := pattern.fullmatch(sentence):
            return _said(context, said) % found.groupdict()
    return sentence


def _said(context: Context, sentence: str) -> str:
    return wording.translations(context["language"]).gettext(sentence)
