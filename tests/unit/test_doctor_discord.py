"""What the doctor says of Discord's answers: the token, the clock, the application, its servers and its commands."""

from __future__ import annotations

import json
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from discord_api.invite import NEEDED, SCOPES, invite_link
from doctor.discord_checks import (
    Answered,
    judge_application,
    judge_clock,
    judge_commands,
    judge_guild_commands,
    judge_servers,
    judge_skew,
    judge_token,
    parse_application_id,
)
from doctor.model import Finding, Level
from qwen.pages import Unreached
from qwen.protocol import HttpAnswer

ME = {"id": str(2**63 - 1), "username": "imagine"}
NOW_MS = 1_800_000_000_000
COMMAND = {"type": 1, "name": "imagine", "description": "makes an image", "contexts": [0, 1, 2]}


def answer(body: Any, status: int = 200, **headers: str) -> HttpAnswer:
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return HttpAnswer(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)


def application(**changed: Any) -> HttpAnswer:
    """A well-configured application, but for what *changed*."""
    params = {"scopes": list(SCOPES), "permissions": str(NEEDED.value)}
    config = {"0": {"oauth2_install_params": params}, "1": {}}
    return answer({"id": "5", "flags": 0, "bot_public": True, "integration_types_config": config, **changed})


def installs(scopes: tuple[str, ...] = SCOPES, permissions: int = NEEDED.value) -> dict[str, Any]:
    return {"0": {"oauth2_install_params": {"scopes": list(scopes), "permissions": str(permissions)}}, "1": {}}


def judged(answered: Answered, privacy_url: str = "", terms_url: str = "") -> list[Finding]:
    """The findings about an application that are not ok."""
    found = judge_application(answered, privacy_url, terms_url)
    return [finding for finding in found if finding.level is not Level.OK]


def test_an_accepted_token_names_the_bot() -> None:
    assert judge_token(answer(ME)) == Finding("token", Level.OK, "Discord accepts it: imagine, 9223372036854775807.")


@pytest.mark.parametrize(
    ("answered", "level", "words", "advice"),
    [
        (answer({"message": "401: Unauthorized", "code": 0}, 401), Level.FAIL, "refuses DISCORD_TOKEN", "Reset Token"),
        (Unreached("its name has no address"), Level.FAIL, "its name has no address", "DISCORD_API_URL"),
        (answer("<h1>error 1015</h1>", 403), Level.FAIL, "not Discord's API (HTTP 403)", "block"),
        (answer("<h1>welcome</h1>", 200), Level.FAIL, "not Discord's API (HTTP 200)", "DISCORD_API_URL"),
        (answer({"message": "x", "code": 0}, 503), Level.FAIL, "a fault (HTTP 503)", "discordstatus.com"),
        (answer({"message": "x", "code": 40333}, 403), Level.FAIL, "HTTP 403, code 40333", "Status Codes"),
        (answer({"retry_after": 7}, 429, retry_after="7"), Level.WARN, "slow down", "in 7 s"),
        (answer({"message": "hello"}), Level.FAIL, "names no bot", "DISCORD_API_URL"),
        (answer([]), Level.FAIL, "names no bot", "DISCORD_API_URL"),
    ],
)
def test_each_fault_of_the_login_says_what_to_do(answered: Answered, level: Level, words: str, advice: str) -> None:
    found = judge_token(answered)
    assert (found.level, found.check) == (level, "token")
    assert words in found.text and advice in found.advice


@pytest.mark.parametrize(
    ("ahead_ms", "level", "words"),
    [
        (0, Level.OK, "agrees"),
        (5_600, Level.OK, "agrees"),
        (-5_600, Level.OK, "agrees"),
        (7_500, Level.WARN, "7 s ahead of that of Discord"),
        (-7_500, Level.WARN, "7 s behind that of Discord"),
        (60_600, Level.WARN, "60 s ahead"),
        (60_700, Level.FAIL, "60 s ahead"),
        (3_600_000, Level.FAIL, "3599 s ahead"),
        (-3_600_000, Level.FAIL, "behind"),
    ],
)
def test_a_clock_that_is_wrong_is_told_once_it_is_more_than_the_header_leaves_open(
    ahead_ms: int, level: Level, words: str
) -> None:
    date = formatdate(NOW_MS / 1000, usegmt=True)
    found = judge_clock(date, NOW_MS + 400 + ahead_ms, NOW_MS + 600 + ahead_ms)
    assert found.level is level and words in found.text, found.text


def test_a_slow_answer_leaves_more_open() -> None:
    assert judge_skew("Discord", NOW_MS, 0, NOW_MS, NOW_MS + 20_000).level is Level.OK
    assert judge_skew("Discord", NOW_MS, 0, NOW_MS + 9_000, NOW_MS + 10_000).level is Level.WARN


@pytest.mark.parametrize("date", [None, "", "yesterday"])
def test_an_answer_without_a_time_is_a_warning(date: str | None) -> None:
    assert judge_clock(date, NOW_MS, NOW_MS).level is Level.WARN


def test_a_well_configured_application_is_ok_and_gets_its_invite_link() -> None:
    found = judge_application(application(), "", "")
    assert [(finding.check, finding.level) for finding in found] == [
        ("application", Level.OK),
        ("installs", Level.OK),
        ("invite link", Level.OK),
    ]
    assert found[2].link == invite_link(5)
    assert "anybody can add it" in found[0].text
    assert "only its owner" in judge_application(application(bot_public=False), "", "")[0].text


def test_the_invite_link_is_that_of_the_readme() -> None:
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text("utf-8")
    assert f"`{invite_link(123456789).replace('123456789', 'YOUR_APPLICATION_ID')}`" in readme


@pytest.mark.parametrize(
    ("changed", "check", "level", "words"),
    [
        ({"flags": 1 << 13}, "application", Level.WARN, "not use: Presence Intent."),
        ({"flags": 1 << 14 | 1 << 18}, "application", Level.WARN, "Server Members Intent, Message Content Intent."),
        ({"interactions_endpoint_url": "https://x.example"}, "application", Level.FAIL, "Endpoint URL is set"),
        ({"bot_require_code_grant": True}, "application", Level.FAIL, "Code Grant is on"),
        ({"integration_types_config": {"1": {}}}, "installs", Level.FAIL, "Guild Install is off"),
        ({"integration_types_config": None}, "installs", Level.FAIL, "Guild Install is off"),
        ({"integration_types_config": installs() | {"1": None}}, "", Level.OK, ""),
        ({"integration_types_config": installs(("applications.commands",))}, "installs", Level.WARN, "the scope bot"),
        ({"integration_types_config": installs(("bot",))}, "installs", Level.WARN, "scope applications.commands"),
        ({"integration_types_config": {"0": None, "1": {}}}, "installs", Level.WARN, "bot and applications.commands"),
        (
            {"integration_types_config": installs(permissions=NEEDED.value & ~(1 << 15))},
            *("installs", Level.WARN, "lacks permissions: Attach Files."),
        ),
        (
            {"integration_types_config": installs(permissions=NEEDED.value | 1 << 3)},
            *("installs", Level.WARN, "does not use: Administrator."),
        ),
    ],
)
def test_each_fault_of_the_application_is_a_finding_with_advice(
    changed: dict[str, Any], check: str, level: Level, words: str
) -> None:
    found = judged(application(**changed))
    if level is Level.OK:
        assert found == []
        return
    (finding,) = found
    assert (finding.check, finding.level) == (check, level)
    assert words in finding.text and "eveloper portal" in finding.advice


def test_without_user_install_people_are_said_to_be_unable_to_take_it_along() -> None:
    config = installs()
    del config["1"]
    (finding,) = judged(application(integration_types_config=config))
    assert (finding.level, finding.text.partition(":")[0]) == (Level.WARN, "User Install is off")


def test_policies_in_the_portal_are_compared_with_those_of_the_settings() -> None:
    ours, theirs = "https://a.example/privacy", "https://b.example"
    assert judged(application(privacy_policy_url=ours), ours) == []
    assert [each.text for each in judged(application(privacy_policy_url=theirs), ours)] == [
        "The portal names another address for PRIVACY_URL."
    ]
    assert [each.text for each in judged(application(), "", ours)] == ["The portal names none for TERMS_URL."]


def test_an_answer_that_is_no_application_is_a_failure() -> None:
    for body in ([], {"id": "abc"}, {}):
        assert parse_application_id(answer(body)) is None
        assert [finding.level for finding in judge_application(answer(body), "", "")] == [Level.FAIL]
    assert parse_application_id(application()) == 5


def test_servers_where_permissions_are_missing_are_named() -> None:
    good, lacking = {"id": "1", "permissions": str(NEEDED.value)}, NEEDED.value & ~(1 << 20 | 1 << 10)
    administrator = {"id": "2", "permissions": str(1 << 3)}
    assert judge_servers(answer([good, administrator])) == Finding(
        "servers", Level.OK, "The bot is in 2 servers and has its permissions in each."
    )
    bad = [{"id": str(number), "permissions": str(lacking)} for number in range(10, 17)]
    found = judge_servers(answer([good, *bad]))
    assert found.level is Level.WARN and "In 7 of 8 servers" in found.text
    assert "10: View Channels, Connect; 11: " in found.text and "; and 2 more" in found.text
    assert judge_servers(Unreached("x")).level is Level.FAIL


def sent(theirs: list[Any]) -> Finding:
    return judge_commands(answer(theirs), [COMMAND])


def test_a_command_list_that_discord_has_written_in_its_own_way_is_ok() -> None:
    theirs = {
        **{"id": "9", "application_id": "5", "version": "3", "nsfw": False, "name_localizations": None},
        **{"default_member_permissions": None, "dm_permission": True, "options": []},
    }
    found = sent([{**COMMAND, "contexts": [2, 1, 0], **theirs}, {"type": 4, "name": "launch"}])
    assert found == Finding("commands", Level.OK, "Discord has the 1 commands of this version.")


def test_a_list_that_is_out_of_date_is_sent_by_the_next_start() -> None:
    found = sent([{**COMMAND, "description": "old"}, {"type": 3, "name": "Old menu"}])
    assert found.level is Level.WARN
    assert 'unknown: "Old menu"; changed: /imagine' in found.text and "Start the bot" in found.advice
    assert "no command yet" in sent([]).text


def test_commands_of_a_server_that_the_bot_is_not_in_are_a_warning() -> None:
    found = judge_guild_commands(answer({"code": 50001, "message": "Missing Access"}, 403), 2**60, [COMMAND])
    assert found.level is Level.WARN and f"not in server {2**60}" in found.text


def test_commands_of_a_server_are_compared_without_what_global_ones_alone_have() -> None:
    assert judge_guild_commands(answer([COMMAND | {"contexts": None}]), 7, [COMMAND]).level is Level.OK
    assert "missing: /imagine" in judge_guild_commands(answer([]), 7, [COMMAND]).text
    assert judge_guild_commands(answer("x", 403), 7, [COMMAND]).level is Level.FAIL
