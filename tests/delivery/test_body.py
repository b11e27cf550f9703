"""The body of a webhook, byte for byte."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kanal.delivery.body import Fields, message_fields, render, rfc_2822
from kanal.domain.files import FileRef
from kanal.eventlog.files import FileLinks

DATA = Path(__file__).parent / "data"
MOSCOW = ZoneInfo("Europe/Moscow")
SEED_TIME = 1524763030_000_000

KEYS = [
    "type",
    "object[message_id]",
    "object[case_id]",
    "object[staff_id]",
    "object[user_id]",
    "object[custom_user_id]",
    "object[content]",
    "object[note]",
    "object[sent_via_rule]",
    "object[created_at]",
]
# What UTF-8 can carry: everything but lone surrogates.
TEXTS = st.text(st.characters(codec="utf-8"))


def fields(content: str = "Ok!", custom_user_id: str = "my_u_id123456", **changes: Any) -> Fields:
    return message_fields(
        message_id=42535907,
        case_id=21755012,
        staff_id=7234,
        user_id=20023294,
        custom_user_id=custom_user_id,
        content=content,
        note=changes.pop("note", False),
        sent_via_rule=changes.pop("sent_via_rule", False),
        created_at=SEED_TIME,
        zone=MOSCOW,
        **changes,
    )


def rendered(*texts: str, **changes: Any) -> bytes:
    return render("message_new", fields(*texts, **changes), "form")


def test_seeds_example_is_rendered_byte_for_byte() -> None:
    assert rendered() == (DATA / "message_new.form").read_bytes()


FILES = (
    FileRef(345, "договор №1.pdf", 40863, "application/pdf", "ab12"),
    FileRef(346, "a&b=c.jpg", 0, "image/jpeg", "cd34"),
)


def address(file: FileRef) -> str:
    return FileLinks("https://desk.example").url(file.token, file.file_name)


def test_files_stand_before_the_date_each_with_its_address() -> None:
    body = rendered(attachments=FILES, address=address)
    pairs = parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True)
    assert pairs[9:-1] == [
        ("object[attachments][0][file_id]", "345"),
        ("object[attachments][0][file_name]", "договор №1.pdf"),
        ("object[attachments][0][file_size]", "40863"),
        ("object[attachments][0][mime_type]", "application/pdf"),
        (
            "object[attachments][0][url]",
            f"https://desk.example/files/ab12/{quote('договор №1.pdf')}",
        ),
        ("object[attachments][1][file_id]", "346"),
        ("object[attachments][1][file_name]", "a&b=c.jpg"),
        ("object[attachments][1][file_size]", "0"),
        ("object[attachments][1][mime_type]", "image/jpeg"),
        ("object[attachments][1][url]", "https://desk.example/files/cd34/a%26b%3Dc.jpg"),
    ]
    assert pairs[0] == ("type", "message_new")
    assert pairs[-1][0] == "object[created_at]"


def test_json_is_compact_and_has_the_types_that_the_values_have() -> None:
    html = "<p>Ещё «вопрос» &amp; <b>ответ</b></p>"
    body = render(
        "message_new",
        fields("Ещё 😀\r\n", note=True, content_html=html, attachments=FILES[:1], address=address),
        "json",
    )
    assert body == (DATA / "message_new.json").read_bytes()
    told = json.loads(body)
    assert list(told) == ["type", "object"]
    message = told["object"]
    assert (message["message_id"], message["note"], message["sent_via_rule"]) == (
        42535907,
        True,
        False,
    )
    assert message["content_html"] == html
    assert message["attachments"] == [
        {
            "file_id": 345,
            "file_name": "договор №1.pdf",
            "file_size": 40863,
            "mime_type": "application/pdf",
            "url": address(FILES[0]),
        }
    ]


@given(content=TEXTS, html=TEXTS)
def test_json_gives_every_text_back_in_the_same_bytes_each_time(content: str, html: str) -> None:
    body = render("message_new", fields(content, content_html=html), "json")
    assert body == render("message_new", fields(content, content_html=html), "json")
    told = json.loads(body)["object"]
    assert (told["content"], told["content_html"], told["attachments"]) == (content, html, [])


def test_content_of_every_kind_is_encoded_as_php_does() -> None:
    # Expected bytes: PHP's http_build_query of the same array.
    content = "  Привет,\r\n\tмир! 👩‍👧 a~b-c_d.e+f&g=h%20'\"*()  "
    body = rendered(content, "000 123/ё", note=True, sent_via_rule=True)
    assert body == (DATA / "message_new_unusual.form").read_bytes()


@pytest.mark.parametrize("content", ["", "0", " ", "\r\n", "😀", "a=b&c=d", "+ +", "~"])
def test_content_is_never_changed(content: str) -> None:
    assert dict(parse_qsl(rendered(content).decode(), keep_blank_values=True))[KEYS[6]] == content


@given(content=TEXTS, custom_user_id=TEXTS, note=st.booleans(), rule=st.booleans())
def test_a_form_parser_gives_the_values_back_in_the_seeds_order(
    content: str, custom_user_id: str, note: bool, rule: bool
) -> None:
    body = rendered(content, custom_user_id, note=note, sent_via_rule=rule)
    pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True)
    assert [key for key, _ in pairs] == KEYS
    assert [value for _, value in pairs] == [
        "message_new",
        "42535907",
        "21755012",
        "7234",
        "20023294",
        custom_user_id,
        content,
        str(int(note)),
        str(int(rule)),
        "Thu, 26 Apr 2018 20:17:10 +0300",
    ]


def test_time_is_in_the_accounts_zone_and_its_fraction_is_cut() -> None:
    assert rfc_2822(SEED_TIME + 999_999, MOSCOW) == "Thu, 26 Apr 2018 20:17:10 +0300"
    assert rfc_2822(SEED_TIME, ZoneInfo("UTC")) == "Thu, 26 Apr 2018 17:17:10 +0000"
    assert rfc_2822(SEED_TIME, ZoneInfo("America/St_Johns")) == "Thu, 26 Apr 2018 14:47:10 -0230"
