"""Every setting: its name, default and meaning. Read from the environment and from .env.

`python settings.py env` prints .env.example, `python settings.py markdown` the table in docs/settings.md. Checks the
form of values only; makes no connection.
"""

from __future__ import annotations

import difflib
import os
import re
import stat
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from dotenv import dotenv_values

from credits.allowance import CreditPeriod
from discord_api.links import check_page_url
from discord_api.shards import SHARD_COUNT_MAX, Shards, ShardSettings, parse_shard_ids
from qwen.public_url import check_public_url
from setting_parsers import (
    parse_api_url,
    parse_credit_period,
    parse_database,
    parse_gateway_url,
    parse_hosts,
    parse_ids,
    parse_line,
    parse_log_format,
    parse_log_level,
    parse_secret,
    parse_time_zone,
    parse_yes_or_no,
    whole_number,
)
from store.address import parse_database_url
from store.hosts import lost_disk

ENV_FILE = ".env"
CALLBACK_PORT = 8080  # where PORT is empty
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
TRY_WITHOUT = (
    "DISCORD_TOKEN is missing: put the bot's token into .env (README says how to get one), or run `make try` to try "
    "the bot in a browser without any account."
)
IS_MISSING = "is missing: put it into .env (README says how to get one)."

T = TypeVar("T")


def _setting(description: str, parse: Callable[[str], T], *, default: Any = MISSING, secret: bool = False) -> T:
    """Return a field of Settings, with a function of setting_parsers or one like it. *secret*: no text of the settings
    holds the value."""
    return field(default=default, repr=not secret, metadata={"description": description, "parse": parse})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings. No text of them holds a secret."""

    discord_token: str = _setting(
        "The bot's token from the Discord developer portal (secret).", parse_secret, secret=True
    )
    discord_api_url: str = _setting(
        "Discord's REST API; change it only for a REST proxy or the sandbox.",
        parse_api_url,
        default="https://discord.com/api/v10",
    )
    discord_gateway_url: str = _setting(
        "Discord's gateway; change it only for a gateway proxy or the sandbox.",
        parse_gateway_url,
        default="wss://gateway.discord.gg/",
    )
    qwen_api_key: str = _setting(
        "The key of the image API, sk-… (secret).",
        parse_secret,
        secret=True,
    )
    qwen_api_url: str = _setting(
        "The address of the image API.", parse_api_url, default="https://qwen-image-2512.org/api"
    )
    qwen_image_hosts: tuple[str, ...] = _setting(
        "The only hosts that images are downloaded from, redirects included, separated by commas; these may use plain "
        "http or be private. Empty: any public https host.",
        parse_hosts,
        default=(),
    )
    qwen_max_tasks: int = _setting(
        "The most images that are made at once, over everybody. The image API may take fewer; the bot learns how many.",
        whole_number(1, 10_000),
        default=20,
    )
    database_url: str = _setting(
        "SQLite (one process), or PostgreSQL as postgresql://user:password@host/name (secret).",
        parse_database,
        default="sqlite:///data/imagine.db",
        secret=True,
    )
    move_to_database_url: str = _setting(
        "For `python bot.py move` alone: the empty PostgreSQL database to copy everything to (secret).",
        parse_database,
        default="",
        secret=True,
    )
    allow_ephemeral_database: bool = _setting(
        "yes: allow a SQLite file on a host that may not keep its disk.", parse_yes_or_no, default=False
    )
    credits_per_period: int = _setting(
        "How many credits each person has after a refill; an image costs 5.", whole_number(0, 1_000_000), default=50
    )
    credit_period: CreditPeriod = _setting(
        "How often credits are refilled: hour, day, week, month or never.",
        parse_credit_period,
        default=CreditPeriod.DAY,
    )
    timezone: ZoneInfo = _setting(
        "The zone whose midnight refills the credits, such as Europe/Berlin.", parse_time_zone, default=ZoneInfo("UTC")
    )
    max_images_per_user: int = _setting(
        "The most images of one person that are made at once; more wait in line.", whole_number(1, 1000), default=3
    )
    max_images_per_guild: int = _setting(
        "The most images of one server that are made at once. 0: no limit.", whole_number(0, 10_000), default=0
    )
    max_queue: int = _setting(
        "The most images that wait in line, over everybody.", whole_number(0, 100_000), default=500
    )
    requests_per_minute: int = _setting(
        "The most requests of one person in a minute. 0: no limit.", whole_number(0, 10_000), default=10
    )
    spend_limit_day: int = _setting(
        "The most credits of the image API that everybody together may spend in a day. 0: no limit.",
        whole_number(0, 1_000_000_000),
        default=0,
    )
    spend_limit_month: int = _setting(
        "The most credits of the image API that everybody together may spend in a month. 0: no limit.",
        whole_number(0, 1_000_000_000),
        default=0,
    )
    image_memory_mb: int = _setting(
        "The most MiB of images in memory at once; more wait.", whole_number(32, 65_536), default=128
    )
    task_deadline_seconds: int = _setting(
        "An image that takes longer is given up, and its credits are returned.", whole_number(30, 86_400), default=900
    )
    retention_days: int = _setting(
        "Prompts and links are deleted after so many days. 0: never.", whole_number(0, 36_500), default=365
    )
    owner_ids: tuple[int, ...] = _setting(
        "User ids, separated by commas, of those who get the bot's alerts and may use /owner. Empty: the "
        "application's owner, or its team.",
        parse_ids,
        default=(),
    )
    owner_guilds: tuple[int, ...] = _setting(
        "Ids, separated by commas, of the servers that have the command /owner. Empty: the bot's direct messages have"
        " it.",
        parse_ids,
        default=(),
    )
    age_restricted: bool = _setting(
        "yes: Discord marks all commands as age-restricted and offers them in such channels alone.",
        parse_yes_or_no,
        default=False,
    )
    support_url: str = _setting(
        "Where people get help, an https address. Named in /help and in some refusals.", check_page_url, default=""
    )
    privacy_url: str = _setting(
        "Your privacy policy, an https address. Named in /help and in /privacy show.", check_page_url, default=""
    )
    terms_url: str = _setting("Your terms, an https address. Named in /help.", check_page_url, default="")
    operator_name: str = _setting("Who runs this bot. For `python bot.py policies` alone.", parse_line, default="")
    operator_contact: str = _setting(
        "How to reach whoever runs this bot, such as a mail address. For `policies` alone.", parse_line, default=""
    )
    public_url: str = _setting(
        "The bot's own https address, where the image API calls back when an image is ready. Empty: no callbacks, "
        "only polls.",
        check_public_url,
        default="",
    )
    port: int | None = _setting(
        "The port for health, metrics and callbacks. Empty: 8080, for callbacks alone.",
        whole_number(1, 65_535),
        default=None,
    )
    metrics_token: str = _setting(
        "The bearer token for /metrics (secret). Empty: only direct callers from private addresses may read it.",
        parse_secret,
        default="",
        secret=True,
    )
    shard_count: int | None = _setting(
        "The number of Discord's shards over all processes, the same in each. Empty: as Discord recommends.",
        whole_number(1, SHARD_COUNT_MAX),
        default=None,
    )
    shard_ids: tuple[int, ...] = _setting(
        "The shards of this process, such as 0-3. Empty: all, or as SHARD_PROCESS says.", parse_shard_ids, default=()
    )
    shard_process: int | None = _setting(
        "The number of this process, from 0 on: it takes an even part of the shards.", whole_number(0), default=None
    )
    shard_processes: int | None = _setting(
        "The number of processes that the shards are divided among by SHARD_PROCESS.", whole_number(1), default=None
    )
    log_level: str = _setting("DEBUG, INFO, WARNING or ERROR.", parse_log_level, default="INFO")
    log_format: str = _setting("text, or json: one object a line, for programs.", parse_log_format, default="text")

    @property
    def callback_port(self) -> int:
        """The port for callbacks, if PUBLIC_URL is set."""
        return self.port or CALLBACK_PORT

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
        urls = (self.database_url, self.move_to_database_url)
        passwords = (re.match(r"[^:]*://[^:/@]*:(.*)@", url, re.DOTALL) for url in urls)
        known = (self.discord_token, self.qwen_api_key, self.metrics_token)
        return tuple(filter(None, (*known, *(password[1] for password in passwords if password))))


SETTINGS: Mapping[str, Field[Any]] = {of_setting.name.upper(): of_setting for of_setting in fields(Settings)}


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings, and warnings for the log."""

    settings: Settings
    warnings: tuple[str, ...]


class SettingsError(Exception):
    """The settings are wrong. `faults` and `warnings`: one sentence each, without secrets."""

    def __init__(self, faults: Sequence[str], warnings: Sequence[str] = ()) -> None:
        super().__init__("; ".join(faults))
        self.faults = tuple(faults)
        self.warnings = tuple(warnings)


@dataclass(frozen=True, slots=True)
class Examined:
    """What the settings are and what is wrong with them. *settings* None: a value can't be read, so that what depends
    on several of them was not checked. *faults* and *warnings*: one sentence each, without secrets."""

    settings: Settings | None
    faults: tuple[str, ...]
    warnings: tuple[str, ...]


def load_settings(*, alone: bool = True) -> Loaded:
    """Read the environment, then .env for what is not set there. Raises SettingsError with every fault.

    *alone*: this process may be the only one; False for one that is of use only beside others.
    """
    examined = examine_settings(alone=alone)
    if examined.settings is None or examined.faults:
        raise SettingsError(examined.faults, examined.warnings)
    return Loaded(examined.settings, examined.warnings)


def examine_settings(*, alone: bool = True) -> Examined:
    """Read them as load_settings does, and return every fault."""
    try:
        faults = [READABLE_BY_ALL] if _is_open(Path(ENV_FILE), OPEN_TO_ALL) else []
        warnings = [READABLE_BY_GROUP] if not faults and _is_open(Path(ENV_FILE), OPEN_TO_GROUP) else []
        named = {name.upper(): value for name, value in {**dotenv_values(ENV_FILE), **os.environ}.items() if value}
    except (OSError, UnicodeDecodeError) as error:
        return Examined(None, (f"{ENV_FILE} can't be read ({type(error).__name__}).",), ())
    warnings += _unknown(named)
    settings, wrong = parse_settings(named)
    faults += wrong
    if settings is None:
        return Examined(None, tuple(faults), tuple(warnings))
    lost = None if settings.allow_ephemeral_database else lost_disk(settings.database_url, named)
    if lost is not None:
        faults.append(lost)
    faults += settings.shard_settings.faults()
    is_sqlite = parse_database_url(settings.database_url).get_backend_name() == "sqlite"
    if is_sqlite and (settings.shard_settings.several_processes or not alone):
        faults.append(SQLITE_IS_ALONE)
    return Examined(settings, tuple(faults), tuple(warnings))


def _is_open(env_file: Path, bits: int) -> bool:
    """Return whether the file has any of these mode *bits*; False on systems other than POSIX."""
    return os.name == "posix" and env_file.is_file() and bool(env_file.stat().st_mode & bits)


def parse_settings(named: Mapping[str, str]) -> tuple[Settings | None, list[str]]:
    """Parse the settings among *named*; None with a sentence for each that is missing or can't be read."""
    values: dict[str, Any] = {}
    faults: list[str] = []
    for name, of_setting in SETTINGS.items():
        text = named.get(name)
        if text is None:
            if is_required(of_setting):
                faults.append(TRY_WITHOUT if name == "DISCORD_TOKEN" else f"{name} {IS_MISSING}")
            continue
        try:
            values[of_setting.name] = of_setting.metadata["parse"](text)
        except ValueError as error:
            faults.append(_sentence(name, str(error).rstrip(".")))
    return None if faults else Settings(**values), faults


def _sentence(name: str, fault: str) -> str:
    if name in fault:
        return f"{fault}."
    return f"{name} {fault}." if fault[:1].islower() else f"{name}: {fault}."


def _unknown(values: Mapping[str, str]) -> list[str]:
    """Return a sentence for each name that has the form of a setting and is none."""
    known = [*SETTINGS]
    sentences: list[str] = []
    for name in sorted(values):
        if name.startswith(PREFIXES) and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else "."
            sentences.append(f"{name} is not a setting and is ignored{hint}")
    return sentences


def is_required(of_setting: Field[Any]) -> bool:
    """Return whether a setting has no default."""
    return of_setting.default is MISSING


def default_text(of_setting: Field[Any]) -> str:
    """Return the default as it is written in .env."""
    default = of_setting.default
    if default is MISSING or default in ((), "", None):
        return ""
    return ("no", "yes")[default] if isinstance(default, bool) else str(default)


def env_example() -> str:
    """Return the text of .env.example."""
    lines = ["# Settings of Qwen Imagine. Copy to .env and fill in the two secrets; the rest has defaults.", ""]
    for name, of_setting in SETTINGS.items():
        prefix = "" if is_required(of_setting) else "# "
        lines += [f"# {of_setting.metadata['description']}", f"{prefix}{name}={default_text(of_setting)}", ""]
    return "\n".join(lines)


def markdown_table() -> str:
    """Return the table of docs/settings.md."""
    rows = ["| setting | default | what it is |", "|---|---|---|"]
    for name, of_setting in SETTINGS.items():
        text = default_text(of_setting)
        default = "required" if is_required(of_setting) else f"`{text}`" if text else "empty"
        rows.append(f"| `{name}` | {default} | {of_setting.metadata['description']} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.stdout.write(markdown_table() if sys.argv[1:] == ["markdown"] else env_example())
