"""The arguments after `python bot.py doctor`, if one of them is --live. Pure."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

ID_MAX = 2**63 - 1  # Discord's snowflakes are smaller


class BadArguments(Exception):
    """The arguments can't be used. The text is the usage and a sentence."""


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """What to try, and where. *private_thread_id*: a private thread without the bot; None: none is tried."""

    channel_id: int
    private_thread_id: int | None = None
    with_button: bool = True
    buy: bool = False
    is_confirmed: bool = False
    report: Path | None = None


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise BadArguments(f"{self.format_usage()}{message}")


def parse_arguments(arguments: Sequence[str]) -> LiveOptions:
    """Parse the arguments after `doctor`. Raises BadArguments."""
    parser = _Parser(prog="python bot.py doctor", add_help=False, allow_abbrev=False)
    parser.add_argument("--live", type=_snowflake, required=True, metavar="CHANNEL_ID")
    parser.add_argument("--private-thread", type=_snowflake, metavar="THREAD_ID")
    parser.add_argument("--no-button", action="store_true")
    parser.add_argument("--buy-one", action="store_true")
    parser.add_argument("--yes", action="store_true")
    parser.add_argument("--report", type=Path, metavar="FILE")
    found = parser.parse_args(list(arguments))
    return LiveOptions(
        channel_id=found.live,
        private_thread_id=found.private_thread,
        with_button=not found.no_button,
        buy=found.buy_one,
        is_confirmed=found.yes,
        report=found.report,
    )


def _snowflake(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= ID_MAX):
        raise argparse.ArgumentTypeError(f"{text!r} is no id of Discord's (Developer Mode, then Copy Channel ID)")
    return int(text)
