"""Secrets that sign what a rule's webhook is sent: made anew beside those there are, and taken away, as a channel's are."""

from kanal.domain.channels import (
    MadeSecret,
    Secret,
    Secrets,
    check_older,
    check_room,
    with_new,
    without,
)
from kanal.domain.errors import RuleWebhookNotFound
from kanal.domain.event import Event
from kanal.domain.lanes import lane_of
from kanal.domain.rule_webhooks import webhooks_in
from kanal.domain.rules import existing_rule
from kanal.domain.stream import Aggregate
from kanal.domain.work import Work


class RuleWebhookSecretEvent(Event, frozen=True):
    rule_id: int
    webhook_id: int
    fingerprint: str

    @property
    def channel_id(self) -> int:
        """In `delivery/` it stands where channels do."""
        return lane_of(self.webhook_id)


class RuleWebhookSecretMade(RuleWebhookSecretEvent, frozen=True):
    """Beside those there are, which stop signing sooner or later. The secret itself is in no event."""

    NAME = "rule.webhook_secret_made.1"
    made_at: int
    others_expire_at: int
    first: str
    """Fingerprint of the one that the webhook was made with."""


class RuleWebhookSecretRevoked(RuleWebhookSecretEvent, frozen=True):
    NAME = "rule.webhook_secret_revoked.1"


def evolve(secrets: Secrets, event: Event) -> Secrets:
    match event:
        case RuleWebhookSecretMade():
            known = secrets or (Secret(event.first),)
            return with_new(known, event.fingerprint, event.made_at, event.others_expire_at)
        case RuleWebhookSecretRevoked():
            return without(secrets, event.fingerprint)
    return secrets


WEBHOOK_SECRETS: Aggregate[Secrets] = Aggregate("webhook_secrets", (), evolve)
"""Key: the webhook's id. Empty while there is but the one that it was made with."""


def make_webhook_secret(
    work: Work, *, rule_id: int, webhook_id: int, fingerprint: str, grace: int
) -> MadeSecret:
    """From now on it signs calls; so do those before it for `grace` microseconds more.

    Raises RuleNotFound, RuleWebhookNotFound, TooManySecrets.
    """
    first = _first(work, rule_id, webhook_id)
    check_room(work.load(WEBHOOK_SECRETS, webhook_id), work.now)
    made = MadeSecret(fingerprint, work.now, work.now + grace)
    event = RuleWebhookSecretMade(
        rule_id=rule_id,
        webhook_id=webhook_id,
        fingerprint=fingerprint,
        made_at=made.made_at,
        others_expire_at=made.others_expire_at,
        first=first,
    )
    work.record(WEBHOOK_SECRETS, webhook_id, event)
    return made


def revoke_webhook_secret(work: Work, *, rule_id: int, webhook_id: int, fingerprint: str) -> int:
    """It stops signing at once. Raises RuleNotFound, RuleWebhookNotFound, SecretNotFound, NewestSecret."""
    first = _first(work, rule_id, webhook_id)
    known = work.load(WEBHOOK_SECRETS, webhook_id) or (Secret(first),)
    check_older(known, fingerprint, work.now)
    revoked = RuleWebhookSecretRevoked(rule_id, webhook_id, fingerprint)
    work.record(WEBHOOK_SECRETS, webhook_id, revoked)
    return webhook_id


def _first(work: Work, rule_id: int, webhook_id: int) -> str:
    for _, webhook in webhooks_in(existing_rule(work, rule_id).actions):
        if webhook.webhook_id == webhook_id:
            return webhook.fingerprint
    raise RuleWebhookNotFound(webhook_id)
