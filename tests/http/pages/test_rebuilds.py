"""Rebuilds that somebody asks for on the page of the system."""

from typing import NoReturn

from open_log import until

from kanal.http.pages.rebuilds import Rebuilds


async def test_a_rebuild_that_cannot_even_begin_is_told_of_without_what_the_failing_part_said() -> (
    None
):
    def make(names: tuple[str, ...]) -> NoReturn:
        raise OSError("host=db.internal password=secret")

    rebuilds = Rebuilds(make)
    assert rebuilds.begin(("cases",))
    await until(lambda: rebuilds.last)
    assert rebuilds.last
    assert rebuilds.last.failed
    assert (rebuilds.last.failed.kind, rebuilds.under_way) == ("OSError", None)
    assert "secret" not in str(rebuilds.last)
    assert rebuilds.begin(("cases",))
    await rebuilds.close()
