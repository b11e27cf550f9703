"""Names that people give to things, made comparable."""

from unicodedata import normalize


def folded(name: str) -> str:
    """What makes two names the same one for a person: neither letter case nor outer blanks count."""
    return normalize("NFC", name).strip().casefold()
