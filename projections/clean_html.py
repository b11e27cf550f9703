"""The one place where HTML from outside becomes fit to be shown; the log keeps it as it was received.

Whatever is not named here is taken away: scripts, styles, frames, forms, handlers, classes and ids. Rows hold what comes
out, so who changes this, or takes a library that cleans otherwise, raises the version of the read model `messages`.
"""

import re
from functools import lru_cache, partial
from html import escape

import nh3

from kanal.domain.plain_text import plain_text

TAGS = {
    *("a", "abbr", "b", "blockquote", "br", "caption", "center", "cite", "code", "col", "colgroup"),
    *("dd", "del", "div", "dl", "dt", "em", "figcaption", "figure", "font", "h1", "h2", "h3", "h4"),
    *("h5", "h6", "hr", "i", "img", "ins", "kbd", "li", "mark", "ol", "p", "pre", "q", "s", "samp"),
    *("small", "span", "strike", "strong", "sub", "sup", "table", "tbody", "td", "tfoot", "th"),
    *("thead", "tr", "tt", "u", "ul", "var"),
}
UNSEEN = {
    *("applet", "audio", "canvas", "embed", "head", "iframe", "math", "noembed", "noframes"),
    *("noscript", "object", "script", "select", "style", "svg", "template", "textarea", "title"),
    *("video", "xmp"),
}
"""Taken away with all that is in them; of other tags the text stays."""

ATTRIBUTES = {
    "*": {"align", "dir", "lang", "style", "title", "valign"},
    "a": {"href"},
    "col": {"span", "width"},
    "colgroup": {"span", "width"},
    "font": {"color", "face", "size"},
    "img": {"alt", "height", "src", "width"},
    "ol": {"start", "type"},
    "table": {"border", "cellpadding", "cellspacing", "width"},
    "td": {"colspan", "height", "rowspan", "width"},
    "th": {"colspan", "height", "rowspan", "width"},
}
STYLES = {
    *("background-color", "color", "font-family", "font-size", "font-style", "font-weight"),
    *("text-align", "text-decoration", "vertical-align", "white-space"),
}
"""None of them loads anything or lays text over what is around it."""

OF_LINKS = ("http:", "https:", "mailto:", "sms:", "tel:")
OF_PICTURES = (
    *("http:", "https:", "cid:"),
    *(f"data:image/{kind};base64," for kind in ("gif", "jpeg", "png", "webp")),
)
"""`cid:` names an attached file. SVG is no picture here: it may hold scripts. Addresses without a scheme are taken away:
they would be Kanal's own.
"""
SCHEMES = {each.partition(":")[0] for each in OF_LINKS + OF_PICTURES}

# The library's time grows with the square of the depth, of a tag's attributes and of closing tags in a deep place: a
# message of 1 MB could keep it busy for minutes. Within these bounds the worst that was found takes 0.3 seconds.
MAX_LENGTH = 128 * 1024
"""Characters, pictures in base64 not counted. Gmail shows up to 102 KB of a message."""
MAX_OPENING_TAGS = 4_000
MAX_TAGS = 10_000
CACHED = 32
"""Texts under way: whoever writes one cleans it before it is the writer's turn, whose thread then finds it done."""

_BASE64 = re.compile(r"(?<=;base64,)[A-Za-z0-9+/=]{100,}", re.ASCII)
_STAND_IN = re.compile(r"(?<=;base64,)picture(\d{1,6})(?=\")", re.ASCII)


def _attribute(tag: str, name: str, value: str) -> str | None:
    allowed = {"href": OF_LINKS, "src": OF_PICTURES}.get(name)
    return value if allowed is None or value.lower().startswith(allowed) else None


_cleaner = nh3.Cleaner(
    tags=TAGS,
    clean_content_tags=UNSEEN,
    attributes=ATTRIBUTES,
    attribute_filter=_attribute,
    filter_style_properties=STYLES,
    url_schemes=SCHEMES,
    url_relative="deny",
    link_rel="noopener noreferrer nofollow",
    strip_comments=True,
)


@lru_cache(CACHED)
def clean_html(html: str) -> str:
    """The same text gives the same result each time. What is too large to be cleaned in time becomes its text."""
    if not html:
        return ""
    pictures: list[str] = []
    short = _BASE64.sub(partial(_stand_in, pictures), html)
    tags = short.count("<")
    opening = tags - short.count("</")
    if len(short) > MAX_LENGTH or tags > MAX_TAGS or opening > MAX_OPENING_TAGS:
        return _only_text(short)
    cleaned = _cleaner.clean(short)
    if not pictures:
        return cleaned
    left: dict[int, str] = dict(enumerate(pictures))
    return _STAND_IN.sub(lambda found: left.pop(int(found[1]), found[0]), cleaned)


def _stand_in(pictures: list[str], found: re.Match[str]) -> str:
    """What a picture is made of is harmless wherever it stands, and only takes time."""
    pictures.append(found[0])
    return f"picture{len(pictures) - 1}"


def _only_text(html: str) -> str:
    return "<br>".join(escape(line) for line in plain_text(html).splitlines() if line)
