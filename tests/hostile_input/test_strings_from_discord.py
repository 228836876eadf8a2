"""Hostile strings from people, admins and Discord in every command and button, on both databases: answered, without
pings, within Discord's limits, escaped in the log."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import simcord
from discord import app_commands

from generations.model import State
from qwen.models import TaskStatus
from tests.cogs.scene import Scene, private_words, words
from tests.doubles import task
from tests.hostile_input.conftest import CapturedLog
from tests.hostile_input.corpus import STRINGS

Payload = dict[str, Any]
ON_SQLITE = pytest.mark.parametrize("make_database", ["sqlite"], indirect=True)  # where the rows play no part
ON_POSTGRESQL = pytest.mark.parametrize("make_database", ["postgresql"], indirect=True)  # the stricter of the two
CUSTOM_IDS = (
    "imagine:cancel:0",
    "imagine:cancel:-1",
    "imagine:cancel:99999999999999999999",
    "imagine:cancel:9223372036854775808",
    "imagine:cancel:٣٤٥",
    "imagine:cancel:１２３",
    "imagine:cancel:1\n",
    "imagine:cancel:1 ",
    "imagine:cancel:1:2",
    "imagine:cancel:",
    "imagine:cancel:1e3",
    "imagine:cancel:0x10",
    "imagine:CANCEL:1",
    "imagine:steal:1",
    "imagine:",
    "",
    "x" * 100,
    *STRINGS,
)


def option(name: str, value: object) -> Callable[[Payload], None]:
    """Make the client send this value without Discord's checks."""

    def change(payload: Payload) -> None:
        options = payload["data"].setdefault("options", [])
        options[:] = [given for given in options if given["name"] != name]
        kinds = {"count": 4, "seed": 4, "private": 5, "spoiler": 5}
        options.append({"name": name, "type": kinds.get(name, 3), "value": value})

    return change


def everywhere(text: str) -> Callable[[Payload], None]:
    """Put *text* into every name, topic, title and locale of an event."""

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                if key in ("username", "global_name", "nick", "topic", "locale", "guild_locale", "banner", "icon"):
                    value[key] = text
                else:
                    walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    def change(payload: Payload) -> None:
        walk({key: value for key, value in payload.items() if key != "data"})
        payload["locale"] = payload["guild_locale"] = text
        payload.setdefault("channel", {})["name"] = text
        payload["what Discord adds next year"] = {"text": text}

    return change


def renamed(event: Payload, custom_id: str) -> Payload:
    """Return the press with another custom_id, in the event and on the card."""
    text = json.dumps(event).replace(json.dumps(event["data"]["custom_id"]), json.dumps(custom_id))
    return json.loads(text)


def commands_without_options(scene: Scene) -> list[str]:
    """Return every slash command that needs no options."""
    found = [command for command in scene.bot.tree.get_commands() if isinstance(command, app_commands.Command)]
    names = [command.name for command in found if not any(parameter.required for parameter in command.parameters)]
    assert "credits" in names
    return names


def check(message: Any) -> None:
    """Assert that Discord accepts the message and that it pings no one."""
    said = words(message)
    assert 0 < len(said) <= 4000
    assert not re.search(r"(?<!\\)@(everyone|here)|<@&", said)
    assert not set(re.findall(r"<@!?(\d+)>", said)) - {str(person) for person in PEOPLE}
    assert not re.search(r"(?<!\\)\]\(https?:|discord\.gg/", re.sub(r"\[card\]\([^)]*\)", "", said))
    said.encode("utf-8")


PEOPLE: set[int] = set()


def said_by(result: simcord.InteractionResult) -> Iterator[Any]:
    assert result.acknowledged
    yield from (message for message in (result.response, *result.followups) if message is not None)


async def paint(scene: Scene, *, images: int) -> None:
    """Run the worker until it has made *images* images; three of one person at a time."""
    for _ in range(images // 3):
        await scene.step()
        await scene.env.advance_time(6)
    await scene.step()


@ON_POSTGRESQL
async def test_every_prompt_becomes_a_card_or_a_sentence_and_an_image(scene: Scene, captured_log: CapturedLog) -> None:
    PEOPLE.add(scene.alice.id)
    asked = 0
    for text in STRINGS:
        scene.completer.change = option("prompt", text)
        result = await scene.imagine()
        for message in said_by(result):
            check(message)
        made = await scene.generation(scene.completer.command_id)
        asked += made is not None
        if made is None:
            assert "Nothing was charged." in private_words(result)
    scene.completer.change = None
    assert asked > len(STRINGS) / 2
    await paint(scene, images=9)
    posts = scene.posts()
    assert len(posts) == asked
    assert len(scene.image_store.downloads) >= 6
    for post in posts:
        check(post)
    for kept in scene.env.backend.messages[scene.channel.id].values():
        assert not kept.ping_role_ids and not kept.mention_everyone and set(kept.ping_user_ids) <= PEOPLE
    assert captured_log.faults == []
    captured_log.assert_well_formed()
    assert "evil.example" not in captured_log.text


@ON_POSTGRESQL
async def test_hostile_names_locales_and_topics_have_no_effect(scene: Scene, captured_log: CapturedLog) -> None:
    PEOPLE.add(scene.alice.id)
    others = itertools.cycle(commands_without_options(scene))
    for number, text in enumerate(STRINGS):
        scene.completer.change = everywhere(text)
        result = await (scene.imagine() if number % 2 else scene.alice.slash(scene.channel, next(others)))
        for message in said_by(result):
            check(message)
    scene.completer.change = None
    await paint(scene, images=3)
    assert len(scene.posts()) == len(STRINGS) // 2
    assert len(scene.image_store.downloads) == 3
    assert captured_log.faults == []
    captured_log.assert_well_formed()


@ON_SQLITE
async def test_options_of_a_wrong_type_get_a_sentence_and_hold_no_credits(
    scene: Scene, captured_log: CapturedLog
) -> None:
    for name in ("prompt", "size", "seed", "format", "count", "private", "spoiler"):
        for value in (None, -1, 2**64, 10**400, 1.5, [], {}, STRINGS[0], STRINGS[2]):
            scene.completer.change = option(name, value)
            result = await scene.imagine()
            assert [*said_by(result)], (name, value)
            made = await scene.generation(scene.completer.command_id)
            if made is None:
                assert re.search(r"Nothing was charged\.|Restart Discord", private_words(result)), (name, value)
            else:
                assert made.request.count == len(made.images)
    scene.completer.change = lambda payload: payload["data"].update(options=[{"name": "x\ny", "type": 3, "value": "z"}])
    assert "Nothing was charged." in private_words(await scene.imagine())
    scene.completer.change = None
    assert captured_log.faults == []
    captured_log.assert_well_formed()


@ON_SQLITE
async def test_no_custom_id_cancels_another_generation(scene: Scene, captured_log: CapturedLog) -> None:
    result = await scene.imagine()
    assert result.response is not None
    await scene.bob.click(result.response, label="Cancel")
    pressed = scene.completer.last
    own = f"imagine:cancel:{scene.completer.command_id}"
    for custom_id in (*CUSTOM_IDS, f"{own}\n", f" {own}", own.replace("1", "١"), f"{own}0"):
        answered = await scene.completer.deliver_anew(renamed(pressed, custom_id), scene.alice.id)
        said = [words(message) for message in (answered.response, *answered.followups) if message]
        assert all("can't be cancelled" in text for text in said), custom_id
    assert [image.state for image in (await scene.only_generation()).images] == [State.REQUESTED]
    await scene.completer.deliver_anew(renamed(pressed, own), scene.alice.id)
    assert [image.state for image in (await scene.only_generation()).images] == [State.CANCELLED]
    assert captured_log.faults == []
    captured_log.assert_well_formed()


@ON_SQLITE
async def test_a_message_of_the_service_is_shown_as_one_harmless_line(scene: Scene, captured_log: CapturedLog) -> None:
    PEOPLE.add(scene.alice.id)
    await scene.imagine(count=3)
    await scene.step()
    scene.service.on_poll = [task(TaskStatus.FAILED, error=text) for text in (STRINGS[9], STRINGS[17], STRINGS[2])]
    await scene.env.advance_time(6)
    await scene.step()
    assert {image.state for image in (await scene.only_generation()).images} == {State.FAILED}
    (post,) = scene.posts()
    check(post)
    assert "returned" in words(post)
    assert captured_log.faults == []
    captured_log.assert_well_formed()
