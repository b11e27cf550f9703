"""Addresses in what people wrote, made into links. Anybody writes, a million characters at once, so nothing is looked at twice."""

import re
from itertools import islice
from typing import Final

from markupsafe import Markup, escape

SHOWN: Final = 80
"""Characters of an address; the link has them all."""
MOST: Final = 1000
"""Links in one text; whoever writes more does not write to be read."""
ADDRESS: Final = re.compile(
    r"""(?<!\w)(?: https?:// | www\. )\w[^\s<>"]*
      | (?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}""",
    re.IGNORECASE | re.VERBOSE,
)
ENDS: Final = ".,:;!?)]'*"
"""Behind an address these are the sentence's."""
LINK: Final = Markup('<a href="{}" rel="noopener noreferrer nofollow" target="_blank">{}</a>')


def linked(text: str) -> Markup:
    pieces, at = [], 0
    for hit in islice(ADDRESS.finditer(text), MOST):
        address = _without_end(hit[0])
        pieces += [escape(text[at : hit.start()]), _link(address)]
        at = hit.start() + len(address)
    return Markup("").join([*pieces, escape(text[at:])])


def _without_end(hit: str) -> str:
    """A bracket that was opened in the address closes there too."""
    address = hit.rstrip(ENDS)
    closes = hit[len(address) :].startswith(")") and address.count("(") > address.count(")")
    return f"{address})" if closes else address


def _link(address: str) -> Markup:
    shown = address if len(address) <= SHOWN else f"{address[:SHOWN]}…"
    begins = address[:8].lower()
    if begins.startswith("www."):
        return LINK.format(f"https://{address}", shown)
    return LINK.format(address if "://" in begins else f"mailto:{address}", shown)
