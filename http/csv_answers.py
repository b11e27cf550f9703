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


def csv_answer(
    name: str, header: Sequence[str], rows: AsyncIterable[Sequence[Cell]], *, bom: bool
) -> web.Response:
    """`name`: of the file, without its ending."""
    headers = {
        "Content-Type": "text/csv; charset=utf-8",
        "Content-Disposition": f'attachment; filename="{name}.csv"',
        "Cache-Control": "no-store",
    }
    return web.Response(body=_pieces(header, rows, bom=bom), headers=headers)


async def _pieces(
    header: Sequence[str], rows: AsyncIterable[Sequence[Cell]], *, bom: bool
) -> AsyncIterator[bytes]:
    text = StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    text.write(BOM if bom else "")
    writer.writerow(header)
    async for row in rows:
        writer.writerow([harmless(each) if isinstance(each, str) else each for each in row])
        if text.tell() > PIECE:
            yield text.getvalue().encode()
            text.seek(0)
            text.truncate()
    yield text.getvalue().encode()


def harmless(text: str) -> str:
    """With an apostrophe before what would be carried out; a spreadsheet does not show it."""
    return f"'{text}" if text.startswith(FORMULA) else text
