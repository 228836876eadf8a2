"""The buttons under a card: who pays, who may press, and that they work after a restart."""

from __future__ import annotations

from typing import Any

import discord
import pytest
import simcord
from sqlalchemy import Connection, text

from generations import records
from generations.circuit import CLOSED, StopReason
from generations.model import Generation, State
from limits.model import Requester
from qwen.models import OutputFormat, Size
from tests.cogs.scene import Scene, private_words, words


async def result(scene: Scene, prompt: str = "a lighthouse in a storm", **options: Any) -> Any:
    """Return the result of Alice's finished /imagine, after a restart of the bot."""
    made = await scene.imagine(prompt, **options)
    await finish(scene)
    await scene.restart()
    assert made.response is not None
    return made.response


async def finish(scene: Scene) -> None:
    """Let the worker finish all images."""
    for _ in range(6):
        await scene.step()
        made = await scene.generation(int(scene.completer.last["id"]))
        if made is not None and all(image.state is State.DELIVERED for image in made.images):
            return
        await scene.env.advance_time(5)


async def newest(scene: Scene) -> Generation:
    """Return the generation of the last interaction."""
    found = await scene.generation(int(scene.completer.last["id"]))
    assert found is not None
    return found


def labels(message: Any) -> list[str]:
    found: list[str] = []
    waiting = [part if isinstance(part, dict) else part.to_dict() for part in message.components]
    while waiting:
        part = waiting.pop(0)
        found += [part["label"]] if part["type"] == 2 else []
        waiting += part.get("components", [])
    return found


def told(pressed: simcord.InteractionResult) -> str:
    """Return the private follow-up to a press that changed nothing on the card."""
    if not pressed.followups:
        return private_words(pressed)
    (said,) = pressed.followups
    assert said.ephemeral
    return words(said)


def post(scene: Scene, message_id: int) -> discord.Message | None:
    return next((message for message in scene.posts() if message.id == message_id), None)


async def test_a_finished_card_offers_the_four_buttons(scene: Scene) -> None:
    card = post(scene, (await result(scene)).id)
    assert card is not None and labels(card) == ["Again", "Edit", "Details", "Delete"]


# -- Again ------------------------------------------------------------------------------------------------------------


async def test_again_repeats_the_request_with_a_new_seed(scene: Scene) -> None:
    card = await result(scene, seed=42, size="1024*1536", format="png", count=2, spoiler=True)
    first = await scene.only_generation()
    pressed = await scene.alice.click(card, label="Again")
    second = await newest(scene)
    assert pressed.response is not None and not pressed.response.ephemeral
    assert second.message_id == pressed.response.id != card.id
    assert second.request.seed != 42
    assert (second.request.prompt, second.request.size) == (first.request.prompt, Size.PORTRAIT)
    assert (second.request.format, second.request.count) == (OutputFormat.PNG, 2)
    assert second.request.spoiler and not second.request.private
    assert f"for <@{scene.alice.id}>" in words(pressed.response)
    await scene.restart()
    await finish(scene)
    assert {image.state for image in (await newest(scene)).images} == {State.DELIVERED}


async def test_again_is_paid_by_whoever_presses_it(scene: Scene) -> None:
    pressed = await scene.bob.click(await result(scene), label="Again")
    assert (await newest(scene)).origin.user_id == scene.bob.id
    assert pressed.response is not None and f"for <@{scene.bob.id}>" in words(pressed.response)
    assert (await scene.balance(scene.bob)).held == 5
    assert (await scene.balance(scene.alice)).available == 45


@pytest.mark.scene(allowance=5)
async def test_again_without_credits_is_refused_with_the_sentence_of_the_command(scene: Scene) -> None:
    card = await result(scene)
    text = private_words(await scene.alice.click(card, label="Again"))
    assert text == private_words(await scene.imagine())
    assert "needs 5 credits and you have 0" in text
    assert len(scene.posts()) == 1


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        (StopReason.ACCOUNT_EMPTY, "The bot's account at the image service is empty, so no image can be made now."),
        (StopReason.KEY_REFUSED, "The image service doesn't accept the bot's key, so no image can be made now."),
    ],
)
async def test_while_no_image_can_be_made_command_and_button_refuse_privately_and_hold_nothing(
    scene: Scene, reason: StopReason, sentence: str
) -> None:
    card = await result(scene)
    stopped = CLOSED.refused(reason, scene.clock.now_ms(), 0.5, is_probe=False)
    await scene.database.real.run(records.save_circuit, stopped)
    before = await scene.balance(scene.alice)
    whole = f"{sentence} Nothing was charged. The bot's owner was told; requests open again by themselves."
    assert private_words(await scene.imagine()) == whole
    assert private_words(await scene.alice.click(card, label="Again")) == whole
    assert await scene.balance(scene.alice) == before
    assert len(scene.posts()) == 1


async def test_again_where_the_bot_may_no_longer_post_holds_nothing(scene: Scene) -> None:
    card = await result(scene)
    scene.completer.change = lambda payload: payload.update(
        app_permissions=str(discord.Permissions(view_channel=True).value)
    )
    assert "Attach Files" in private_words(await scene.alice.click(card, label="Again"))
    assert (await scene.balance(scene.alice)).held == 0


async def test_again_is_refused_while_the_bot_stops(scene: Scene) -> None:
    card = await result(scene)
    scene.services.generations.drain()
    assert "restarting" in private_words(await scene.bob.click(card, label="Again"))


async def test_again_on_a_private_result_is_private(scene: Scene) -> None:
    card = await result(scene, private=True)
    pressed = await scene.alice.click(card, label="Again")
    assert pressed.response is not None and pressed.response.ephemeral
    assert (await newest(scene)).request.private
    assert scene.posts() == []


async def test_two_presses_are_two_requests_and_one_event_delivered_twice_is_one(scene: Scene) -> None:
    card = await result(scene)
    await scene.alice.click(card, label="Again")
    await scene.alice.click(card, label="Again")
    assert (await scene.balance(scene.alice)).held == 10
    scene.completer.twice = True
    await scene.alice.click(card, label="Again")
    await scene.completer.deliver_again()
    assert (await scene.balance(scene.alice)).held == 15


async def test_a_slow_database_is_waited_for_with_thinking_shown(scene: Scene) -> None:
    card = await result(scene)
    scene.database.delays = [1.2]
    pressed = await scene.bob.click(card, label="Again")
    await scene.env.advance_time(2)
    assert pressed.response is not None and pressed.followups == [] and "5 credits held" in words(pressed.response)
    assert (await newest(scene)).message_id == pressed.response.id


async def test_after_a_database_fault_the_person_is_told_and_nothing_is_held(scene: Scene) -> None:
    card = await result(scene)
    scene.database.failures = 1
    assert "Nothing was charged." in private_words(await scene.bob.click(card, label="Again"))
    assert (await scene.balance(scene.bob)).available == 50


async def test_buttons_work_in_the_bots_dm(scene: Scene) -> None:
    carol = scene.env.create_user("carol")
    made = await carol.slash("imagine", prompt="a quiet room")
    await finish(scene)
    await scene.restart()
    again = await carol.click(made.response, label="Again")
    assert again.response is not None and (await newest(scene)).origin.guild_id is None
    details = await carol.click(made.response, label="Details")
    assert "a quiet room" in private_words(details)
    assert (await scene.balance(carol)).held == 5


async def test_a_press_by_another_person_where_the_app_is_user_installed_does_not_make_the_bot_a_member(
    scene: Scene,
) -> None:
    scene.completer.user_install = True
    card = await result(scene)
    scene.completer.user_install = False
    brought = {"1": str(scene.alice.id)}
    scene.completer.change = lambda payload: payload.update(authorizing_integration_owners=brought)
    await scene.bob.click(card, label="Again")
    assert not (await newest(scene)).origin.bot_in_channel


@pytest.mark.parametrize("label", ["Again", "Edit", "Details", "Delete"])
async def test_a_button_of_an_unknown_or_anothers_private_generation_is_refused_with_the_same_sentence(
    scene: Scene, label: str
) -> None:
    await result(scene, "a secret garden", private=True)
    private_id = scene.completer.command_id
    card = await result(scene)
    for number in (1, 2**63 - 1, 10**20 - 1, private_id):
        scene.completer.change = forged(f"imagine:{label.lower()}", number)
        text = told(await scene.moderator.click(card, label=label))
        assert "no longer knows this image" in text and "garden" not in text, number


def forged(action: str, number: int) -> Any:
    """Press a button that no card has."""

    def change(payload: dict[str, Any]) -> None:
        payload["data"]["custom_id"] = f"{action}:{number}"
        for part in payload["message"]["components"][0]["components"]:
            for button in part.get("components", []):
                if button["custom_id"].startswith(f"{action}:"):
                    button["custom_id"] = f"{action}:{number}"

    return change


# -- Details ----------------------------------------------------------------------------------------------------------


async def test_details_are_private_and_show_the_credits_of_whoever_pressed(scene: Scene) -> None:
    card = await result(scene, seed=42, count=2, size="1024*1536", format="png")
    pressed = await scene.bob.click(card, label="Details")
    text = private_words(pressed)
    generation = await scene.only_generation()
    assert "a lighthouse in a storm" in text and "Portrait 1024×1536 · png" in text
    for image in generation.images:
        assert f"Image {image.position + 1} · seed {image.seed} · posted · " in text
        assert f" · 5 credits · task {image.task_id}" in text
    assert f"Asked for by <@{scene.alice.id}> <t:" in text and f"Number {generation.id}" in text
    assert "50 of 50 credits" in text and "Refills to 50 <t:" in text
    assert (await scene.balance(scene.bob)).available == 50


async def test_details_show_all_of_a_prompt_of_2000_characters_that_need_escaping(scene: Scene) -> None:
    card = await result(scene, "*_" * 1000)
    pressed = await scene.alice.click(card, label="Details")
    said = [message for message in (pressed.response, *pressed.followups) if message is not None]
    assert [message.ephemeral for message in said] == [True, True]
    text = "".join(map(words, said))
    assert (text.count("\\*"), text.count("\\_")) == (1000, 1000)
    assert "Your credits" in words(said[-1])


async def test_a_fault_after_the_late_first_page_of_details_leaves_the_page_and_is_said_beside_it(scene: Scene) -> None:
    """The same holds for a page of which only the answer was lost: Discord takes no text where it stands."""
    card = await result(scene, "*_" * 1000)
    scene.database.delays = [1.2]
    scene.env.inject_error("POST", "/webhooks/*", status=400, code=50035)
    pressed = await scene.alice.click(card, label="Details")
    await scene.env.advance_time(2)
    assert pressed.response is not None and words(pressed.response).count("\\*\\_") > 900
    (said,) = pressed.followups
    assert said.ephemeral and "failed" in words(said)


async def test_details_from_a_slow_database_come_after_thinking(scene: Scene) -> None:
    card = await result(scene)
    scene.database.delays = [1.2]
    pressed = await scene.bob.click(card, label="Details")
    await scene.env.advance_time(2)
    assert "Your credits" in private_words(pressed)


# -- Delete -----------------------------------------------------------------------------------------------------------


async def sure(pressed: simcord.InteractionResult) -> Any:
    """Return the private question."""
    (question,) = pressed.followups
    assert question.ephemeral and labels(question) == ["Delete", "Keep"] and "can't be undone" in words(question)
    return question


async def test_the_requester_deletes_the_card_after_a_private_question(scene: Scene) -> None:
    card = await result(scene)
    question = await sure(await scene.alice.click(card, label="Delete"))
    assert post(scene, card.id) is not None
    await scene.restart()
    await scene.alice.click(question, label="Delete")
    assert post(scene, card.id) is None
    assert (await scene.balance(scene.alice)).available == 45
    statement = await scene.services.generations.statement(Requester(scene.alice.id, None, 0))
    assert [link for _, link in statement.entries if link is not None] == []


async def test_a_separate_message_is_deleted_with_its_card(scene: Scene) -> None:
    card = await result(scene)
    channel = scene.bot.get_partial_messageable(scene.channel.id)
    separate = await channel.send("what Discord would not have on the card")
    await put_separate(scene, separate)
    question = await sure(await scene.alice.click(card, label="Delete"))
    assert post(scene, separate.id) is not None
    await scene.alice.click(question, label="Delete")
    assert post(scene, card.id) is None and post(scene, separate.id) is None


async def put_card(scene: Scene, message: discord.Message) -> None:
    """Write into the rows that *message* is the card."""
    await scene.database.real.run(
        Connection.execute,
        text("UPDATE generations SET message_id = :message, card_channel_id = :channel"),
        {"message": message.id, "channel": message.channel.id},
    )


async def put_separate(scene: Scene, message: discord.Message) -> None:
    """Write into the rows that the image is in *message*."""
    await scene.database.real.run(
        Connection.execute,
        text("UPDATE images SET separate_channel_id = :channel, separate_message_id = :message"),
        {"channel": message.channel.id, "message": message.id},
    )


async def test_a_moderator_deletes_no_image_in_the_direct_messages_of_its_requester(scene: Scene) -> None:
    card = await result(scene)
    direct = await scene.bot.create_dm(discord.Object(scene.alice.id))
    separate = await direct.send("what Discord would not have on the card")
    await put_separate(scene, separate)
    question = await sure(await scene.moderator.click(card, label="Delete"))
    assert "with" not in words(question) and "stays there (1 image)" in words(question)
    await scene.moderator.click(question, label="Delete")
    assert post(scene, card.id) is None
    assert separate.id in [message.id async for message in direct.history()]


async def test_the_requester_deletes_the_image_in_their_direct_messages_too(scene: Scene) -> None:
    card = await result(scene)
    direct = await scene.bot.create_dm(discord.Object(scene.alice.id))
    separate = await direct.send("what Discord would not have on the card")
    await put_separate(scene, separate)
    question = await sure(await scene.alice.click(card, label="Delete"))
    assert "with the image for everybody? No" in words(question)
    await scene.alice.click(question, label="Delete")
    assert separate.id not in [message.id async for message in direct.history()]


@pytest.mark.parametrize(("status", "code", "told_of"), [(403, 50001, True), (404, 10003, True), (404, 10008, False)])
async def test_a_separate_message_that_can_not_be_deleted_is_linked_in_the_response(
    scene: Scene, status: int, code: int, told_of: bool
) -> None:
    card = await result(scene)
    channel = scene.bot.get_partial_messageable(scene.channel.id)
    separate = await channel.send("what Discord would not have on the card")
    await put_separate(scene, separate)
    question = await sure(await scene.alice.click(card, label="Delete"))
    path = f"/channels/{channel.id}/messages/{separate.id}"
    scene.env.inject_error("DELETE", path, status=status, code=code)
    await scene.alice.click(question, label="Delete")
    assert post(scene, card.id) is None
    [said] = [request.json for request in scene.env.http_requests[-3:] if request.path.endswith("/@original")]
    assert "The card was removed." in str(said)
    assert (f"/{separate.id}" in str(said)) is told_of


async def test_keep_leaves_the_card_and_confirms_it(scene: Scene) -> None:
    card = await result(scene)
    question = await sure(await scene.alice.click(card, label="Delete"))
    await scene.restart()
    kept = await scene.alice.click(question, label="Keep")
    assert kept.acknowledged
    assert post(scene, card.id) is not None


async def test_a_stranger_may_not_delete_a_card_and_a_moderator_may(scene: Scene) -> None:
    card = await result(scene)
    assert f"Only <@{scene.alice.id}>" in told(await scene.bob.click(card, label="Delete"))
    question = await sure(await scene.moderator.click(card, label="Delete"))
    await scene.moderator.click(question, label="Delete")
    assert post(scene, card.id) is None


async def test_an_administrator_may_delete_what_is_somebody_elses(scene: Scene) -> None:
    card = await result(scene)
    scene.completer.change = administrator
    question = await sure(await scene.bob.click(card, label="Delete"))
    await scene.bob.click(question, label="Delete")
    assert post(scene, card.id) is None


def administrator(payload: dict[str, Any]) -> None:
    """Who presses has this permission and no other."""
    payload["member"]["permissions"] = str(discord.Permissions(administrator=True).value)


async def test_a_moderator_who_lost_the_permission_before_confirming_deletes_nothing(scene: Scene) -> None:
    card = await result(scene)
    question = await sure(await scene.moderator.click(card, label="Delete"))

    def demoted(payload: dict[str, Any]) -> None:
        payload["member"]["permissions"] = str(discord.Permissions(view_channel=True).value)

    scene.completer.change = demoted
    said = await scene.moderator.click(question, label="Delete")
    assert "Only" in words(said.followups[0]) and post(scene, card.id) is not None


async def test_a_card_that_somebody_else_deleted_meanwhile_counts_as_removed(scene: Scene) -> None:
    card = await result(scene)
    question = await sure(await scene.alice.click(card, label="Delete"))
    await scene.moderator.delete(card)
    said = await scene.alice.click(question, label="Delete")
    assert said.followups == []
    statement = await scene.services.generations.statement(Requester(scene.alice.id, None, 0))
    assert [link for _, link in statement.entries if link is not None] == []


async def test_a_private_card_is_deleted_by_the_token_of_the_press_on_it(scene: Scene) -> None:
    card = await result(scene, private=True)
    await scene.env.advance_time(3600)
    question = await sure(await scene.alice.click(card, label="Delete"))
    said = await scene.alice.click(question, label="Delete")
    assert said.followups == []
    with pytest.raises(Exception, match=r"(?i)message"):
        await scene.alice.click(card, label="Again")


async def test_after_a_restart_a_private_card_needs_one_more_press(scene: Scene) -> None:
    card = await result(scene, private=True)
    question = await sure(await scene.alice.click(card, label="Delete"))
    await scene.restart()
    said = await scene.alice.click(question, label="Delete")
    assert "press Delete under the card itself again" in words(said.followups[0])
    question = await sure(await scene.alice.click(card, label="Delete"))
    assert (await scene.alice.click(question, label="Delete")).followups == []


async def test_delete_removes_the_pressed_card_and_the_one_that_replaced_it(scene: Scene) -> None:
    card = await result(scene, private=True)
    direct = await scene.bot.create_dm(discord.Object(scene.alice.id))
    moved = await direct.send("the same image")
    await put_card(scene, moved)
    question = await sure(await scene.alice.click(card, label="Delete"))
    assert (await scene.alice.click(question, label="Delete")).followups == []
    assert moved.id not in [message.id async for message in direct.history()]
    with pytest.raises(Exception, match=r"(?i)message"):
        await scene.alice.click(card, label="Again")


async def test_a_moderator_may_not_delete_a_card_that_has_moved_into_the_requesters_direct_messages(
    scene: Scene,
) -> None:
    """Also not by the button on the old card in the channel that they moderate."""
    card = await result(scene)
    direct = await scene.bot.create_dm(discord.Object(scene.alice.id))
    moved = await direct.send("the same image")
    await put_card(scene, moved)
    pressed = await scene.moderator.click(card, label="Delete")
    assert f"<@{scene.alice.id}>" in words(pressed.followups[0])
    assert moved.id in [message.id async for message in direct.history()]


async def test_a_moderator_of_another_channel_may_not_delete_a_card(scene: Scene) -> None:
    card, elsewhere = await result(scene), scene.guild.create_text_channel("elsewhere")

    def from_there(payload: dict[str, Any]) -> None:
        payload["channel_id"] = payload["channel"]["id"] = str(elsewhere.id)

    scene.completer.change = from_there
    pressed = await scene.moderator.click(card, label="Delete")
    assert f"<@{scene.alice.id}>" in words(pressed.followups[0])


async def test_buttons_still_work_after_many_presses(scene: Scene) -> None:
    card = await result(scene)
    for _ in range(3):
        question = await sure(await scene.alice.click(card, label="Delete"))
        await scene.alice.click(question, label="Keep")
        await scene.alice.click(card, label="Details")
    await scene.env.advance_time(600)
    question = await sure(await scene.alice.click(card, label="Delete"))
    await scene.alice.click(question, label="Delete")
    assert post(scene, card.id) is None


async def test_a_private_card_that_moved_into_the_direct_messages_can_be_used_and_deleted_there(scene: Scene) -> None:
    carol = scene.env.create_user("carol")
    member = scene.guild.add_member(carol)
    await member.slash(scene.channel, "imagine", prompt="a late secret", private=True)
    await scene.step()
    await scene.env.advance_time(14.5 * 60)  # the token is about to run out, the image is not given up yet
    await finish(scene)
    await scene.restart()
    (moved,) = [message for message in carol.dm_channel.history() if "a late secret" in words(message)]
    assert labels(moved) == ["Again", "Edit", "Details", "Delete"]
    assert "a late secret" in private_words(await carol.click(moved, label="Details"))
    await carol.click(moved, label="Again")
    assert (await newest(scene)).request.private
    question = await sure(await carol.click(moved, label="Delete"))
    await scene.restart()
    await carol.click(question, label="Delete")
    assert moved.id not in [message.id for message in carol.dm_channel.history()]
