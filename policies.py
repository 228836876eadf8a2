"""Write the privacy policy and the terms, filled from the settings, for `python bot.py policies`.

The list of what is kept is made from TABLES: a line for each table of the database, with all its columns. A test
compares it with the tables.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template
from urllib.parse import urlsplit

from discord_api.guild_removals import DAYS
from settings import Settings
from store.address import parse_database_url

log = logging.getLogger("qwen_imagine")

TEMPLATES = Path(__file__).parent / "docs" / "policies"
NAMES = ("privacy.md", "terms.md")
END_OF_COMMENT = "-->\n"
EXIT_SETTINGS = 78  # sysexits.h EX_CONFIG
EXIT_FAULT = 1


@dataclass(frozen=True, slots=True)
class TableLine:
    """What the privacy policy says of one table.

    *columns*: all columns of the table, so that a new one is noticed. *what*: what they hold, in plain words. *why* is
    empty where a table holds nothing about a person. *until*: for how long, empty only there; $words and $rows stand
    for how long prompts and all other data of a request are kept, $server for how long what a server's admins set is.
    """

    columns: str
    what: str
    why: str = ""
    until: str = ""


_REQUEST = "as long as the request"
_SERVER = "until it is taken back; at most $server"

TABLES: Mapping[str, TableLine] = {
    "generations": TableLine(
        "id prompt size seed format count private spoiler application_id user_id channel_id guild_id token "
        "attachment_size_limit locale bot_in_channel created_at_ms fence lease_holder lease_until_ms due_at_ms "
        "message_id card_channel_id revision published_revision follow_up_begun_at_ms "
        "usage_day_ms usage_guild_id",
        "your requests: the prompt, size, seed, format and number of images, whether private or spoiler; your user id, "
        "the ids of server, channel and message; your language in Discord, the size of files there, times; and the "
        "token with which Discord lets the bot answer",
        "to make the images, to show them in `/history`, and for the buttons under them",
        "the prompt and the language $words; the token until the images are done, 15 minutes at most; the rest $rows",
    ),
    "images": TableLine(
        "generation_id position user_id seed state due_at_ms admitted_at_ms submitted_at_ms task_id polls "
        "last_poll_at_ms failures ready_at_ms consumed_credits image_url ending ending_detail attachment_id "
        "separate_channel_id separate_message_id file_name",
        "each image of a request: your user id, state, seed, times, what it cost, the ids of its file and message; its "
        "task and link at the image service, its file name, and what the service said if it failed",
        "to make and post the image once, and to charge for it once",
        "the link, task, file name and the service's words $words; the rest $rows",
    ),
    "prompt_words": TableLine(
        "user_id word generation_id",
        "the beginnings of the words of your prompts, with your user id",
        "for the search in `/history`",
        "$words",
    ),
    "callbacks": TableLine(
        "generation_id position token_hash called_at_ms claimed_task_id",
        "a hash of the secret address at which the image service reports an image, and whether it did",
        "so that images come sooner",
        "until the image is done",
    ),
    "removed_cards": TableLine(
        "generation_id removed_at_ms",
        "which of the bot's messages were deleted, and when",
        "so that nothing links to them",
        _REQUEST,
    ),
    "pings": TableLine(
        "generation_id decided_at_ms",
        "for which requests it was decided whether to mention you",
        "so that you are mentioned once",
        _REQUEST,
    ),
    "preferences": TableLine(
        "user_id size format private ping language",
        "what you set in `/settings`, with your user id",
        "so that you need not type it each time",
        "until you delete it with `/privacy delete`",
    ),
    "accounts": TableLine(
        "user_id available held bonus held_bonus allowance source refilled_from_ms created_at_ms",
        "your credits, with your user id: how many are available, held, and a bonus; what you get a period, from which "
        "server and role; the period of the last refill",
        "so that everybody gets their share, once",
        "until `/privacy delete`; then what is available and the last refill stay until credits are given anew, longer "
        "if they are more than everybody gets, and for good if credits are given only once",
    ),
    "entries": TableLine(
        "number id user_id kind available_delta held_delta image_id reason bonus_delta held_bonus_delta "
        "actor_id refilled_from_ms created_at_ms",
        "the ledger of your credits: each change with its reason, image, time, your user id, and who gave or took by "
        "hand",
        "so that every credit can be accounted for",
        "for good, since the sums must stay right; after `/privacy delete` without your id, the images and the time of "
        "day",
    ),
    "refills": TableLine(
        "user_id starts_at_ms surplus",
        "refills of your credits that came while images were being made",
        "so that a refill is never given twice",
        "until `/privacy delete`",
    ),
    "departures": TableLine(
        "user_id due_at_ms",
        "that you used `/privacy delete`, and when the rest of your account may go",
        "to delete it then",
        "until that is deleted, or you use the bot again",
    ),
    "usage": TableLine(
        "guild_id user_id day_ms held charged unknown images made failed forget_at_ms",
        "how many images you asked for on each day in each server, with your user id, and what they cost",
        "to keep limits of servers and of the bot, and to show them",
        "$words; after `/privacy delete` until the end of the running day, week and month",
    ),
    "blocks": TableLine(
        "scope_id user_id until_ms reason by_id at_ms",
        "that you are blocked, in a server or everywhere: your user id, the reason, until when, and who blocked you",
        "to keep the block",
        "until it is taken back, also after `/privacy delete`; a server's at most $server",
    ),
    "exemptions": TableLine(
        "user_id",
        "that limits don't count for you, with your user id",
        "because the bot's owner decided so",
        "until it is taken back",
    ),
    "audit": TableLine(
        "number id scope_id action actor_id subject_id reason before after at_ms",
        "each change that admins of a server or the owner made: who changed what, when and why; whom it concerned",
        "so that every change can be accounted for",
        "for good, also after `/privacy delete`",
    ),
    "outbox": TableLine(
        "number channel_id change_number text told at_ms due_at_ms",
        "messages that are still to be sent to a server's log channel, or to the bot's owners, with the user ids of "
        "those who have them",
        "so that they are sent, once, although Discord or the bot fails",
        "until they are sent, a day at most",
    ),
    "reports": TableLine(
        "id image_of person_id reporter_id guild_id reason text at_ms due_at_ms told_at_ms forget_at_ms",
        "reports of images: the reason and text, the user ids of who reported and of whose image it is, the request, "
        "the server and the time",
        "so that the owner and the server's admins can look at the image, and you no longer see what you reported",
        "your text $words; your user id until `/privacy delete`, an hour after the report at the soonest; the rest for "
        "good",
    ),
    "report_decisions": TableLine(
        "report_id scope_id decision by_id at_ms",
        "what was decided about a report, when, and the user id of who decided",
        "to show it to everybody who decides",
        "for good",
    ),
    "report_notices": TableLine(
        "report_id recipient_id scope_id channel_id message_id",
        "which messages told of a report: the ids of the messages, and the user ids of the bot's owners",
        "so that nobody is told twice",
        "for good",
    ),
    "pauses": TableLine(
        "scope_id reason by_id at_ms",
        "that a server or the bot is paused: the reason, when, and the user id of who did it",
        "to keep the pause",
        "until it is ended; a server's at most $server",
    ),
    "guild_settings": TableLine(
        "guild_id person_images person_period budget_images budget_period content log_channel_id",
        "what the admins of a server have set: caps, budget, content rule, log channel",
        until=_SERVER,
    ),
    "guild_channels": TableLine(
        "guild_id channel_id", "in which channels of a server images may be asked for", until=_SERVER
    ),
    "guild_roles": TableLine("guild_id role_id", "which roles of a server may ask for images", until=_SERVER),
    "blocked_words": TableLine(
        "guild_id number kind text name", "words that a server doesn't allow in prompts", until=_SERVER
    ),
    "tiers": TableLine("guild_id role_id credits", "how many credits everybody, a server or a role gets in a period"),
    "rule_versions": TableLine("scope_id version", "how often the rules of a server and of the bot were changed"),
    "key_values": TableLine(
        "key value",
        "what the bot learned, such as typical times, ids of channels that it can't enter, and for how many days it "
        "has been missing from servers with settings",
    ),
    "leases": TableLine("name holder until_ms", "which process of the bot does a piece of work"),
    "processes": TableLine(
        "name role shard_count shard_ids shards_up steps started_at_ms seen_at_ms version",
        "which processes of the bot run, and their versions",
    ),
}


def fill_policies(settings: Settings, templates: Path = TEMPLATES) -> dict[str, str]:
    """Return the text of each file by its name."""
    values = _values(settings)
    filled: dict[str, str] = {}
    for name in NAMES:
        text = (templates / f"{name}.template").read_text("utf-8").partition(END_OF_COMMENT)[2]
        filled[name] = Template(text).substitute(values)
    return filled


def write_policies(settings: Settings, folder: Path) -> int:
    """Write the files into *folder*, which is made if it is missing. Return the exit code.

    A file that is there already is never overwritten: somebody may have changed it.
    """
    named = {"OPERATOR_NAME": settings.operator_name, "OPERATOR_CONTACT": settings.operator_contact}
    missing = [name for name, value in named.items() if not value]
    for name in missing:
        log.error("%s is missing: the policies say who runs the bot and how to reach them", name)
    if missing:
        return EXIT_SETTINGS
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in fill_policies(settings).items():
            with (folder / name).open("x", encoding="utf-8") as file:
                file.write(text)
    except FileExistsError as error:
        log.error("%s is there already: move it away, or name another folder", error.filename)
        return EXIT_FAULT
    except OSError as error:
        log.error("%s can't be written: %s", error.filename, error.strerror)
        return EXIT_FAULT
    log.info("%s are in %s: read them and change what is not true of your bot", " and ".join(NAMES), folder)
    return 0


def _values(settings: Settings) -> dict[str, str]:
    days = settings.retention_days
    delete = "until you delete them with `/privacy delete`"
    age = "a day" if days == 1 else f"{days} days"
    kept = {
        "rows": delete,
        "words": f"{delete}, and no longer than {age} after the request" if days else delete,
        "server": f"until {DAYS} days after the server removed the bot",
    }
    is_sqlite = parse_database_url(settings.database_url).get_backend_name() == "sqlite"
    return {
        "operator": settings.operator_name,
        "contact": settings.operator_contact,
        "support": f" Help: <{settings.support_url}>." if settings.support_url else "",
        "privacy_link": f" It stands at <{settings.privacy_url}>." if settings.privacy_url else "",
        "host": urlsplit(settings.qwen_api_url).hostname or "",
        "database": "a SQLite file on the operator's machine"
        if is_sqlite
        else "a PostgreSQL database of the operator's",
        "callbacks": " It is given a random address to report each image to." if settings.public_url else "",
        "personal": "\n".join(_line(name, line, kept) for name, line in TABLES.items() if line.why),
        "others": "\n".join(_line(name, line, kept) for name, line in TABLES.items() if not line.why),
    }


def _line(name: str, line: TableLine, kept: Mapping[str, str]) -> str:
    why = f" *Why:* {line.why}." if line.why else ""
    until = f" *How long:* {Template(line.until).substitute(kept)}." if line.until else ""
    return f"- `{name}`: {line.what}.{why}{until}"
