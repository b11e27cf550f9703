"""What customers of the demo's shop write about, and how its staff answer, in Russian and English.

Words in braces are filled in from the case's own seed.
"""

from typing import Final, Literal, NamedTuple

Who = Literal["user", "staff", "note"]
Place = Literal["chat", "mail", "wholesale"]
"""Where people write like that: on channels like a chat, on those like mail, on the wholesalers' portal."""


class Conversation(NamedTuple):
    language: Literal["ru", "en"]
    place: Place
    subject: str
    turns: tuple[tuple[Who, str], ...]
    """The user's first message, then the others."""
    label: str = ""
    order: bool = False
    """It is about one, whose number the case gets as a custom field."""
    reason: str = ""
    """Why something is sent back, for the custom field of that name."""
    macro: str = ""
    """Applied in place of the first answer."""

    @property
    def group(self) -> str:
        """Who answers it."""
        if self.place == "wholesale":
            return "Wholesale"
        return "Delivery and returns" if self.order else "Support"


CONVERSATIONS: Final = (
    Conversation(
        "ru",
        "mail",
        "Где мой заказ {order}?",
        (
            (
                "user",
                "Здравствуйте! Заказ {order} должен был прийти {day}, а трек-номер не обновляется уже {n} дня. Подскажите, где посылка?",
            ),
            (
                "note",
                "Позвонил в курьерскую службу: посылка на складе в городе {city}, едет завтра.",
            ),
            (
                "staff",
                "Здравствуйте, {name}! Посылка задержалась на складе в городе {city}, курьер привезёт её завтра до 14:00. Простите за ожидание, промокод на следующую покупку: {promo}.",
            ),
            ("user", "Спасибо, что разобрались так быстро! Жду."),
            ("staff", "Если завтра что-то пойдёт не так, напишите прямо сюда. Хорошего дня!"),
        ),
        label="delivery",
        order=True,
    ),
    Conversation(
        "ru",
        "mail",
        "Разбилась чашка",
        (
            (
                "user",
                "Добрый день. Получила заказ {order}, а {product} приехал с трещиной. Фото могу прислать. Что делать?",
            ),
            (
                "staff",
                "{name}, нам очень жаль! Вышлем новый {product} за наш счёт, возвращать разбитый не нужно. Адрес прежний?",
            ),
            ("user", "Да, адрес тот же. Спасибо большое!"),
            (
                "note",
                "Замена создана, склад упакует сегодня. Это третий бой за месяц с этой партией.",
            ),
            ("staff", "Готово: замена выезжает сегодня, трек-номер придёт в приложении."),
        ),
        label="damaged",
        order=True,
        reason="Broken on the way",
    ),
    Conversation(
        "ru",
        "mail",
        "Возврат денег за {order}",
        (
            (
                "user",
                "Вернула набор из заказа {order} неделю назад, деньги на карту так и не пришли. Когда ждать возврат?",
            ),
            (
                "staff",
                "Здравствуйте, {name}! Возврат оформлен {day}, банк зачисляет деньги до пяти рабочих дней. Я проверю ещё раз в пятницу.",
            ),
            ("user", "Хорошо, подожду до пятницы."),
            (
                "staff",
                "Деньги ушли с нашей стороны, номер операции {ref}. Проверьте, пожалуйста, счёт.",
            ),
            ("user", "Пришли! Спасибо."),
        ),
        label="refund",
        order=True,
        reason="Changed their mind",
    ),
    Conversation(
        "ru",
        "mail",
        "Не могу войти в личный кабинет",
        (
            ("user", "Код для входа не приходит на почту, пробовала {n} раза. В спаме тоже нет."),
            (
                "staff",
                "{name}, письма до вашего почтового сервера доходили с задержкой, сейчас всё исправлено. Попробуйте, пожалуйста, ещё раз.",
            ),
            ("user", "Теперь пришёл, вошла. Спасибо!"),
        ),
        label="bug",
    ),
    Conversation(
        "ru",
        "mail",
        "Можно изменить адрес доставки?",
        (
            (
                "user",
                "Оформила заказ {order} на старый адрес. Можно поменять на город {city}, улица Садовая, 14?",
            ),
            ("staff", "Да, посылка ещё не выехала. Поменяли на город {city}, Садовая, 14."),
            ("user", "Вы лучшие!"),
        ),
        label="delivery",
        order=True,
    ),
    Conversation(
        "ru",
        "mail",
        "Подарочная упаковка",
        (
            ("user", "Можно ли упаковать {product} в подарок и вложить открытку? Нужно к {day}."),
            (
                "staff",
                "Конечно! Выберите «подарочная упаковка» в корзине, текст открытки впишите в комментарий. К указанной дате успеем.",
            ),
        ),
    ),
    Conversation(
        "ru",
        "mail",
        "Спасибо за чайник!",
        (
            (
                "user",
                "Просто хочу сказать: {product} чудесный, и упаковали как для королевы. Передайте спасибо мастерам!",
            ),
            ("staff", "{name}, передали всей мастерской, все улыбаются. Спасибо вам!"),
        ),
        label="praise",
    ),
    Conversation(
        "ru",
        "chat",
        "",
        (
            ("user", "Здравствуйте! А {product} есть в наличии?"),
            ("staff", "Добрый день, {name}! Да, осталось {n} шт. Отложить для вас?"),
            ("user", "Да, отложите один до вечера, пожалуйста"),
            ("staff", "Отложили до 21:00, ссылка на оплату в корзине."),
            ("user", "супер, спасибо"),
        ),
    ),
    Conversation(
        "ru",
        "chat",
        "",
        (
            ("user", "Привет! Промокод {promo} не применяется("),
            ("staff", "Сейчас посмотрю. Пришлите, пожалуйста, что лежит в корзине?"),
            ("user", "{product}, две штуки"),
            ("note", "Промокод не действует на товары со скидкой, в условиях это есть, но мелко."),
            (
                "staff",
                "Он не действует на товары со скидкой, но мы сделаем исключение: применил вручную.",
            ),
            ("user", "ого, спасибо!"),
        ),
        label="bug",
    ),
    Conversation(
        "ru",
        "chat",
        "",
        (
            ("user", "Добрый день, сколько идёт доставка в город {city}?"),
            ("staff", "Курьером два-три дня, до пункта выдачи на день дольше."),
            ("user", "А бесплатная от какой суммы?"),
            ("staff", "От 4 000 ₽ бесплатно до пункта выдачи."),
        ),
        label="delivery",
    ),
    Conversation(
        "en",
        "mail",
        "Where is order {order}?",
        (
            (
                "user",
                "Hello, order {order} was promised for {day} and the tracking page has said “in transit” for {n} days. Could you check?",
            ),
            (
                "staff",
                "Hi {name}, I am sorry about the wait. The carrier lost the label in {city} and has printed a new one; it will be with you within two days.",
            ),
            ("user", "Thanks for letting me know, that works."),
        ),
        label="delivery",
        order=True,
    ),
    Conversation(
        "en",
        "mail",
        "Refund for {order}",
        (
            (
                "user",
                "I sent the {product} back ten days ago and have not had my refund yet. The return number is {ref}.",
            ),
            (
                "note",
                "The warehouse scanned it on Monday, accounting has not released it. Asked them.",
            ),
            (
                "staff",
                "Hi {name}, thank you for your patience. The parcel is here, the money went out this morning and should be on your card by {day}.",
            ),
            ("user", "Got it. Thank you for sorting this out!"),
        ),
        label="refund",
        order=True,
        reason="Wrong size",
    ),
    Conversation(
        "en",
        "mail",
        "Wrong colour delivered",
        (
            ("user", "I ordered the {product} in moss green and received blue. Order {order}."),
            (
                "staff",
                "Oh no, that is our mistake, {name}. A green one leaves today; keep the blue one or hand it to the courier, as you like.",
            ),
            ("user", "That is very kind. I will hand it to the courier."),
            ("staff", "Perfect, the courier knows. Enjoy it!"),
        ),
        label="damaged",
        order=True,
        reason="Not what was ordered",
    ),
    Conversation(
        "en",
        "mail",
        "App crashes when I open my orders",
        (
            (
                "user",
                "Since the last update the app closes as soon as I tap “Orders”. Pixel 8, Android 15.",
            ),
            ("note", "Reproduced on the test phone, ticket {ref} for the app team."),
            (
                "staff",
                "Thank you for telling us, {name}. We found the cause; version 4.{n}.1 with the fix is in the store from tomorrow.",
            ),
            ("user", "Updated, works again."),
        ),
        label="bug",
    ),
    Conversation(
        "en",
        "mail",
        "Do you ship to Norway?",
        (
            (
                "user",
                "I would love to order the {product} for a friend in Oslo. Do you ship there?",
            ),
            (
                "staff",
                "We do! It takes five to seven days and costs €12. Duties are paid by us.",
            ),
            ("user", "Great, ordering now."),
        ),
        macro="Shipping abroad",
    ),
    Conversation(
        "en",
        "chat",
        "",
        (
            ("user", "Hi, is the {product} dishwasher safe?"),
            (
                "staff",
                "Hi {name}! Yes, up to 60 °C. The gold rim is not, so please hand-wash that one.",
            ),
            ("user", "Good to know, thanks!"),
        ),
    ),
    Conversation(
        "en",
        "chat",
        "",
        (
            ("user", "Hello, I need to change the delivery date of {order}"),
            ("staff", "Of course. Which day suits you?"),
            ("user", "{day} would be great"),
            ("staff", "Done, you will get a new message from the courier."),
            ("user", "that was quick :)"),
        ),
        label="delivery",
        order=True,
    ),
    Conversation(
        "ru",
        "wholesale",
        "Заказ на {n}0 комплектов для кафе",
        (
            (
                "user",
                "Добрый день! Нужны {n}0 комплектов посуды к открытию. Какая скидка и срок? Реквизиты те же.",
            ),
            ("note", "Постоянный клиент, в прошлый раз давали 18 %."),
            (
                "staff",
                "{name}, здравствуйте! На такой объём 18 %, отгрузим за девять рабочих дней. Счёт {ref} во вложении на портале.",
            ),
            ("user", "Оплатили. Ждём отгрузку."),
            ("staff", "Оплату видим, поставили в производство."),
        ),
        label="wholesale",
    ),
    Conversation(
        "en",
        "wholesale",
        "Price list for hotels, spring",
        (
            ("user", "Could you send the spring price list with quantities from 200 pieces?"),
            (
                "staff",
                "Hello {name}, it is on the portal now, prices hold until the end of next month.",
            ),
            ("user", "Thank you. One question: can the logo be printed inside the saucer?"),
            (
                "staff",
                "Yes, from 300 pieces, two weeks more. I have added the option to your quote.",
            ),
        ),
        label="wholesale",
    ),
    Conversation(
        "ru",
        "wholesale",
        "Акт сверки за квартал",
        (
            ("user", "Пришлите, пожалуйста, акт сверки за прошлый квартал."),
            ("staff", "Отправили на портал, подписанный скан и оригинал по почте."),
        ),
        label="wholesale",
    ),
)

ONE_ANSWER: Final = Conversation(
    "ru",
    "chat",
    "",
    (
        ("user", "Здравствуйте, до скольких сегодня работает пункт выдачи?"),
        ("staff", "Добрый день! До 21:00, без перерыва."),
    ),
)

SPAM: Final = (
    ("ПРОДВИЖЕНИЕ САЙТОВ", "Выведем ваш сайт в топ за 3 дня!!! Пишите сегодня — скидка 70 %"),
    ("Your domain expires", "Dear owner, pay the attached invoice to keep your listing."),
    ("Кредит без справок", "Одобрим любую сумму за пять минут, ответьте на это сообщение."),
)

LIVE: Final[tuple[tuple[Who, str], ...]] = (
    ("user", "Здравствуйте! Курьер позвонил и говорит, что приедет не сегодня, а завтра."),
    ("staff", "Добрый день, Марина! Сейчас узнаю у службы доставки, минутку."),
    ("user", "Жду. Мне важно сегодня: завтра уезжаю."),
)
"""The chat that is under way when the demo begins."""

PRODUCTS: Final = {
    "ru": ("чайник «Мята»", "заварник «Берег»", "кувшин «Лён»", "набор пиал", "поднос из ясеня"),
    "en": ("“Mint” teapot", "“Shore” mug", "linen jug", "set of bowls", "ash tray"),
}
CITIES: Final = {
    "ru": ("Казань", "Пермь", "Тверь", "Самара", "Томск", "Калининград"),
    "en": ("Hamburg", "Riga", "Leeds", "Lyon", "Tallinn", "Utrecht"),
}
DAYS: Final = {
    "ru": ("в понедельник", "во вторник", "в среду", "в пятницу"),
    "en": ("Monday", "Tuesday", "Wednesday", "Friday"),
}
