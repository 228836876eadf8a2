"""`doctor --live` against the sandbox's Discord and image API: what is as expected, and each lie found."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from discord import LoginFailure

from discord_api.live_calls import IDENTIFY_AGAIN_SECONDS, IDENTIFY_TRIES
from doctor.live.button_steps import LABEL, PRESS_SECONDS
from doctor.live.expectations import Expected
from generations.poll_schedule import POLL_SECONDS
from qwen.models import Size
from sandbox.image_api import Mood
from sandbox.local_discord import Lie
from sandbox.world import HOST
from tests.integration.live_run import LiveRun, open_live_run

IDS = "ids of pictures in the answer to an edit"
DOUBTFUL = "removal: 1 calls had no answer, and may have posted a message"


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[LiveRun]:
    async with open_live_run(tmp_path) as run:
        yield run


def all_steps() -> set[str]:
    return {expected.value.step for expected in Expected}


async def test_everything_is_as_expected_and_nothing_is_left_behind(live: LiveRun) -> None:
    live.press_by("mira")
    assert await live.run(with_button=True, **live.places()) == 0, live.said
    assert live.surprises() == []
    steps = all_steps() - {Expected.COMMAND_SWITCHED_OFF.value.step}
    assert {step for step in steps if not live.line_of(step).startswith("ok")} == set()
    assert live.line_of("removal") == "ok    removal: everything that was made is removed"
    assert live.left_behind() == set()
    broken = [violation.where.split(" ")[0] for violation in live.box.discord.violations]
    assert broken == ["PATCH"] * 4, "the one by id alone, and three with too many bytes"


@pytest.mark.parametrize(
    ("lie", "steps"),
    [
        (Lie.KEPT_BY_ID_ALONE, [Expected.ID_ALONE.value.step]),
        (
            Lie.NO_TEXT_LIMIT,
            [each.value.step for each in (Expected.TEXT, Expected.GALLERY_TEXT, Expected.MENU_TEXT)],
        ),
        (Lie.OPEN_PRIVATE_THREADS, [Expected.PRIVATE_THREAD.value.step]),
        (Lie.SERVER_COMMANDS_ONLY, ["command: installs and contexts in the answer"]),
        (Lie.NO_ATTACHMENT_IDS, [IDS, IDS, Expected.ID_ALONE.value.step]),
    ],
)
async def test_each_lie_of_discord_is_found(live: LiveRun, lie: Lie, steps: list[str]) -> None:
    live.box.discord.faults.lie(lie)
    thread_id = live.box.discord.channels["night-watch"].id
    assert await live.run(private_thread_id=thread_id) == 0
    assert live.surprises() == steps
    assert live.left_behind() == set()


async def test_a_refusal_is_said_word_for_word_with_what_takes_care_of_it(live: LiveRun) -> None:
    live.box.discord.faults.rest("PATCH", "/messages/", status=400, code=50035, message="No <b>", uploads_only=True)
    assert await live.run() == 0
    assert live.surprises() == [Expected.ONE.value.step]
    at = live.said.index(live.line_of(Expected.ONE.value.step))
    assert live.said[at].endswith('Discord said instead: HTTP 400: {"message":"No <b>","code":50035}')
    assert live.said[at + 1] == f"      -> {Expected.ONE.value.otherwise}"


async def test_a_call_that_discord_does_not_answer_is_a_finding_and_is_made_once(live: LiveRun) -> None:
    live.box.discord.faults.rest("PATCH", "/messages/", status=502)
    live.box.discord.faults.rest("POST", "/users/@me/channels", drop="before")
    assert await live.run() == 0
    assert live.surprises() == [Expected.ONE.value.step, Expected.DIRECT_MESSAGE.value.step, DOUBTFUL]
    assert "HTTP 502" in live.line_of(Expected.ONE.value.step)
    assert "said instead: nothing (" in live.line_of(Expected.DIRECT_MESSAGE.value.step)
    opened = [each for each in live.box.discord.requests if each.path == "/users/@me/channels"]
    assert len(opened) == 1


async def test_a_channel_that_takes_no_card_is_a_failure_and_the_other_places_are_tried(live: LiveRun) -> None:
    assert await live.run("no-posting") == 1
    assert live.surprises() == [Expected.CARD.value.step]
    assert live.line_of(Expected.DIRECT_MESSAGE.value.step).startswith("ok")
    live.said.clear()
    assert await live.run("pier") == 1
    assert live.line_of("channel").startswith("FAIL  channel: Discord said instead: HTTP 403: ")


async def test_a_press_of_a_button_of_the_bot_is_left_to_the_bot(live: LiveRun) -> None:
    local, mira, pressed = live.box.discord, live.box.discord.actor("mira"), list[int]()
    button = {"type": 2, "style": 2, "label": "Again", "custom_id": "imagine:again:1"}
    path = f"{local.api_url}/channels/{local.channels['gallery'].id}/messages"
    body = {"content": "a card", "components": [{"type": 1, "components": [button]}]}
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bot {local.token}"}) as http,
        http.post(path, json=body) as answer,
    ):
        card = int((await answer.json())["id"])

    async def press(message_id: int) -> None:
        pressed.append(await mira.press(card, "Again"))
        pressed.append(await mira.press(message_id, LABEL))

    tasks = list[asyncio.Task[None]]()
    live.heard = lambda line: (
        tasks.append(asyncio.get_running_loop().create_task(press(int(line.rpartition("/")[2]))))
        if line.startswith("Press the button")
        else None
    )
    assert await live.run(with_button=True) == 0
    answered = [each.path.split("/")[2] for each in local.requests if each.path.startswith("/interactions/")]
    assert answered == [str(pressed[1])]
    assert live.left_behind() == {str(card)}


async def test_a_button_that_nobody_presses_is_given_up_after_two_minutes(live: LiveRun) -> None:
    live.clock.longest = PRESS_SECONDS
    assert await live.run(with_button=True) == 0
    assert live.surprises() == ["button: press"]
    assert live.clock.moved == PRESS_SECONDS
    assert live.left_behind() == set()


async def test_a_gateway_that_takes_no_session_leaves_the_button_out(live: LiveRun) -> None:
    live.box.discord.faults.gateway_restart(refused=IDENTIFY_TRIES, closed_before_hello=0)
    assert await live.run(with_button=True) == 0
    assert live.surprises() == ["gateway"]
    assert "503" in live.line_of("gateway")


async def test_a_session_that_the_gateway_ends_at_once_is_begun_again(live: LiveRun) -> None:
    live.press_by("mira")
    live.box.discord.faults.gateway_restart(refused=0, closed_before_hello=1)
    assert await live.run(with_button=True) == 0
    assert live.surprises() == []
    assert live.clock.moved == IDENTIFY_AGAIN_SECONDS


async def test_after_ctrl_c_everything_is_removed_and_the_report_is_written(live: LiveRun) -> None:
    live.heard = lambda line: os.kill(os.getpid(), signal.SIGINT) if line.startswith("Press the button") else None
    live.clock.longest = 0.0
    report = live.folder / "report.md"
    assert await live.run(with_button=True, report=report) == 130
    assert live.left_behind() == set()
    assert Expected.NINE_MIB.value.step in report.read_text("utf-8")


async def test_what_a_call_makes_during_ctrl_c_is_removed_too(live: LiveRun) -> None:
    fault = live.box.discord.faults.rest("POST", "/messages$", delay_seconds=0.3)

    async def interrupt() -> None:
        while fault.left:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        os.kill(os.getpid(), signal.SIGINT)

    interrupting = asyncio.create_task(interrupt())
    assert await live.run() == 130
    await interrupting
    posts = [each for each in live.box.discord.requests if each.method == "POST"]
    assert [each.status for each in posts] == [200]
    assert live.left_behind() == set()


async def test_the_answer_to_a_press_is_removed_after_a_fault_of_the_programs_own(live: LiveRun) -> None:
    live.press_by("mira")

    def fail(line: str) -> None:
        if "thinking" in line:
            raise ZeroDivisionError

    press, live.heard = live.heard, lambda line: (press(line), fail(line))[0]
    with pytest.raises(ZeroDivisionError):
        await live.run(with_button=True)
    assert live.left_behind() == set()


async def test_a_message_that_may_stand_without_an_answer_is_told(live: LiveRun) -> None:
    live.box.discord.faults.rest("POST", "/messages$", drop="after")
    assert await live.run() == 1
    assert live.surprises() == [Expected.CARD.value.step, DOUBTFUL]
    assert len(live.left_behind()) == 1


async def test_an_answer_that_cannot_be_read_is_no_success(live: LiveRun) -> None:
    live.box.discord.faults.rest("GET", "/channels/", status=200, after=True)
    assert await live.run() == 1
    assert "said instead: nothing (discord.py can't read HTTP 200: " in live.line_of("channel")


async def test_a_login_that_is_not_answered_is_a_failure_and_a_refused_token_ends_the_run(live: LiveRun) -> None:
    live.box.discord.faults.rest("GET", "/users/@me$", status=400, code=40333, message="internal network error")
    assert await live.run(report=live.folder / "first.md") == 1
    assert "internal network error" in live.line_of("login")
    with pytest.raises(LoginFailure):
        await live.run(settings={"DISCORD_TOKEN": "canary"}, report=live.folder / "second.md")
    assert "canary" not in (live.folder / "second.md").read_text("utf-8")


async def test_what_cannot_be_removed_is_named(live: LiveRun) -> None:
    live.box.discord.faults.rest("DELETE", "/messages/", status=403, code=50013)
    assert await live.run() == 0
    assert live.surprises() == ["removal"]
    [left] = live.left_behind()
    assert f"message {left} in channel" in live.line_of("removal")


async def test_a_report_masks_every_secret_is_private_and_replaces_nothing(live: LiveRun) -> None:
    live.press_by("olga")
    live.clock.longest = POLL_SECONDS
    report = live.folder / "report.md"
    options = {"with_button": True, "buy": True, "is_confirmed": True, "report": report, **live.places()}
    assert await live.run(settings=live.callback_settings(), **options) == 0, live.said
    text = report.read_text("utf-8")
    discord, images = live.box.discord, live.box.images
    tokens = [each.path.split("/")[3] for each in discord.requests if each.path.startswith("/webhooks/")]
    bodies: list[Any] = [post.body for post in images.posts]
    callbacks = [body["callback_url"].rpartition("/")[2] for body in bodies if "callback_url" in body]
    assert len(tokens) > 3 and len(callbacks) == 5
    for secret in (discord.token, images.key, *tokens, *callbacks, "hm="):
        assert secret not in text and secret not in "\n".join(live.said)
    assert stat.S_IMODE(report.stat().st_mode) == 0o600
    assert await live.run(report=report) == 1
    assert live.said[-1] == f"{report} can't be written: File exists. A report never replaces a file."
    assert report.read_text("utf-8") == text


async def test_one_image_of_each_size_is_made_with_and_without_a_callback(live: LiveRun) -> None:
    live.clock.longest = POLL_SECONDS  # so a callback is waited for
    report = live.folder / "report.md"
    options = {"buy": True, "is_confirmed": True, "report": report}
    assert await live.run(settings=live.callback_settings(), **options) == 0, "\n".join(live.said)
    assert "--buy-one spends up to 50 credits of the image API's account." in live.said
    bodies: list[Any] = [post.body for post in live.box.images.posts]
    asked = [(body["size"], "callback_url" in body) for body in bodies]
    assert asked == [(size.value, called) for called in (False, True) for size in Size]
    assert live.surprises() == []
    assert sum("Content-Type: image/" in line for line in live.said) == 10
    assert sum(line.startswith("      callback 1: {") for line in live.said) == 5
    text = report.read_text("utf-8")
    assert text.count("called back after") == 5 and text.count("callback 1: {") == 5
    assert text.count("answered the download with HTTP 200:\n    Content-Type: image/") == 10
    assert text.count('"status": "SUCCESS"') >= 15, "of ten polls and five callbacks"


async def test_a_task_that_has_ended_when_its_post_is_answered_is_polled_for_its_image(live: LiveRun) -> None:
    live.box.images.seconds_per_image = (0.0, 0.0)
    assert await live.run(buy=True, is_confirmed=True) == 0, "\n".join(live.said)
    assert [len(polls) for polls in live.box.images.polls.values()] == [1] * 5
    assert live.surprises() == ["callbacks"]


async def test_a_port_that_is_taken_leaves_callbacks_out(live: LiveRun) -> None:
    settings = live.callback_settings()
    with socket.create_server((HOST, int(settings["PORT"]))):
        assert await live.run(settings=settings, buy=True, is_confirmed=True) == 0
    assert len(live.box.images.posts) == 5
    assert f"not tried: PORT {settings['PORT']} is taken by another program" in live.line_of("callbacks")


async def test_nothing_is_bought_without_a_yes(live: LiveRun) -> None:
    assert await live.run(buy=True) == 64
    assert live.said == [
        "--buy-one spends up to 25 credits of the image API's account.",
        "Nobody can be asked here: add --yes to agree.",
    ]
    assert (live.box.images.posts, live.box.discord.requests) == ([], [])


async def test_after_an_empty_account_no_other_image_is_tried(live: LiveRun) -> None:
    live.box.images.set_mood(Mood.EMPTY_ACCOUNT.value, None)
    assert await live.run(buy=True, is_confirmed=True) == 1
    assert len(live.box.images.posts) == 1
    assert "Insufficient credits" in live.line_of("image 1024*1024 jpeg")


async def test_what_the_image_api_does_otherwise_is_said(live: LiveRun) -> None:
    live.box.images.set_mood(Mood.CALLBACK_LOST.value, None)
    assert await live.run(settings=live.callback_settings(), buy=True, is_confirmed=True) == 0, "\n".join(live.said)
    assert sum("but no callback came" in line for line in live.said) == 5
    live.said.clear()
    live.box.images.set_mood(Mood.REDIRECTED.value, None)
    assert await live.run(buy=True, is_confirmed=True) == 0
    assert live.surprises() == ["callbacks"], "one host, however often it redirects"
