"""A person's own defaults. Pure; knows no database and no Discord library."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypedDict

from qwen.models import OutputFormat, Size

AS_DISCORD = "discord"  # the choice of Discord's own language


class Ping(StrEnum):
    """When a finished image may mention the person who asked for it. Never for private ones."""

    ALWAYS = "always"
    SLOW = "slow"  # when it took longer than generations.pings.SLOW_SECONDS
    NEVER = "never"


class Language(StrEnum):
    """The languages in which the bot speaks; Discord's own codes (Discord docs: Reference, "Locales")."""

    ENGLISH = "en"


@dataclass(frozen=True, slots=True)
class Preferences:
    """The defaults of /imagine's options, pings and language of one person."""

    size: Size = Size.SQUARE
    format: OutputFormat = OutputFormat.JPEG
    private: bool = False
    ping: Ping = Ping.SLOW
    language: Language | None = None  # None: as Discord is set


class PreferenceChanges(TypedDict, total=False):
    """Some preferences, to be changed."""

    size: Size
    format: OutputFormat
    private: bool
    ping: Ping
    language: Language | None


def parse_change(name: str, value: str) -> PreferenceChanges:
    """Parse the value picked for one preference. Raises ValueError for anything that is not offered."""
    match name:
        case "size":
            return {"size": Size(value)}
        case "format":
            return {"format": OutputFormat(value)}
        case "private" if value in ("yes", "no"):
            return {"private": value == "yes"}
        case "ping":
            return {"ping": Ping(value)}
        case "language":
            return {"language": None if value == AS_DISCORD else Language(value)}
        case _:
            raise ValueError(f"{name!r} takes no such value")
