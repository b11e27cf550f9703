"""docs/api.md names every call and every error code, docs/compatibility.md every call, and neither what does not exist."""

import re
from collections.abc import Iterator
from pathlib import Path

from kanal.domain.access import PLAIN_STAFF
from kanal.domain.errors import DomainError
from kanal.http.errors import HTTP_CODES
from kanal.http.fields import OWN_CODES
from kanal.http.routes import ROUTES

ROOT = Path(__file__).parents[2]
API = (ROOT / "docs" / "api.md").read_text()
COMPATIBILITY = (ROOT / "docs" / "compatibility.md").read_text()
CALL = re.compile(r"^\| (GET|POST|PUT|DELETE) \| `([^`]+)` \|(.*)\|$", re.MULTILINE)
ERRORS = re.compile(r"^\| (`[a-z_`, ]+`) \| (\d{3}) \|", re.MULTILINE)
COMPARED = re.compile(r"^\| (`(?:GET|POST|PUT|DELETE) .*?) \| (.*?) \|", re.MULTILINE)
RAISED = re.compile(r"ApiError\(\s*\d+,\s*\"(\w+)\"")
CODES = re.compile(r"\"(?:incorrect|wrong)_\w+\"")


def refusals(kind: type[DomainError] = DomainError) -> Iterator[type[DomainError]]:
    for each in kind.__subclasses__():
        yield each
        yield from refusals(each)


def test_every_call_is_documented_with_its_right() -> None:
    documented = {
        (method, path): "**admin**" in remark for method, path, remark in CALL.findall(API)
    }
    assert documented == {
        (route.method, route.path): route.right not in PLAIN_STAFF.rights for route in ROUTES
    }


def test_every_call_is_compared_with_omnidesks_once() -> None:
    offered = [
        call
        for calls, verdict in COMPARED.findall(COMPATIBILITY)
        for call in re.findall(r"`(.+?)`", calls)
        if not verdict.startswith("not offered")
    ]
    assert sorted(offered) == sorted(f"{route.method} {route.path}" for route in ROUTES)


def test_every_error_code_is_documented() -> None:
    documented = {code for names, _ in ERRORS.findall(API) for code in re.findall(r"\w+", names)}
    sources = [
        file.read_text() for folder in ("http", "http/api") for file in (ROOT / folder).glob("*.py")
    ]
    raised = {code for source in sources for code in RAISED.findall(source)}
    fields = {name.strip('"') for source in sources for name in CODES.findall(source)}
    domain = {kind.code for kind in refusals() if kind.__module__ == DomainError.__module__}
    answered = {code for code, _ in HTTP_CODES.values()}
    known = raised | fields | domain - {DomainError.code} | answered | OWN_CODES
    assert known <= documented
    assert documented <= known | {"internal_error", "invalid_parameters"}
