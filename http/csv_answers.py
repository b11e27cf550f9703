"""Tables as CSV (RFC 4180), written as they are read, and safe to open in a spreadsheet."""

import csv
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from io import StringIO
from typing import Final

from aiohttp import web

Cell = str | int | float | None
"""None is left empty."""
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a spreadsheet takes for the beginning of something to be carried out (OWASP, CSV injection)."""
PIECE: Final = 64 * 1024
"""Characters that are gathered before they are sent."""
BOM: Final = "\ufeff"
"""By which Excel knows UTF-8."""


async def csv_answer(
    name: str, header: Sequence[str], rows: AsyncIterator[Sequence[Cell]], *, bom: bool
) -> web.Response:
    """`name`: of the file, without its ending. Raises what reading the first row does; later it cuts the answer off."""
    first = await anext(rows, None)
    headers = {
        "Content-Type": "text/csv; charset=utf-8",
        "Content-Disposition": f'attachment; filename="{name}.csv"',
        "Cache-Control": "no-store",
    }
    return web.Response(body=_pieces(header, first, rows, bom=bom), headers=headers)


async def _pieces(
    header: Sequence[str],
    first: Sequence[Cell] | None,
    rows: AsyncIterable[Sequence[Cell]],
    *,
    bom: bool,
) -> AsyncIterator[bytes]:
    text = StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    text.write(BOM if bom else "")
    writer.writerow(header)
    if first is not None:
        writer.writerow(_harmless(first))
    async for row in rows:
        writer.writerow(_harmless(row))
        if text.tell() > PIECE:
            yield text.getvalue().encode()
            text.seek(0)
            text.truncate()
    yield text.getvalue().encode()


def _harmless(row: Sequence[Cell]) -> list[Cell]:
    return [harmless(each) if isinstance(each, str) else each for each in row]


def harmless(text: str) -> str:
    """With an apostrophe before what would be carried out; a spreadsheet does not show it."""
    return f"'{text}" if text.startswith(FORMULA) else text
