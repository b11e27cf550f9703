"""The text of a message that has only HTML: the seed's webhook carries text."""

import re
from functools import lru_cache
from html import unescape
from typing import Final

BLOCKS: Final = frozenset(
    {
        *("address", "article", "aside", "blockquote", "div", "dl", "dt", "dd", "fieldset"),
        *("figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr"),
        *("li", "main", "nav", "ol", "p", "pre", "section", "table", "tr", "ul"),
    }
)
SPACED: Final = frozenset({"p", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "pre", "table"})
"""An empty line stands between these and what is around them."""
UNSEEN: Final = frozenset({"script", "style", "head", "title", "template", "noscript"})
RAW: Final = frozenset({"script", "style", "textarea", "title"})
"""What looks like a tag in them is none, but for their own end."""
CACHED: Final = 32
"""Texts under way: whoever writes a message reads it before it is the writer's turn, whose thread then finds it done."""

# The standard library's parser takes minutes for some texts of 1 MB. This looks at no character more than a few times:
# what has begun goes on to its end or to the end of the text, as in HTML's own rules, and nothing is tried in two ways.
_TAG: Final = re.compile(
    r"""<(?:
        !-- .*? (?: --!?> | \Z )
      | (?P<end>/?) (?P<name>[a-z][^\s/>]*+)
        (?: [^>"'=]++ | = \s*+ (?: "[^"]*+(?:"|\Z) | '[^']*+(?:'|\Z) )?+ | ["'] )*+ (?: > | \Z )
      | [!?/] [^>]*+ (?: > | \Z )
    )""",
    re.ASCII | re.DOTALL | re.IGNORECASE | re.VERBOSE,
)
_RAW_ENDS: Final = {
    name: re.compile(rf"</{name}(?=[\s/>])|\Z", re.ASCII | re.IGNORECASE) for name in RAW
}


class _Reader:
    def __init__(self) -> None:
        self.pieces: list[str] = []
        self._unseen = 0
        self._preformatted = 0
        self._breaks = 0
        self._space = False

    def read(self, html: str) -> None:
        at = 0
        while found := _TAG.search(html, at):
            self._data(html[at : found.start()])
            at = found.end()
            if not found["name"]:
                continue
            name = found["name"].lower()
            if found["end"]:
                self._end(name)
                continue
            self._start(name)
            if name in RAW:
                end = _RAW_ENDS[name].search(html, at)
                assert end
                self._data(html[at : end.start()])
                at = end.start()
        self._data(html[at:])

    def _start(self, tag: str) -> None:
        if tag == "body":
            self._unseen = 0
        elif tag in UNSEEN:
            self._unseen += 1
        elif tag == "br":
            self._flush_breaks()
            self.pieces.append("\n")
            self._space = False
        elif tag in BLOCKS:
            self._break(tag)
            self._preformatted += tag == "pre"
            if tag == "li":
                self._say("- ")
        elif tag in ("td", "th"):
            self._space = True

    def _end(self, tag: str) -> None:
        if tag in UNSEEN:
            self._unseen = max(0, self._unseen - 1)
        elif tag in BLOCKS:
            self._break(tag)
            self._preformatted = max(0, self._preformatted - (tag == "pre"))

    def _data(self, data: str) -> None:
        if self._unseen or not data:
            return
        data = unescape(data)
        if self._preformatted:
            self._say(data)
            return
        words = data.split()
        if not words:
            self._space = self._space or bool(data)
            return
        if data[0].isspace():
            self._space = True
        self._say(" ".join(words))
        self._space = data[-1].isspace()

    def _break(self, tag: str) -> None:
        self._breaks = max(self._breaks, 2 if tag in SPACED else 1)

    def _flush_breaks(self) -> None:
        if self._breaks and self.pieces:
            self.pieces.append("\n" * self._breaks)
            self._space = False
        self._breaks = 0

    def _say(self, words: str) -> None:
        self._flush_breaks()
        if self._space and self.pieces and not self.pieces[-1].endswith(("\n", " ")):
            self.pieces.append(" ")
        self._space = False
        self.pieces.append(words)


@lru_cache(CACHED)
def plain_text(html: str) -> str:
    """Words and line breaks of `html`; blank when there are none."""
    reader = _Reader()
    reader.read(html)
    return "".join(reader.pieces).strip()
