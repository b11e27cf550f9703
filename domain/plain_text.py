"""The text of a message that has only HTML: the seed's webhook carries text."""

from html.parser import HTMLParser
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


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._unseen = 0
        self._preformatted = 0
        self._breaks = 0
        self._space = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in UNSEEN:
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

    def handle_endtag(self, tag: str) -> None:
        if tag in UNSEEN:
            self._unseen = max(0, self._unseen - 1)
        elif tag in BLOCKS:
            self._break(tag)
            self._preformatted = max(0, self._preformatted - (tag == "pre"))

    def handle_data(self, data: str) -> None:
        if self._unseen:
            return
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


def plain_text(html: str) -> str:
    """Words and line breaks of `html`; blank when there are none."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return "".join(reader.pieces).strip()
