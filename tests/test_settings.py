"""Settings: their defaults, what they accept, how they refuse, and their documentation."""

import sys
from ipaddress import ip_network
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from pydantic_core import PydanticUndefined

from kanal.settings import PREFIX, Settings, SettingsError

DOCUMENT = Path(__file__).parents[1] / "docs" / "settings.md"


def refusal(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> str:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as refused:
        Settings.load()
    return str(refused.value)


def test_without_an_environment_kanal_listens_on_this_machine_only() -> None:
    settings = Settings.load()
    assert (settings.host, settings.port) == ("127.0.0.1", 8080)
    assert settings.database_url == ""
    assert settings.data_dir == Path("data")


def test_a_variable_sets_its_field(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KANAL_PORT", "9000")
    monkeypatch.setenv("KANAL_TIMEZONE", "Europe/Moscow")
    settings = Settings.load()
    assert (settings.port, settings.timezone) == (9000, ZoneInfo("Europe/Moscow"))


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KANAL_PORT", "")
    assert Settings.load().port == 8080


def test_a_value_given_by_name_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KANAL_PORT", "9000")
    assert Settings.load(port=9001).port == 9001


def test_a_password_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KANAL_ADMIN_PASSWORD", " päss, word ")
    assert Settings.load().admin_password == " päss, word "


@pytest.mark.parametrize("text", ["https://desk.example/help", "https://desk.example/help/"])
def test_a_public_address_has_no_slash_at_its_end(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("KANAL_PUBLIC_URL", text)
    assert Settings.load().public_url == "https://desk.example/help"


@pytest.mark.parametrize("text", ["127.0.0.0/8,::1", "127.0.0.0/8 ::1", " 127.0.0.0/8 , ::1 "])
def test_networks_are_separated_by_commas_or_spaces(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("KANAL_WEBHOOK_ALLOW", text)
    assert Settings.load().webhook_allow == (ip_network("127.0.0.0/8"), ip_network("::1/128"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KANAL_PORT", "tcp://10.0.0.1:8080"),
        ("KANAL_PORT", "65536"),
        ("KANAL_DATABASE_URL", "mysql://localhost/kanal"),
        ("KANAL_ADMIN_EMAIL", "nobody"),
        ("KANAL_ADMIN_EMAIL", "no:body@example.com"),
        ("KANAL_PUBLIC_URL", "desk.example"),
        ("KANAL_PUBLIC_URL", "ftp://desk.example"),
        ("KANAL_PUBLIC_URL", "https://"),
        ("KANAL_PUBLIC_URL", "https://desk.example:99999"),
        ("KANAL_PUBLIC_URL", "https://desk.example/?a=b"),
        ("KANAL_PUBLIC_URL", "https://ann@desk.example"),
        ("KANAL_TIMEZONE", "Mars/Olympus"),
        ("KANAL_RATE_LIMIT_PER_MINUTE", "1"),
        ("KANAL_TRUSTED_PROXIES", "10.0.0.300"),
        ("KANAL_WEBHOOK_ALLOW", "10.0.0.1/8"),
        ("KANAL_PHONE_REGION", "Russia"),
        ("KANAL_WEBHOOK_TIMEOUT", "0"),
        ("KANAL_WEBHOOK_HORIZON_DAYS", "31"),
        ("KANAL_WEBHOOK_CONCURRENCY", "0"),
        ("KANAL_WEBHOOK_PER_CHANNEL", "0"),
        ("KANAL_SHUTDOWN_SECONDS", "-1"),
        ("KANAL_LOG_FORMAT", "xml"),
        ("KANAL_LOG_LEVEL", "loud"),
    ],
)
def test_a_refusal_is_one_line_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    assert refusal(monkeypatch, name, value).startswith(f"{name}: ")
    assert len(refusal(monkeypatch, name, value).splitlines()) == 1


def test_every_refused_variable_has_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KANAL_PORT", "x")
    lines = refusal(monkeypatch, "KANAL_TIMEZONE", "y").splitlines()
    assert [line.partition(":")[0] for line in lines] == ["KANAL_PORT", "KANAL_TIMEZONE"]


def test_a_refusal_shows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "hunter2" not in refusal(monkeypatch, "KANAL_DATABASE_URL", "pg://kanal:hunter2@db/k")


def test_printed_settings_show_no_secret() -> None:
    settings = Settings(
        database_url="postgresql://kanal:hunter2@db/k",
        admin_password="hunter2",
        admin_api_key="hunter2",
    )
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize(("terminal", "form"), [(True, "console"), (False, "json")])
def test_logs_are_for_people_on_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, form: str
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    assert Settings.load().log_format == form


def documented_row(name: str) -> str:
    field = Settings.model_fields[name]
    match field.default:
        case "" | ():
            default = ""
        case _ if field.default is PydanticUndefined:
            default = "depends"
        case _:
            default = f"`{field.default}`"
    return f"| `{PREFIX}{name.upper()}` | {default} | {field.description} |"


def test_the_document_has_each_setting_with_its_default() -> None:
    rows = [line for line in DOCUMENT.read_text().splitlines() if line.startswith(f"| `{PREFIX}")]
    assert rows == [documented_row(name) for name in Settings.model_fields]


def test_notices_need_a_secret_that_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "https://office.example/hook"
    refused = "KANAL_NOTICE_SECRET: must be whsec_ and 24 to 64 bytes in base64"
    assert refused in refusal(monkeypatch, "KANAL_NOTICE_URL", url)
    for secret in ("whsec_short", "c2VjcmV0", "whsec_" + "QUJD" * 30):
        shown = refusal(monkeypatch, "KANAL_NOTICE_SECRET", secret)
        assert refused in shown
        assert secret not in shown
    monkeypatch.setenv("KANAL_NOTICE_SECRET", "whsec_" + "QUJD" * 8)
    assert Settings.load().notice_url == url
