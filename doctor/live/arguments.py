"""The arguments after `python bot.py doctor`, if one of them is --live. Pure."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from discord_api.snowflakes import ID_MAX


class BadArguments(Exception):
    """The arguments can't be used. The text is the usage and a sentence."""


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """What to try, and where; None: not tried. *private_thread_id*: a private thread without the bot.
    *without_files_id*: a channel where the bot may post, but not attach files. *without_bot_id*: a channel of a server
    that has the commands without the bot."""

    channel_id: int
    private_thread_id: int | None = None
    without_files_id: int | None = None
    without_bot_id: int | None = None
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
    parser.add_argument("--without-files", type=_snowflake, metavar="CHANNEL_ID")
    parser.add_argument("--without-bot", type=_snowflake, metavar="CHANNEL_ID")
    parser.add_argument("--no-button", action="store_true")
    parser.add_argument("--buy-one", action="store_true")
    parser.add_argument("--yes", action="store_true")
    parser.add_argument("--report", type=Path, metavar="FILE")
    found = parser.parse_args(list(arguments))
    if found.no_button and found.without_files is not None:
        parser.error("--without-files asks for a press, which --no-button leaves out")
    return LiveOptions(
        channel_id=found.live,
        private_thread_id=found.private_thread,
        without_files_id=found.without_files,
        without_bot_id=found.without_bot,
        with_button=not found.no_button,
        buy=found.buy_one,
        is_confirmed=found.yes,
        report=found.report,
    )


def list_untried(options: LiveOptions) -> list[str]:
    """Say what these options leave out and what no option can try."""
    left_out = {
        "the bot's own token in a private thread without the bot: --private-thread": options.private_thread_id is None,
        "uploads by an interaction's token where Attach Files is missing: --without-files": (
            options.without_files_id is None
        ),
        "the bot's own token in a server that has the commands alone: --without-bot": options.without_bot_id is None,
        "everything with an interaction's token, and app_permissions: leave --no-button out": not options.with_button,
    }
    return [
        *(text for text, is_left_out in left_out.items() if is_left_out),
        "app_permissions in a private thread without the bot, in a server that has the commands alone and for a user "
        "install: an interaction from there tells them, and the bot can't post a button there",
    ]


def _snowflake(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= ID_MAX):
        raise argparse.ArgumentTypeError(f"{text!r} is no id of Discord's (Developer Mode, then Copy Channel ID)")
    return int(text)
