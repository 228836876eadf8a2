"""The sentences of /settings. Pure; must not know Discord's library."""

from __future__ import annotations

from people.model import Ping

TITLE = "**Your settings**"
MEANING = "-# What `/imagine` takes for the options you leave out. What you type there wins. Kept until you change it."
PING = "When a finished image mentions you"
LANGUAGE = "Language of the bot"
PUBLIC = "Everybody in the channel"
ONLY_ME = "Only me"
ONLY_ME_MEANING = "Nobody else sees the card, and it can't be linked to"
AS_DISCORD = "As Discord is set"
AS_DISCORD_MEANING = "English, as long as the bot speaks nothing else"
ENGLISH = "English"
NOT_ON_OFFER = "That is not on the list any more. Nothing was changed; open `/settings` anew."

PING_LABELS = {
    Ping.ALWAYS: "Always",
    Ping.SLOW: "When it took long",
    Ping.NEVER: "Never",
}
PING_MEANINGS = {
    Ping.ALWAYS: "A short reply that mentions nobody but you",
    Ping.SLOW: "Only if you had to wait for longer than half a minute",
    Ping.NEVER: "The card changes, and that is all",
}
