"""The five weeks behind the demo: who writes what and when, and who answers; the same for the same seed."""

import itertools
from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

import company
from company import STAFF, Colleague
from conversations import (
    CITIES,
    CONVERSATIONS,
    DAYS,
    LIVE,
    ONE_ANSWER,
    PRODUCTS,
    SPAM,
    Conversation,
    Place,
)

Action = Literal[
    "open", "user", "staff", "note", "macro", "label", "assign",
    "accept", "complete", "close", "rate", "spam", "shadow",
]  # fmt: skip

ZONE: Final = ZoneInfo(company.ZONE)
WEEKS: Final = 5
CHANNELS_OF: Final[dict[Place, tuple[int, ...]]] = {
    "chat": (1, 4),
    "mail": (2, 3),
    "wholesale": (5,),
}
PREFIXES: Final = {1: "visitor-", 2: "app-", 3: "acc-", 4: "tg-", 5: "partner-"}
"""Of what the company's own programs call their users, by channel."""
WEIGHTS: Final = (1.0, 1.0, 0.95, 0.9, 1.0, 0.7, 0.6)
"""How busy the days of a week are, from Monday on."""
HOURS: Final = (0, 0, 0, 0, 0, 0, 1, 2, 4, 8, 10, 11, 10, 9, 8, 8, 8, 9, 10, 11, 10, 7, 4, 1)
"""How busy the hours of a day are."""
SHARES: Final[dict[Place, float]] = {"chat": 0.38, "mail": 0.52, "wholesale": 0.1}
SLOW: Final = 0.05
"""Answers that take most of a day."""
FOLLOWED: Final = 0.55
"""Conversations that staff close themselves; the others a rule closes when nobody writes any more."""
RATED: Final = 0.4
RATINGS: Final = {"high": 0.78, "middle": 0.14, "low": 0.08}
LAST: Final = timedelta(minutes=6)
"""Before now nothing happens but the chat that is under way."""
PORTAL_DOWN: Final = (timedelta(hours=21), timedelta(hours=15), timedelta(hours=2))
"""Before now, when wholesalers wrote while their portal was down (programs.py)."""
AREA_FAILED: Final = timedelta(days=11, hours=23)
BLOCKED: Final = "Вера Комарова"
BLOCKED_ID: Final = "tg-blocked"
"""Has blocked the company's Telegram bot: what is said to her there is refused."""


class Person(NamedTuple):
    name: str
    language: str
    email: str
    ids: dict[int, str]
    """What they are called on each of their channels."""
    club: str
    company: str


class Step(NamedTuple):
    at: datetime
    case: int
    """A number of the plan, not Kanal's."""
    action: Action
    values: dict[str, Any]


def planned(now: datetime, cases: int, seed: int) -> list[Step]:
    """In the order in which they happen."""
    random = Random(seed)
    everybody = list(people(random))
    begin = now - timedelta(weeks=WEEKS)
    numbers = itertools.count(1)
    steps: list[Step] = []
    moments = sorted(_moment(random, begin, now) for _ in range(cases))
    for at in moments:
        conversation, person, channel = _who_writes(random, everybody)
        steps += _case(random, next(numbers), at, conversation, person, channel)
    steps += _refused_by_telegram(random, next(numbers), next(numbers), now, everybody)
    for each in PORTAL_DOWN:
        steps += _unreached(random, next(numbers), now - each, everybody, 5)
    steps += _unreached(random, next(numbers), now - AREA_FAILED, everybody, 3)
    for days, (subject, text) in enumerate(SPAM):
        at = now - timedelta(days=3 + 9 * days, hours=5)
        steps += _spam(next(numbers), at, subject, text)
    steps.append(Step(now - timedelta(days=4), 0, "shadow", {}))
    done = sorted(
        (step for step in steps if step.at < now - LAST),
        key=lambda step: (step.at, step.case),
    )
    return [*done, *_live(next(numbers), now)]


def people(random: Random) -> Iterator[Person]:
    names = itertools.chain(
        *zip(
            ((name, "ru") for name in company.RUSSIAN),
            ((name, "en") for name in company.ENGLISH),
            strict=True,
        )
    )
    for number, (name, language) in enumerate(names, start=1001):
        wholesale = number // 2 % 5 == 0
        title, domain = random.choice(company.COMPANIES) if wholesale else ("", "mail.example")
        channels = random.sample((1, 2, 3, 4), random.choices((1, 2, 3), (5, 4, 1))[0])
        if name == BLOCKED:
            channels = [2]
        known = len(channels) > 1 or random.random() < 0.6
        yield Person(
            name,
            language,
            f"customer{number}@{domain}" if known or wholesale else "",
            {channel: f"{PREFIXES[channel]}{number}" for channel in [*channels, *[5] * wholesale]},
            random.choices(("", "1", "2", "3"), (5, 3, 2, 1))[0],
            title,
        )


# -- when ----------------------------------------------------------------------------------------


def _moment(random: Random, begin: datetime, now: datetime) -> datetime:
    """Towards the end there is more: the shop grows."""
    while True:
        share = random.random() ** 0.8
        day = begin + (now - begin) * share
        if random.random() > WEIGHTS[day.astimezone(ZONE).weekday()]:
            continue
        hour = random.choices(range(24), HOURS)[0]
        local = day.astimezone(ZONE).replace(
            hour=hour, minute=random.randrange(60), second=random.randrange(60)
        )
        if begin < local < now:
            return local


def is_open(at: datetime) -> bool:
    local = at.astimezone(ZONE)
    first, last = (10, 18) if local.weekday() >= 5 else (9, 20)
    return first <= local.hour < last


def opening(at: datetime) -> datetime:
    """That moment, or the next at which the shop is open."""
    while not is_open(at):
        at = (at + timedelta(hours=1)).replace(minute=0, second=0)
    return at


def _answered(random: Random, at: datetime, place: Place, colleague: Colleague) -> datetime:
    median = {"chat": 1.3, "mail": 42.0, "wholesale": 95.0}[place] * colleague.pace
    minutes = median * random.lognormvariate(0, 0.7)
    if place != "chat" and random.random() < SLOW:
        minutes += random.uniform(260, 520)
    return opening(opening(at) + timedelta(minutes=minutes, seconds=random.randrange(60)))


def _written(random: Random, at: datetime, place: Place) -> datetime:
    """When the user goes on."""
    median = 0.9 if place == "chat" else 150.0
    then = at + timedelta(
        minutes=median * random.lognormvariate(0, 0.8), seconds=random.randrange(5, 50)
    )
    local = then.astimezone(ZONE)
    if local.hour < 7:
        then += timedelta(hours=8 - local.hour)
    return then


# -- what ----------------------------------------------------------------------------------------


def _who_writes(random: Random, everybody: list[Person]) -> tuple[Conversation, Person, int]:
    place = random.choices(list(SHARES), list(SHARES.values()))[0]
    conversation = random.choice([each for each in CONVERSATIONS if each.place == place])
    channel = random.choice(CHANNELS_OF[place])
    person = random.choice(
        [
            each
            for each in everybody
            if channel in each.ids and each.language == conversation.language
        ]
    )
    return conversation, person, channel


def _case(
    random: Random,
    number: int,
    at: datetime,
    conversation: Conversation,
    person: Person,
    channel: int,
) -> Iterator[Step]:
    words = _words(random, person, conversation.language)
    place, chat = conversation.place, conversation.place == "chat"
    colleague = random.choice(
        [
            each
            for each in STAFF
            if conversation.group in each.groups and conversation.language in each.languages
        ]
    )
    by = {"staff": STAFF.index(colleague) + 1}
    fields = {company.ORDER_FIELD: words["order"]} if conversation.order else {}
    if conversation.reason:
        options = company.FIELDS[1]["field_data"]
        fields[company.REASON_FIELD] = next(
            key for key, title in options.items() if title == conversation.reason
        )
    first, *turns = conversation.turns
    yield Step(
        at,
        number,
        "open",
        {
            "person": person,
            "channel": channel,
            "subject": conversation.subject.format(**words),
            "content": first[1].format(**words),
            "fields": fields,
        },
    )
    group = company.GROUPS.index(conversation.group) + 1
    taken = False
    for who, text in turns:
        if who == "user":
            at = _written(random, at, place)
        else:
            asked, at = at, _answered(random, at, place, colleague)
            if not taken:
                taken = True
                read = max(asked + timedelta(seconds=2), at - timedelta(seconds=20))
                action: Action = "accept" if chat else "assign"
                yield Step(read, number, action, {**by, "group": group})
            if who == "staff" and conversation.macro:
                yield Step(at, number, "macro", {**by, "title": conversation.macro})
                continue
        yield Step(at, number, who, {**by, "content": text.format(**words)})
        if who == "staff" and conversation.label:
            label = company.LABELS.index(conversation.label) + 1
            yield Step(at + timedelta(seconds=25), number, "label", {**by, "label": label})
    if random.random() < FOLLOWED or turns[-1][0] == "user" or chat:
        at = opening(at + timedelta(minutes=random.uniform(2, 40)))
        if chat:
            yield Step(at, number, "complete", by)
        yield Step(at + timedelta(seconds=5), number, "close", by)
        if random.random() < RATED:
            rating = random.choices(list(RATINGS), list(RATINGS.values()))[0]
            comment = random.choice(company.COMMENTS[rating])
            later = at + timedelta(hours=random.uniform(0.1, 20))
            yield Step(later, number, "rate", {"rating": rating, "rating_comment": comment, **by})


def _words(random: Random, person: Person, language: str) -> dict[str, Any]:
    return {
        "name": person.name.split()[0],
        "order": f"{random.choice('АБ' if language == 'ru' else 'AB')}-{random.randint(2100, 9899)}",
        "product": random.choice(PRODUCTS[language]),
        "city": random.choice(CITIES[language]),
        "day": random.choice(DAYS[language]),
        "promo": f"BEREZA{random.choice((5, 10, 15))}",
        "ref": f"R{random.randint(10_000, 99_999)}",
        "n": random.randint(2, 8),
    }


def _refused_by_telegram(
    random: Random, number: int, also: int, now: datetime, everybody: list[Person]
) -> Iterator[Step]:
    known = next(each for each in everybody if each.name == BLOCKED)
    person = known._replace(ids={**known.ids, 4: BLOCKED_ID})
    at = opening(now - timedelta(days=4)).replace(hour=11)
    yield from _case(random, number, at, ONE_ANSWER, person, 4)
    # The bot takes what is for others, so that message is at fault and not the channel.
    other = next(each for each in everybody if 4 in each.ids and each.language == "ru")
    later = opening(at + timedelta(minutes=50))
    yield from _case(random, also, later, ONE_ANSWER, other, 4)


def _unreached(
    random: Random, number: int, at: datetime, everybody: list[Person], channel: int
) -> Iterator[Step]:
    """What is answered while its receiver is down, at whatever hour."""
    place: Place = "wholesale" if channel == 5 else "mail"
    conversation = random.choice(
        [each for each in CONVERSATIONS if each.place == place and each.language == "ru"]
    )
    person = random.choice(
        [each for each in everybody if channel in each.ids and each.language == "ru"]
    )
    first, *turns = conversation.turns
    words = _words(random, person, "ru")
    by = {"staff": 5 if channel == 5 else 3}
    opened = {
        "person": person,
        "channel": channel,
        "subject": conversation.subject.format(**words),
        "content": first[1].format(**words),
        "fields": {},
    }
    yield Step(at, number, "open", opened)
    answer = next(text for who, text in turns if who == "staff")
    later = at + timedelta(minutes=38)
    yield Step(later, number, "staff", {**by, "content": answer.format(**words)})


def _spam(number: int, at: datetime, subject: str, text: str) -> Iterator[Step]:
    person = Person("", "ru", "", {3: f"acc-{number}-promo"}, "", "")
    values = {"person": person, "channel": 3, "subject": subject, "content": text, "fields": {}}
    yield Step(at, number, "open", values)
    yield Step(at + timedelta(minutes=25), number, "spam", {"staff": 3})


def _live(number: int, now: datetime) -> Iterator[Step]:
    """A chat that is under way."""
    person = Person("Марина Тихонова", "ru", "marina@mail.example", {1: "visitor-live"}, "3", "")
    (_, first), *turns = LIVE
    at = now - timedelta(minutes=4)
    values = {"person": person, "channel": 1, "subject": "", "content": first, "fields": {}}
    yield Step(at, number, "open", values)
    yield Step(at + timedelta(seconds=35), number, "accept", {"staff": 3})
    for place, (who, text) in enumerate(turns, start=1):
        moment = at + timedelta(seconds=50 * place)
        yield Step(moment, number, who, {"staff": 3, "content": text})
