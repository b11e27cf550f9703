"""The text of HTML."""

import time

import pytest

from kanal.domain.plain_text import plain_text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("", ""),
        ("plain", "plain"),
        ("a &amp; b&nbsp;&lt;c&gt;", "a & b <c>"),
        ("<p>one</p><p>two</p>", "one\n\ntwo"),
        ("<div>one</div><div>two</div>", "one\ntwo"),
        ("one<br>two<br/>three", "one\ntwo\nthree"),
        ("<b>bo</b>ld and <i>thin</i>", "bold and thin"),
        ("<ul><li>one</li><li>two</li></ul>", "- one\n- two"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc"),
        ("<pre>  kept\n  as is</pre>", "kept\n  as is"),
        ("<script>alert('no')</script>seen<style>p{}</style>", "seen"),
        ("unclosed <b>bold", "unclosed bold"),
        ("</p></script>stray ends", "stray ends"),
        ("<p>  many \n  blanks  </p>", "many blanks"),
        ("a < b > c <3 && d", "a < b > c <3 && d"),
        ("<!-- <b>no</b> -->seen<!doctype html><?php no ?>", "seen"),
        ("<img alt=\"a > b\">seen<a title='</a>' href=x>link</a>", "seenlink"),
        ("<p>it's <b>5'</b> and 6\"</p>", "it's 5' and 6\""),
        ("<SCRIPT>if (a < b) '</p>'</SCRIPT >seen", "seen"),
        ("<head><meta charset=x><title>no</title><body>seen", "seen"),
        ("<textarea><b>as it is</b></textarea>", "<b>as it is</b>"),
        ("cut <a href='", "cut"),
        ("cut <!-- off", "cut"),
    ],
)
def test_words_and_line_breaks_stay(html: str, text: str) -> None:
    assert plain_text(html) == text


@pytest.mark.parametrize(
    "piece",
    [
        *(
            "<",
            "<!",
            "<!--",
            "<?",
            "</",
            "<a",
            "<![CDATA[",
            "<div>",
            "<script>",
            "<p a='",
            '<p a="',
        ),
        *("<b>x</b>", "&amp", "&", "=", '"', "--!", "<script></script", "<title>"),
    ],
)
def test_no_large_text_takes_long(piece: str) -> None:
    many = piece * (250_000 // len(piece))
    began = time.thread_time()
    for html in ("<p " + many, many):
        plain_text.__wrapped__(html)
    # The worst takes 0.6 s here; where the time grows with the square it would be minutes.
    assert time.thread_time() - began < 8
