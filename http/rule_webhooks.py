"""Webhooks of rules as they come from callers: what may be in an event goes on, what may not is kept beside it."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from msgspec.structs import replace
from sqlalchemy import Connection

from kanal.delivery import kept_headers, kept_secrets
from kanal.delivery.signing import new_secret
from kanal.domain.actions import Action
from kanal.domain.lanes import lane_of
from kanal.domain.rule_webhooks import longest_url, webhooks_in
from kanal.domain.rules import RULES
from kanal.domain.work import Work
from kanal.http.context import Context
from kanal.http.errors import ApiError


class Prepared(NamedTuple):
    """Actions fit for events."""

    actions: tuple[Action, ...]
    secrets: Mapping[int, str]
    """New ones, by the action's place."""
    headers: Mapping[int, dict[str, str]]
    """Those that were given."""


def prepared(context: Context, given: Sequence[Action]) -> Prepared:
    """Raises ApiError for an address that could never be called."""
    actions: list[Action] = []
    secrets: dict[int, str] = {}
    headers: dict[int, dict[str, str]] = {}
    refused: dict[str, str] = {}
    fingerprint = context.stream_ids.fingerprint
    for place, action in enumerate(given):
        if action.type == "webhook":
            destination = dict(action.destination)
            if problem := context.guard.check_url(longest_url(destination["url"])):
                refused[f"actions.{place}.action_destination.url"] = problem.sentence
            if not destination["webhook_id"]:
                secrets[place] = new_secret()
                destination["fingerprint"] = fingerprint(secrets[place])
            if destination["headers"] is not None:
                headers[place] = destination["headers"]
                destination["headers"] = [
                    {"name": name, "fingerprint": fingerprint(value)}
                    for name, value in sorted(headers[place].items())
                ]
            action = replace(action, destination=destination)
        actions.append(action)
    if refused:
        raise ApiError(400, "webhook_url_refused", next(iter(refused.values())), fields=refused)
    return Prepared(tuple(actions), secrets, headers)


class Keeping:
    """Wraps the command that makes or changes a rule, and keeps beside it what belongs to its webhooks."""

    def __init__(self, command: Callable[[Work], int], webhooks: Prepared | None) -> None:
        self.secrets: dict[str, str] = {}
        """New ones by the id of their webhook, to be shown once."""
        self._command = command
        self._webhooks = webhooks
        self._ids: dict[int, int] = {}

    def command(self, work: Work) -> int:
        rule_id = self._command(work)
        actions = work.load(RULES, rule_id).actions
        self._ids = {place: webhook.webhook_id for place, webhook in webhooks_in(actions)}
        return rule_id

    def keep(self, connection: Connection, _: Any) -> None:
        if self._webhooks is None:
            return
        for place, secret in self._webhooks.secrets.items():
            lane, now = lane_of(self._ids[place]), time.time_ns() // 1000
            kept_secrets.keep(connection, lane, secret, at=now)
        for place, headers in self._webhooks.headers.items():
            kept_headers.keep(connection, lane_of(self._ids[place]), headers)
        self.secrets = {
            str(self._ids[place]): secret for place, secret in self._webhooks.secrets.items()
        }
