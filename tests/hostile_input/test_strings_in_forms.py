"""Hostile strings in forms, in messages of others, in searches and in the custom_ids of every kind of button."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from tests.cogs.scene import Scene, private_words, words
from tests.hostile_input.conftest import CapturedLog
from tests.hostile_input.corpus import STRINGS
from tests.hostile_input.test_strings_from_discord import ON_POSTGRESQL, ON_SQLITE, Payload, option, paint, renamed
from ui.interactions.buttons import DYNAMIC_ITEMS
from ui.interactions.history import HISTORY_ITEMS
from ui.interactions.preferences import PREFERENCE_ITEMS
from ui.interactions.privacy import PRIVACY_ITEMS

NUMBERS = ("0", "1", "9223372036854775808", "99999999999999999999")
TAILS = ("", ":", ":x", "\n", *(f":{text}" for text in STRINGS))


UNCHANGED = {"prompt": "a lighthouse in a storm", "size": ["1024*1024"], "format": ["jpeg"]}


async def result(scene: Scene) -> Any:
    """Return Alice's finished card."""
    made = await scene.imagine()
    await paint(scene, images=3)
    assert made.response is not None
    return made.response


def within_limits(pressed: Any) -> None:
    """Assert that the answer is ephemeral and that Discord accepts its texts."""
    messages = [message for message in (pressed.response, *pressed.followups) if message is not None]
    for message in messages:
        assert 0 < len(words(message).encode("utf-16-le")) // 2 <= 4000
    assert messages or pressed.modal is not None or pressed.acknowledged


def filled_in(event: Payload, **values: str) -> Payload:
    """Return the submission with other texts in its fields."""

    def walk(part: Any) -> None:
        if isinstance(part, list):
            for each in part:
                walk(each)
        elif isinstance(part, dict):
            if part.get("custom_id") in values:
                key = "values" if "values" in part else "value"
                part[key] = [values[part["custom_id"]]] if key == "values" else values[part["custom_id"]]
            for each in part.values():
                walk(each)

    changed = copy.deepcopy(event)
    walk(changed["data"]["components"])
    return changed


@ON_SQLITE
async def test_any_text_in_the_form_is_accepted_or_returned_with_a_reason(
    scene: Scene, captured_log: CapturedLog
) -> None:
    shown = await scene.alice.click(await result(scene), label="Edit")
    await scene.alice.submit_modal(shown, UNCHANGED)
    submission = scene.completer.last
    for number, text in enumerate(STRINGS):
        name = ("prompt", "seed", "size", "format")[number % 4]
        within_limits(await scene.completer.deliver_anew(filled_in(submission, **{name: text}), scene.alice.id))
        within_limits(await scene.completer.deliver_anew(filled_in(submission, prompt=text), scene.alice.id))
    assert captured_log.faults == []
    captured_log.assert_well_formed()


@ON_SQLITE
async def test_any_message_can_be_imagined_or_is_refused_with_a_sentence(
    scene: Scene, captured_log: CapturedLog
) -> None:
    message = await scene.bob.send(scene.channel, "something")

    def says(text: str) -> Any:
        def change(payload: Payload) -> None:
            (resolved,) = payload["data"]["resolved"]["messages"].values()
            resolved["content"] = resolved["author"]["username"] = resolved["author"]["global_name"] = text

        return change

    for text in STRINGS:
        scene.completer.change = says(text)
        pressed = await scene.alice.context_menu(scene.channel, "Imagine this", message)
        if pressed.modal is None:
            assert private_words(pressed)
        else:
            sent = json.dumps(pressed.modal, ensure_ascii=False).encode("utf-8", "strict")
            assert len(sent) < 20_000
    assert captured_log.faults == []
    captured_log.assert_well_formed()


@ON_POSTGRESQL
async def test_any_search_finds_something_or_nothing(scene: Scene, captured_log: CapturedLog) -> None:
    await result(scene)
    for text in STRINGS:
        scene.completer.change = option("search", text)
        within_limits(await scene.alice.slash(scene.channel, "history"))
    assert captured_log.faults == []
    captured_log.assert_well_formed()


def custom_ids() -> Iterator[str]:
    """Yield every button's custom_id with wrong numbers and suffixes."""
    for item in (*DYNAMIC_ITEMS, *HISTORY_ITEMS, *PREFERENCE_ITEMS, *PRIVACY_ITEMS):
        start = item.__discord_ui_compiled_template__.pattern.split("(", 1)[0].split("[", 1)[0]
        yield from (f"{start}{number}" for number in NUMBERS)
        yield from (f"{start}1{tail}" for tail in TAILS[:4])
    yield from (
        f"history:{turn}:{number}{tail}" for turn in ("older", "newer") for number in NUMBERS[:2] for tail in TAILS[::5]
    )
    yield from (f"history:older:{number}" for number in NUMBERS)


@ON_POSTGRESQL
async def test_no_custom_id_of_a_button_raises_an_error(scene: Scene, captured_log: CapturedLog) -> None:
    card = await result(scene)
    await scene.bob.click(card, label="Details")
    pressed = scene.completer.last
    before = await scene.balance(scene.alice)
    for custom_id in custom_ids():
        answered = await scene.completer.deliver_anew(renamed(pressed, custom_id), scene.bob.id)
        for message in (answered.response, *answered.followups):
            assert message is None or message.ephemeral or message.id == card.id, custom_id
    assert captured_log.faults == [], captured_log.faults[:3]
    captured_log.assert_well_formed()
    assert await scene.balance(scene.alice) == before
    assert len(scene.posts()) == 1
