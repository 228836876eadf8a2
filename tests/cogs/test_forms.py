"""The form of Edit and "Imagine this": it works after a restart, and a prompt that was typed is never lost."""

from __future__ import annotations

from typing import Any

import discord
import pytest
from sqlalchemy import Connection, update

from generations.model import State
from generations.records.tables import generations
from qwen.models import OutputFormat, Size
from tests.cogs.scene import Scene, private_words, words
from tests.cogs.test_buttons import finish, newest, post, result
from ui.interactions.forms import FORM_PREFIX


def field(form: dict[str, Any] | None, custom_id: str) -> dict[str, Any]:
    assert form is not None
    return next(part for part in form["components"] if part["component"]["custom_id"] == custom_id)


def chosen(form: dict[str, Any] | None, custom_id: str) -> list[str]:
    return [option["value"] for option in field(form, custom_id)["component"]["options"] if option.get("default")]


async def opened(scene: Scene, **options: Any) -> Any:
    """Press Edit as Alice, and restart the bot, so that no form is in memory. Return the result."""
    shown = await scene.alice.click(await result(scene, **options), label="Edit")
    await scene.restart()
    return shown


async def said(scene: Scene, pressed: Any) -> list[str]:
    """Return the texts of all responses, which must be private."""
    messages = [message for message in (pressed.response, *pressed.followups) if message is not None]
    assert all(message.ephemeral for message in messages)
    return [words(message) for message in messages]


async def test_edit_opens_a_form_with_everything_filled_in(scene: Scene) -> None:
    shown = await opened(scene, seed=42, size="1024*1536", format="png")
    form = shown.modal
    assert form["title"] == "Make 1 image · 5 credits"
    assert field(form, "prompt")["component"]["value"] == "a lighthouse in a storm"
    assert field(form, "seed")["component"]["value"] == "42"
    assert (chosen(form, "size"), chosen(form, "format")) == (["1024*1536"], ["png"])
    assert {part["type"] for part in form["components"]} == {discord.ComponentType.label.value}


async def test_a_form_is_not_kept_in_memory_and_its_custom_id_is_unique(scene: Scene) -> None:
    card = await result(scene)
    first = await scene.alice.click(card, label="Edit")
    second = await scene.alice.click(card, label="Edit")
    assert first.modal is not None and second.modal is not None
    assert first.modal["custom_id"] != second.modal["custom_id"]
    assert scene.bot._connection._view_store._modals == {}


async def test_the_request_has_the_values_of_the_form(scene: Scene) -> None:
    shown = await opened(scene, seed=42, count=2, spoiler=True)
    made = await scene.alice.submit_modal(
        shown, {"prompt": "a red bicycle", "size": ["1536*1024"], "seed": "7", "format": ["webp"]}
    )
    generation = await newest(scene)
    request = generation.request
    assert (request.prompt, request.size, request.seed) == ("a red bicycle", Size.LANDSCAPE, 7)
    assert (request.format, request.count, request.spoiler) == (OutputFormat.WEBP, 2, True)
    assert made.response is not None and generation.message_id == made.response.id
    assert "a red bicycle" in words(made.response) and "10 credits held" in words(made.response)
    assert (await scene.balance(scene.alice)).held == 10
    await scene.restart()
    await finish(scene)
    assert {image.state for image in (await newest(scene)).images} == {State.DELIVERED}
    card = post(scene, made.response.id)
    assert card is not None and "Again" in str([part.to_dict() for part in card.components])


async def test_an_empty_seed_draws_a_new_one(scene: Scene) -> None:
    shown = await opened(scene, seed=42)
    await scene.alice.submit_modal(shown, {"seed": "", **unchanged()})
    assert (await newest(scene)).request.seed != 42


def unchanged() -> dict[str, Any]:
    return {"prompt": "a lighthouse in a storm", "size": ["1024*1024"], "format": ["jpeg"]}


async def test_a_form_is_paid_by_whoever_sends_it(scene: Scene) -> None:
    card = await result(scene)
    shown = await scene.bob.click(card, label="Edit")
    await scene.bob.submit_modal(shown, unchanged())
    assert (await newest(scene)).origin.user_id == scene.bob.id
    assert (await scene.balance(scene.bob)).held == 5


async def test_a_form_of_a_private_image_makes_a_private_image(scene: Scene) -> None:
    shown = await opened(scene, private=True)
    made = await scene.alice.submit_modal(shown, unchanged())
    assert made.response is not None and made.response.ephemeral
    assert (await newest(scene)).request.private and scene.posts() == []


async def test_an_invalid_seed_is_refused_and_the_prompt_sent_back(scene: Scene) -> None:
    card = await result(scene)
    for seed in ("fourty-two", "4.2", "-7", "2147483648", "9" * 20, "٤٢", "1e3"):
        shown = await scene.alice.click(card, label="Edit")
        pressed = await scene.alice.submit_modal(shown, {**unchanged(), "prompt": "typed for *minutes*", "seed": seed})
        refusal, kept = await said(scene, pressed)
        assert "seed must be a whole number" in refusal and "Nothing was charged." in refusal, seed
        assert "```\ntyped for *minutes*\n```" in kept, seed
        assert (await scene.balance(scene.alice)).held == 0, seed


@pytest.mark.scene(allowance=5)
async def test_a_form_without_credits_is_refused_and_the_prompt_sent_back(scene: Scene) -> None:
    shown = await opened(scene)
    pressed = await scene.alice.submit_modal(shown, {**unchanged(), "prompt": "typed for minutes"})
    refusal, kept = await said(scene, pressed)
    assert refusal == private_words(await scene.imagine())
    assert "typed for minutes" in kept


async def test_where_the_bot_may_not_post_the_form_is_refused_and_the_prompt_sent_back(scene: Scene) -> None:
    shown = await opened(scene)
    granted = str(discord.Permissions(view_channel=True).value)
    scene.completer.change = lambda payload: payload.update(app_permissions=granted)
    refusal, kept = await said(scene, await scene.alice.submit_modal(shown, unchanged()))
    assert "Attach Files" in refusal and "a lighthouse" in kept


async def test_a_refusal_after_thinking_sends_the_prompt_back_privately(scene: Scene) -> None:
    shown = await opened(scene)
    before = len(scene.posts())
    scene.database.delays = [1.2]
    scene.database.failures = 1
    pressed = await scene.alice.submit_modal(shown, unchanged())
    await scene.env.advance_time(2)
    texts = await said(scene, pressed)
    assert "failed" in texts[0] and "a lighthouse" in texts[-1]
    assert len(scene.posts()) == before


async def test_any_prompt_is_sent_back_whole_within_discords_limits(scene: Scene) -> None:
    card = await result(scene)
    for prompt in ("🦊" * 1000, "`" * 2000, "``` x ``` " * 200, "a\nb\n" * 500, "\u202e" * 2000):
        shown = await scene.alice.click(card, label="Edit")
        texts = await said(scene, await scene.alice.submit_modal(shown, {**unchanged(), "prompt": prompt, "seed": "x"}))
        assert all(len(text.encode("utf-16-le")) // 2 <= 2000 for text in texts), prompt
        blocks = [text.split("```\n", 1)[1].removesuffix("\n```") for text in texts[1:]]
        assert all("```" not in block for block in blocks)
        assert "".join(blocks).replace("\u200b", "") == prompt


async def test_the_same_submission_delivered_twice_is_one_request(scene: Scene) -> None:
    shown = await opened(scene)
    scene.completer.twice = True
    await scene.alice.submit_modal(shown, unchanged())
    await scene.completer.deliver_again()
    assert (await scene.balance(scene.alice)).held == 5


async def test_where_the_database_is_too_slow_the_form_is_refused_with_a_sentence(scene: Scene) -> None:
    card = await result(scene)
    scene.database.delays = [2.5]
    pressed = await scene.alice.click(card, label="Edit")
    await scene.env.advance_time(3)
    assert "could not open the form" in private_words(pressed) and pressed.modal is None
    await scene.env.settle()


def odd(**changes: Any) -> Any:
    """Submit a form as no client of Discord's would."""

    def change(payload: dict[str, Any]) -> None:
        payload["data"].update(changes)

    return change


@pytest.mark.parametrize(
    "changes",
    [
        {"custom_id": FORM_PREFIX},
        {"custom_id": f"{FORM_PREFIX}5--:1"},
        {"custom_id": f"{FORM_PREFIX}1--:1\n"},
        {"components": []},
        {"components": [{"type": 18, "component": {"type": 3, "custom_id": "size", "values": ["9*9"]}}]},
        {"components": [{"type": 18, "component": {"type": 4, "custom_id": "prompt", "value": None}}]},
        {"components": [{"type": 1, "components": [{"type": 4, "custom_id": "prompt", "value": 5}, {}]}]},
    ],
)
async def test_an_invalid_submission_is_refused_with_a_sentence(scene: Scene, changes: dict[str, Any]) -> None:
    shown = await opened(scene)
    scene.completer.change = odd(**changes)
    texts = await said(scene, await scene.alice.submit_modal(shown, unchanged()))
    assert "Nothing was charged." in texts[0]
    assert (await scene.balance(scene.alice)).held == 0


async def test_a_late_submission_that_can_not_be_read_is_deferred_privately(scene: Scene) -> None:
    shown = await opened(scene)
    before = len(scene.posts())
    scene.clock.ahead_seconds = 10.0
    scene.completer.change = odd(custom_id=f"{FORM_PREFIX}9")
    pressed = await scene.alice.submit_modal(shown, unchanged())
    assert pressed.response is not None and pressed.response.ephemeral
    assert "another version" in words(pressed.response)
    assert len(scene.posts()) == before


async def test_a_form_with_a_foreign_custom_id_is_ignored(scene: Scene) -> None:
    shown = await opened(scene)
    scene.completer.change = odd(custom_id="another:form")
    assert not (await scene.alice.submit_modal(shown, unchanged())).acknowledged


# -- Imagine this -----------------------------------------------------------------------------------------------------


async def menu(scene: Scene, message: Any) -> Any:
    return await scene.bob.context_menu(scene.channel, "Imagine this", message)


async def test_imagine_this_opens_the_form_with_the_messages_text(scene: Scene) -> None:
    shown = await menu(scene, await scene.alice.send(scene.channel, "a fox in the snow"))
    form = shown.modal
    assert form is not None and field(form, "prompt")["component"]["value"] == "a fox in the snow"
    assert "value" not in field(form, "seed")["component"] or not field(form, "seed")["component"]["value"]
    await scene.restart()
    made = await scene.bob.submit_modal(shown, {**unchanged(), "prompt": "a fox in the snow"})
    assert made.response is not None and f"for <@{scene.bob.id}>" in words(made.response)
    assert (await newest(scene)).request.prompt == "a fox in the snow"


@pytest.mark.scene(requests_per_minute=1)
async def test_the_limit_of_requests_counts_the_command_again_and_both_forms_together(scene: Scene) -> None:
    card = await result(scene)
    message = await scene.bob.send(scene.channel, "a fox in the snow")
    edit = await scene.alice.click(card, label="Edit")
    imagine_this = await scene.alice.context_menu(scene.channel, "Imagine this", message)
    refusals = [
        private_words(await scene.imagine()),
        private_words(await scene.alice.click(card, label="Again")),
        (await said(scene, await scene.alice.submit_modal(edit, unchanged())))[0],
        (await said(scene, await scene.alice.submit_modal(imagine_this, unchanged())))[0],
    ]
    assert all("takes 1 request a minute" in refusal and "Nothing was charged." in refusal for refusal in refusals)
    (sentence,) = set(refusals)
    assert "<t:" in sentence
    assert (await scene.balance(scene.alice)).held == 0
    await scene.env.advance_time(60)
    assert words((await scene.alice.click(card, label="Again")).response)
    assert (await scene.balance(scene.alice)).held == 5


@pytest.mark.parametrize(("text", "kept"), [("x" * 2001, "x" * 2000), ("🦊" * 1500, "🦊" * 1000), ("x" * 2000, None)])
async def test_a_text_above_the_limit_is_cut_and_the_form_says_so(scene: Scene, text: str, kept: str | None) -> None:
    message = await scene.alice.send(scene.channel, "something")

    def longer(payload: dict[str, Any]) -> None:
        (resolved,) = payload["data"]["resolved"]["messages"].values()
        resolved["content"] = text

    scene.completer.change = longer
    label = field((await menu(scene, message)).modal, "prompt")
    assert label["component"]["value"] == (kept or text)
    assert ("only its first 2000 characters" in label["description"]) == (kept is not None)


async def test_a_message_without_text_is_refused_privately(scene: Scene) -> None:
    card = await result(scene)
    assert "no text" in private_words(await menu(scene, card))


async def test_imagine_this_takes_the_text_of_a_forwarded_message(scene: Scene) -> None:
    other = scene.guild.create_text_channel("other")
    forwarded = await scene.alice.forward(await scene.alice.send(other, "a moon over water"), scene.channel)
    form = (await menu(scene, forwarded)).modal
    assert form is not None and field(form, "prompt")["component"]["value"] == "a moon over water"


async def test_imagine_this_works_outside_of_servers(scene: Scene) -> None:
    message = await scene.alice.send(scene.channel, "a quiet room")

    def elsewhere(payload: dict[str, Any]) -> None:
        member = payload.pop("member")
        del payload["guild_id"]
        payload.update(user=member["user"], context=2, authorizing_integration_owners={"1": member["user"]["id"]})

    scene.completer.change = elsewhere
    assert (await menu(scene, message)).modal is not None


# -- when the words are gone ------------------------------------------------------------------------------------------


async def test_for_a_purged_prompt_again_is_refused_and_edit_opens_an_empty_form(scene: Scene) -> None:
    card = await result(scene, seed=42)
    await scene.database.real.run(Connection.execute, update(generations).values(prompt=""))
    assert "no longer kept" in private_words(await scene.alice.click(card, label="Again"))
    assert "no longer kept" in private_words(await scene.alice.click(card, label="Details"))
    shown = await scene.alice.click(card, label="Edit")
    assert not field(shown.modal, "prompt")["component"].get("value")
    await scene.alice.submit_modal(shown, {**unchanged(), "prompt": "new words"})
    assert (await newest(scene)).request.prompt == "new words"
