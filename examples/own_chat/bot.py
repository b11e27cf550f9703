"""A bot that knows four things about an imaginary shop, and that it does not know the rest."""

import re
from typing import NamedTuple


class Reply(NamedTuple):
    text: str
    hand_over: bool = False


class Saying(NamedTuple):
    english: str
    russian: str


# What the bot recognises, in the order in which it looks.
HUMAN = r"\b(human|person|people|operator|agent|staff|someone|somebody)\b|оператор|человек|сотрудник|менеджер"
HOURS = r"\b(hours|open|opening|close|closing|when)\b|работаете|график|часы|открыт|закрыт"
ORDER = r"\b(order|orders|parcel|track|tracking)\b|заказ|посылк"
DELIVERY = r"\b(delivery|deliver|shipping|ship)\b|доставк"
GREETING = r"^\W*(hi|hello|hey|good (morning|day|evening)|привет|здравствуй|добрый)"
THANKS = r"\b(thanks|thank you|bye)\b|спасибо|благодар|до свидания"
NUMBER = r"(?<!\d)\d{4,8}(?!\d)"

ORDERS = {
    "1001": Saying("is on its way and arrives tomorrow", "в пути и приедет завтра"),
    "1002": Saying("is packed and waits for the courier", "собран и ждёт курьера"),
    "1003": Saying("was delivered on Monday", "доставлен в понедельник"),
}

FOUND = Saying("Order {number} {status}.", "Заказ {number} {status}.")
NOT_FOUND = Saying(
    "I cannot find order {number}. Please check the number, or write “human” and a person will look.",
    "Не нахожу заказ {number}. Проверьте номер или напишите «оператор», и посмотрит сотрудник.",
)
WHICH = Saying(
    "What is the number of your order? It has four digits, for example 1001.",
    "Какой номер у заказа? В нём четыре цифры, например 1001.",
)
PASSED_ON = Saying(
    "I am calling a person and showing them what we said so far. They will answer here.",
    "Зову сотрудника и показываю ему наш разговор. Он ответит прямо здесь.",
)
UNKNOWN = Saying(
    "I do not know that, so I am passing it on to a person. They will answer here.",
    "Этого я не знаю, поэтому передаю вопрос сотруднику. Он ответит прямо здесь.",
)
ANSWERS = {
    DELIVERY: Saying(
        "Delivery takes one to three days and is free from 50 euros.",
        "Доставка занимает от одного до трёх дней и бесплатна от 3000 рублей.",
    ),
    HOURS: Saying(
        "We are open Monday to Saturday, 9:00 to 20:00.",
        "Мы работаем с понедельника по субботу, с 9:00 до 20:00.",
    ),
    GREETING: Saying(
        "Hello! I know our opening hours, delivery and where your order is.",
        "Здравствуйте! Я знаю часы работы, условия доставки и где ваш заказ.",
    ),
    THANKS: Saying("You are welcome!", "Пожалуйста, обращайтесь!"),
}


def reply_to(text: str) -> Reply:
    """In Russian to Russian letters, else in English."""
    russian = bool(re.search("[а-яё]", text, re.IGNORECASE))

    def say(saying: Saying, **values: str) -> str:
        return (saying.russian if russian else saying.english).format(**values)

    def about(pattern: str) -> bool:
        return bool(re.search(pattern, text, re.IGNORECASE))

    if about(HUMAN):
        return Reply(say(PASSED_ON), hand_over=True)
    if number := re.search(NUMBER, text):
        status = ORDERS.get(number[0])
        if status:
            return Reply(say(FOUND, number=number[0], status=say(status)))
        return Reply(say(NOT_FOUND, number=number[0]))
    if about(ORDER):
        return Reply(say(WHICH))
    for pattern, answer in ANSWERS.items():
        if about(pattern):
            return Reply(say(answer))
    return Reply(say(UNKNOWN), hand_over=True)
