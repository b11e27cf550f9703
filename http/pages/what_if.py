"""/rules/what_if: what the rule in the editor would have done, told while it is found out.

The page is sent in parts: its beginning, how far it has come again and again, what was found. Who leaves it ends the search.
"""

from typing import Annotated, Any, Final

from aiohttp import web
from pydantic import BeforeValidator

from kanal.automation.what_if import Findings
from kanal.http.api.what_if import DAYS, MAX_DAYS, check_sees_all, found
from kanal.http.errors import ApiError
from kanal.http.fields import Fields
from kanal.http.pages import rendering
from kanal.http.pages.form_errors import Faults
from kanal.http.pages.rules import drafting, editor, editor_values, sent_form
from kanal.http.pages.visit import Visit
from kanal.projections import cases
from kanal.projections.cases import CaseRow

TOLD: Final = 50
"""Runs that are told one by one."""
FINDINGS: Final = "<!-- findings -->"
"""Where in the page they come."""


def _days(given: object) -> int:
    """What is no number of days is brought into the range."""
    text = given if isinstance(given, str) else ""
    return min(max(1, int(text)), MAX_DAYS) if text.isdecimal() and len(text) < 6 else DAYS


class WhatIfForm(Fields):
    days: Annotated[int, BeforeValidator(_days)] = DAYS


async def ask(visit: Visit) -> web.StreamResponse:
    sent, days = await sent_form(visit), (await visit.given(WhatIfForm)).days
    with Faults() as faults:
        await visit.read(check_sees_all)
        draft = (await visit.submit(drafting(visit, sent))).result
    if faults:
        return await editor(visit, sent, faults, days=days)
    values = {**visit.shared(), **await editor_values(visit, sent, days=days, asked=True)}
    beginning, end = rendering.rendered("rule_editor.html", values, visit.language).split(FINDINGS)
    answer = web.StreamResponse(
        headers={**rendering.HEADERS, "Content-Type": "text/html; charset=utf-8"}
    )
    await answer.prepare(visit.request)

    async def tell(template: str, **told: Any) -> None:
        part = rendering.rendered(template, {**values, **told}, visit.language)
        await answer.write(part.encode())

    async def look(share: float) -> None:
        await tell("what_if_progress.html", share=share)

    try:
        await answer.write(beginning.encode())
        await look(0.0)
        try:
            findings = await found(visit, draft, days, TOLD, look)
        except ApiError as error:
            await tell("what_if_findings.html", refused=error, findings=None, cases={})
        else:
            seen = await visit.read(cases.of_ids, _named(findings))
            known: dict[int, CaseRow] = {row.case_id: row for row in seen}
            await tell("what_if_findings.html", refused=None, findings=findings, cases=known)
        await answer.write(end.encode())
        await answer.write_eof()
    except ConnectionError:
        pass  # nobody waits for it any more
    return answer


def _named(findings: Findings) -> list[int]:
    return list({run.case_id for run in (*findings.items, *findings.live_items)})
