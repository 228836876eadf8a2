"""Judge what Discord answers about the token, the application, its servers and its commands. Pure: no I/O."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, cast

from discord_api.command_lists import Command, Differences, compare_commands
from discord_api.invite import SCOPES, invite_link, missing_permissions, unneeded_permissions
from doctor.model import Finding, Level
from qwen.pages import Unreached
from qwen.protocol import HttpAnswer
from qwen.retry_after import find_header

TOKEN, CLOCK, APPLICATION, INSTALLS = "token", "clock", "application", "installs"
INVITE, SERVERS, COMMANDS = "invite link", "servers", "commands"
CLOCK_WARN_SECONDS, CLOCK_FAIL_SECONDS = 5.0, 60.0
NAMED_MAX = 5  # servers that are named
GUILD_INSTALL, USER_INSTALL = "0", "1"  # Discord docs: Application, "Application Integration Types"
# Discord docs: Application, "Application Flags"; the second bit of each is for apps in fewer than 100 servers.
PRIVILEGED_INTENTS = {
    "Presence Intent": 1 << 12 | 1 << 13,
    "Server Members Intent": 1 << 14 | 1 << 15,
    "Message Content Intent": 1 << 18 | 1 << 19,
}
INSTALLATION = "Developer portal, Installation"

Answered = HttpAnswer | Unreached


@dataclass(frozen=True, slots=True)
class Me:
    """The bot user."""

    id: int
    name: str


def body_of(answer: HttpAnswer) -> Any:
    """Return the JSON of the body; None where it is none."""
    try:
        return json.loads(answer.body)
    except ValueError:
        return None


def _objects_of(answer: Answered) -> Sequence[Command]:
    """Return the JSON objects of a list that Discord gave."""
    body = None if isinstance(answer, Unreached) else body_of(answer)
    return cast("list[Command]", body) if isinstance(body, list) else []


def judge_refusal(check: str, answer: Answered) -> Finding | None:
    """Return the finding for an answer of Discord's API that is no success; None for a success with JSON."""
    if isinstance(answer, Unreached):
        return Finding(
            check,
            Level.FAIL,
            f"Discord can't be reached: {answer.reason}.",
            "Check this machine's network and name server, and DISCORD_API_URL.",
        )
    body = body_of(answer)
    if body is None:
        return Finding(
            check,
            Level.FAIL,
            f"What answers at DISCORD_API_URL is not Discord's API (HTTP {answer.status}).",
            "Check DISCORD_API_URL; a proxy or a block of this machine's address may stand before Discord.",
        )
    match answer.status:
        case status if 200 <= status < 300:
            return None
        case 401:
            return Finding(
                check,
                Level.FAIL,
                "Discord refuses DISCORD_TOKEN.",
                "Developer portal, Bot, Reset Token: put the new token into DISCORD_TOKEN.",
            )
        case 429:
            seconds = find_header(answer.headers, "retry-after") or "some"
            return Finding(check, Level.WARN, "Discord asks to slow down.", f"Run this again in {seconds} s.")
        case status if status >= 500:
            return Finding(
                check,
                Level.FAIL,
                f"Discord has a fault (HTTP {status}).",
                "Wait and run this again; https://discordstatus.com says what is wrong.",
            )
        case status:
            code = cast("dict[str, Any]", body).get("code") if isinstance(body, dict) else None
            return Finding(
                check,
                Level.FAIL,
                f"Discord refuses the call (HTTP {status}, code {code}).",
                "Discord's documentation explains the code, under Opcodes and Status Codes.",
            )


def parse_me(answer: HttpAnswer) -> Me | None:
    """Return who the token is of; None where the answer does not say it."""
    body = body_of(answer)
    try:
        return Me(int(body["id"]), str(body["username"]))
    except (TypeError, LookupError, ValueError):
        return None


def judge_token(answer: Answered) -> Finding:
    """Judge the answer to GET /users/@me."""
    if refusal := judge_refusal(TOKEN, answer):
        return refusal
    me = None if isinstance(answer, Unreached) else parse_me(answer)
    if me is None:
        return Finding(TOKEN, Level.FAIL, "Discord's answer names no bot.", "Check DISCORD_API_URL.")
    return Finding(TOKEN, Level.OK, f"Discord accepts it: {me.name}, {me.id}.")


def judge_clock(date: str | None, asked_ms: int, answered_ms: int) -> Finding:
    """Judge this machine's clock by the header Date of an answer that came between two readings of it."""
    try:
        told = parsedate_to_datetime(date or "")
    except ValueError:
        return Finding(CLOCK, Level.WARN, "Discord's answer tells no time: the clock was not compared.", "Try again.")
    told_ms = told.replace(tzinfo=told.tzinfo or UTC).timestamp() * 1000
    return judge_skew("Discord", told_ms + 500, 500, asked_ms, answered_ms)  # the header has whole seconds


def judge_skew(theirs: str, told_ms: float, unknown_ms: float, asked_ms: int, answered_ms: int) -> Finding:
    """Judge how far this machine's clock is from that of *theirs*, which told *told_ms* between two readings of it.

    *unknown_ms*: by how much it may be wrong. All in unix milliseconds.
    """
    ahead_ms = (asked_ms + answered_ms) / 2 - told_ms
    sure_seconds = max(0.0, abs(ahead_ms) - unknown_ms - abs(answered_ms - asked_ms) / 2) / 1000
    if sure_seconds <= CLOCK_WARN_SECONDS:
        return Finding(CLOCK, Level.OK, f"This machine's clock agrees with that of {theirs}.")
    level = Level.WARN if sure_seconds <= CLOCK_FAIL_SECONDS else Level.FAIL
    direction = "ahead of" if ahead_ms > 0 else "behind"
    return Finding(
        CLOCK,
        level,
        f"This machine's clock is {sure_seconds:.0f} s {direction} that of {theirs}.",
        "Switch on a time service (NTP), such as chrony or systemd-timesyncd.",
    )


def parse_application_id(answer: Answered) -> int | None:
    """Return the id in the answer to GET /applications/@me; None where there is none."""
    body = None if isinstance(answer, Unreached) else body_of(answer)
    number = str(cast("dict[str, Any]", body).get("id")) if isinstance(body, dict) else ""
    return int(number) if number.isdecimal() else None


def judge_application(answer: Answered, privacy_url: str, terms_url: str) -> list[Finding]:
    """Judge the answer to GET /applications/@me: flags, installs, invite link, and policies named there."""
    if refusal := judge_refusal(APPLICATION, answer):
        return [refusal]
    application_id = parse_application_id(answer)
    if isinstance(answer, Unreached) or application_id is None:
        return [Finding(APPLICATION, Level.FAIL, "Discord's answer is no application.", "Check DISCORD_API_URL.")]
    application = cast("dict[str, Any]", body_of(answer))
    flags = list(_judge_flags(application))
    policies = list(_judge_portal_policies(application, privacy_url, terms_url))
    return [
        *(flags or [Finding(APPLICATION, Level.OK, _sentence_about(application))]),
        *_judge_installs(application.get("integration_types_config")),
        Finding(
            INVITE,
            Level.OK,
            "Invites the bot with exactly the permissions that it uses:",
            link=invite_link(application_id),
        ),
        *policies,
    ]


def _sentence_about(application: Mapping[str, Any]) -> str:
    who = "anybody" if application.get("bot_public", True) else "only its owner (Public Bot is off)"
    return f"No privileged intent, interactions come over the gateway, {who} can add it."


def _judge_flags(application: Mapping[str, Any]) -> Iterator[Finding]:
    flags = int(application.get("flags") or 0)
    intents = [name for name, bits in PRIVILEGED_INTENTS.items() if flags & bits]
    if intents:
        yield Finding(
            APPLICATION,
            Level.WARN,
            f"Privileged intents are on that the bot does not use: {', '.join(intents)}.",
            "Developer portal, Bot: switch them off.",
        )
    if application.get("interactions_endpoint_url"):
        yield Finding(
            APPLICATION,
            Level.FAIL,
            "An Interactions Endpoint URL is set: Discord sends commands there and not here.",
            "Developer portal, General Information: empty that field.",
        )
    if application.get("bot_require_code_grant"):
        yield Finding(
            APPLICATION,
            Level.FAIL,
            "Requires OAuth2 Code Grant is on: the invite link can't add the bot.",
            "Developer portal, Bot: switch it off.",
        )


def _judge_installs(config: object) -> list[Finding]:
    """Judge `integration_types_config`: which installs are on, and what Add App brings into a server."""
    installs = cast("dict[str, Any]", config) if isinstance(config, dict) else {}
    if GUILD_INSTALL not in installs:
        return [Finding(INSTALLS, Level.FAIL, "Guild Install is off.", f"{INSTALLATION}: switch Guild Install on.")]
    found = list(_judge_guild_install(installs[GUILD_INSTALL]))
    if USER_INSTALL not in installs:
        found.append(
            Finding(
                INSTALLS,
                Level.WARN,
                "User Install is off: people can't take the bot along to other places.",
                f"{INSTALLATION}: switch User Install on, unless that is what you want.",
            )
        )
    return found or [Finding(INSTALLS, Level.OK, "Servers and people can install it; Add App brings the bot along.")]


def _judge_guild_install(install: Mapping[str, Any] | None) -> Iterator[Finding]:
    params: Mapping[str, Any] = (install or {}).get("oauth2_install_params") or {}
    where = f"{INSTALLATION}, Default Install Settings, Guild Install"
    lacking = [scope for scope in SCOPES if scope not in params.get("scopes", ())]
    if lacking:
        yield Finding(
            INSTALLS,
            Level.WARN,
            f"Add App lacks the scope {' and '.join(lacking)}, so it brings "
            f"{'the commands without the bot' if 'bot' in lacking else 'the bot without its commands'} into a server.",
            f"{where}: add it.",
        )
    permissions = int(params.get("permissions") or 0)
    missing, unneeded = missing_permissions(permissions), unneeded_permissions(permissions)
    if missing and "bot" not in lacking:  # permissions can be chosen only with that scope
        yield Finding(INSTALLS, Level.WARN, f"Add App lacks permissions: {', '.join(missing)}.", f"{where}: add them.")
    if unneeded:
        yield Finding(
            INSTALLS,
            Level.WARN,
            f"Add App asks for permissions that the bot does not use: {', '.join(unneeded)}.",
            f"{where}: take them out.",
        )


def _judge_portal_policies(application: Mapping[str, Any], privacy_url: str, terms_url: str) -> Iterator[Finding]:
    """Compare the addresses in the portal with the settings, where these are set."""
    for name, ours, theirs in (
        ("PRIVACY_URL", privacy_url, application.get("privacy_policy_url")),
        ("TERMS_URL", terms_url, application.get("terms_of_service_url")),
    ):
        if ours and theirs != ours:
            yield Finding(
                APPLICATION,
                Level.WARN,
                f"The portal names {'another address' if theirs else 'none'} for {name}.",
                f"Developer portal, General Information: put {name} there as well.",
            )


def judge_servers(answer: Answered) -> Finding:
    """Judge the answer to GET /users/@me/guilds, which holds 200 at most: has the bot its permissions there?

    Channels may take permissions away that a server gives; that is not seen here.
    """
    if refusal := judge_refusal(SERVERS, answer):
        return refusal
    guilds = _objects_of(answer)
    lacking: dict[str, tuple[str, ...]] = {}
    for guild in guilds:
        if missing := missing_permissions(int(guild.get("permissions") or 0)):
            lacking[str(guild["id"])] = missing
    if not lacking:
        return Finding(SERVERS, Level.OK, f"The bot is in {len(guilds)} servers and has its permissions in each.")
    named = "; ".join(f"{guild_id}: {', '.join(names)}" for guild_id, names in list(lacking.items())[:NAMED_MAX])
    more = f"; and {len(lacking) - NAMED_MAX} more" if len(lacking) > NAMED_MAX else ""
    return Finding(
        SERVERS,
        Level.WARN,
        f"In {len(lacking)} of {len(guilds)} servers the bot lacks permissions ({named}{more}).",
        "Have an admin there open the invite link again, or give its role these permissions.",
    )


def judge_commands(answer: Answered, ours: Iterable[Command]) -> Finding:
    """Judge the answer to GET /applications/…/commands."""
    if refusal := judge_refusal(COMMANDS, answer):
        return refusal
    ours = list(ours)
    theirs = _objects_of(answer)
    differences = compare_commands(ours, theirs)
    if not differences:
        return Finding(COMMANDS, Level.OK, f"Discord has the {len(ours)} commands of this version.")
    text = "Discord has no command yet" if not theirs else f"Discord's list is not that of this version ({differences})"
    return Finding(
        *(COMMANDS, Level.WARN, f"{text}."),
        "Start the bot of this version: it sends the list. If it was started since, another program uses the same "
        "token: stop that one, or reset the token.",
    )


def judge_guild_commands(answer: Answered, guild_id: int, ours: Iterable[Command]) -> Finding:
    """Judge the answer to GET /applications/…/guilds/…/commands for a server of OWNER_GUILDS."""
    if not isinstance(answer, Unreached) and answer.status in (403, 404) and body_of(answer) is not None:
        return Finding(
            COMMANDS,
            Level.WARN,
            f"The bot is not in server {guild_id} of OWNER_GUILDS, so /owner is not there.",
            "Open the invite link for that server, then start the bot again.",
        )
    if refusal := judge_refusal(COMMANDS, answer):
        return refusal
    theirs = _objects_of(answer)
    differences: Differences = compare_commands(ours, theirs, in_guild=True)
    if not differences:
        return Finding(COMMANDS, Level.OK, f"Server {guild_id} has the commands of OWNER_GUILDS.")
    return Finding(
        COMMANDS,
        Level.WARN,
        f"The list of server {guild_id} is not that of this version ({differences}).",
        "Start the bot of this version: it sends the list.",
    )
