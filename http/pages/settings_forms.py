"""What the pages of filters, labels, fields, groups, hours, targets and macros share: their templates name what there is to choose from."""

from typing import Any

from aiohttp import web

from kanal.http.pages.form_errors import NO_FAULTS, Faults
from kanal.http.pages.named import named
from kanal.http.pages.visit import Visit


async def shown(
    visit: Visit, template: str, faults: Faults = NO_FAULTS, **values: Any
) -> web.Response:
    known = await visit.read_own(named)
    return visit.page(
        template,
        400 if faults else 200,
        faults=faults,
        named=known,
        sidebar=known.sidebar,
        position=None,
        **values,
    )
