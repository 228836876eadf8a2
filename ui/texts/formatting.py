"""Format numbers, times and names for people. Pure. Sentences belong into the other modules of ui/texts.

Times are unix milliseconds. They become Discord timestamps, which each reader sees in their own time zone
(Discord docs: Reference, "Timestamp Styles").
"""

from __future__ import annotations

BAR_CELLS = 10


def relative_time(at_ms: int) -> str:
    """For example "in 12 seconds"; it counts down by itself on the reader's screen."""
    return f"<t:{at_ms // 1000}:R>"


def credits_text(amount: int) -> str:
    return "1 credit" if amount == 1 else f"{amount} credits"


def images_text(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th, 11th …"""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def duration(seconds: float) -> str:
    """For example 14 s, 3 min, 2 h; never less than 1 s."""
    whole = max(1, round(seconds))
    if whole < 90:
        return f"{whole} s"
    if whole < 90 * 60:
        return f"{round(whole / 60)} min"
    return f"{round(whole / 3600)} h"


def mention(user_id: int) -> str:
    """Return a mention. It pings nobody, because every message is sent with allowed_mentions none."""
    return f"<@{user_id}>"


def duration_span(low: int, high: int) -> str:
    if high < 90:
        return f"{low}–{high} s" if low < high else duration(high)
    return f"{duration(low)} to {duration(high)}" if low < high else duration(high)


def bar(share: float, *, full: bool = True) -> str:
    """▰▰▰▰▰▱▱▱▱▱ for one half. Without *full* the last cell stays empty, as for an estimate."""
    filled = min(BAR_CELLS if full else BAR_CELLS - 1, max(0, int(share * BAR_CELLS)))
    return "▰" * filled + "▱" * (BAR_CELLS - filled)


def signed(amount: int) -> str:
    """+5, −5 (with a true minus), 0."""
    return f"+{amount}" if amount > 0 else f"−{-amount}" if amount < 0 else "0"
