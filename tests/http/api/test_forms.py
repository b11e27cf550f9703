"""The forms in which known clients send a request, and the shapes in which answers go out, byte for byte."""

import re
from pathlib import Path
from typing import Any

from aiohttp import FormData
from served_api import Api

SHAPES = Path(__file__).parent / "data"
DATE = re.compile(r'"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d \+0300"')
AGE = re.compile(r'"oldest_waiting_seconds": \d+')


def multipart(fields: dict[str, str]) -> FormData:
    form = FormData(default_to_multipart=True)
    for name, value in fields.items():
        form.add_field(name, value)
    return form


async def test_json_urlencoded_and_multipart_say_the_same(api: Api) -> None:
    await api.channel()
    await api.post("labels.json", {"label": {"label_title": "VIP"}})
    external_id = " 000123\r\n😀"
    fields = {
        "case[user_custom_id]": external_id,
        "case[channel]": "cch1",
        "case[content]": "0",
        "case[user_phone]": "",
        "case[group_id]": "0",
        "case[custom_fields][cf_1]": "ignored",
        "case[labels][]": "1",
    }
    json = {"case": {"user_custom_id": external_id, "channel": "cch1", "content": "0"}}
    sent: list[Any] = [
        {"body": json},
        {"body": {"case": {**json["case"], "user_phone": None, "labels": []}}},
        {"data": fields},
        {"data": multipart(fields)},
    ]
    for kwargs in sent:
        answer = await api.call("POST", "cases.json", **kwargs)
        assert answer.status == 201, answer.text
        assert answer.json["case"]["user_id"] == 1
    assert (await api.get("users/1.json"))["user"]["user_custom_id"] == external_id
    for case_id in range(1, 5):
        [message] = await api.items(f"cases/{case_id}/messages.json", "message")
        assert message["content"] == "0"


async def test_a_reading_call_takes_the_json_header_without_a_body(api: Api) -> None:
    answer = await api.call("GET", "cases.json", headers={"Content-Type": "application/json"})
    assert answer.json == {"total_count": 0}
    assert answer.headers["api_calls_left"].isdecimal()


async def test_answers_have_their_published_shape(api: Api) -> None:
    """Each file is the whole answer, with DATE for the dates."""
    given = {
        "user_custom_id": "my_u_id123456",
        "channel": "cch1",
        "user_full_name": "Анна Пример",
        "user_email": "ann@example.com",
        "subject": "Заказ",
        "content": "Где мой заказ?",
    }
    await api.channel(title="Наше приложение", webhook_url="https://example.com/hook")
    sent = {
        "case_created": ("POST", "cases.json", {"case": given}),
        "message_created": ("POST", "cases/1/messages.json", {"message": {"content": "Ok!"}}),
        "note_created": ("POST", "cases/1/note.json", {"note": {"content_html": "<b>VIP</b>"}}),
        "case_conflict": ("POST", "cases.json", {"case": {**given, "user_custom_id": "other"}}),
        "case_closed": ("PUT", "cases/1.json", {"case": {"status": "closed", "staff_id": 1}}),
        "cases": ("GET", "cases.json", None),
        "messages": ("GET", "cases/1/messages.json", None),
        "users": ("GET", "users.json", None),
        "custom_channels": ("GET", "custom_channels.json", None),
        "staff": ("GET", "staff.json", None),
        "group_created": ("POST", "groups.json", {"group": {"group_title": "Продажи"}}),
        "refusal": ("POST", "cases.json", {"case": {**given, "user_email": "ann"}}),
    }
    for name, (method, path, body) in sent.items():
        answer = await api.call(method, path, body)
        shape = AGE.sub('"oldest_waiting_seconds": 0', DATE.sub('"DATE"', answer.text))
        assert shape == (SHAPES / f"{name}.json").read_text(), name
