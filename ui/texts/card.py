"""The sentences of the card, of refusals and of /credits. Pure: numbers and escaped text in, text out.

Must not know Discord's library, the database or the image API. What a person typed must be escaped before
(ui/texts/escaping). Times are unix milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence

from generations.circuit import StopReason
from generations.model import Ending, Estimate, Line
from qwen.models import MODEL_NAME
from ui.texts.formatting import (
    bar,
    credits_text,
    duration,
    duration_span,
    images_text,
    mention,
    ordinal,
    relative_time,
    signed,
)

# ---- the card (ui/views/cards) ------------------------------------------------------------------------------------

AI_GENERATED = "AI-generated image"
SENDING = "Sending…"
POSTING = "Ready, being posted"
# The same while nothing is learned of how long images take. The words say what the signs say, for screen readers.
SENDING_STEP = f"▸ {SENDING} · then painting · then fetching · then posting"
POSTING_STEP = "✓ Taken  ✓ Painted  ✓ Fetched  ▸ Posting"
KEPT = "The image is ready and paid for, but there is no place left to post it. It is kept."
ARRIVED_LATE = "It arrived after its credits had been returned, so it is free."

_ENDINGS = {
    Ending.DECLINED: "The image service declined this prompt",
    Ending.SERVICE_FAILED: "The image service tried and failed",
    Ending.PROMPT_REFUSED: "The image service can't make this",
    Ending.KEY_REFUSED: "The image service doesn't accept the bot's key. The bot's owner was told",
    Ending.ACCOUNT_EMPTY: "The bot's account at the image service is empty. The bot's owner was told",
    Ending.TASK_LOST: "The image service lost this image on the way",
    Ending.NO_IMAGE: "The image service finished without an image",
    Ending.IMAGE_UNUSABLE: "What the image service sent is not an image that can be posted",
    Ending.IMAGE_LOST: "The image was made, but it was lost before it could be posted",
    Ending.OUTCOME_UNKNOWN: "The image service didn't confirm that it took this. If the image still arrives, "
    "it is posted here, free",
    Ending.DEADLINE: "This took longer than an image may take. If it still arrives, it is posted here, free",
    Ending.LINE_DEADLINE: "This waited in line for too long and was not sent",
    Ending.CANCELLED: "Cancelled before it was sent",
    Ending.NOT_ANSWERED: "Discord didn't take the answer in time, so this was not sent",
}
_WITH_REASON = frozenset({Ending.DECLINED, Ending.SERVICE_FAILED, Ending.PROMPT_REFUSED})


def ending_sentence(ending: Ending | None, detail: str, hint: str = "") -> str:
    """Say why there is no image. *detail*: the service's own reason, escaped, or ""; *hint*: what may help, or ""."""
    sentence = "The image could not be made" if ending is None else _ENDINGS[ending]
    reason = detail.rstrip(" .!…") if ending in _WITH_REASON else ""
    whole = f"{sentence}: {reason}." if reason else f"{sentence}."
    return f"{whole} {hint}" if hint else whole


def shorter_hint(units: int, limit: int) -> str:
    """Advise a shorter prompt. *units*: its UTF-16 units, of which most emoji have two."""
    if units <= limit:
        return "A shorter prompt may work."
    counted = f"this prompt then has {units} characters, and {limit} are allowed"
    return f"The service may count most emoji as two: {counted}. A shorter prompt may work."


def returned_sentence(amount: int) -> str:
    return f"Your {credits_text(amount)} {'was' if amount == 1 else 'were'} returned."


def images_label(positions: Sequence[int]) -> str:
    """For example "Image 2", "Images 1 and 3"; *positions* are 0-based."""
    numbers = [str(position + 1) for position in positions]
    if len(numbers) == 1:
        return f"Image {numbers[0]}"
    return f"Images {', '.join(numbers[:-1])} and {numbers[-1]}"


def ai_image(position: int, count: int) -> str:
    """For example "AI-generated image 2 of 4: ", the beginning of an image's alt text; *position* is 0-based."""
    return f"AI-generated image {position + 1} of {count}: " if count > 1 else f"{AI_GENERATED}: "


def ready_of(ready: int, count: int) -> str:
    return f"{ready} of {count} ready"


def waiting_text(line: Line) -> str:
    """Waiting · 3rd in line · about 40 s."""
    if line.waits_for_own:
        made = f"{images_text(line.own_running)} of yours {'is' if line.own_running == 1 else 'are'} being made"
        return f"Waiting · {made} · {ordinal(line.own_position)} of yours in line"
    if line.waits_for_server:
        made = f"{images_text(line.server_running)} of this server"
        are = "is" if line.server_running == 1 else "are"
        return f"Waiting · {made} {are} being made · {ordinal(line.server_position)} of this server in line"
    parts = ["Waiting", f"{ordinal(line.position)} in line"]
    if line.about_seconds is not None:
        parts.append(f"about {duration(line.about_seconds)}")
    return " · ".join(parts)


_STOPPED = {
    StopReason.ACCOUNT_EMPTY: "the bot's account at the image service is empty",
    StopReason.KEY_REFUSED: "the image service doesn't accept the bot's key",
}


def stopped_text(reason: StopReason) -> str:
    """The state of an image that waits while no image can be made."""
    return f"Waiting · {_STOPPED[reason]} · the bot's owner was told"


def painting_text(painting: Estimate | None) -> str:
    """▰▰▰▰▰▱▱▱▱▱ Painting · usually 12–18 s · ready in 9 seconds. The bar is an estimate and is never full.

    Without an estimate: ✓ Taken  ▸ Painting · begun 9 seconds ago · then fetching · then posting.
    """
    if painting is None:
        return "Painting"
    if painting.share is None:
        begun = f"begun {relative_time(painting.begun_at_ms)}"
        parts = ["✓ Taken  ▸ Painting", begun, "then fetching", "then posting"]
    else:
        parts = [f"{bar(painting.share, full=False)}  Painting"]
    if painting.overdue:
        parts.append("taking longer than usual")
    else:
        if painting.usual_seconds is not None:
            parts.append(f"usually {duration_span(*painting.usual_seconds)}")
        if painting.ready_at_ms is not None:
            parts.append(f"ready {relative_time(painting.ready_at_ms)}")
    if painting.service_slow:
        parts.append("the image service is slow")
    return " · ".join(parts)


def seeds_text(seeds: Sequence[int]) -> str:
    """For example "seed 42", "seeds 42–45", or each one if they are not consecutive."""
    if len(seeds) == 1:
        return f"seed {seeds[0]}"
    if seeds[-1] - seeds[0] == len(seeds) - 1:
        return f"seeds {seeds[0]}–{seeds[-1]}"
    return "seeds " + ", ".join(map(str, seeds))


def price_text(*, held: int, charged: int, settled: bool) -> str:
    """Say what it costs so far; empty if nothing is held and nothing was *settled*."""
    if held and settled:
        return f"{credits_text(charged)} · {held} more held"
    if held:
        return f"{credits_text(held)} held"
    return credits_text(charged) if settled else ""


def small_print(parts: Sequence[str]) -> str:
    """Return one line of Discord's small print."""
    return "-# " + " · ".join(part for part in parts if part)


AI_IMAGE = f"AI image · {MODEL_NAME}"  # the end of each card's small print: docs/ai-labels.md


def made_for(user_id: int) -> str:
    return f"for {mention(user_id)}"


def too_large(positions: Sequence[int], count: int) -> str:
    """The sentence above the buttons that link to the images at the image service."""
    what = "The image" if count == 1 else images_label(positions)
    if len(positions) > 1:
        return f"{what} are too large to be posted here. The links lead to the image service and expire soon."
    return f"{what} is too large to be posted here. The link leads to the image service and expires soon."


def open_label(position: int, count: int) -> str:
    return "Open the image" if count == 1 else f"Open image {position + 1}"


def posted_separately(addresses: Sequence[str]) -> str:
    """*addresses*: of the messages that hold the images; empty for one below that only its person sees."""
    known = [address for address in addresses if address]
    what = "Posted in a message of its own" + (", below" if len(known) < len(addresses) else "")
    return f"{what}: {' '.join(known)}" if known else f"{what}."


def owner_alert(detail: str) -> str:
    """The direct message to the bot's owner. *detail*: a sentence of the bot's own."""
    return f"Your image bot needs you: {detail} This is said at most every 6 hours."


def owner_news(detail: str) -> str:
    """The direct message to the bot's owner about a change. *detail*: sentences of the bot's own."""
    return f"News of your image bot: {detail}"


# ---- refusals and /credits (ui/interactions/errors, ui/views/cards_credits) -------------------------------

NOTHING_CHARGED = "Nothing was charged."

DRAINING = f"The bot is restarting. {NOTHING_CHARGED} Try again in a minute."
NOT_CANCELLABLE = "This can't be cancelled any more: it is already being made, or it is over."
STALE_COMMAND = f"This command changed since Discord last loaded it. {NOTHING_CHARGED} Restart Discord and try again."
VALUE_NOT_TAKEN = f"One of the options has a value that it doesn't take. {NOTHING_CHARGED} Pick one from its list."
NOT_ALLOWED_HERE = f"You may not use this command here. {NOTHING_CHARGED}"
ONLY_IN_SERVERS = f"This command works in servers only. {NOTHING_CHARGED}"
EXPLAINED_PRIVATELY = "This could not be taken on; the reason is told privately."
NO_ENTRIES = "Nothing was booked yet."


def bad_input(sentence: str) -> str:
    """*sentence*: what is wrong with an option, a sentence of the bot's own."""
    return f"{sentence} {NOTHING_CHARGED}"


def not_yours(owner_id: int) -> str:
    return f"Only {mention(owner_id)}, or somebody with Manage Messages where the card stands, may do this."


def stopped(reason: StopReason) -> str:
    """The refusal of a request while no image can be made."""
    why = _STOPPED[reason]
    return (
        f"{why[0].upper()}{why[1:]}, so no image can be made now. {NOTHING_CHARGED} The bot's owner was told; "
        "requests open again by themselves."
    )


def line_full(limit: int, free_at_ms: int | None) -> str:
    again = "in a few minutes" if free_at_ms is None else relative_time(free_at_ms)
    return f"The line is full: {images_text(limit)} wait already. {NOTHING_CHARGED} Try again {again}."


def too_many_requests(limit: int, next_at_ms: int) -> str:
    """*limit*: requests a minute. The time is rounded up to a whole second."""
    many = "1 request" if limit == 1 else f"{limit} requests"
    return (
        f"This bot takes {many} a minute from each person. {NOTHING_CHARGED} "
        f"Your next one is taken {relative_time(next_at_ms + 999)}."
    )


def too_few_credits(
    *, needed: int, available: int, held: int, allowance: int, price: int, refills_at_ms: int | None
) -> str:
    """Say what is needed and held, how many images are affordable and when credits refill. *price*: of one image."""
    have = f"This needs {credits_text(needed)} and you have {available}"
    if held:
        have += f"; {held} more {'is' if held == 1 else 'are'} held by images being made"
    parts = [f"{have}.", NOTHING_CHARGED]
    if available >= price:
        parts.append(f"You have enough for {images_text(available // price)}.")
    if refills_at_ms is None:
        parts.append("Credits are given once here; they are not refilled.")
    else:
        parts.append(f"Your credits refill to {allowance} {relative_time(refills_at_ms)}.")
        if needed > allowance >= price:
            parts.append(f"That is enough for at most {images_text(allowance // price)} at once.")
    return " ".join(parts)


def permissions_missing(names: Sequence[str]) -> str:
    """*names*: permissions as Discord's own settings name them."""
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    several = "permissions" if len(names) > 1 else "permission"
    return (
        f"The bot lacks the {several} {listed} in this channel, so the image could not be posted. {NOTHING_CHARGED} "
        f"Somebody who may manage this channel can grant {'them' if len(names) > 1 else 'it'} in its settings."
    )


def failed(reference: int) -> str:
    """After a fault of the bot that surely cost nothing. *reference*: the number in the log."""
    return (
        f"Something on the bot's side failed. {NOTHING_CHARGED} Try again in a minute; if it goes on, "
        f"tell the bot's owner this number: {reference}"
    )


def failed_unsure(reference: int) -> str:
    """After a fault of the bot where it is unknown whether the request was accepted."""
    return (
        "Something on the bot's side failed before it could confirm your request. In a minute `/credits` shows "
        "how it ended: either your credits are back, or the image is being made. "
        f"If neither is so, tell the bot's owner this number: {reference}"
    )


def card_refused(reference: int) -> str:
    """Discord refused the card, so the request was undone."""
    return (
        f"Discord did not take the answer to this prompt. {NOTHING_CHARGED} Another wording may help; "
        f"if it goes on, tell the bot's owner this number: {reference}"
    )


def balance_text(*, available: int, bonus: int, allowance: int, price: int) -> str:
    """▰▰▰▰▰▰▰▱▱▱  **35 of 50 credits · 7 images**; *available*: of the allowance; the images are for *bonus* too."""
    share = 1.0 if allowance <= 0 else available / allowance
    amount = f"{available} of {allowance} credits" if available <= allowance else credits_text(available)
    with_bonus = " with your bonus" if bonus else ""
    return f"{bar(share)}  **{amount} · {images_text((available + bonus) // price)}{with_bonus}**"


def bonus_text(bonus: int) -> str:
    return f"and **{bonus} bonus {'credit' if bonus == 1 else 'credits'}**, which don't expire and are used last"


LOWERED = "taken, as your allowance is lower now"


def held_text(held: int, images: int) -> str:
    return f"{held} held by {images_text(images)} being made"


def refill_text(allowance: int, refills_at_ms: int | None) -> str:
    if refills_at_ms is None:
        return "Given once, not refilled"
    return f"Refills to {allowance} {relative_time(refills_at_ms)}"


def entry_text(*, amount: int, reason: str, card_url: str | None, at_ms: int) -> str:
    """One line of /credits. *reason*: one of the bot's own, or escaped; *card_url*: the link to the card."""
    card = f"[card]({card_url})" if card_url else ""
    return " · ".join(part for part in (f"**{signed(amount)}**", reason, card, relative_time(at_ms)) if part)
