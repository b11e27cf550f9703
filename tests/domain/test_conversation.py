"""A conversation over several channels, identities included, against a plain model of what must come of it."""

from itertools import combinations
from typing import Any

from folding import engine_of, folded_at_once
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from story import ANNA, desk, person

from kanal.domain.case_events import MessageAdded
from kanal.domain.cases import CASES
from kanal.domain.channels import create_channel, disable_channel, enable_channel
from kanal.domain.conversation import (
    add_note,
    add_rule_message,
    add_staff_reply,
    add_user_message,
    open_case,
)
from kanal.domain.errors import ChannelDisabled, UserHasNoAccess
from kanal.domain.identities import Identification
from kanal.domain.links import person_of
from kanal.projections.links import linked_users

CHANNELS = (1, 2, 3)
external_ids = st.sampled_from(["1", "01", "x"])
mails = st.sampled_from(["", "a@example.com", "A@example.com", "b@example.com", "c@example.com"])
tels = st.sampled_from(["", "+7 916 123-45-67", "+79161234567", "+79161234568"])
custom = st.builds(person, external_ids, st.sampled_from(CHANNELS), mail=mails, tel=tels)
standard = st.builds(person, mail=mails, tel=tels).filter(lambda who: who.email or who.phone)


class Person:
    """The model: persons are found by trying all pairs of profiles, again and again, until nothing changes."""

    def __init__(self) -> None:
        self.channel: dict[int, int] = {}
        self.contacts: dict[int, set[str]] = {}

    def of(self, user_id: int, contacts: dict[int, set[str]]) -> set[int]:
        found = {user_id}
        while True:
            known = set().union(*(contacts[one] for one in found))
            more = {one for one in contacts if contacts[one] & known} | found
            if more == found:
                return found
            found = more

    def link(self, user_id: int, contact: str) -> bool:
        """Whether the rule of the seed lets them be linked."""
        after = self.contacts | {user_id: self.contacts[user_id] | {contact}}
        members = self.of(user_id, after)
        channels = [self.channel[one] for one in members if self.channel[one]]
        if len(channels) == len(set(channels)):
            self.contacts = after
            return True
        return False


class Conversation(RuleBasedStateMachine):
    @initialize()
    def start(self) -> None:
        self.story = desk()
        self.story.given(
            create_channel,
            title="Account",
            webhook_url="https://example.com/hook",
            channel_type="sync",
            secret_fingerprint="f",
        )
        self.disabled: set[int] = set()
        self.model = Person()
        self.users: dict[tuple[Any, ...], int] = {}
        self.cases: dict[int, tuple[int, int, str]] = {}
        """User, channel and status of each case."""

    @rule(who=st.one_of(custom, custom, standard), by_staff=st.booleans())
    def somebody_opens_a_case(self, who: Identification, by_staff: bool) -> None:
        self.story.when(open_case, who=who, staff_id=ANNA * by_staff, content="x")
        if who.channel_id in self.disabled:
            self.story.refused(ChannelDisabled)
            return
        opened = self.story.result
        contacts = [contact for contact in (who.email, who.phone) if contact]
        identity = (who.channel_id, who.external_id) if who.external_id else (contacts[0].key,)
        user_id = self.users.setdefault(identity, len(self.users) + 1)
        assert opened.user_id == user_id
        self.model.channel[user_id] = who.channel_id
        self.model.contacts.setdefault(user_id, set())
        refused = [c.kind for c in contacts if not self.model.link(user_id, c.key)]
        assert list(opened.conflicts) == refused
        status = "waiting" if by_staff else "open"
        self.cases[opened.case_id] = (user_id, who.channel_id, status)

    @precondition(lambda self: self.cases)
    @rule(data=st.data())
    def a_user_writes(self, data: st.DataObject) -> None:
        case_id = data.draw(st.sampled_from(sorted(self.cases)))
        author = data.draw(st.sampled_from(sorted(self.users.values())))
        user_id, channel_id, _ = self.cases[case_id]
        self.story.when(add_user_message, case_id=case_id, user_id=author, content="y")
        if user_id not in self.model.of(author, self.model.contacts):
            self.story.refused(UserHasNoAccess)
        elif channel_id in self.disabled:
            self.story.refused(ChannelDisabled)
        else:
            assert self.story.refusal is None
            self.cases[case_id] = (user_id, channel_id, "open")

    @precondition(lambda self: self.cases)
    @rule(data=st.data(), write=st.sampled_from([add_staff_reply, add_note, add_rule_message]))
    def staff_or_a_rule_write(self, data: st.DataObject, write: Any) -> None:
        case_id = data.draw(st.sampled_from(sorted(self.cases)))
        author = {"rule_id": 5} if write is add_rule_message else {"staff_id": ANNA}
        self.story.when(write, case_id=case_id, content="y", **author)
        assert self.story.refusal is None
        user_id, channel_id, status = self.cases[case_id]
        after = "waiting" if write is add_staff_reply else status
        self.cases[case_id] = (user_id, channel_id, after)

    @rule(channel_id=st.sampled_from(CHANNELS))
    def a_channel_is_disabled_or_enabled(self, channel_id: int) -> None:
        if channel_id in self.disabled:
            self.story.given(enable_channel, channel_id=channel_id)
        else:
            self.story.given(disable_channel, channel_id=channel_id)
        self.disabled ^= {channel_id}

    @invariant()
    def no_person_has_two_ids_of_one_channel(self) -> None:
        for user_id in self.users.values():
            members = person_of(self.story, user_id)
            channels = [self.model.channel[one] for one in members if self.model.channel[one]]
            assert len(channels) == len(set(channels))

    @invariant()
    def persons_are_those_of_the_model_whoever_is_asked(self) -> None:
        for user_id in self.users.values():
            members = person_of(self.story, user_id)
            assert members == self.model.of(user_id, self.model.contacts)
            assert all(person_of(self.story, one) == members for one in members)

    @invariant()
    def cases_have_the_status_that_the_last_writer_left(self) -> None:
        for case_id, (user_id, channel_id, status) in self.cases.items():
            case = self.story.load(CASES, case_id)
            assert (case.user_id, case.channel_id, case.status) == (user_id, channel_id, status)

    def teardown(self) -> None:
        if not hasattr(self, "story"):
            return
        self._check_what_goes_out()
        self._check_linked_users()

    def _check_what_goes_out(self) -> None:
        """Of each case on a custom channel: numbered from 1 without a gap, each pointing to the one before it."""
        for case_id in self.cases:
            own = [
                recorded
                for recorded in self.story.events
                if getattr(recorded.event, "case_id", 0) == case_id
            ]
            out = [
                recorded.event.outgoing
                for recorded in own
                if isinstance(recorded.event, MessageAdded) and recorded.event.outgoing
            ]
            assert out == list(range(1, len(out) + 1))

    def _check_linked_users(self) -> None:
        """The read model's answer is symmetric and transitive, and says the same as the rules' own walk."""
        engine = engine_of("")
        with engine.connect() as connection:
            models = folded_at_once(connection, self.story.events)
            linked = models.ask(linked_users, list(self.users.values()))
        for one, other in combinations(linked, 2):
            assert (other in linked[one]) == (one in linked[other])
        for user_id, members in linked.items():
            assert set(members) | {user_id} == person_of(self.story, user_id)


Conversation.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestConversation = Conversation.TestCase
