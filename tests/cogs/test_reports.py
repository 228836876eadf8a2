"""Reports of images: the form, what the reporter no longer sees, and who may decide what by the buttons."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import discord
import pytest
import simcord
from sqlalchemy import Row, select, update

from generations.records.tables import generations
from limits.model import BOT, Actor
from limits.tables import audit
from reports.tables import report_decisions, reports
from tests.cogs.scene import Scene, private_words, words
from tests.cogs.test_buttons import finish, labels, put_separate, result, told
from tests.cogs.test_forms import field
from ui.interactions.reports import FORM_PREFIX

MENU = "Report this image"
FILLED = {"reason": "hateful", "text": "it mocks @everyone **loudly**"}


class Place:
    """The scene's server with an owner of the bot, an admin and a log channel."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        may_manage = scene.guild.create_role("admin", permissions=discord.Permissions(manage_guild=True))
        self.owner = scene.env.create_user("olga")
        self.admin = scene.guild.add_member(scene.env.create_user("sara"), roles=[may_manage])
        self.log = scene.guild.create_text_channel("mod-log")

    async def open(self) -> None:
        scene = self.scene
        scene.settings = replace(scene.settings, owner_ids=(self.owner.id,))
        await scene.restart()
        actor = Actor(self.admin.id, 1, scene.guild.id)
        await scene.services.limits.set_log_channel(actor, self.log.id, expected_version=0)

    async def report(self, card: Any, by: simcord.MemberActor | None = None, **changed: str) -> Any:
        """Report the image on *card*, as Bob, by its menu."""
        reporter = by or self.scene.bob
        shown = await reporter.context_menu(self.scene.channel, MENU, card)
        return await reporter.submit_modal(shown, {**FILLED, **changed})

    def to_owner(self) -> discord.Message:
        """Return the only direct message to the owner."""
        (message,) = self.owner.dm_channel.history()
        return message

    def in_log(self) -> discord.Message:
        (message,) = self.log.history()
        return message

    async def rows(self, table: Any) -> list[Row[Any]]:
        return list(await self.scene.database.real.run(lambda tx: tx.execute(select(table)).all()))

    async def actions(self) -> list[tuple[str, int, int]]:
        """Return action, scope and actor of all changes in the audit but the log channel's."""
        changes = await self.rows(audit)
        return [(row.action, row.scope_id, row.actor_id) for row in changes if row.action != "log_channel"]


@pytest.fixture
async def place(scene: Scene) -> Place:
    place = Place(scene)
    await place.open()
    return place


async def report_entry(scene: Scene, card: Any) -> Any:
    """Press Details and its Report as Alice. Return the form."""
    shown = await scene.alice.click(card, label="Details")
    assert shown.response is not None
    return await scene.alice.click(shown.response, label="Report")


# ---- the form ------------------------------------------------------------------------------------------------------


async def test_the_menu_opens_a_form_with_four_reasons_and_a_bounded_text(scene: Scene, place: Place) -> None:
    shown = await scene.bob.context_menu(scene.channel, MENU, await result(scene))
    reason, text = field(shown.modal, "reason")["component"], field(shown.modal, "text")["component"]
    assert len(reason["options"]) == 4 and reason["required"]
    assert text["max_length"] == 500 and not text["required"]
    assert shown.modal is not None and len(shown.modal["title"]) <= 45


async def test_details_has_an_entry_also_for_a_private_image(scene: Scene, place: Place) -> None:
    card = await result(scene, private=True)
    shown = await report_entry(scene, card)
    assert "Thank you" in private_words(await scene.alice.submit_modal(shown, FILLED))
    (row,) = await place.rows(reports)
    assert (row.reporter_id, row.person_id) == (scene.alice.id, scene.alice.id)


async def test_a_form_that_was_opened_before_a_restart_is_taken(scene: Scene, place: Place) -> None:
    card = await result(scene)
    generation = await scene.only_generation()
    shown = await scene.bob.context_menu(scene.channel, MENU, card)
    await scene.restart()
    assert "won't see this image" in private_words(await scene.bob.submit_modal(shown, FILLED))
    (row,) = await place.rows(reports)
    assert (row.image_of, row.person_id, row.reporter_id) == (generation.id, scene.alice.id, scene.bob.id)
    assert (row.guild_id, row.reason, row.text) == (scene.guild.id, "hateful", FILLED["text"])


async def test_a_message_without_an_image_of_the_bot_is_answered_with_a_sentence(scene: Scene, place: Place) -> None:
    waiting = (await scene.imagine()).response
    assert waiting is not None
    for message in (await scene.alice.send(scene.channel, "a fox"), waiting):
        refused = private_words(await scene.bob.context_menu(scene.channel, MENU, message))
        assert "no image of this bot" in refused
    assert await place.rows(reports) == []


async def test_a_message_beside_the_card_is_reported_as_its_image(scene: Scene, place: Place) -> None:
    await result(scene)
    generation = await scene.only_generation()
    beside = await scene.bot.get_partial_messageable(scene.channel.id).send("the image")
    await put_separate(scene, beside)
    assert "Thank you" in private_words(await place.report(beside))
    (row,) = await place.rows(reports)
    assert row.image_of == generation.id


async def test_a_form_that_names_somebody_elses_private_image_is_refused(scene: Scene, place: Place) -> None:
    await result(scene, "my secret", private=True)
    secret = (await scene.only_generation()).id
    shown = await scene.bob.context_menu(scene.channel, MENU, await result(scene))
    for forged in (f"{FORM_PREFIX}{secret}:1", f"{FORM_PREFIX}{'9' * 20}:1", f"{FORM_PREFIX}1:1", FORM_PREFIX):
        scene.completer.change = changed_to(forged)
        assert "no longer knows this image" in private_words(await scene.bob.submit_modal(shown, FILLED)), forged
        shown = await again(scene, shown)
    assert await place.rows(reports) == []


def changed_to(custom_id: str) -> Callable[[dict[str, Any]], None]:
    """Change the custom_id of what is pressed or sent, also on the message: discord.py calls no button without."""

    def change(payload: dict[str, Any]) -> None:
        old = json.dumps(payload["data"]["custom_id"])
        payload.update(json.loads(json.dumps(payload).replace(old, json.dumps(custom_id))))

    return change


async def again(scene: Scene, shown: Any) -> Any:
    scene.completer.change = None
    return await scene.bob.context_menu(scene.channel, MENU, scene.posts()[-1])


# ---- the reporter --------------------------------------------------------------------------------------------------


async def test_who_reported_an_image_can_no_longer_use_it_and_others_can(scene: Scene, place: Place) -> None:
    card = await result(scene)
    await place.report(card)
    for label in ("Again", "Edit", "Details"):
        assert "You reported this image" in told(await scene.bob.click(card, label=label)), label
    assert "Number" in private_words(await scene.alice.click(card, label="Details"))


async def test_ones_own_reported_image_is_not_in_history_and_can_be_deleted(scene: Scene, place: Place) -> None:
    card = await result(scene, "a burning lighthouse")
    await place.report(card, by=scene.alice)
    for search in ({}, {"search": "burning"}):
        assert "burning lighthouse" not in words((await scene.alice.slash(scene.channel, "history", **search)).response)
    asked = await scene.alice.click(card, label="Delete")
    assert "Remove this card" in words(asked.followups[0])


async def test_a_second_report_of_an_image_says_so_and_one_event_twice_is_one_report(
    scene: Scene, place: Place
) -> None:
    card = await result(scene)
    shown = await scene.bob.context_menu(scene.channel, MENU, card)
    scene.completer.twice = True
    await scene.bob.submit_modal(shown, FILLED)
    assert "You reported this image" in private_words(await scene.bob.context_menu(scene.channel, MENU, card))
    assert len(await place.rows(reports)) == 1
    place.to_owner()


async def test_a_fourth_report_within_an_hour_is_refused_with_the_time_of_the_next(scene: Scene, place: Place) -> None:
    cards = [await result(scene, f"boat {number}") for number in range(4)]
    for card in cards[:3]:
        await place.report(card)
    refused = private_words(await scene.bob.context_menu(scene.channel, MENU, cards[3]))
    assert "3 reports within an hour" in refused and ":R>" in refused
    await scene.env.advance_time(3600)
    assert "Thank you" in private_words(await place.report(cards[3]))


async def test_a_blocked_person_may_still_report(scene: Scene, place: Place) -> None:
    card = await result(scene)
    await scene.services.limits.block_everywhere(Actor(1, 2, None), scene.bob.id, "spam", None)
    assert "Thank you" in private_words(await place.report(card))


# ---- who is told ---------------------------------------------------------------------------------------------------


async def test_the_owner_and_the_log_channel_are_told_with_everything_escaped(scene: Scene, place: Place) -> None:
    card = await result(scene, "a *loud* lighthouse")
    generation = await scene.only_generation()
    await place.report(card)
    for message in (place.to_owner(), place.in_log()):
        said = words(message)
        assert f"<@{scene.bob.id}>" in said and f"<@{scene.alice.id}>" in said and "Hateful" in said
        assert "＠everyone \\*\\*loudly\\*\\*" in said and "a \\*loud\\* lighthouse" in said
        assert f"/{scene.guild.id}/{scene.channel.id}/{generation.message_id}" in said
    assert labels(place.to_owner()) == ["Remove", "Block person", "Dismiss", "Open"]
    assert labels(place.in_log()) == ["Remove", "Block person", "Dismiss"]
    (row,) = await place.rows(reports)
    assert row.due_at_ms is None and row.told_at_ms is not None


async def test_a_private_image_is_unseen_until_the_owner_opens_it(scene: Scene, place: Place) -> None:
    card = await result(scene, "my secret garden", private=True)
    shown = await report_entry(scene, card)
    await scene.alice.submit_modal(shown, FILLED)
    for message in (place.to_owner(), place.in_log()):
        assert "secret garden" not in words(message) and message.attachments == [] and "private" in words(message)
    assert await place.actions() == []
    opened = await place.owner.click(place.to_owner(), label="Open")
    assert opened.response is not None and opened.response.ephemeral
    assert "my secret garden" in words(opened.response) and len(opened.response.attachments) == 1
    assert "AI-generated image: my secret garden" in str(opened.response.components)
    assert await place.actions() == [("report_opened", BOT, place.owner.id)]
    scene.completer.change = changed_to(await open_id(place))
    assert "Only the bot's owner" in told(await place.admin.click(place.in_log(), label="Dismiss"))
    assert len(await place.actions()) == 1


async def open_id(place: Place) -> str:
    (row,) = await place.rows(reports)
    return f"report:open:{row.id}"


async def test_open_shows_a_public_image_from_its_card(scene: Scene, place: Place) -> None:
    await place.report(await result(scene))
    opened = await place.owner.click(place.to_owner(), label="Open")
    assert opened.response is not None and "a lighthouse in a storm" in words(opened.response)
    assert "https://" in str(opened.response.components) and "can't be shown" not in words(opened.response)


# ---- decisions -----------------------------------------------------------------------------------------------------


async def test_remove_deletes_the_message_once_and_every_card_says_who_did(scene: Scene, place: Place) -> None:
    card = await result(scene)
    await place.report(card)
    await scene.restart()
    scene.completer.twice = True
    await place.admin.click(place.in_log(), label="Remove")
    assert scene.posts() == []
    await scene.completer.deliver_anew(scene.completer.last, place.admin.id)
    for message in (place.to_owner(), place.in_log()):
        assert words(message).count(f"<@{place.admin.id}> removed the image") == 1
        assert "Remove" not in labels(message) and "Dismiss" in labels(message)
    assert await place.actions() == [("report_removed", scene.guild.id, place.admin.id)]
    assert "its card is gone" in words((await scene.alice.slash(scene.channel, "history")).response)


async def test_remove_says_so_where_only_its_person_sees_the_image(scene: Scene, place: Place) -> None:
    card = await result(scene, private=True)
    shown = await report_entry(scene, card)
    await scene.alice.submit_modal(shown, FILLED)
    assert "doesn't let the bot reach" in told(await place.owner.click(place.to_owner(), label="Remove"))
    assert await place.rows(report_decisions) == [] and await place.actions() == []


async def test_a_card_that_is_about_to_be_edited_is_not_removed_since_it_would_be_posted_anew(
    scene: Scene, place: Place
) -> None:
    await place.report(await result(scene))
    edited = update(generations).values(revision=generations.c.revision + 1)
    await scene.database.real.run(lambda tx: tx.execute(edited))
    assert "still being made" in told(await place.owner.click(place.to_owner(), label="Remove"))
    assert await place.rows(report_decisions) == [] and len(scene.posts()) == 1


async def test_remove_while_discord_is_away_changes_nothing(scene: Scene, place: Place) -> None:
    await place.report(await result(scene))
    scene.env.inject_error("DELETE", "/channels/*", status=503, code=0)
    assert "just now" in told(await place.owner.click(place.to_owner(), label="Remove"))
    assert await place.rows(report_decisions) == [] and len(scene.posts()) == 1


async def test_the_owner_blocks_everywhere_and_an_admin_in_the_server(scene: Scene, place: Place) -> None:
    await place.report(await result(scene))
    by_admin = await place.admin.click(place.in_log(), label="Block person")
    await scene.restart()
    await place.admin.submit_modal(by_admin, {"reason": "not here", "days": "2"})
    rules = await scene.services.request_limits.rules_for(scene.guild.id)
    assert rules.bot.blocks == {}
    block = rules.guild.blocks[scene.alice.id]
    assert block.reason == "not here" and block.until_ms is not None
    assert "Block person" in labels(place.to_owner()) and "Block person" not in labels(place.in_log())
    by_owner = await place.owner.click(place.to_owner(), label="Block person")
    second = await place.owner.click(place.to_owner(), label="Block person")
    await place.owner.submit_modal(by_owner, {"reason": "nowhere", "days": ""})
    await place.owner.submit_modal(second, {"reason": "twice", "days": ""})
    rules = await scene.services.request_limits.rules_for(scene.guild.id)
    assert (rules.bot.blocks[scene.alice.id].reason, rules.bot.blocks[scene.alice.id].until_ms) == ("nowhere", None)
    assert f"<@{place.admin.id}> blocked the person in the server" in words(place.to_owner())
    assert f"<@{place.owner.id}> blocked the person everywhere" in words(place.in_log())
    assert ("block", BOT, place.owner.id) in await place.actions()


async def test_a_block_needs_days_that_are_a_number(scene: Scene, place: Place) -> None:
    await place.report(await result(scene))
    for days in ("x", "0", "3651", "-1", "1.5", "٤"):
        shown = await place.owner.click(place.to_owner(), label="Block person")
        pressed = await place.owner.submit_modal(shown, {"reason": "", "days": days})
        assert "whole number from 1 to 3650" in told(pressed), days
    assert (await scene.services.request_limits.rules_for(None)).bot.blocks == {}


async def test_a_report_is_dismissed_for_one_scope(scene: Scene, place: Place) -> None:
    await place.report(await result(scene))
    await place.admin.click(place.in_log(), label="Dismiss")
    assert labels(place.in_log()) == [] and labels(place.to_owner()) == ["Remove", "Block person", "Dismiss", "Open"]
    await place.owner.click(place.to_owner(), label="Dismiss")
    assert labels(place.to_owner()) == []
    assert [action for action, *_ in await place.actions()] == ["report_dismissed"] * 2


async def test_nobody_else_decides(scene: Scene, place: Place) -> None:
    await place.report(await result(scene))
    for person in (scene.bob, scene.alice, scene.moderator):
        for label in ("Remove", "Block person", "Dismiss"):
            assert "Only the bot's owner" in told(await person.click(place.in_log(), label=label)), label
    assert await place.rows(report_decisions) == [] and len(scene.posts()) == 1


async def test_an_admin_of_another_server_decides_nothing_by_a_forged_button(scene: Scene, place: Place) -> None:
    await place.report(await result(scene))
    (row,) = await place.rows(reports)
    other = scene.env.create_guild()
    channel = other.create_text_channel("elsewhere")
    role = other.create_role("admin", permissions=discord.Permissions(administrator=True))
    admin = other.add_member(scene.env.create_user("eve"), roles=[role])
    theirs = (await admin.slash(channel, "help")).response
    assert theirs is not None
    card = (await admin.slash(channel, "imagine", prompt="their own")).response
    await finish(scene)
    assert card is not None
    for action in ("remove", "block", "dismiss", "open"):
        scene.completer.change = changed_to(f"report:{action}:{row.id}")
        assert "Only the bot's owner" in told(await admin.click(card, label="Details")), action
    scene.completer.change = changed_to(f"report:remove:{'9' * 20}")
    assert "no longer knows this report" in told(await place.owner.click(place.to_owner(), label="Remove"))
    assert await place.rows(report_decisions) == [] and len(scene.posts()) == 1
