"""The demo's company: «Берёза и глина» (Birch & Clay), a small web shop that sells tableware in two languages."""

from typing import Any, Final, Literal, NamedTuple

DOMAIN: Final = "birchclay.example"
ZONE: Final = "Europe/Moscow"

Program = Literal["chat", "app", "account", "telegram", "wholesale"]


class Channel(NamedTuple):
    program: Program
    """Which of the company's programs takes its webhooks."""
    fields: dict[str, Any]
    """As `POST custom_channels.json` takes them, but for the Webhook URL."""


SILENT_MINUTES: Final = 30
"""After which a chat of the bot is over."""

CHANNELS: Final = (
    Channel(
        "chat",
        {"title": "Website chat", "channel_type": "sync", "icon": "fa-comments"},
    ),
    Channel(
        "app",
        {
            "title": "Mobile app",
            "channel_type": "async",
            "icon": "fa-mobile",
            "webhook_edits": True,
            "webhook_deletions": True,
            "webhook_statuses": True,
        },
    ),
    Channel(
        "account",
        {
            "title": "Личный кабинет",
            "channel_type": "async",
            "icon": "fa-user",
            "webhook_format": "json",
            "webhook_signature": "v1a",
            "webhook_notes": False,
        },
    ),
    Channel(
        "telegram",
        {
            "title": "Telegram-бот",
            "channel_type": "sync",
            "icon": "fa-paper-plane",
            "webhook_rate_limit": 1200,
            "chat_idle_minutes": SILENT_MINUTES,
            "chat_limit": 4,
        },
    ),
    Channel(
        "wholesale",
        {
            "title": "Wholesale portal",
            "channel_type": "async",
            "icon": "fa-building",
            "webhook_on_exhausted": "hold",
            "webhook_headers": {"X-Portal": "birch-and-clay"},
        },
    ),
)
"""`cch1` to `cch5`."""

GROUPS: Final = ("Support", "Delivery and returns", "Wholesale")
LABELS: Final = ("delivery", "damaged", "refund", "bug", "praise", "wholesale", "urgent")
"""Their ids count from 1, in this order."""


class Colleague(NamedTuple):
    name: str
    mailbox: str
    role: str
    """Of those built in, or of ROLES."""
    languages: tuple[str, ...]
    groups: tuple[str, ...]
    """Whose cases they take; nobody's for who looks on."""
    pace: float
    """Their answers take so much longer or shorter than usual."""

    @property
    def email(self) -> str:
        return f"{self.mailbox}@{DOMAIN}"


STAFF: Final = (
    Colleague("Анна Иванова", "anna", "owner", ("ru", "en"), ("Support",), 1.3),
    Colleague(
        "Boris Petrov", "boris", "administrator", ("ru", "en"), ("Delivery and returns",), 1.0
    ),
    Colleague(
        "Елена Соколова", "elena", "staff", ("ru",), ("Support", "Delivery and returns"), 0.7
    ),
    Colleague("Daniel Weber", "daniel", "staff", ("en",), ("Support", "Delivery and returns"), 0.9),
    Colleague("Ольга Ким", "olga", "Wholesale", ("ru", "en"), ("Wholesale",), 1.6),
    Colleague("Ilya Orlov", "ilya", "Looking on", ("ru", "en"), (), 1.0),
)
"""Staff 1 is the first administrator."""
SHOWN: Final = ("anna", "elena", "olga")
"""Of which roles the demo prints how to sign in."""

ROLES: Final[tuple[dict[str, Any], ...]] = (
    {"title": "Wholesale", "channels": {"cch5": "manage"}, "rights": ["see_statistics"]},
    {
        "title": "Looking on",
        "custom_channels": "see",
        "standard_channels": "see",
        "rights": ["see_statistics", "audit"],
    },
)
FIELDS: Final[tuple[dict[str, Any], ...]] = (
    {"title": "Order number", "field_type": "text", "field_level": "case"},
    {
        "title": "Reason of the return",
        "field_type": "select",
        "field_level": "case",
        "field_data": {
            "1": "Broken on the way",
            "2": "Changed their mind",
            "3": "Wrong size",
            "4": "Not what was ordered",
        },
    },
    {
        "title": "Club",
        "field_type": "select",
        "field_level": "user",
        "field_data": {"1": "Clay", "2": "Porcelain", "3": "Gold"},
    },
)
ORDER_FIELD, REASON_FIELD, CLUB_FIELD = "cf_1", "cf_2", "cf_3"

HOURS: Final[dict[str, Any]] = {
    "title": "The shop's hours",
    "zone": ZONE,
    "hours": {day: ["09:00-20:00"] for day in ("mon", "tue", "wed", "thu", "fri")}
    | {"sat": ["10:00-18:00"], "sun": ["10:00-18:00"]},
    "holidays": ["01-01", "01-07", "05-09"],
}
TARGETS: Final[tuple[dict[str, Any], ...]] = (
    {
        "title": "Chats",
        "channels": ["cch1", "cch4"],
        "first_response_minutes": 5,
        "next_response_minutes": 5,
        "hours": "business",
    },
    {
        "title": "Everything else",
        "first_response_minutes": 120,
        "next_response_minutes": 240,
        "resolution_minutes": 2400,
        "hours": "business",
    },
)

MACROS: Final[tuple[dict[str, Any], ...]] = (
    {
        "title": "Shipping abroad",
        "group_name": "Delivery",
        "shared": True,
        "actions": [
            {
                "action_type": "email_to_user",
                "action_destination": "Hello [user_name], yes, we ship there: five to seven days, €12, duties paid by us.",
            },
            {"action_type": "staff_id", "action_destination": "me"},
        ],
    },
    {
        "title": "Как вернуть товар",
        "group_name": "Возвраты",
        "shared": True,
        "actions": [
            {
                "action_type": "email_to_user",
                "action_destination": "[user_name], вернуть товар можно за 30 дней: курьер заберёт его бесплатно, деньги придут за пять дней.",
            },
            {"action_type": "group_id", "action_destination": "2"},
            {"action_type": "add_labels", "action_destination": ["3"]},
        ],
    },
    {
        "title": "Thank and close",
        "group_name": "",
        "shared": True,
        "actions": [
            {
                "action_type": "email_to_user",
                "action_destination": "Thank you, [user_name]! Write here whenever you need us.",
            },
            {"action_type": "status", "action_destination": "3"},
        ],
    },
)

UNANSWERED_MINUTES: Final = 16 * 60
REMIND_MINUTES: Final = 3 * 24 * 60
RULES: Final[tuple[dict[str, Any], ...]] = (
    {
        "kind": "incoming",
        "title": "Refunds go to Delivery and returns",
        "conditions": {"field": "text", "operator": "matches", "value": "(?i)refund|возврат"},
        "actions": [
            {"action_type": "add_labels", "action_destination": ["3"]},
            {"action_type": "group_id", "action_destination": "2"},
        ],
    },
    {
        "kind": "incoming",
        "title": "We have your message",
        "channels": ["cch2", "cch3"],
        "once_per_case": True,
        "conditions": {
            "all": [
                {"field": "first_message", "operator": "is", "value": True},
                {"field": "business_hours", "operator": "is", "value": False},
            ]
        },
        "actions": [
            {
                "action_type": "email_to_user",
                "action_destination": {
                    "1": "Спасибо, [user_name]! Мы открываемся утром и ответим первым делом. Номер обращения: [case_number].",
                    "2": "Thank you, [user_name]! We open in the morning and answer first thing. Your number is [case_number].",
                },
            }
        ],
    },
    {
        "kind": "timed",
        "title": "Nobody has answered for sixteen hours",
        "since": "unanswered",
        "after_minutes": UNANSWERED_MINUTES,
        "once_per_case": True,
        "conditions": {"field": "status", "operator": "is", "value": ["open"]},
        "actions": [
            {"action_type": "priority", "action_destination": "high"},
            {"action_type": "add_labels", "action_destination": ["7"]},
        ],
    },
    {
        "kind": "timed",
        "title": "Three days of silence",
        "since": "staff_reply",
        "after_minutes": REMIND_MINUTES,
        "once_per_case": True,
        "conditions": {"field": "status", "operator": "is", "value": ["waiting"]},
        "actions": [{"action_type": "status", "action_destination": "3"}],
    },
    {
        "kind": "incoming",
        "title": "Wholesale is Olga's",
        "channels": ["cch5"],
        "once_per_case": True,
        "actions": [
            {"action_type": "group_id", "action_destination": "3"},
            {"action_type": "staff_id", "action_destination": "5"},
        ],
    },
    {
        "kind": "changed",
        "title": "Damaged goods are urgent",
        "conditions": {
            "all": [
                {"field": "change", "operator": "is", "value": "labels"},
                {"field": "labels", "operator": "include", "value": [2]},
            ]
        },
        "actions": [{"action_type": "priority", "action_destination": "high"}],
    },
)

COMPANIES: Final = (
    ("Cafe Lumen", "lumen.example"),
    ("ООО «Сытный дом»", "sytny.example"),
    ("Hotel Baltic", "hotelbaltic.example"),
    ("Чайная «Самовар»", "samovar.example"),
    ("Nordlys Interiors", "nordlys.example"),
)

RUSSIAN: Final = (
    "Мария Кузнецова", "Иван Смирнов", "Ольга Морозова", "Дмитрий Волков", "Екатерина Лебедева",
    "Сергей Новиков", "Татьяна Козлова", "Алексей Попов", "Наталья Зайцева", "Павел Соловьёв",
    "Ирина Васильева", "Михаил Фёдоров", "Юлия Егорова", "Андрей Никитин", "Светлана Орлова",
    "Константин Белов", "Вера Комарова", "Роман Гусев", "Людмила Титова", "Артём Калинин",
    "Полина Жукова", "Виктор Крылов", "Дарья Максимова", "Григорий Осипов", "Алина Фомина",
    "Николай Щербаков", "Кристина Ершова", "Степан Логинов", "Зоя Макарова", "Марина Тихонова",
)  # fmt: skip
ENGLISH: Final = (
    "Emma Thompson", "James Carter", "Olivia Brown", "Liam O'Connor", "Sophie Martin",
    "Noah Fischer", "Ava Lindqvist", "Lucas Meyer", "Mia Jansen", "Ethan Clarke",
    "Chloé Dubois", "Oscar Nilsson", "Grace Walker", "Henry Schmidt", "Isla Murray",
    "Jakub Nowak", "Freya Hansen", "Marco Rossi", "Ella Virtanen", "Thomas Berg",
    "Hannah Wolf", "Samuel Wright", "Nora Kask", "David Silva", "Alice Moreau",
    "Peter Novák", "Ruth Cohen", "فاطمة الزهراء", "Chen Wei", "Aiko Tanaka",
)  # fmt: skip
COMMENTS: Final = {
    "high": ("Очень быстро и по-человечески!", "Great help, thank you.", "", ""),
    "middle": ("Нормально, но долго ждала.", "Fine in the end.", ""),
    "low": ("Три дня молчания.", "Had to ask twice."),
}
