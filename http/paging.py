"""The page that a caller asks for, as the read models count it."""

from kanal.http.fields import Paging
from kanal.projections.read_model import Page


def page_of(asked: Paging) -> Page:
    """Past the last page that there can be, a page without rows: only the total is answered."""
    return Page(asked.page, asked.limit) if asked.rows else Page(limit=0)
