"""Every setting: its name, default and meaning. Read from the environment and from .env.

`python settings.py env` prints .env.example, `python settings.py markdown` the table in README. Checks the form of
values only; makes no connection.
"""

from __future__ import annotations

import difflib
import os
import re
import stat
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from dotenv import dotenv_values
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from credits.allowance import CreditPeriod
from discord_api.links import check_page_url
from discord_api.shards import SHARD_COUNT_MAX, Shards, ShardSettings, parse_shard_ids
from qwen.addresses import AllowedHosts
from qwen.cleaning import is_ascii_word
from qwen.public_url import check_public_url
from qwen.service_url import check_service_url
from store.address import parse_database_url
from store.hosts import lost_disk

ENV_FILE = ".env"
PREFIXES = ("DISCORD_", "QWEN_", "SHARD_")
READABLE_BY_ALL = (
    f"{ENV_FILE} holds your secrets, and every user of this machine can open it: run `chmod 600 {ENV_FILE}`, "
    "then start again."
)
READABLE_BY_GROUP = f"{ENV_FILE} holds your secrets, and its group can open it: run `chmod 600 {ENV_FILE}`."
OPEN_TO_ALL = stat.S_IROTH | stat.S_IWOTH
OPEN_TO_GROUP = stat.S_IRGRP | stat.S_IWGRP
SQLITE_IS_ALONE = (
    "DATABASE_URL is a SQLite file, which one process alone can use: several processes share a PostgreSQL database."
)
LINE_MAX = 200
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


def _secret(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if not is_ascii_word(text):
        raise ValueError("must be one word of plain letters, digits and signs, with no spaces inside")
    return value


def _url(secure: str, plain: str) -> AfterValidator:
    return AfterValidator(lambda value: check_service_url(value, secure, plain))


def _shards(value: object) -> object:
    return parse_shard_ids(value) if isinstance(value, str) else value


def _words(value: object) -> object:
    return [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else value


def _zone(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return ZoneInfo(value.strip())
    except (LookupError, ValueError, OSError):
        raise ValueError("must be a time zone such as UTC or Europe/Berlin") from None


def _line(value: str) -> str:
    if not value.isprintable() or len(value) > LINE_MAX:
        raise ValueError(f"must be one line of at most {LINE_MAX} characters")
    return value.strip()


def _level(value: str) -> str:
    if value.strip().upper() not in LOG_LEVELS:
        raise ValueError(f"must be one of {', '.join(LOG_LEVELS)}")
    return value.strip().upper()


def _lower(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


def _no_slash(value: str) -> str:
    return value.rstrip("/")


def _database(value: str) -> str:
    if value:
        parse_database_url(value)  # its ValueError is a sentence
    return value


def _hosts(value: Sequence[str]) -> tuple[str, ...]:
    AllowedHosts.parse(value)  # its ValueError is a sentence
    return tuple(value)


class Settings(BaseModel):
    """The settings. Frozen. Secrets are hidden in every text of it."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    discord_token: Annotated[SecretStr, AfterValidator(_secret)] = Field(
        description="The bot's token from the Discord developer portal (secret)."
    )
    discord_api_url: Annotated[str, _url("https", "http"), AfterValidator(_no_slash)] = Field(
        default="https://discord.com/api/v10",
        description="Discord's REST API; change it only for a REST proxy or the sandbox.",
    )
    discord_gateway_url: Annotated[str, _url("wss", "ws")] = Field(
        default="wss://gateway.discord.gg/",
        description="Discord's gateway; change it only for a gateway proxy or the sandbox.",
    )
    qwen_api_key: Annotated[SecretStr, AfterValidator(_secret)] = Field(
        description="The key of the image API, sk-… (secret)."
    )
    qwen_api_url: Annotated[str, _url("https", "http"), AfterValidator(_no_slash)] = Field(
        default="https://qwen-image-2512.org/api", description="The address of the image API."
    )
    qwen_image_hosts: Annotated[tuple[str, ...], BeforeValidator(_words), AfterValidator(_hosts)] = Field(
        default=(),
        description="The only hosts that images are downloaded from, redirects included, separated by commas; these "
        "may use plain http or be private. Empty: any public https host.",
    )
    qwen_max_tasks: int = Field(
        default=20,
        ge=1,
        le=10_000,
        description="The most images that are made at once, over everybody. The image API may take fewer; the bot "
        "learns how many.",
    )
    database_url: Annotated[str, AfterValidator(_database)] = Field(
        default="sqlite:///data/imagine.db",
        repr=False,  # may hold a password
        description="SQLite (one process), or PostgreSQL as postgresql://user:password@host/name (secret).",
    )
    move_to_database_url: Annotated[str, AfterValidator(_database)] = Field(
        default="",
        repr=False,
        description="For `python bot.py move` alone: the empty PostgreSQL database to copy everything to (secret).",
    )
    allow_ephemeral_database: bool = Field(
        default=False,
        description="yes: allow a SQLite file on a host that may not keep its disk.",
    )
    credits_per_period: int = Field(
        default=50, ge=0, le=1_000_000, description="How many credits each person has after a refill; an image costs 5."
    )
    credit_period: Annotated[CreditPeriod, BeforeValidator(_lower)] = Field(
        default=CreditPeriod.DAY, description="How often credits are refilled: hour, day, week, month or never."
    )
    timezone: Annotated[ZoneInfo, BeforeValidator(_zone)] = Field(
        default=ZoneInfo("UTC"), description="The zone whose midnight refills the credits, such as Europe/Berlin."
    )
    max_images_per_user: int = Field(
        default=3, ge=1, le=1000, description="The most images of one person that are made at once; more wait in line."
    )
    max_images_per_guild: int = Field(
        default=0, ge=0, le=10_000, description="The most images of one server that are made at once. 0: no limit."
    )
    max_queue: int = Field(
        default=500, ge=0, le=100_000, description="The most images that wait in line, over everybody."
    )
    requests_per_minute: int = Field(
        default=10, ge=0, le=10_000, description="The most requests of one person in a minute. 0: no limit."
    )
    spend_limit_day: int = Field(
        default=0,
        ge=0,
        le=1_000_000_000,
        description="The most credits of the image API that everybody together may spend in a day. 0: no limit.",
    )
    spend_limit_month: int = Field(
        default=0,
        ge=0,
        le=1_000_000_000,
        description="The most credits of the image API that everybody together may spend in a month. 0: no limit.",
    )
    image_memory_mb: int = Field(
        default=128, ge=32, le=65_536, description="The most MiB of images in memory at once; more wait."
    )
    task_deadline_seconds: int = Field(
        default=900,
        ge=30,
        le=86_400,
        description="An image that takes longer is given up, and its credits are returned.",
    )
    retention_days: int = Field(
        default=365, ge=0, le=36_500, description="Prompts and links are deleted after so many days. 0: never."
    )
    owner_ids: Annotated[tuple[int, ...], BeforeValidator(_words)] = Field(
        default=(),
        description="User ids, separated by commas, of those who get the bot's alerts and may use /owner. Empty: the "
        "application's owner, or its team.",
    )
    owner_guilds: Annotated[tuple[int, ...], BeforeValidator(_words)] = Field(
        default=(),
        description="Ids, separated by commas, of the servers that have the command /owner. Empty: the bot's direct "
        "messages have it.",
    )
    support_url: Annotated[str, AfterValidator(check_page_url)] = Field(
        default="", description="Where people get help, an https address. Named in /help and in some refusals."
    )
    privacy_url: Annotated[str, AfterValidator(check_page_url)] = Field(
        default="", description="Your privacy policy, an https address. Named in /help and in /privacy show."
    )
    terms_url: Annotated[str, AfterValidator(check_page_url)] = Field(
        default="", description="Your terms, an https address. Named in /help."
    )
    operator_name: Annotated[str, AfterValidator(_line)] = Field(
        default="", description="Who runs this bot. For `python bot.py policies` alone."
    )
    operator_contact: Annotated[str, AfterValidator(_line)] = Field(
        default="", description="How to reach whoever runs this bot, such as a mail address. For `policies` alone."
    )
    public_url: Annotated[str, AfterValidator(check_public_url)] = Field(
        default="",
        description="The bot's own https address, where the image API calls back when an image is ready. Empty: no "
        "callbacks, only polls.",
    )
    port: int = Field(
        default=8080, ge=1, le=65_535, description="The port for callbacks and /healthz, if PUBLIC_URL is set."
    )
    shard_count: int | None = Field(
        default=None,
        ge=1,
        le=SHARD_COUNT_MAX,
        description="The number of Discord's shards over all processes, the same in each. Empty: as Discord "
        "recommends.",
    )
    shard_ids: Annotated[tuple[int, ...], BeforeValidator(_shards)] = Field(
        default=(), description="The shards of this process, such as 0-3. Empty: all, or as SHARD_PROCESS says."
    )
    shard_process: int | None = Field(
        default=None,
        ge=0,
        description="The number of this process, from 0 on: it takes an even part of the shards.",
    )
    shard_processes: int | None = Field(
        default=None, ge=1, description="The number of processes that the shards are divided among by SHARD_PROCESS."
    )
    log_level: Annotated[str, AfterValidator(_level)] = Field(
        default="INFO", description="DEBUG, INFO, WARNING or ERROR."
    )

    @property
    def shard_settings(self) -> ShardSettings:
        """How the gateway is divided among processes."""
        return ShardSettings(self.shard_count, self.shard_ids, self.shard_process, self.shard_processes)

    @property
    def shards(self) -> Shards | None:
        """The shards of this process; None: all, and as many as Discord recommends."""
        return self.shard_settings.chosen()

    def secrets(self) -> tuple[str, ...]:
        """Return every secret value, for the log's redaction."""
        known = (self.discord_token.get_secret_value(), self.qwen_api_key.get_secret_value())
        urls = (self.database_url, self.move_to_database_url)
        passwords = (re.match(r"[^:]*://[^:/@]*:(.*)@", url, re.DOTALL) for url in urls)
        return (*known, *(password[1] for password in passwords if password))


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings, and warnings for the log."""

    settings: Settings
    warnings: tuple[str, ...]


class SettingsError(Exception):
    """The settings are wrong. `faults`: one sentence each, without secrets."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = tuple(faults)


def load_settings(*, alone: bool = True) -> Loaded:
    """Read the environment, then .env for what is not set there. Raises SettingsError with every fault.

    *alone*: this process may be the only one; False for one that is of use only beside others.
    """
    faults: list[str] = []
    try:
        if _is_open(Path(ENV_FILE), OPEN_TO_ALL):
            faults.append(READABLE_BY_ALL)
        named = {name.upper(): value for name, value in {**dotenv_values(ENV_FILE), **os.environ}.items() if value}
        settings = Settings.model_validate({name.lower(): value for name, value in named.items()})
    except ValidationError as error:
        raise SettingsError([*faults, *_sentences(error)]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError([f"{ENV_FILE} can't be read ({type(error).__name__})."]) from None
    lost = None if settings.allow_ephemeral_database else lost_disk(settings.database_url, named)
    if lost is not None:
        faults.append(lost)
    faults += settings.shard_settings.faults()
    is_sqlite = parse_database_url(settings.database_url).get_backend_name() == "sqlite"
    if is_sqlite and (settings.shard_settings.several_processes or not alone):
        faults.append(SQLITE_IS_ALONE)
    if faults:
        raise SettingsError(faults)
    warnings = [READABLE_BY_GROUP] if _is_open(Path(ENV_FILE), OPEN_TO_GROUP) else []
    return Loaded(settings, (*warnings, *_unknown(named)))


def _is_open(env_file: Path, bits: int) -> bool:
    """Return whether the file has any of these mode *bits*; False on systems other than POSIX."""
    return os.name == "posix" and env_file.is_file() and bool(env_file.stat().st_mode & bits)


def _sentences(error: ValidationError) -> list[str]:
    return [
        _sentence(str(fault["loc"][0]).upper(), fault["type"], fault["msg"], fault.get("ctx", {}))
        for fault in error.errors(include_input=False, include_url=False)
    ]


def _sentence(name: str, kind: str, message: str, context: Mapping[str, Any]) -> str:
    match kind:
        case "missing" if name == "DISCORD_TOKEN":
            return (
                "DISCORD_TOKEN is missing: put the bot's token into .env (README says how to get one), or run "
                "`make try` to try the bot in a browser without any account."
            )
        case "missing":
            return f"{name} is missing: put it into .env (README says how to get one)."
        case "int_parsing":
            return f"{name} must be a whole number."
        case "bool_parsing":
            return f"{name} must be yes or no."
        case "greater_than_equal":
            return f"{name} must be at least {context['ge']}."
        case "less_than_equal":
            return f"{name} must be at most {context['le']}."
        case "enum":
            return f"{name} must be {context['expected']}."
        case _:
            text = message.removeprefix("Value error, ").rstrip(".")
            return f"{text}." if name in text else f"{name} {text}." if text[:1].islower() else f"{name}: {text}."


def _unknown(values: Mapping[str, str]) -> list[str]:
    """Return a sentence for each name that has the form of a setting and is none."""
    known = [name.upper() for name in Settings.model_fields]
    sentences: list[str] = []
    for name in sorted(values):
        if name.startswith(PREFIXES) and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else "."
            sentences.append(f"{name} is not a setting and is ignored{hint}")
    return sentences


def default_text(field: FieldInfo) -> str:
    """Return the default as it is written in .env."""
    if field.is_required() or field.default in ((), "", None):
        return ""
    return ("no", "yes")[field.default] if isinstance(field.default, bool) else str(field.default)


def env_example() -> str:
    """Return the text of .env.example."""
    lines = ["# Settings of Qwen Imagine. Copy to .env and fill in the two secrets; the rest has defaults.", ""]
    for name, field in Settings.model_fields.items():
        lines += [f"# {field.description}"]
        prefix = "" if field.is_required() else "# "
        lines += [f"{prefix}{name.upper()}={default_text(field)}", ""]
    return "\n".join(lines)


def markdown_table() -> str:
    """Return the settings table of README."""
    rows = ["| setting | default | what it is |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "required" if field.is_required() else f"`{default_text(field)}`" if default_text(field) else "empty"
        rows.append(f"| `{name.upper()}` | {default} | {field.description} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.stdout.write(markdown_table() if sys.argv[1:] == ["markdown"] else env_example())
