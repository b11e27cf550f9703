"""Addresses in texts become links, whatever stands around them."""

import re
from time import process_time

import pytest

from kanal.http.pages.addresses import SHOWN, linked

HREF = re.compile(r'href="([^"]*)"')
MOST_SECONDS = 5
"""Of the processor, where a second look at each character takes hours."""


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("see https://example.com/a?b=1&c=2.", "https://example.com/a?b=1&amp;c=2"),
        ("(HTTP://example.com/a_(b)), then", "HTTP://example.com/a_(b)"),
        ("<www.example.com>", "https://www.example.com"),
        ("Anna.B+shop@mail.example.com!", "mailto:Anna.B+shop@mail.example.com"),
        ("https://кредит.example/путь", "https://кредит.example/путь"),
        ('https://example.com/"onclick="x', "https://example.com/"),
    ],
)
def test_an_address_is_a_link_without_what_stands_around_it(text: str, address: str) -> None:
    made = linked(text)
    assert HREF.findall(made) == [address]
    assert made.striptags() == text


def test_all_else_is_shown_as_it_is() -> None:
    for text in ("javascript:alert(1)", "a@b", "https://", "@me@home", "x www. y", "<b>&amp;"):
        assert HREF.findall(linked(text)) == []
    assert linked("<b>") == "&lt;b&gt;"
    long = f"https://example.com/{'x' * SHOWN}"
    assert f">{long[:SHOWN]}…</a>" in linked(long)


@pytest.mark.parametrize(
    "part", [")", "x)", "(", "https://a)", "a@", "a.", "www.", "a@b.c ", "http://a((((", "&gt;)"]
)
def test_no_text_keeps_the_pages_of_all_waiting(part: str) -> None:
    began = process_time()
    linked(part * (1_000_000 // len(part)) + "x)")
    assert process_time() - began < MOST_SECONDS
