"""`doctor --live`: a command, the places that options name, and the permissions in the event of a press."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from doctor.live.button_steps import NO_FILES_PRESS
from doctor.live.expectations import Expected
from doctor.live.press_expectations import EMBED_LINKS, PERMISSIONS
from sandbox.local_discord.faults import RestFault
from sandbox.local_discord.state import permissions as p
from tests.integration.live_run import LiveRun, open_live_run

COMMAND = Expected.COMMAND.value.step
SWITCHED_OFF = Expected.COMMAND_SWITCHED_OFF.value.step
NO_FILES = [Expected.NO_FILES_UPLOAD.value.step, Expected.NO_FILES_EDIT.value.step]
FETCH, POST = Expected.WITHOUT_BOT_FETCH.value.step, Expected.WITHOUT_BOT_POST.value.step
OWN = {"name": "paint", "description": "Paint something", "type": 1}


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[LiveRun]:
    async with open_live_run(tmp_path) as run:
        await send_own_list(run)
        yield run


async def send_own_list(live: LiveRun) -> None:
    """Send a list of one command, as a bot that runs has sent its own."""
    discord = live.box.discord
    path, headers = f"/applications/{discord.application_id}/commands", {"Authorization": f"Bot {discord.token}"}
    async with aiohttp.ClientSession(headers=headers) as http, http.put(f"{discord.api_url}{path}", json=[OWN]) as sent:
        assert sent.status == 200


async def interrupt_during(fault: RestFault) -> None:
    """Press Ctrl-C while the call is answered that *fault* delays."""
    while fault.left:  # noqa: ASYNC110
        await asyncio.sleep(0.005)
    os.kill(os.getpid(), signal.SIGINT)


async def test_one_command_is_made_and_deleted_and_the_others_stay(live: LiveRun) -> None:
    before, at_the_next_line = live.box.discord.commands, list[list[str]]()
    live.when("ok    command: installs", lambda: at_the_next_line.append(live.command_names()))
    assert await live.run() == 0
    assert at_the_next_line == [["paint"]]
    calls = [(each.method, each.status) for each in live.box.discord.requests if "/commands" in each.path]
    assert calls[1:] == [("POST", 201), ("DELETE", 204)]
    assert live.box.discord.commands == before
    assert live.line_of(COMMAND).startswith("ok    command: make one for servers and people: as expected: HTTP 201")
    step = "command: installs and contexts in the answer"
    assert live.line_of(step).endswith("as expected: integration_types [0, 1], contexts [0, 1, 2]")
    assert "      User Install is on" in live.said
    assert any("while User Install is off: it is on" in line for line in live.said)


async def test_with_user_install_off_the_answer_is_told_whatever_it_is(live: LiveRun) -> None:
    live.box.discord.portal.update(integration_types_config={"0": {}})
    assert await live.run() == 0
    assert live.line_of(SWITCHED_OFF).endswith("not known before: Discord said HTTP 201")
    assert "      User Install is off" in live.said
    assert not any("it is on (Developer portal" in line for line in live.said)
    live.said.clear()
    live.box.discord.faults.rest("POST", "/commands$", status=400, code=50035, message="No people")
    assert await live.run() == 0
    assert live.line_of(SWITCHED_OFF).endswith('Discord said HTTP 400: {"message":"No people","code":50035}')
    assert live.advice_of(SWITCHED_OFF) == f"      -> {Expected.COMMAND_SWITCHED_OFF.value.otherwise}"
    assert live.command_names() == ["paint"]


async def test_a_command_that_is_refused_is_said_with_the_limit_of_a_day(live: LiveRun) -> None:
    live.box.discord.faults.rest("POST", "/commands$", status=400, code=30034, message="Enough for today")
    assert await live.run() == 0
    assert live.surprises() == [COMMAND]
    assert live.line_of(COMMAND).endswith('said instead: HTTP 400: {"message":"Enough for today","code":30034}')
    assert "200 new commands that Discord allows a day" in live.advice_of(COMMAND)


async def test_a_command_whose_making_has_no_answer_is_found_by_its_name_and_deleted(live: LiveRun) -> None:
    live.box.discord.faults.rest("POST", "/commands$", drop="after")
    assert await live.run() == 0
    assert live.surprises() == [COMMAND]
    assert live.command_names() == ["paint"]
    assert live.line_of("removal") == "ok    removal: everything that was made is removed"


async def test_a_command_that_is_not_deleted_at_first_is_deleted_at_the_end_and_else_it_is_named(live: LiveRun) -> None:
    live.box.discord.faults.rest("DELETE", "/commands/", status=503)
    assert await live.run() == 0
    assert live.command_names() == ["paint"] and live.surprises() == []
    live.box.discord.faults.rest("DELETE", "/commands/", status=403, code=50001, times=None)
    assert await live.run() == 0
    [left] = live.left_behind()
    [line] = [line for line in live.said if line.startswith("warn  removal: ")]
    assert line.startswith(f"warn  removal: the command /{left} may still be there: HTTP 403: ")


async def test_installs_that_are_not_told_leave_the_command_out(live: LiveRun) -> None:
    rest = live.box.discord.faults.rest
    live.when("ok    direct message to the owner", lambda: rest("GET", "/oauth2/applications/@me", status=500))
    assert await live.run() == 0
    assert live.surprises() == [Expected.INSTALLS.value.step]
    assert "HTTP 500" in live.line_of(Expected.INSTALLS.value.step)
    assert [each for each in live.box.discord.requests if each.method == "POST" and "/commands" in each.path] == []


@pytest.mark.parametrize(("method", "route"), [("POST", "/commands$"), ("DELETE", "/commands/")])
async def test_ctrl_c_while_a_command_is_made_or_deleted_leaves_none(live: LiveRun, method: str, route: str) -> None:
    fault = live.box.discord.faults.rest(method, route, delay_seconds=0.3)
    interrupting = asyncio.create_task(interrupt_during(fault))
    assert await live.run() == 130
    await interrupting
    assert live.command_names() == ["paint"]
    assert live.left_behind() == set()


async def test_uploads_by_the_token_without_attach_files_are_told_if_they_are_refused(live: LiveRun) -> None:
    def refuse() -> None:
        live.box.discord.faults.rest(
            "PATCH", "/webhooks/", status=403, code=50013, message="No files", uploads_only=True, times=2
        )

    live.press_by("mira")
    live.when("ok    no files: thinking", refuse)
    assert await live.run(with_button=True, without_files_id=live.places()["without_files_id"]) == 0
    assert live.surprises() == []
    for step in NO_FILES:
        said = 'not known before: Discord said HTTP 403: {"message":"No files","code":50013}'
        assert live.line_of(step).endswith(said)
        assert live.advice_of(step) == f"      -> {Expected.NO_FILES_UPLOAD.value.otherwise}"
    assert live.left_behind() == set()


async def test_a_channel_that_allows_files_is_no_place_to_try_without(live: LiveRun) -> None:
    live.press_by("mira")
    assert await live.run(with_button=True, without_files_id=live.box.discord.channels["studio"].id) == 0
    assert live.surprises() == [NO_FILES[0]]
    assert "have Attach Files there" in live.line_of(NO_FILES[0])
    assert live.box.discord.actor("mira").messages("studio") == []


async def test_a_channel_that_the_bot_does_not_see_or_another_shard_has_gets_no_button(live: LiveRun) -> None:
    live.press_by("mira")
    channels = live.box.discord.channels
    assert await live.run(with_button=True, without_files_id=channels["pier"].id) == 0
    assert live.surprises() == [Expected.NO_FILES_CHANNEL.value.step]
    assert '403: {"message":"Missing Access","code":50001}' in live.line_of(Expected.NO_FILES_CHANNEL.value.step)
    live.said.clear()
    live.box.discord.gateway.shards = 6
    assert await live.run(with_button=True, without_files_id=channels["meadow"].id) == 0
    assert live.surprises() == [NO_FILES_PRESS]
    assert "another shard has that server" in live.line_of(NO_FILES_PRESS)
    assert sum(line.startswith("Press the button") for line in live.said) == 1


@pytest.mark.parametrize("line", ["Press the button", "ok    no files: thinking", "ok    no files: upload"])
async def test_ctrl_c_at_any_step_without_files_removes_what_was_made(live: LiveRun, line: str) -> None:
    def interrupt() -> None:
        if "ok    no files: channel" in "\n".join(live.said):
            os.kill(os.getpid(), signal.SIGINT)

    live.press_by("mira")
    live.when(line, interrupt)
    assert await live.run(with_button=True, without_files_id=live.places()["without_files_id"]) == 130
    assert live.left_behind() == set()


async def test_a_server_that_has_the_bot_after_all_gets_no_card(live: LiveRun) -> None:
    assert await live.run(without_bot_id=live.box.discord.channels["studio"].id) == 0
    assert live.surprises() == [FETCH, POST]
    assert live.line_of(FETCH).endswith("Discord said instead: HTTP 200")
    assert "is a member of that server" in live.advice_of(FETCH)
    assert live.line_of(POST).endswith("not tried: the bot sees that channel, so it is in that server")


async def test_another_refusal_in_a_server_without_the_bot_is_said(live: LiveRun) -> None:
    channel_id = live.places()["without_bot_id"]
    live.box.discord.faults.rest("*", f"/channels/{channel_id}", status=404, code=10003, message="What?", times=2)
    assert await live.run(without_bot_id=channel_id) == 0
    assert live.surprises() == [FETCH, POST]
    for step in (FETCH, POST):
        assert live.line_of(step).endswith('said instead: HTTP 404: {"message":"What?","code":10003}')
        assert "takes 403 and 404 alike" in live.advice_of(step)


async def test_a_channel_without_read_message_history_is_named_by_call_and_by_press(live: LiveRun) -> None:
    live.press_by("mira")
    assert await live.run("ferry", with_button=True) == 0
    assert live.surprises() == [Expected.FETCH.value.step, Expected.ADDRESSES.value.step, PERMISSIONS]
    assert '"code":50013' in live.line_of(Expected.FETCH.value.step)
    assert live.line_of(PERMISSIONS).endswith(", without Read Message History")
    assert "/history shows no pictures" in live.advice_of(PERMISSIONS)


async def test_permissions_of_a_press_that_hide_the_bot_are_said(live: LiveRun) -> None:
    live.press_by("mira")
    live.when("Press the button", lambda: live.box.discord.deny("gallery", p.VIEW_CHANNEL))
    assert await live.run(with_button=True) == 0
    assert live.surprises()[0] == PERMISSIONS
    assert "app_permissions 0, at most the four of a server that has the commands alone" in live.line_of(PERMISSIONS)
    assert "only the interaction's token" in live.advice_of(PERMISSIONS)


@pytest.mark.parametrize(
    ("denied", "status", "line"),
    [
        (0, None, "ok    Embed Links: held in this channel, so it does not show"),
        (p.EMBED_LINKS, None, "ok    Embed Links: missing in this channel, and a gallery of addresses was taken"),
        (p.EMBED_LINKS, 403, "warn  Embed Links: missing in this channel, where a gallery of addresses was refused"),
    ],
)
async def test_whether_addresses_need_embed_links_is_told_by_a_channel_without_it(
    live: LiveRun, denied: int, status: int | None, line: str
) -> None:
    live.press_by("mira")
    live.box.discord.deny("gallery", denied)
    if status:
        rest = live.box.discord.faults.rest
        live.when("ok    fetch the card", lambda: rest("POST", "/messages$", status=status, code=50013))
    assert await live.run(with_button=True) == 0
    assert live.line_of(EMBED_LINKS).startswith(line)


async def test_what_is_left_out_and_what_no_option_can_try_is_said_at_the_end(live: LiveRun) -> None:
    assert await live.run() == 0
    at = live.said.index("fact  Not tried, and why")
    text = "\n".join(live.said[at:])
    for words in ("--private-thread", "--without-files", "--without-bot", "--no-button", "for a user install"):
        assert words in text
    live.said.clear()
    live.press_by("mira")
    assert await live.run(with_button=True, **live.places()) == 0
    text = "\n".join(live.said[live.said.index("fact  Not tried, and why") :])
    assert "--" not in text and "for a user install" in text
