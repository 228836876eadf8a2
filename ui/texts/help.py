"""The sentences of /help. Pure; must not know Discord's library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from credits.allowance import CreditPeriod
from ui.texts import buttons as texts_buttons
from ui.texts import reports as texts_reports
from ui.texts.formatting import credits_text, duration, images_text

TITLE = "**Images from words, made by [Qwen-Image-2512](<https://qwen-image-2512.org>)**"
HOW = (
    "Type `/imagine` and a prompt. You see at once a card with an honest wait, and the same message becomes the image. "
    "An image that comes to nothing costs nothing."
)
COST = "**What it costs here**"
LIMITS = "**Limits here**"
COMMANDS = "**Commands**"
PRIVATE_HINT = (
    "-# `private` shows an image to you alone, `spoiler` posts it blurred. What is kept of you: `/privacy show`"
)

SUPPORT, PRIVACY_POLICY, TERMS = "Support", "Privacy policy", "Terms"

_MENUS = {
    texts_buttons.MENU_NAME: "its text becomes the prompt",
    texts_reports.MENU_NAME: "the bot's owner and this server's admins are told",
}
_PERIODS = {
    CreditPeriod.HOUR: "an hour, given anew at each full hour",
    CreditPeriod.DAY: "a day, given anew at midnight",
    CreditPeriod.WEEK: "a week, given anew on Monday at midnight",
    CreditPeriod.MONTH: "a month, given anew on the 1st at midnight",
    CreditPeriod.NEVER: "once, not given anew",
}


def cost(*, price: int, allowance: int, period: CreditPeriod, timezone: str) -> str:
    """*timezone*: whose midnight counts."""
    zone = "" if period in (CreditPeriod.HOUR, CreditPeriod.NEVER) else f" ({timezone})"
    return (
        f"{credits_text(price)} an image. Everybody has {credits_text(allowance)} {_PERIODS[period]}{zone}: enough for "
        f"{images_text(allowance // price)}. `/credits` shows yours."
    )


def limits(*, at_once: int, per_person: int, in_line: int, requests_per_minute: int, deadline_seconds: int) -> str:
    many = "1 of yours is" if per_person == 1 else f"{per_person} of yours are"
    line = f"up to {images_text(in_line)} of everybody" if in_line else "nobody, since there is no line"
    often = "1 request" if requests_per_minute == 1 else f"{requests_per_minute} requests"
    requests = f"Each person has {often} a minute. " if requests_per_minute else ""
    return (
        f"1 to {images_text(at_once)} with one prompt. {many} made at the same time; the rest waits in line, {line}. "
        f"{requests}What takes longer than {duration(deadline_seconds)} is given up, and its credits come back."
    )


def choices(sizes: Sequence[str], formats: Sequence[str], prompt_max: int) -> str:
    return f"Sizes {', '.join(sizes)} · formats {', '.join(formats)} · prompts up to {prompt_max} characters."


def slash_command(name: str, description: str) -> str:
    return f"`/{name}` {description}"


def message_menu(name: str) -> str:
    meaning = f": {_MENUS[name]}" if name in _MENUS else ""
    return f"*{name}*, in a message's menu under Apps{meaning}"


def links(named: Mapping[str, str]) -> str:
    """Return one line of small print with a link for each name whose address is not empty; empty without any."""
    linked = [f"[{name}](<{url}>)" for name, url in named.items() if url]
    return f"-# {' · '.join(linked)}" if linked else ""


def support_hint(url: str) -> str:
    """Return the sentence that ends a refusal about which people may have questions; empty without an address."""
    return f"Questions: <{url}>" if url else ""
