"""Random histories of a help desk: commands as they might come, refused ones among them."""

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from story import person

from kanal.domain import (
    cases,
    channels,
    chats,
    companies,
    conversation,
    identities,
    labels,
    links,
    staff,
    staff_statuses,
    users,
)
from kanal.domain.errors import DomainError
from kanal.domain.groups import create_group
from kanal.domain.links import Contact

Step = tuple[Callable[..., Any], dict[str, Any]]

TEXTS = ("", "0", " x ", "Заказ\r\n№ 5", "emoji 🙂")


def beginning() -> Iterator[Step]:
    """Staff 1, channels 1 and 2, group 1, label 1."""
    contact = Contact("email", "anna@example.com", "anna@example.com", "test.1")
    yield (
        staff.create_staff,
        {"email": contact, "full_name": "Anna", "role": "administrator", "key_fingerprint": "f"},
    )
    for title in ("App", "Forum"):
        yield (
            channels.create_channel,
            {
                "title": title,
                "webhook_url": "https://example.com/hook",
                "channel_type": "async" if title == "App" else "sync",
                "secret_fingerprint": "f",
            },
        )
    yield create_group, {"title": "Sales"}
    yield labels.create_label, {"title": "VIP"}


def anything(random: Random) -> Step:
    text = random.choice(TEXTS)
    case = {"case_id": random.randint(1, 12)}
    user = {"user_id": random.randint(1, 8)}
    channel = {"channel_id": random.randint(1, 2)}
    who = person(
        random.choice(["", "1", "01", "x"]),
        random.randint(1, 2),
        mail=random.choice(["", "a@example.com", "b@example.com"]),
        tel=random.choice(["", "+79161234567"]),
        details=random.choice([{}, {"full_name": text}, {"company_name": text}]),
    )
    steps: list[Step] = [
        (conversation.open_case, {"who": who, "subject": text, "content": text}),
        (conversation.open_case, {"who": who, "staff_id": 1, "content": text}),
        (conversation.add_user_message, {**case, **user, "content": text}),
        (conversation.add_staff_reply, {**case, "staff_id": 1, "content": text}),
        (conversation.add_note, {**case, "staff_id": 1, "content": text}),
        (conversation.add_rule_message, {**case, "rule_id": 1, "content": text}),
        (cases.change_case, {**case, "status": random.choice(["open", "waiting", "closed"])}),
        (cases.change_case, {**case, "subject": text, "staff_id": 1, "group_id": 1}),
        (cases.change_case, {**case, random.choice(["add_labels", "delete_labels"]): [1]}),
        (
            cases.rate_case,
            {**case, "rating": random.choice(["low", "high"]), "rating_comment": text},
        ),
        (cases.merge_case, {**case, "parent_case_id": random.randint(1, 12)}),
        (cases.unmerge_case, case),
        (chats.accept_chat, {**case, "staff_id": 1}),
        (chats.complete_chat, {**case, "staff_id": 1}),
        (chats.offer_chat, {**case, "staff_id": 1, "offers": 0}),
        (staff_statuses.set_staff_status, {"staff_id": 1, "status_id": random.randint(1, 2)}),
        (cases.trash_case, case),
        (cases.mark_case_as_spam, case),
        (cases.restore_case, case),
        (cases.delete_case, case),
        (users.change_user, {**user, "full_name": text, "note": text}),
        (users.block_user, user),
        (users.restore_user, user),
        (identities.delete_user, user),
        (links.link_users, {**user, "other_id": random.randint(1, 8)}),
        (links.unlink_users, {**user, "other_id": random.randint(1, 8)}),
        (companies.create_company, {"name": text, "users": [random.randint(1, 8)]}),
        (companies.delete_company, {"company_id": random.randint(1, 3)}),
        (channels.disable_channel, channel),
        (channels.enable_channel, channel),
        (channels.change_channel, {**channel, "title": text}),
    ]
    weights = [
        9,
        3,
        9,
        9,
        3,
        3,
        3,
        3,
        3,
        1,
        3,
        1,
        2,
        2,
        2,
        1,
        1,
        1,
        3,
        1,
        3,
        1,
        2,
        1,
        2,
        2,
        1,
        1,
        1,
        3,
        1,
    ]
    return random.choices(steps, weights)[0]


def play(do: Callable[..., Any], steps: int, seed: int = 0) -> None:
    """`do(command, **arguments)` for each step; refusals are part of it."""
    random = Random(seed)
    for command, arguments in [*beginning(), *(anything(random) for _ in range(steps))]:
        try:
            do(command, **arguments)
        except DomainError:
            continue
