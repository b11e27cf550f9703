"""Everything the domain can refuse, as named errors with the code that the outside world knows.

    DomainError
    ├── NotFound
    │   ├── ChannelNotFound
    │   ├── CaseNotFound
    │   ├── MessageNotFound
    │   ├── UserNotFound
    │   ├── StaffNotFound
    │   ├── GroupNotFound
    │   ├── FilterNotFound
    │   ├── CompanyNotFound
    │   ├── MacroNotFound
    │   ├── RuleNotFound
    │   ├── RuleWebhookNotFound
    │   ├── EventNotFound
    │   ├── LabelNotFound
    │   ├── DeliveryNotFound
    │   ├── ShadowNotFound
    │   ├── SecretNotFound
    │   ├── NoticeNotFound
    │   ├── ReplayNotFound
    │   ├── StaffStatusNotFound
    │   ├── CustomFieldNotFound
    │   ├── LanguageNotFound
    │   ├── BusinessHoursNotFound
    │   ├── ResponseTargetNotFound
    │   ├── ClientEmailNotFound
    │   ├── RoleNotFound
    │   └── KeyNotFound
    ├── NotAllowed
    │   ├── NoRight
    │   ├── NoRightOnChannel
    │   ├── BeyondOwnRights
    │   ├── KeyIsLimited
    │   ├── KeyIsReadOnly
    │   ├── UserHasNoAccess
    │   └── KeyRevoked
    ├── Taken
    │   ├── EmailTaken
    │   ├── PhoneTaken
    │   ├── ExternalIdTaken
    │   ├── IdentityTaken
    │   ├── CompanyNameTaken
    │   ├── CompanyDomainTaken
    │   ├── BusinessHoursTaken
    │   └── LabelTitleTaken
    ├── ChannelDisabled
    ├── ChannelDeleted
    ├── WebhookUrlRequired
    ├── ChannelNotPolled
    ├── ChannelPolled
    ├── ChannelWithoutId
    ├── IdWithoutChannel
    ├── NoIdentity
    ├── WrongIdentificationCode
    ├── StaffNotActive
    ├── UnknownLabels
    ├── CannotMerge
    ├── GroupNotActive
    ├── SelfReplacement
    ├── TooManySecrets
    ├── NewestSecret
    ├── DeliveryHasEnded
    ├── DeliveryHasNotEnded
    ├── DeliveryWaits
    ├── DecidedMeanwhile
    ├── NotAChat
    ├── ChatTaken
    ├── ChatIsCompleted
    ├── StaffStatusFixed
    ├── NoOptions
    ├── OptionKeyTaken
    ├── WrongFieldValues
    ├── WrongRule
    ├── WebhookBodyTooLong
    ├── WebhookRemoved
    ├── TooManyRules
    ├── TooManyBusinessHours
    ├── TooManyResponseTargets
    ├── TargetWithoutTime
    ├── CreatedInFuture
    ├── MessageNotRateable
    ├── MessageIsSent
    ├── LastAdministrator
    ├── LastOwner
    ├── RoleFixed
    ├── RoleInUse
    └── IdempotencyKeyReused

The codes `case_not_found`, `staff_not_active`, `email_already_exist` and `phone_already_exist` are Omnidesk's.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar


class DomainError(Exception):
    """Root of all refusals; `str(error)` is one human sentence that says what to do."""

    code: ClassVar[str] = "refused"
    fields: Mapping[str, str] | None = None
    """What is wrong with each field that the caller gave, where it is one of those."""


class NotFound(DomainError):
    pass


class ChannelNotFound(NotFound):
    code = "channel_not_found"

    def __init__(self, channel: object) -> None:
        super().__init__(
            f"There is no channel {channel!s}. GET /api/custom_channels.json lists the channels."
        )


class CaseNotFound(NotFound):
    code = "case_not_found"

    def __init__(self, case_id: object) -> None:
        super().__init__(f"There is no case {case_id!s}, or it is deleted or in the trash.")


class MessageNotFound(NotFound):
    code = "message_not_found"

    def __init__(self, message_id: object) -> None:
        super().__init__(
            f"There is no message {message_id!s} in this case, or it is deleted. "
            "Notes are changed under /note, all other messages under /messages."
        )


class UserNotFound(NotFound):
    code = "user_not_found"

    def __init__(self, user_id: object) -> None:
        super().__init__(
            f"There is no user {user_id!s}. Use the user_id from the answer that opened the case."
        )


class StaffNotFound(NotFound):
    code = "staff_not_found"

    def __init__(self, staff_id: object) -> None:
        super().__init__(f"There is no staff member {staff_id!s}.")


class GroupNotFound(NotFound):
    code = "group_not_found"

    def __init__(self, group_id: object) -> None:
        super().__init__(f"There is no group {group_id!s}.")


class LabelNotFound(NotFound):
    code = "label_not_found"

    def __init__(self, label_id: object) -> None:
        super().__init__(f"There is no label {label_id!s}.")


class ShadowNotFound(NotFound):
    code = "shadow_not_found"

    def __init__(self, channel_id: int) -> None:
        super().__init__(
            f"Channel cch{channel_id} has no webhook_shadow_url, so nothing is compared."
        )


class DeliveryNotFound(NotFound):
    code = "delivery_not_found"

    def __init__(self, delivery_id: object) -> None:
        super().__init__(f"There is no delivery {delivery_id!s}.")


class SecretNotFound(NotFound):
    code = "secret_not_found"

    def __init__(self, fingerprint: str) -> None:
        super().__init__(f"The channel has no live secret with the fingerprint {fingerprint}.")


class NoticeNotFound(NotFound):
    code = "notice_not_found"

    def __init__(self, notice_id: object) -> None:
        super().__init__(f"There is no notice {notice_id!s}.")


class ReplayNotFound(NotFound):
    code = "replay_not_found"

    def __init__(self, replay_id: object) -> None:
        super().__init__(
            f"There is no replay {replay_id!s}. GET /api/replays.json lists the replays."
        )


class StaffStatusNotFound(NotFound):
    code = "staff_status_not_found"

    def __init__(self, status_id: object) -> None:
        super().__init__(
            f"There is no staff status {status_id!s} to choose. "
            "GET /api/staff_statuses.json lists them."
        )


class CustomFieldNotFound(NotFound):
    code = "custom_field_not_found"

    def __init__(self, field_id: object) -> None:
        super().__init__(f"There is no custom field {field_id!s}.")


class BusinessHoursNotFound(NotFound):
    code = "business_hours_not_found"

    def __init__(self, business_hours_id: object) -> None:
        super().__init__(
            f"There are no business hours {business_hours_id!s}. GET /api/business_hours.json lists them."
        )


class ResponseTargetNotFound(NotFound):
    code = "response_target_not_found"

    def __init__(self, response_target_id: object) -> None:
        super().__init__(
            f"There is no response target {response_target_id!s}. GET /api/response_targets.json lists them."
        )


class LanguageNotFound(NotFound):
    code = "language_not_found"

    def __init__(self, language_id: object) -> None:
        super().__init__(
            f"There is no language {language_id!s}. GET /api/languages.json lists the languages."
        )


class ClientEmailNotFound(NotFound):
    code = "client_email_not_found"

    def __init__(self, email_id: object) -> None:
        super().__init__(f"There is no e-mail address {email_id!s} of this account.")


class FilterNotFound(NotFound):
    code = "filter_not_found"

    def __init__(self, filter_id: object) -> None:
        super().__init__(
            f"There is no filter {filter_id!s}, or it is somebody else's. "
            "GET /api/filters.json lists the filters."
        )


class CompanyNotFound(NotFound):
    code = "company_not_found"

    def __init__(self, company_id: object) -> None:
        super().__init__(f"There is no company {company_id!s}.")


class MacroNotFound(NotFound):
    code = "macro_not_found"

    def __init__(self, macro_id: object) -> None:
        super().__init__(
            f"There is no macro {macro_id!s}, or it is somebody else's. "
            "GET /api/macros.json lists the macros."
        )


class KeyNotFound(NotFound):
    code = "key_not_found"

    def __init__(self, key_id: object) -> None:
        super().__init__(f"This staff member has no live API key {key_id!s}.")


class RoleNotFound(NotFound):
    code = "role_not_found"

    def __init__(self, role_id: object) -> None:
        super().__init__(f"There is no role {role_id!s}. GET /api/roles.json lists the roles.")


class NotAllowed(DomainError):
    pass


class RuleNotFound(NotFound):
    code = "rule_not_found"

    def __init__(self, rule_id: object) -> None:
        super().__init__(
            f"There is no rule {rule_id!s}, or it is deleted. GET /api/rules.json lists the rules."
        )


class EventNotFound(NotFound):
    code = "event_not_found"

    def __init__(self, position: object) -> None:
        super().__init__(f"There is no event at the position {position!s}.")


class NoRight(NotAllowed):
    code = "staff_has_not_access"

    def __init__(self, right: str) -> None:
        super().__init__(f"This call needs the right to {right}.")


class NoRightOnChannel(NotAllowed):
    code = "staff_has_not_access"

    def __init__(self, channel_id: int, right: str) -> None:
        channel = f"channel cch{channel_id}" if channel_id else "the standard channels"
        super().__init__(f"This call needs, on {channel}, the right to {right}.")


class BeyondOwnRights(NotAllowed):
    code = "staff_has_not_access"

    def __init__(self) -> None:
        super().__init__(
            "This is for somebody who may at least as much: nobody gives rights that they have not, "
            "or acts upon a colleague who has more."
        )


class KeyIsLimited(NotAllowed):
    code = "staff_has_not_access"

    def __init__(self) -> None:
        super().__init__(
            "This API key is limited to reading, to channels or in time: keys are made and revoked with one that is not."
        )


class KeyIsReadOnly(NotAllowed):
    code = "staff_has_not_access"

    def __init__(self) -> None:
        super().__init__(
            "This API key only reads: use another one for calls that change something."
        )


class UserHasNoAccess(NotAllowed):
    code = "user_has_not_access"

    def __init__(self, user_id: int, case_id: int) -> None:
        super().__init__(
            f"User {user_id} may not write to case {case_id}: "
            "it belongs to a user with whom this one is not linked."
        )


class KeyRevoked(NotAllowed):
    code = "unauthorized"

    def __init__(self) -> None:
        super().__init__(
            "This API key has been revoked or has expired. Ask an administrator for a new one."
        )


class Taken(DomainError):
    pass


class EmailTaken(Taken):
    code = "email_already_exist"

    def __init__(self) -> None:
        super().__init__("This e-mail already belongs to somebody else.")


class PhoneTaken(Taken):
    code = "phone_already_exist"

    def __init__(self) -> None:
        super().__init__("This phone number already belongs to another user.")


class ExternalIdTaken(Taken):
    code = "user_custom_id_already_exist"

    def __init__(self, user_id: int) -> None:
        super().__init__(f"This user_custom_id is already user {user_id} of this channel.")


class LabelTitleTaken(Taken):
    code = "label_title_already_exist"

    def __init__(self, label_id: int) -> None:
        super().__init__(f"Label {label_id} has this title already.")


class BusinessHoursTaken(Taken):
    code = "business_hours_already_exist"

    def __init__(self, business_hours_id: int, group_id: int) -> None:
        """`group_id`: which group has them already, 0 for the account."""
        whose = f"of group {group_id}" if group_id else "of the account"
        super().__init__(f"Business hours {business_hours_id} are those {whose} already.")
        self.fields = {"group_ids": f"business hours {business_hours_id} are those {whose}"}


class IdentityTaken(Taken):
    code = "identity_already_exist"

    def __init__(self, type_: str, user_id: int) -> None:
        super().__init__(f"This {type_} identity is already user {user_id}.")


class CompanyNameTaken(Taken):
    code = "company_name_already_exist"

    def __init__(self, company_id: int) -> None:
        super().__init__(f"Company {company_id} has this name already.")


class CompanyDomainTaken(Taken):
    code = "company_domain_already_exist"

    def __init__(self, domain: str, company_id: int) -> None:
        super().__init__(f"Company {company_id} has the domain {domain} already.")


class ChannelDisabled(DomainError):
    code = "channel_disabled"

    def __init__(self, channel_id: int) -> None:
        super().__init__(
            f"Channel cch{channel_id} is disabled: users cannot write until it is enabled again."
        )


class ChannelDeleted(DomainError):
    code = "channel_deleted"

    def __init__(self, channel_id: int) -> None:
        super().__init__(
            f"Channel cch{channel_id} is deleted: nobody writes there and nothing is sent any more."
        )


class TooManySecrets(DomainError):
    code = "too_many_secrets"

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"A channel has up to {limit} live secrets: delete one, or wait until one expires."
        )


class NewestSecret(DomainError):
    code = "newest_secret"

    def __init__(self, fingerprint: str) -> None:
        super().__init__(
            f"Secret {fingerprint} is the newest, and webhooks are always signed: make another one first, "
            "with expires_in_hours 0 if this one must not sign any more."
        )


class DeliveryHasEnded(DomainError):
    code = "delivery_has_ended"

    def __init__(self, delivery_id: str, how: str, advice: str) -> None:
        super().__init__(f"Delivery {delivery_id} is {how}. {advice}")


class DeliveryHasNotEnded(DomainError):
    code = "delivery_has_not_ended"

    def __init__(self, delivery_id: str) -> None:
        super().__init__(
            f"Delivery {delivery_id} has not ended: it goes out by itself, or is held. "
            f"PUT /api/deliveries/{delivery_id}/retry.json sends it now."
        )


class DeliveryWaits(DomainError):
    code = "delivery_waits"

    def __init__(self, delivery_id: str, behind: str) -> None:
        super().__init__(
            f"Delivery {delivery_id} waits behind {behind}, since its queue is sent in order. "
            "Retry, release or skip that one."
        )


class WebhookUrlRequired(DomainError):
    code = "webhook_url_required"

    def __init__(self) -> None:
        super().__init__(
            "Give webhook_url, or webhook_polling if the receiver asks for what goes out."
        )
        self.fields = {"webhook_url": "is required unless webhook_polling is true"}


class ChannelNotPolled(DomainError):
    code = "channel_not_polled"

    def __init__(self, channel_id: int) -> None:
        super().__init__(
            f"What goes out on channel cch{channel_id} is POSTed to its Webhook URL, whose answer says that it has "
            "arrived; only with webhook_polling it is acknowledged."
        )


class ChannelPolled(DomainError):
    code = "channel_polled"

    def __init__(self, channel_id: int) -> None:
        super().__init__(
            f"The receiver of channel cch{channel_id} asks for what goes out there: it gets it once more by asking "
            f"from an earlier cursor, GET /api/custom_channels/{channel_id}/outbox.json?after=..."
        )


class ChannelWithoutId(DomainError):
    code = "user_custom_id_required"

    def __init__(self, channel_id: int) -> None:
        self.fields = {"user_custom_id": "is required on a custom channel"}
        super().__init__(
            f"Channel cch{channel_id} is a custom channel: give user_custom_id, "
            "the user's id in your own system."
        )


class IdWithoutChannel(DomainError):
    code = "channel_required"

    def __init__(self) -> None:
        self.fields = {"channel": "is required with user_custom_id"}
        super().__init__(
            "user_custom_id is an id within one custom channel: "
            "give its channel_api_key (cch...) as channel."
        )


class NoIdentity(DomainError):
    code = "user_identity_required"

    def __init__(self) -> None:
        super().__init__(
            "Say who the user is: user_custom_id with a custom channel, user_email, user_phone, "
            "or the id in a messenger, such as user_telegram."
        )


class WrongIdentificationCode(DomainError):
    code = "wrong_identification_code"

    def __init__(self) -> None:
        super().__init__(
            "This user_identification_code is not one of Kanal's, has expired, or its user is deleted. "
            "POST /api/users/identification.json makes a new one."
        )


class StaffNotActive(DomainError):
    code = "staff_not_active"

    def __init__(self, staff_id: int) -> None:
        super().__init__(f"Staff member {staff_id} is disabled and cannot write or be assigned.")


class UnknownLabels(DomainError):
    code = "incorrect_labels"

    def __init__(self, label_ids: Sequence[int]) -> None:
        super().__init__(
            f"There is no label {', '.join(map(str, label_ids))}. "
            "GET /api/labels.json lists the labels."
        )


class CannotMerge(DomainError):
    code = "cannot_merge"


class GroupNotActive(DomainError):
    code = "group_not_active"

    def __init__(self, group_id: int) -> None:
        super().__init__(f"Group {group_id} is disabled and cannot get cases.")


class SelfReplacement(DomainError):
    code = "incorrect_replacement"

    def __init__(self) -> None:
        super().__init__("Name somebody else as the replacement, not the one who leaves.")


class DecidedMeanwhile(DomainError):
    """Whoever decides looks again, so nobody outside sees it."""

    def __init__(self, delivery_id: str) -> None:
        super().__init__(f"Delivery {delivery_id} is not any more what the decision was made on.")


class NotAChat(DomainError):
    code = "case_is_not_a_chat"

    def __init__(self, case_id: int) -> None:
        super().__init__(f"Case {case_id} is not a chat: its channel was not of the type sync.")


class ChatTaken(DomainError):
    code = "chat_already_accepted"

    def __init__(self, case_id: int, staff_id: int) -> None:
        super().__init__(
            f"The chat of case {case_id} is with staff member {staff_id}. "
            "Assign the case to take it over."
        )


class ChatIsCompleted(DomainError):
    code = "chat_completed"

    def __init__(self, case_id: int) -> None:
        super().__init__(
            f"The chat of case {case_id} is completed: it opens again when the user writes."
        )


class StaffStatusFixed(DomainError):
    code = "staff_status_fixed"

    def __init__(self, status_id: int) -> None:
        super().__init__(f"Staff status {status_id} is built in and cannot be changed.")


class NoOptions(DomainError):
    code = "field_data_required"

    def __init__(self) -> None:
        super().__init__('A select needs field_data: {"1": "First choice", "2": "Second choice"}.')


class OptionKeyTaken(DomainError):
    code = "field_data_key_taken"

    def __init__(self, key: str, title: str) -> None:
        self.fields = {f"field_data.{key}": "is the key of an option that was taken away"}
        super().__init__(
            f'The key {key} is that of "{title}", which was taken away and which some may still have: '
            "a new option needs another key."
        )


class WrongFieldValues(DomainError):
    code = "incorrect_custom_fields"

    def __init__(self, wrong: Mapping[str, str]) -> None:
        self.fields = {f"custom_fields.{key}": words for key, words in wrong.items()}
        super().__init__("; ".join(f"{name} {words}" for name, words in self.fields.items()) + ".")


class WrongRule(DomainError):
    code = "incorrect_rule"

    def __init__(self, wrong: Mapping[str, str]) -> None:
        """`wrong`: place in the rule (`conditions.all.0.value`) -> what is wrong there."""
        self.fields = dict(wrong)
        super().__init__("; ".join(f"{place} {words}" for place, words in wrong.items()) + ".")


class TooManyBusinessHours(DomainError):
    code = "too_many_business_hours"

    def __init__(self, most: int) -> None:
        super().__init__(f"There are {most} already: delete some that are needed no more.")


class TooManyResponseTargets(DomainError):
    code = "too_many_response_targets"

    def __init__(self, most: int) -> None:
        super().__init__(f"There are {most} already: delete some that are needed no more.")


class TargetWithoutTime(DomainError):
    code = "invalid_parameters"

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(f"Give at least one of {', '.join(names)}.")
        self.fields = dict.fromkeys(names, "is required, or one of the others")


class WebhookBodyTooLong(DomainError):
    code = "webhook_body_too_long"

    def __init__(self, most: int) -> None:
        super().__init__(f"With its variables filled, the body has more than {most} octets.")


class WebhookRemoved(DomainError):
    code = "webhook_removed"

    def __init__(self, webhook_id: int) -> None:
        super().__init__(
            f"Webhook {webhook_id} belongs to no rule any more: nothing is sent there."
        )


class RuleWebhookNotFound(NotFound):
    code = "webhook_not_found"

    def __init__(self, webhook_id: object) -> None:
        super().__init__(f"The rule has no webhook {webhook_id}.")


class TooManyRules(DomainError):
    code = "too_many_rules"

    def __init__(self, most: int) -> None:
        super().__init__(f"There are {most} rules already: delete one that is needed no more.")


class CreatedInFuture(DomainError):
    code = "wrong_date"

    def __init__(self) -> None:
        self.fields = {"created_at": "is still to come"}
        super().__init__(
            "created_at is still to come: it is for what was written earlier. "
            "To send a reply later, use send_at."
        )


class MessageNotRateable(DomainError):
    code = "message_not_rateable"

    def __init__(self, message_id: int) -> None:
        super().__init__(
            f"Message {message_id} cannot be rated: only replies of staff that have been sent can."
        )


class MessageIsSent(DomainError):
    code = "message_is_sent"

    def __init__(self, message_id: int) -> None:
        super().__init__(f"Message {message_id} has gone out already.")


class LastAdministrator(DomainError):
    code = "last_administrator"

    def __init__(self) -> None:
        super().__init__(
            "This is the last active administrator with a key: make another one first."
        )


class LastOwner(DomainError):
    code = "last_owner"

    def __init__(self) -> None:
        super().__init__("This is the last active owner with a key: make another one first.")


class RoleFixed(DomainError):
    code = "role_fixed"

    def __init__(self, role_id: int) -> None:
        super().__init__(f"Role {role_id} is built in and stays as it is: make one of your own.")


class RoleInUse(DomainError):
    code = "role_in_use"

    def __init__(self, role_id: int, staff_ids: Sequence[int]) -> None:
        super().__init__(
            f"Role {role_id} is that of staff {', '.join(map(str, staff_ids))}: give them another one first."
        )


class IdempotencyKeyReused(DomainError):
    code = "idempotency_key_reused"

    def __init__(self) -> None:
        super().__init__(
            "This Idempotency-Key was used for another request. Use a new key for each new request."
        )
