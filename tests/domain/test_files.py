"""Names of attachments: any script is kept, nothing in them can lead astray."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kanal.domain.files import MAX_NAME, clean_name


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("report.pdf", "report.pdf"),
        ("Отчёт за май.docx", "Отчёт за май.docx"),
        ("写真 👩‍👩‍👧.png", "写真 👩‍👩‍👧.png"),
        ("/etc/passwd", "passwd"),
        ("..\\..\\C:\\boot.ini", "boot.ini"),
        ("C:\\Users\\Ann\\photo.jpg", "photo.jpg"),
        ("../..", "file"),
        ("..", "file"),
        ("", "file"),
        ("folder/", "file"),
        ("  a.txt \r\n", "a.txt"),
        ("a\r\nSet-Cookie: x\x00.txt", "aSet-Cookie: x.txt"),
        ("invoice\u202egpj.exe", "invoicegpj.exe"),
        ("e\u0301.txt", "\u00e9.txt"),
        (".htaccess", ".htaccess"),
        ('a"b;c.txt', 'a"b;c.txt'),
        ("\ud83d.txt", ".txt"),
    ],
)
def test_a_name_keeps_its_script_and_loses_paths_and_control_characters(
    sent: str, kept: str
) -> None:
    assert clean_name(sent) == kept


def test_a_long_name_is_cut_before_its_extension() -> None:
    name = clean_name("я" * 300 + ".docx")
    assert name.endswith("я.docx")
    assert len(name.encode()) <= MAX_NAME
    assert len(clean_name("x" * 300 + "." + "y" * 300)) == MAX_NAME


@given(st.text())
def test_whatever_is_sent_a_name_can_be_stored_and_saved(sent: str) -> None:
    name = clean_name(sent)
    assert 0 < len(name.encode()) <= MAX_NAME
    assert not set(name) & set("/\\\r\n\0")
    assert name not in (".", "..")
    assert clean_name(name) == name
