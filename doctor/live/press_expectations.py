"""What the bot expects of the permissions in the event of a press, and what takes care of it otherwise. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from doctor.model import Finding, Level

PERMISSIONS, EMBED_LINKS = "app_permissions of a press", "Embed Links"
HISTORY = "Read Message History"


def judge_permissions(value: int, lacking: Sequence[str], *, is_bot_there: bool, of_commands_alone: bool) -> Finding:
    """Judge `app_permissions` of a press in a channel where the bot has just posted.

    *lacking*: what the bot needs there and they lack, as Discord's settings name it. *is_bot_there*: whether the bot
    takes itself for a member by them. *of_commands_alone*: whether they hold no more than in a server that has the
    commands without the bot.
    """
    said = f"Discord said instead: app_permissions {value}"
    if not is_bot_there:
        pattern = ", at most the four of a server that has the commands alone" if of_commands_alone else ""
        return Finding(
            PERMISSIONS,
            Level.WARN,
            f"{said}{pattern}: by them the bot is not here, but it has just posted",
            "ui/interactions/origin takes the bot for absent: only the interaction's token edits a card here, for 15 "
            "minutes, then the image comes as a direct message",
        )
    if not lacking:
        return Finding(PERMISSIONS, Level.OK, f"as expected: {value}, with all that the bot needs here")
    advice = ["grant it in the channel or to the bot's role; python bot.py doctor prints the invite link"]
    if HISTORY in lacking:
        advice.append("without Read Message History /history shows no pictures of this channel")
    if set(lacking) != {HISTORY}:
        advice.append("ui/interactions/origin refuses /imagine here before anything is paid")
    return Finding(PERMISSIONS, Level.WARN, f"{said}, without {', '.join(lacking)}", "; ".join(advice))


def judge_embed_links(*, is_held: bool, addresses_taken: bool) -> Finding:
    """Judge whether a gallery of addresses needs Embed Links, by a channel where the bot holds it or not."""
    if is_held:
        text = "held in this channel, so it does not show whether a gallery of addresses needs it"
        return Finding(EMBED_LINKS, Level.OK, text)
    if addresses_taken:
        text = "missing in this channel, and a gallery of addresses was taken: the bot does not need it"
        return Finding(EMBED_LINKS, Level.OK, text)
    return Finding(
        EMBED_LINKS,
        Level.WARN,
        "missing in this channel, where a gallery of addresses was refused",
        "grant it: /history shows pictures so (ui/views/cards_history); discord_api/invite (NEEDED) should ask for it",
    )
