"""Read what the owner typed. Pure. Each function raises Refusal with the whole sentence to show.

discord.py 2.7.1 does not check an option's range or type again, so that is done here.
"""

from __future__ import annotations

import re
from datetime import datetime
from zoneinfo import ZoneInfo

import discord

from discord_api.snowflakes import ID_MAX
from generations.credit_changes import NamedImage
from generations.model import MAX_COUNT
from limits.service import REASON_MAX
from ui.interactions.errors import Refusal
from ui.texts import owner as texts

AMOUNT_MAX = 1_000_000
NUMBER_MAX = 2**53 - 1  # the largest whole number of an option (Discord docs: Application Commands, "Option Type")
DAYS_MAX = 3650
USAGE_DAYS_MAX = 366
DAY_MS = 86_400_000
_ID = re.compile(r"[0-9]{15,20}")
_ROLE = re.compile(r"<@&([0-9]{15,20})>|([0-9]{15,20})")
_IMAGE = re.compile(r"([0-9]{15,20})(?:-([0-9]))?")
_LINK = re.compile(
    r"https://(?:(?:ptb|canary)\.)?discord(?:app)?\.com/channels/(?:@me|[0-9]{1,20})/[0-9]{1,20}/([0-9]{15,20})/?"
)


def check_number(option: str, value: object, least: int, most: int) -> int:
    """Return a whole number in this range."""
    if type(value) is not int or not least <= value <= most:
        raise Refusal(texts.number_out_of_range(option, least, most))
    return value


def check_reason(reason: object) -> str:
    """Return the reason as one line."""
    if not isinstance(reason, str) or not reason.strip():
        raise Refusal(texts.NO_REASON)
    if len(reason) > REASON_MAX:
        raise Refusal(texts.reason_too_long(REASON_MAX))
    return " ".join(reason.split())


def check_person(user: discord.abc.User) -> int:
    """Return the id of a person, who need not be in any server any more."""
    if user.bot or user.id > ID_MAX:
        raise Refusal(texts.IS_BOT)
    return user.id


def parse_tier_place(server: str | None, role: str | None) -> tuple[int, int]:
    """Return the ids of the server and the role whose tier it is; 0: none was given. A role may be a mention."""
    guild_id = _parse_id(_ID.fullmatch(server.strip())) if server else 0
    role_id = _parse_id(_ROLE.fullmatch(role.strip())) if role else 0
    if role_id and not guild_id:
        raise Refusal(texts.ROLE_WITHOUT_SERVER)
    return guild_id, role_id


def _parse_id(found: re.Match[str] | None) -> int:
    number = 0 if found is None else int(next(group for group in (*found.groups(), found[0]) if group))
    if not 0 < number <= ID_MAX:
        raise Refusal(texts.BAD_ID)
    return number


def parse_image(text: str, position: int | None) -> NamedImage:
    """Read a generation's number as Details shows it, an image's id as the ledger and the log write it (with "-0" for
    the first one), or a link to a message. *position*: of the image in its request, from 1 on."""
    chosen = None if position is None else check_number("position", position, 1, MAX_COUNT) - 1
    if link := _LINK.fullmatch(text.strip().strip("<>")):
        return NamedImage(None, _checked_id(link[1]), chosen)
    if found := _IMAGE.fullmatch(text.strip()):
        own = None if found[2] is None else int(found[2])
        return NamedImage(_checked_id(found[1]), None, own if chosen is None else chosen)
    raise Refusal(texts.BAD_IMAGE)


def _checked_id(digits: str) -> int:
    if int(digits) > ID_MAX:
        raise Refusal(texts.BAD_IMAGE)
    return int(digits)


def parse_until(days: int | None, until: str | None, timezone: ZoneInfo, now_ms: int) -> int | None:
    """Return the end of a block in unix milliseconds; None: it has none. *until*: a day, whose first moment it is, or a
    minute, in *timezone*."""
    if days is not None and until:
        raise Refusal(texts.DAYS_AND_UNTIL)
    if days is not None:
        return now_ms + check_number("days", days, 1, DAYS_MAX) * DAY_MS
    if not until:
        return None
    until_ms = _parse_moment(until.strip().replace("T", " "), timezone)
    if until_ms <= now_ms:
        raise Refusal(texts.PAST_UNTIL)
    return until_ms


def _parse_moment(text: str, timezone: ZoneInfo) -> int:
    form = "%Y-%m-%d %H:%M" if " " in text else "%Y-%m-%d"
    try:
        return round(datetime.strptime(text, form).replace(tzinfo=timezone).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise Refusal(texts.BAD_UNTIL) from None
