from kanal.http.fields import MAX_PAGE, Paging
from kanal.http.paging import page_of
from kanal.projections.read_model import Page


def test_a_page_is_asked_for_by_number_and_limit() -> None:
    assert page_of(Paging.read({"page": "3", "limit": "20"})) == Page(3, 20)


def test_past_the_last_page_that_there_can_be_no_row_is_read() -> None:
    assert page_of(Paging.read({"page": str(MAX_PAGE)})).limit == 100
    assert page_of(Paging.read({"page": str(MAX_PAGE + 1)})).limit == 0
