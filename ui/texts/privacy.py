"""The sentences of /privacy. Pure; must not know Discord's library.

Times are unix milliseconds.
"""

from __future__ import annotations

from ui.texts.formatting import credits_text, images_text, relative_time

TITLE = "**What the bot keeps of you**"
CONFIRM_TITLE = "**Delete everything the bot keeps of you?**"
CONFIRM = (
    "Gone for good: your prompts, your history with the links to images, and your settings. The buttons under your "
    "images stop working. Images that could not be posted and are kept go too, and what they cost does not come back: "
    "post them first, in `/history`. Images that you reported stay reported, without your name and text.\n"
    "Not gone: messages that stand on Discord (delete those first, with their own Delete button, if you want to), and "
    "the numbers of the ledger, which then belong to nobody. Your credits stay as they are.\n"
    "`/privacy export` gives you a copy first."
)
DELETE = "Delete everything"
KEEP = "Keep it"
KEPT = "Nothing was deleted."
KEPT_LEFT_OUT = "Links to images that could not be posted are left out: `/history` posts those where you like."
NEVER_MORE = (
    "-# Never kept: what you write elsewhere, your name, and images themselves. How to reach an answer is forgotten "
    "when its images are done, after 15 minutes at the latest.\n"
    "-# Prompts go to the image service, which makes the images, and stand on the cards that Discord keeps. What you "
    "search for in `/history` is not kept.\n"
    "`/privacy export` gives you all of it as a file · `/privacy delete` deletes it"
)


def kept_lines(
    *,
    prompts: int,
    images: int,
    purged: int,
    entries: int,
    usage_days: int,
    blocks: int,
    reports: int,
    has_settings: bool,
    days: int,
) -> str:
    """Say what is kept, in numbers. *days*: prompts are purged after so many; 0: never."""
    many = "1 prompt" if prompts == 1 else f"{prompts} prompts"
    lines = [
        f"- **{many}** with options, times and where the card stands; {images_text(images)} made of them. "
        f"{_how_long(days)}",
    ]
    if purged:
        lines.append(f"- {purged} older {'one' if purged == 1 else 'ones'} as numbers only, without words and links.")
    booked = "1 entry" if entries == 1 else f"{entries} entries"
    lines.append(f"- **{booked}** of your credits' ledger, for good; without you once you have all deleted.")
    if usage_days:
        lines.append(
            f"- **How many images you asked for a day** and server, {usage_days} such counts, for the limits that "
            f"admins set; once you have all deleted, those of the running month go when it ends."
        )
    if blocks:
        lines.append(f"- **{blocks} {'block' if blocks == 1 else 'blocks'}**, until who made it takes it back.")
    if reports:
        lines.append(
            f"- **{reports} {'report' if reports == 1 else 'reports'} of images**, which the bot's owner and the "
            f"server's admins were told; without your name and text once you have all deleted. Your name goes an hour "
            f"after the report at the soonest. {_how_long(days)}"
        )
    settings = "**Your settings**, until you have them deleted." if has_settings else "No settings: you made none."
    return "\n".join([*lines, f"- {settings}"])


def _how_long(days: int) -> str:
    if not days:
        return "Kept until you have it deleted."
    return f"After {'a day' if days == 1 else f'{days} days'} the words and links go by themselves."


def policy(url: str) -> str:
    return f"The whole [privacy policy](<{url}>) of this bot"


def still_at_work(images: int) -> str:
    what = "1 image of yours is" if images == 1 else f"{images_text(images)} of yours are"
    return (
        f"{what} still under way, and credits are held for that. Nothing was deleted. Cancel what still waits or let "
        "it finish, then delete."
    )


def deleted(generations: int, credits: int, forgotten_at_ms: int | None) -> str:
    """*credits*: what stays; *forgotten_at_ms*: when that is deleted too, if the person doesn't come back."""
    what = "1 prompt" if generations == 1 else f"{generations} prompts"
    stays = (
        f"Your balance stays under your id, so that nobody gets credits twice: {credits_text(credits)}, and since when."
    )
    if forgotten_at_ms is None:
        return f"Deleted: {what}, your history and your settings. {stays} Credits are given once here, so they stay."
    return (
        f"Deleted: {what}, your history and your settings. {stays} It is forgotten when credits are given anew, "
        f"{relative_time(forgotten_at_ms)}, unless it is more than everybody gets, or bonus, or you use the bot again."
    )


def exported(files: int, *, kept: bool) -> str:
    """The sentence above the files. *kept*: there are kept images, whose links are left out."""
    what = "Everything the bot keeps of you"
    sentence = f"{what}." if files == 1 else f"{what}, in {files} files; each is complete in itself."
    return f"{sentence} {KEPT_LEFT_OUT}" if kept else sentence


TOO_MUCH = "This is more than fits into one answer. The bot's owner can give you the rest."
