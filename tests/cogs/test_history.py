"""/history: pages, search, thumbnails and posting of kept images; always private."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import discord
from sqlalchemy import Connection, text

from generations.history import Page
from generations.model import Generation, Image, Origin, Request, State
from qwen.errors import ImageUnavailable
from tests.cogs.scene import BrokenConnection, Scene, private_words, words
from ui.delivery.circuit_breaker import AWAY_AFTER, TRY_FIRST_SECONDS
from ui.interactions.history import PostButton, TurnButton
from ui.texts import history as texts_history
from ui.texts.history import IMAGES_MISSING
from ui.views.cards_history import build_history

SHOWN = "prompt number {}"


async def make(scene: Scene, prompt: str = "a lighthouse in a storm", person: Any = None, **options: Any) -> Any:
    """Make and post an image. Return the result of its command."""
    result = await (person or scene.alice).slash(scene.channel, "imagine", prompt=prompt, **options)
    for _ in range(3):
        await scene.step()
        await scene.env.advance_time(10)
    assert (await scene.only_generation()).finished
    return result


async def keep(scene: Scene) -> int:
    """Mark the last image as kept, as if it could not be posted. Return its generation's id."""
    kept = scene.completer.command_id
    await scene.database.real.run(
        Connection.execute,
        text("UPDATE images SET state = 'undelivered', attachment_id = NULL WHERE generation_id = :id"),
        {"id": kept},
    )
    return kept


async def loaded(scene: Scene, generation_id: int) -> Generation:
    found = await scene.generation(generation_id)
    assert found is not None
    return found


async def history(scene: Scene, person: Any = None, **options: Any) -> Any:
    """Return the response to /history after its thumbnails were loaded."""
    result = await (person or scene.alice).slash(scene.channel, "history", **options)
    assert result.response is not None and result.response.ephemeral
    return result


def labels(message: Any) -> list[str]:
    return re.findall(r"'label': '([^']+)'", str(plain(message)))


def plain(message: Any) -> list[Any]:
    return [part if isinstance(part, dict) else part.to_dict() for part in message.components]


def image_files(message: Any) -> list[str]:
    (container,) = plain(message)
    return [item["media"]["url"] for part in container["components"] if part["type"] == 12 for item in part["items"]]


async def test_somebody_without_images_is_told_how_to_make_one(scene: Scene) -> None:
    result = await scene.alice.slash(scene.channel, "history")
    assert private_words(result) == f"No images yet. {scene.mention('imagine')} makes one."


async def test_an_image_is_listed_with_prompt_price_time_link_and_image(scene: Scene) -> None:
    card = await make(scene, seed=42, format="png")
    shown = (await history(scene)).response
    said = words(shown)
    assert "1\\. **a lighthouse in a storm**" in said
    assert re.search(r"1024×1024 · seed 42 · png · 5 credits · <t:\d+:R>", said)
    url = f"https://discord.com/channels/{scene.guild.id}/{scene.channel.id}/{card.response.id}"
    assert f"[card]({url})" in said
    assert len(image_files(shown)) == 1 and image_files(shown)[0].startswith("https://")


async def test_nobody_sees_the_images_of_others(scene: Scene) -> None:
    await make(scene)
    assert "No images yet" in words((await history(scene, scene.bob)).response)


async def test_a_private_image_is_listed_without_a_link(scene: Scene) -> None:
    await make(scene, private=True)
    shown = (await history(scene)).response
    assert "a lighthouse" in words(shown) and "[card]" not in words(shown) and image_files(shown) == []


async def test_a_deleted_card_is_listed_as_gone(scene: Scene) -> None:
    await make(scene)
    await scene.moderator.delete(scene.posts()[0])
    shown = (await history(scene)).response
    assert "its card is gone" in words(shown) and "[card]" not in words(shown)


async def test_without_read_message_history_the_page_says_why_images_are_missing(scene: Scene) -> None:
    """Discord docs: Message, "Get Channel Message" needs Read Message History."""
    await make(scene)
    scene.env.inject_error("GET", f"/channels/{scene.channel.id}/messages/*", status=403, code=50013)
    shown = (await history(scene)).response
    assert IMAGES_MISSING in words(shown) and image_files(shown) == [] and "[card]" in words(shown)


async def test_where_the_event_lacks_read_message_history_no_message_is_requested(scene: Scene) -> None:
    await make(scene)
    may = discord.Permissions(view_channel=True, attach_files=True, send_messages=True)
    scene.completer.change = lambda payload: payload.update(app_permissions=str(may.value))
    shown = (await history(scene)).response
    assert IMAGES_MISSING in words(shown)
    assert [call for call in scene.env.http_requests if call.method == "GET" and "/channels/" in call.path] == []


async def test_with_all_images_the_page_has_no_hint_about_missing_ones(scene: Scene) -> None:
    await make(scene)
    await make(scene, private=True)
    assert IMAGES_MISSING not in words((await history(scene)).response)


async def test_a_fault_while_images_are_loaded_leaves_the_page_as_it_is(scene: Scene) -> None:
    await make(scene)
    scene.env.backend.faults.append(BrokenConnection("PATCH", "/webhooks/*/messages/@original"))
    result = await history(scene)
    assert result.response is not None and "a lighthouse" in words(result.response)
    assert result.followups == []


async def test_the_pages_turn_in_both_directions_in_place_and_after_a_restart(scene: Scene) -> None:
    for number in range(7):
        await make(scene, SHOWN.format(number))
    result = await history(scene)
    assert "number 6" in words(result.response) and "number 2" in words(result.response)
    assert labels(result.response) == ["Older"]
    await scene.restart()
    await scene.alice.click(result.response, label="Older")
    second = result.response
    assert "number 1" in words(second) and "number 0" in words(second) and "number 2" not in words(second)
    assert labels(second) == ["Newer"]
    await scene.restart()
    await scene.alice.click(second, label="Newer")
    assert "number 6" in words(result.response)


async def test_late_images_of_an_earlier_page_do_not_replace_the_newer_page(scene: Scene) -> None:
    await make(scene)
    thumbnails, history = scene.services.thumbnails, scene.services.history
    first = await history.page(scene.alice.id)
    looking = thumbnails.find(first, scene.alice.id, thumbnails.turned(scene.alice.id))
    thumbnails.turned(scene.alice.id)
    with scene.env.time_context():
        assert [seen async for seen in looking] == []


async def test_a_search_finds_words_and_keeps_them_over_pages(scene: Scene) -> None:
    for number in range(6):
        await make(scene, f"{SHOWN.format(number)} cat")
    await make(scene, "a dog")
    result = await history(scene, search="  CAT  number ")
    assert "Your images with “CAT number”" in words(result.response) and "a dog" not in words(result.response)
    await scene.alice.click(result.response, label="Older")
    assert "number 0 cat" in words(result.response) and "a dog" not in words(result.response)


async def test_a_search_without_a_hit_escapes_its_words(scene: Scene) -> None:
    await make(scene)
    said = words((await history(scene, search="**@everyone**")).response)
    assert "None of your images has" in said and "@everyone" not in said and "**" not in said.replace("\\*", "")


async def test_it_works_in_the_bots_dm_and_for_a_user_install(scene: Scene) -> None:
    carol = scene.env.create_user("carol")
    assert private_or_dm(await carol.slash("history")) == f"No images yet. {scene.mention('imagine')} makes one."
    scene.completer.user_install = True
    await make(scene)
    shown = (await history(scene)).response
    assert "[card]" in words(shown) and image_files(shown) == []  # the bot can't see cards there


def private_or_dm(result: Any) -> str:
    assert result.response is not None
    return words(result.response)


async def test_a_slow_database_is_waited_for_with_a_private_deferral(scene: Scene) -> None:
    await make(scene)
    scene.database.delays = [1.2]
    result = await scene.alice.slash(scene.channel, "history")
    await scene.env.advance_time(2)
    assert result.response is not None and result.response.ephemeral
    assert "a lighthouse" in words(result.response)


async def test_after_a_database_fault_the_person_is_told_privately(scene: Scene) -> None:
    scene.database.failures = 1
    assert "failed" in private_words(await scene.alice.slash(scene.channel, "history"))


# ---- Post it here ------------------------------------------------------------------------------------------------


async def test_a_kept_image_is_posted_in_the_channel_of_the_press_and_its_card_is_there(scene: Scene) -> None:
    await make(scene)
    kept = await keep(scene)
    listed = await history(scene)
    assert "1 image could not be posted and is kept" in words(listed.response)
    await scene.restart()
    before = len(scene.posts())
    pressed = await scene.alice.click(listed.response, label="Post 1 here")
    posts = scene.posts()
    assert len(posts) == before + 1 and pressed.response is not None and not pressed.response.ephemeral
    assert image_files(posts[-1]) and "a lighthouse" in words(posts[-1])
    generation = await loaded(scene, kept)
    assert (generation.images[0].state, generation.message_id) == (State.DELIVERED, posts[-1].id)
    assert (await scene.balance(scene.alice)).available == 45
    assert len(image_files((await history(scene)).response)) == 1


async def test_a_fault_after_the_image_was_posted_leaves_its_card_and_is_said_privately(scene: Scene) -> None:
    await make(scene)
    await keep(scene)
    listed = (await history(scene)).response

    def fail_once_posted(event: str, _: object) -> None:
        if event == "MESSAGE_UPDATE":  # the image stands in place of "thinking…"
            scene.database.failures = 1

    scene.env.backend.subscribers.append(fail_once_posted)
    pressed = await scene.alice.click(listed, label="Post 1 here")
    assert pressed.response is not None and pressed.response.id == scene.posts()[-1].id
    assert image_files(pressed.response)
    (said,) = pressed.followups
    assert said.ephemeral and "failed" in words(said)


async def test_a_second_press_posts_nothing_and_says_so(scene: Scene) -> None:
    await make(scene)
    await keep(scene)
    listed = (await history(scene)).response
    await scene.alice.click(listed, label="Post 1 here")
    posted = len(scene.posts())
    again = await scene.alice.click(listed, label="Post 1 here")
    assert "nothing left to post" in private_words(again)
    assert len(scene.posts()) == posted


async def test_a_kept_private_image_is_posted_privately(scene: Scene) -> None:
    await make(scene, private=True)
    await keep(scene)
    listed = (await history(scene)).response
    pressed = await scene.alice.click(listed, label="Post 1 here")
    assert pressed.response is not None and pressed.response.ephemeral and image_files(pressed.response)
    assert scene.posts() == []


async def test_a_kept_image_that_the_service_lost_is_refunded(scene: Scene) -> None:
    await make(scene)
    kept = await keep(scene)
    listed = (await history(scene)).response
    scene.image_store.faults = [ImageUnavailable("gone", temporary=False)]
    pressed = await scene.alice.click(listed, label="Post 1 here")
    (said,) = [message for message in pressed.followups if message.ephemeral]
    assert "no longer has it. Your 5 credits were returned." in words(said)
    assert (await scene.balance(scene.alice)).available == 50
    assert (await loaded(scene, kept)).images[0].state is State.FAILED


async def test_where_the_image_service_does_not_answer_the_image_stays_kept(scene: Scene) -> None:
    await make(scene)
    kept = await keep(scene)
    listed = (await history(scene)).response
    scene.image_store.faults = [ImageUnavailable("slow", temporary=True)]
    pressed = await scene.alice.click(listed, label="Post 1 here")
    (said,) = [message for message in pressed.followups if message.ephemeral]
    assert "stays kept" in words(said)
    await scene.alice.click(listed, label="Post 1 here")
    assert (await loaded(scene, kept)).images[0].state is State.DELIVERED


async def test_while_discord_does_not_answer_nothing_is_downloaded_and_the_image_stays_kept(scene: Scene) -> None:
    await make(scene)
    kept = await keep(scene)
    listed = (await history(scene)).response
    downloads = len(scene.image_store.downloads)
    for _ in range(AWAY_AFTER):
        scene.services.delivery._fallback._rate_guard.unanswered(TimeoutError())
    pressed = await scene.alice.click(listed, label="Post 1 here")
    (said,) = [message for message in pressed.followups if message.ephemeral]
    assert texts_history.DISCORD_SILENT in words(said)
    assert len(scene.image_store.downloads) == downloads
    assert (await loaded(scene, kept)).images[0].state is State.UNDELIVERED
    await scene.env.advance_time(TRY_FIRST_SECONDS)
    await scene.alice.click(listed, label="Post 1 here")
    assert (await loaded(scene, kept)).images[0].state is State.DELIVERED


async def test_a_channel_without_a_permission_is_refused_before_anything_happens(scene: Scene) -> None:
    await make(scene)
    kept = await keep(scene)
    listed = (await history(scene)).response

    def without_files(payload: dict[str, Any]) -> None:
        payload["app_permissions"] = "3072"  # View Channel, Send Messages

    scene.completer.change = without_files
    assert "Attach Files" in private_words(await scene.alice.click(listed, label="Post 1 here"))
    assert (await loaded(scene, kept)).images[0].state is State.UNDELIVERED


async def test_buttons_with_unknown_ids_are_refused_with_a_sentence(scene: Scene) -> None:
    await make(scene)
    await keep(scene)
    listed = (await history(scene)).response

    def forged(number: int, payload: dict[str, Any]) -> None:
        payload["data"]["custom_id"] = f"history:post:{number}"
        rows = payload["message"]["components"][0]["components"]
        rows[-1]["components"][0]["custom_id"] = f"history:post:{number}"

    for number in (1, 2**63 - 1, 10**20 - 1):
        scene.completer.change = partial(forged, number)
        assert "nothing left to post" in private_words(await scene.alice.click(listed, label="Post 1 here")), number


# ---- the page, pure ----------------------------------------------------------------------------------------------


def test_the_longest_page_stays_within_discords_limits() -> None:
    origin = Origin(1, 1, 1, 2**63 - 1, 2**63 - 1, "", 1)
    image = Image(2**63 - 1, 0, 2**31 - 1, state=State.UNDELIVERED)
    long = tuple(
        Generation(2**63 - 1, Request("*" * 2000, count=4), origin, 2**41, (image,) * 4, message_id=2**63 - 1)
        for _ in range(5)
    )
    page = Page(long, 2**63 - 1, 2**63 - 1, "*" * 60)
    rows = [
        [TurnButton("newer", 2**63 - 1, "x" * 60), TurnButton("older", 2**63 - 1, "x" * 60)],
        [PostButton(2**63 - 1, number) for number in range(5)],
    ]
    view = build_history(page, rows, thumbnails={2**63 - 1: ["https://cdn.example.com/a.png"] * 4})
    assert view.content_length() <= 4000 and view.total_children_count <= 40
    assert all(len(button.custom_id) <= 100 for row in rows for button in row)
    assert len(images_of(view)) == 10


def images_of(view: Any) -> list[Any]:
    (container,) = view.to_components()
    return [item for part in container["components"] if part["type"] == 12 for item in part["items"]]
