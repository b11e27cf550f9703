"""What the pages of labels, fields, groups, hours, targets and macros share: a form that is kept, or shown again with what is wrong."""

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from kanal.http.pages.form_errors import NO_FAULTS, Faults, faults_in
from kanal.http.pages.named import named
from kanal.http.pages.visit import Visit

Page = Callable[[Faults], Awaitable[web.StreamResponse]]


async def kept(visit: Visit, keep: Awaitable[Any], path: str, again: Page) -> web.StreamResponse:
    """Where the form leads; `again` shows it with what is wrong."""
    try:
        await keep
    except Exception as error:  # noqa: BLE001 what cannot be mended in the form is raised again
        return await again(faults_in(error))
    return visit.see(path, done="saved")


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
