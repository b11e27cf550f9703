"""The body of a webhook, byte for byte."""

from pathlib import Path
from urllib.parse import parse_qsl, quote
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kanal.delivery.body import render_form, rfc_2822
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


def rendered(content: str = "Ok!", custom_user_id: str = "my_u_id123456", **changes: bool) -> bytes:
    return render_form(
        message_id=42535907,
        case_id=21755012,
        staff_id=7234,
        user_id=20023294,
        custom_user_id=custom_user_id,
        content=content,
        note=changes.get("note", False),
        sent_via_rule=changes.get("sent_via_rule", False),
        created_at=SEED_TIME,
        zone=MOSCOW,
    )


def test_seeds_example_is_rendered_byte_for_byte() -> None:
    assert rendered() == (DATA / "message_new.form").read_bytes()


def test_files_stand_before_the_date_each_with_its_address() -> None:
    files = (
        FileRef(345, "договор №1.pdf", 40863, "application/pdf", "ab12"),
        FileRef(346, "a&b=c.jpg", 0, "image/jpeg", "cd34"),
    )
    links = FileLinks("https://desk.example")
    body = render_form(
        message_id=1,
        case_id=2,
        staff_id=3,
        user_id=4,
        custom_user_id="u",
        content="",
        note=False,
        sent_via_rule=False,
        created_at=SEED_TIME,
        zone=MOSCOW,
        attachments=files,
        address=lambda file: links.url(file.token, file.file_name),
    )
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
