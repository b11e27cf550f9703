"""CSV: what a spreadsheet opens shows what was meant, and carries nothing out."""

import csv
from collections.abc import AsyncIterator
from io import StringIO

import pytest

from kanal.http.csv_answers import BOM, PIECE, Cell, csv_answer

CELLS: list[list[Cell]] = [
    ["=1+1", -5, "-", "@x", "+7916"],
    ['say "hi"', "a,b", "two\r\nlines", None, 0.5],
    ["\tx", "Привет", "x=1", "", 0],
]


async def rows(count: int = 1) -> AsyncIterator[list[Cell]]:
    for _ in range(count):
        for row in CELLS:
            yield row


async def text_of(count: int = 1, *, bom: bool = False) -> list[bytes]:
    answer = await csv_answer("x", ["a", "b", "c", "d", "e"], rows(count), bom=bom)
    assert answer.headers["Content-Disposition"] == 'attachment; filename="x.csv"'
    pieces = []

    class Sink:
        async def write(self, piece: bytes) -> None:
            pieces.append(piece)

    await answer.body.write(Sink())  # type: ignore[union-attr, arg-type]
    return pieces


async def test_cells_are_quoted_and_formulas_made_harmless() -> None:
    text = b"".join(await text_of()).decode()
    assert text.startswith("a,b,c,d,e\r\n'=1+1,-5,'-,'@x,'+7916\r\n")
    read = list(csv.reader(StringIO(text, newline="")))
    assert read[2] == ['say "hi"', "a,b", "two\r\nlines", "", "0.5"]
    assert read[3] == ["'\tx", "Привет", "x=1", "", "0"]


async def test_a_table_is_sent_in_pieces_and_begins_with_a_mark_if_asked() -> None:
    pieces = await text_of(5000, bom=True)
    assert len(pieces) > 2
    assert max(map(len, pieces)) < 2 * PIECE
    text = b"".join(pieces).decode()
    assert text.startswith(f"{BOM}a,b")
    assert text.count("\r\n") == 1 + 3 * 5000 + 5000


async def test_what_cannot_be_read_at_all_is_no_answer_that_has_begun() -> None:
    async def refused() -> AsyncIterator[list[Cell]]:
        raise PermissionError
        yield []

    with pytest.raises(PermissionError):
        await csv_answer("x", ["a"], refused(), bom=False)
