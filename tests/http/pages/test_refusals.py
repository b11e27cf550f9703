"""What is refused is said in every language: nothing that can come of a page is left to the API's English."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import kanal
from kanal.domain.errors import DomainError
from kanal.http.errors import ApiError
from kanal.http.fields import INVALID, OWN_CODES
from kanal.http.pages import wording
from kanal.http.pages.refusals import BESIDE, FAULTS, PATTERNS, REASONS
from kanal.http.pages.rendering import environment

HERE = Path(kanal.__file__).parent
NOT_OF_PAGES = {
    # Of keys, clients and their bodies
    *("unauthorized", "rate_limit_exceeded", "idempotency_key_reused", "invalid_idempotency_key"),
    *("malformed_json", "duplicate_key", "too_deep", "unsupported_media_type"),
    *("unsupported_charset", "unsupported_content_encoding", "expectation_failed"),
    *("method_not_allowed", "attachments_not_files", "attachment_url_refused", "wrong_cursor"),
    # Of what only the API does
    *("channel_not_polled", "wrong_identification_code", "message_not_rateable"),
    *("notice_not_found", "client_email_not_found", "staff_status_not_found"),
    *("staff_status_fixed", "send_at_not_allowed", "ambiguous_author", "what_if_cancelled"),
}
OF_FIELDS = (
    *("http/fields.py", "http/contacts.py", "http/dates.py", "http/actions.py"),
    *("http/conditions.py", "http/api/business_hours.py", "http/api/rules.py"),
    *("http/api/response_targets.py", "http/api/companies.py", "http/api/labels.py"),
    *("http/api/custom_channels.py", "domain/custom_fields.py", "domain/conditions.py"),
    *("domain/rule_webhooks.py", "delivery/networks.py"),
)
"""Modules that say what is wrong with fields that stand in forms."""
OF_JSON = (
    *("half a surrogate pair", "must be an object", "must be files", "must be a list"),
    *("must have one of all", "field is required", "field must be one of", "operator must be"),
    *("method must be", "format must be", "webhook_id must be", "headers must be an object"),
    *("must be 1 (open)", "must be low, normal"),
    "action_destination: 7",  # other modules say the rest
)
"""In what no form sends."""


def kinds(root: type[DomainError]) -> Iterator[type[DomainError]]:
    for each in root.__subclasses__():
        yield each
        yield from kinds(each)


def calls_in(file: Path, *names: str) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in names:
            yield node


def codes() -> Iterator[str]:
    for kind in kinds(DomainError):
        if not kind.__subclasses__():
            yield kind.code
    for file in [
        *HERE.glob("http/*.py"),
        *HERE.glob("http/api/*.py"),
        *HERE.glob("http/pages/*.py"),
    ]:
        for call in calls_in(file, "ApiError"):
            code = call.args[1]
            if isinstance(code, ast.Constant):
                yield str(code.value)
    yield from (*OWN_CODES, INVALID)


def said_of_fields() -> Iterator[str]:
    for name in OF_FIELDS:
        for call in calls_in(HERE / name, "wrong", "ValueError"):
            given = call.args[0] if call.args else None
            if isinstance(given, ast.Constant):
                yield str(given.value)
            elif isinstance(given, ast.JoinedStr):
                yield "".join(
                    str(part.value) if isinstance(part, ast.Constant) else _sample(part)
                    for part in given.values
                )


def _sample(part: ast.expr) -> str:
    repr_asked = isinstance(part, ast.FormattedValue) and part.conversion == ord("r")
    return "'x'" if repr_asked else "7"


def test_each_code_that_can_come_of_a_page_has_its_sentence() -> None:
    found = set(codes())
    assert found - REASONS.keys() - NOT_OF_PAGES == set()
    assert REASONS.keys() & NOT_OF_PAGES == set()
    assert REASONS.keys() >= BESIDE


@pytest.mark.parametrize("language", sorted(wording.LANGUAGES))
def test_what_is_wrong_with_a_field_of_a_form_is_said_in_the_readers_language(
    language: str,
) -> None:
    template = environment(language).from_string("{{ sentence|fault }}")
    left = [
        sentence
        for sentence in said_of_fields()
        if not any(part in sentence for part in OF_JSON)
        and not any(
            pattern.fullmatch(each)
            for each in (sentence, f"action_destination: {sentence}")
            for pattern in PATTERNS
        )
    ]
    assert left == []
    for sentence, said in FAULTS.items():
        shown = template.render(
            sentence=sentence.replace("%(", "").replace(")s", ""), language=language
        )
        assert "%" not in shown, said
    bounded = template.render(sentence="may have up to 255 characters", language=language)
    assert (
        bounded
        == {"en": "This may have up to 255 characters.", "ru": "Не больше 255 символов."}[language]
    )
    unknown = ApiError(400, "no_such_code", "As the API says it.")
    words = (
        environment(language)
        .from_string("{{ refused|reason }}")
        .render(refused=unknown, language=language)
    )
    assert words == "As the API says it."
