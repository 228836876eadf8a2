"""Parse the text of one setting into its value, one function for each kind of value. Pure.

Each raises ValueError: with the end of a sentence that begins with the setting's name, or with a whole sentence that
names the setting.
"""

from __future__ import annotations

from collections.abc import Callable
from zoneinfo import ZoneInfo

from credits.allowance import CreditPeriod
from qwen.addresses import AllowedHosts
from qwen.cleaning import is_ascii_word
from qwen.service_url import check_service_url
from store.address import parse_database_url

TRUE, FALSE = ("yes", "true", "on", "1", "y", "t"), ("no", "false", "off", "0", "n", "f")
LINE_MAX = 200
ID_MAX = 2**64 - 1
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
LOG_FORMATS = ("text", "json")


def parse_secret(text: str) -> str:
    text = text.strip()
    if not is_ascii_word(text):
        raise ValueError("must be one word of plain letters, digits and signs, with no spaces inside")
    return text


def parse_api_url(text: str) -> str:
    return check_service_url(text, "https", "http").rstrip("/")


def parse_gateway_url(text: str) -> str:
    return check_service_url(text, "wss", "ws")


def whole_number(least: int, most: int | None = None) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise ValueError("must be a whole number") from None
        if number < least:
            raise ValueError(f"must be at least {least}")
        if most is not None and number > most:
            raise ValueError(f"must be at most {most}")
        return number

    return parse


def parse_yes_or_no(text: str) -> bool:
    word = text.strip().lower()
    if word not in (*TRUE, *FALSE):
        raise ValueError("must be yes or no")
    return word in TRUE


def parse_words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def parse_ids(text: str) -> tuple[int, ...]:
    return tuple(map(whole_number(1, ID_MAX), parse_words(text)))


def parse_hosts(text: str) -> tuple[str, ...]:
    AllowedHosts.parse(parse_words(text))  # its ValueError is a sentence
    return parse_words(text)


def parse_credit_period(text: str) -> CreditPeriod:
    try:
        return CreditPeriod(text.strip().lower())
    except ValueError:
        raise ValueError(f"must be one of {', '.join(CreditPeriod)}") from None


def parse_time_zone(text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text.strip())
    except (LookupError, ValueError, OSError):
        raise ValueError("must be a time zone such as UTC or Europe/Berlin") from None


def parse_line(text: str) -> str:
    if not text.isprintable() or len(text) > LINE_MAX:
        raise ValueError(f"must be one line of at most {LINE_MAX} characters")
    return text.strip()


def parse_log_level(text: str) -> str:
    level = text.strip().upper()
    if level not in LOG_LEVELS:
        raise ValueError(f"must be one of {', '.join(LOG_LEVELS)}")
    return level


def parse_log_format(text: str) -> str:
    form = text.strip().lower()
    if form not in LOG_FORMATS:
        raise ValueError(f"must be one of {', '.join(LOG_FORMATS)}")
    return form


def parse_database(text: str) -> str:
    parse_database_url(text)  # its ValueError is a sentence
    return text
