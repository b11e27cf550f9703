"""Kanal's settings: the only module that reads the environment.

Every setting is a variable `KANAL_<NAME>`; docs/settings.md is the same table for operators.
"""

import sys
from base64 import b64decode
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from phonenumbers import SUPPORTED_REGIONS
from pydantic import BeforeValidator, Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PREFIX = "KANAL_"

# A delivery that has failed for a month is no longer news to its receiver.
LONGEST_HORIZON_DAYS = 30

Network = IPv4Network | IPv6Network


class SettingsError(Exception):
    """One line for each variable whose value cannot be used."""


def _networks(value: object) -> object:
    """CIDRs out of a text that separates them with commas or spaces."""
    if isinstance(value, str):
        return tuple(ip_network(word) for word in value.replace(",", " ").split())
    return value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _log_format() -> Literal["json", "console"]:
    return "console" if sys.stderr.isatty() else "json"


Networks = Annotated[tuple[Network, ...], NoDecode, BeforeValidator(_networks)]


class Settings(BaseSettings):
    """What the operator decides. Fields that may hold a secret have `repr=False`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, frozen=True, validate_default=True
    )

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(
        8080, ge=0, le=65535, description="Port to listen on; 0 takes any that is free."
    )
    data_dir: Path = Field(
        Path("data"), description="Folder of the SQLite database and of everything kept as files."
    )
    database_url: str = Field(
        "",
        repr=False,
        description="`postgresql://...` for PostgreSQL; empty for SQLite in the data folder.",
    )
    admin_email: str = Field(
        "",
        max_length=255,
        description="E-mail of the first administrator, used once; generated when empty.",
    )
    admin_password: str = Field(
        "",
        repr=False,
        description="Password of the first administrator, used once; generated when empty.",
    )
    admin_api_key: str = Field(
        "",
        repr=False,
        description="API key of the first administrator, used once; generated when empty.",
    )
    public_url: str = Field(
        "",
        description="Address under which others reach Kanal, for links and for the forms of its pages; `http://HOST:PORT` when empty.",
    )
    trusted_proxies: Networks = Field(
        (),
        description="CIDRs of the proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` headers are believed.",
    )
    timezone: ZoneInfo = Field(
        ZoneInfo("UTC"), description="The account's zone, for dates in answers and webhooks."
    )
    phone_region: str = Field(
        "RU", description="Country (ISO 3166, two letters) of phones given without its code."
    )
    rate_limit_per_minute: int = Field(
        0,
        ge=0,
        description="Calls of the API that one process takes in a minute, POST, PUT and DELETE counting as two; 0 for no limit.",
    )
    new_channels: Annotated[Literal["all", "administrators"], BeforeValidator(_lower)] = Field(
        "all",
        description="Whom a new custom channel is given to: `all` whose roles have such channels, or `administrators` alone until a role names it.",
    )
    second_step: Annotated[Literal["optional", "required"], BeforeValidator(_lower)] = Field(
        "optional",
        description="Whether staff may set up an authenticator as the second step of signing in, or must (`required`) before they see a page.",
    )
    webhook_allow: Networks = Field(
        (),
        description="CIDRs that webhooks and fetches of `attachment_urls` may reach although they are not public.",
    )
    webhook_timeout: float = Field(
        15,
        gt=0,
        description="Seconds that one webhook attempt may take in all, at most 15; on sync channels 5 unless the channel asks for more.",
    )
    webhook_horizon_days: int = Field(
        14,
        ge=1,
        le=LONGEST_HORIZON_DAYS,
        description=f"Days that a failing webhook is tried again; {LONGEST_HORIZON_DAYS} at most.",
    )
    webhook_pause_days: int = Field(
        5,
        ge=0,
        le=LONGEST_HORIZON_DAYS,
        description="Days of nothing but failures after which a channel's delivery is paused; 0 for never.",
    )
    attempt_days: int = Field(
        90,
        ge=0,
        description="Days that the attempts of ended deliveries are kept; the last outcome stays. 0 for ever.",
    )
    notice_url: str = Field(
        "",
        description="Where notices of failing, paused, resumed and recovered channels and of dead-lettered messages are posted; nowhere when empty.",
    )
    notice_secret: str = Field(
        "", repr=False, description="What signs them: `whsec_` and 24 to 64 random bytes in base64."
    )
    webhook_concurrency: int = Field(
        256, ge=1, description="Webhooks that one process may have in flight."
    )
    webhook_per_channel: int = Field(
        16, ge=1, description="Webhooks that one channel may have in flight."
    )
    shutdown_seconds: float = Field(
        6, gt=0, description="Seconds that work in hand gets to finish after SIGTERM or Ctrl-C."
    )
    log_format: Annotated[Literal["json", "console"], BeforeValidator(_lower)] = Field(
        default_factory=_log_format,
        description="`json` or `console`; by default `console` on a terminal and `json` elsewhere.",
    )
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = (
        Field("info", description="`debug`, `info`, `warning` or `error`.")
    )

    @field_validator("database_url")
    @classmethod
    def _a_known_database(cls, value: str) -> str:
        if value and not value.startswith("postgresql://"):
            raise ValueError("must be empty or begin with postgresql://")
        return value

    @field_validator("public_url")
    @classmethod
    def _an_address_to_build_on(cls, value: str) -> str:
        address = value.rstrip("/")
        try:
            parts = urlsplit(address)
            whole = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:
            whole = False
        if value and (not whole or set(address) & set(" ?#@\\")):
            raise ValueError("must look like https://desk.company.example, a path may follow")
        return address

    @field_validator("admin_email")
    @classmethod
    def _an_email_for_basic_auth(cls, value: str) -> str:
        name, at, domain = value.partition("@")
        # RFC 7617: a user name ends at the first colon.
        if value and (not (name and at and domain) or set(value) & set(" :")):
            raise ValueError("must look like name@company.example, without spaces and colons")
        return value

    @field_validator("rate_limit_per_minute")
    @classmethod
    def _enough_for_a_post(cls, value: int) -> int:
        if value == 1:
            raise ValueError("must be 0 for no limit, or at least 2: one POST counts as two")
        return value

    @field_validator("notice_secret")
    @classmethod
    def _a_secret_that_signs(cls, value: str, info: ValidationInfo) -> str:
        prefix, _, key = value.partition("_")
        try:
            length = len(b64decode(key, validate=True))
        except ValueError:
            length = 0
        usable = prefix == "whsec" and 24 <= length <= 64  # Standard Webhooks
        if not usable and (value or info.data.get("notice_url")):
            raise ValueError("must be whsec_ and 24 to 64 bytes in base64, where a URL is given")
        return value

    @field_validator("phone_region")
    @classmethod
    def _a_known_region(cls, value: str) -> str:
        if value.upper() not in SUPPORTED_REGIONS:
            raise ValueError("must be the two letters of a country, for example RU")
        return value.upper()

    @classmethod
    def load(cls, **given: Any) -> Self:
        """The environment's settings under those given by name; raises SettingsError."""
        try:
            return cls(**given)
        except ValidationError as error:
            lines = [
                _line(str(each["loc"][0]), each["msg"], each["input"]) for each in error.errors()
            ]
            raise SettingsError("\n".join(dict.fromkeys(lines))) from None


def _line(name: str, problem: str, value: object) -> str:
    field = Settings.model_fields.get(name)
    shown = f" (it is {value!r})" if field and field.repr else ""
    return f"{PREFIX}{name.upper()}: {problem.removeprefix('Value error, ')}{shown}"
