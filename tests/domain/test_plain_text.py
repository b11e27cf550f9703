"""The text of HTML."""

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
    ],
)
def test_words_and_line_breaks_stay(html: str, text: str) -> None:
    assert plain_text(html) == text
