"""An admin of one server sees and changes nothing of another one, nor of the bot, whatever their client sends."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import discord
import pytest
import simcord
from sqlalchemy import select

from limits.model import Actor, Cap
from limits.words import WordKind
from reports.tables import reports
from store.tables import metadata
from tests.cogs.scene import Scene, private_words, words
from tests.cogs.test_admin import controls, id_of, pick, posts_to, press
from tests.cogs.test_buttons import finish, result
from tests.cogs.test_owner import EVERY_COMMAND
from tests.cogs.test_reports import changed_to
from ui.interactions.admin import ACTIONS
from ui.interactions.admin_submissions import SUBMISSIONS
from ui.texts import owner as owner_texts
from ui.texts import reports as report_texts

SECRETS = ("forbidden-word", "name-of-the-rule", "reason-of-the-block", "reason-of-the-pause", "a lighthouse")


class Neighbours:
    """The scene's server with all that an admin can set, a report and an image; and Eve, administrator of another."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.log = scene.guild.create_text_channel("mod-log")
        self.other = scene.env.create_guild()
        self.channel = self.other.create_text_channel("elsewhere")
        role = self.other.create_role("chief", permissions=discord.Permissions(administrator=True))
        self.eve = self.other.add_member(scene.env.create_user("eve"), roles=[role])
        self.image_id = self.report_id = 0

    async def fill(self) -> None:
        """Make an image, report it, and set everything in the scene's server."""
        scene, limits = self.scene, self.scene.services.limits
        card = await result(scene)
        self.image_id = scene.completer.command_id
        form = await scene.bob.context_menu(scene.channel, "Report this image", card)
        await scene.bob.submit_modal(form, {"reason": "hateful"})
        [self.report_id] = await scene.database.real.run(lambda tx: list(tx.scalars(select(reports.c.id))))
        numbers = iter(range(1, 9))

        def sara() -> Actor:
            return Actor(scene.moderator.id, next(numbers), scene.guild.id)

        await limits.set_log_channel(sara(), self.log.id, expected_version=0)
        await limits.set_budget(sara(), Cap(77, scene.settings.credit_period), expected_version=1)
        await limits.add_words(sara(), [(WordKind.WHOLE, SECRETS[0], SECRETS[1])], expected_version=2)
        await limits.block_here(sara(), scene.bob.id, SECRETS[2], None)
        await limits.pause_here(sara(), SECRETS[3])

    async def rows(self) -> dict[str, set[str]]:
        """Return all rows of the database but those of Eve's server, which are about no other."""

        def read(tx: Any) -> dict[str, set[str]]:
            return {
                table.name: {str(row) for row in tx.execute(select(table)).all()} for table in metadata.sorted_tables
            }

        own = str(self.other.id)
        return {
            name: {row for row in rows if own not in row}
            for name, rows in (await self.scene.database.real.run(read)).items()
        }

    def sent_since(self, start: int) -> str:
        """Return everything that the bot sent to Discord after its first *start* calls."""
        return json.dumps([call.json for call in self.scene.env.http_requests[start:]], ensure_ascii=False)


@pytest.fixture
async def neighbours(scene: Scene) -> AsyncIterator[Neighbours]:
    neighbours = Neighbours(scene)
    await neighbours.fill()
    yield neighbours
    assert posts_to(scene, neighbours.log) == []


async def test_no_control_form_or_pick_of_an_admin_reaches_another_server_or_the_bot(
    scene: Scene, neighbours: Neighbours
) -> None:
    eve, before, start = neighbours.eve, await neighbours.rows(), len(scene.env.http_requests)
    used: set[str] = set()

    async def screen(*pages: str) -> Any:
        shown = (await eve.slash(neighbours.channel, "admin limits")).response
        for page in pages:
            used.add(page)
            await press(eve, shown, page)
        return shown

    forms = {"person": ("period", "day"), "budget": ("period", "day"), "pause": ("reason", "x")}
    for name, (field, value) in forms.items():
        used.add(name)
        form = await press(eve, await screen(), name)
        await eve.submit_modal(form, {field: value} | ({"images": "3"} if field == "period" else {}))
    used |= {"add", "block"}
    await eve.submit_modal(await press(eve, await screen("words"), "add"), {"lines": "x\ny", "kind": "plain"})
    form = await press(eve, await screen("people"), "block")
    scene.completer.change = lambda payload: payload.update(
        data=json.loads(json.dumps(payload["data"]).replace(str(eve.id), str(scene.alice.id)))
    )
    await eve.submit_modal(form, {"who": [eve], "reason": "x"})
    scene.completer.change = None
    assert await scene.services.limits.last_change(neighbours.other.id), "she did block Alice in her own server"
    theirs: dict[str, tuple[str, ...]] = {
        "channels": (str(scene.channel.id), ""),
        "roles": (str(scene.guild.id), ""),
        "log": (str(neighbours.log.id), ""),
        "remove": ("1", "words"),
        "unblock": (str(scene.bob.id), "people"),
    }
    for action, (value, page) in theirs.items():
        used.add(action)
        shown = await screen(*([page] if page else []))
        own = controls(shown)[action]
        values = [own["options"][0]["value"]] if "options" in own else [neighbours.channel]
        scene.completer.change = lambda payload, value=value: payload["data"].update(values=[value])
        await pick(scene, eve, shown, action, [] if action == "roles" else values)
        scene.completer.change = None
    shown = await screen()
    await pick(scene, eve, shown, "content", ["age_restricted_only"])
    await press(eve, shown, "resume")
    for custom_id in (f"admin:set_budget:5:9:day:{scene.guild.id}", "admin:set_budget:5:9:day", "admin:limits:5"):
        scene.completer.change = changed_to(custom_id)
        await eve.click(shown, custom_id=id_of(shown, "pause"))
        scene.completer.change = None
    used |= {"content", "resume", "set_budget", "limits"}
    assert used == set(ACTIONS) - {"leave"}, "a new control is to be used here too"
    assert set(SUBMISSIONS) == {*forms, "words", "block"}, "a new form is to be sent here too"
    assert await neighbours.rows() == before
    told = neighbours.sent_since(start)
    assert "Images in this server" in told and not [secret for secret in SECRETS if secret in told]


async def test_a_form_that_names_another_servers_report_blocks_nobody(scene: Scene, neighbours: Neighbours) -> None:
    before = await neighbours.rows()
    screen = (await neighbours.eve.slash(neighbours.channel, "admin limits")).response
    form = await press(neighbours.eve, screen, "pause")
    scene.completer.change = changed_to(f"report:blockform:{neighbours.report_id}:1")
    sent = await neighbours.eve.submit_modal(form, {"reason": "x"})
    assert report_texts.NOT_YOURS in "".join(words(each) for each in sent.followups)
    assert await neighbours.rows() == before


async def test_the_picture_of_usage_counts_nothing_of_another_server(scene: Scene, neighbours: Neighbours) -> None:
    shown = await neighbours.eve.slash(neighbours.channel, "admin usage")
    assert shown.response is not None
    [file] = shown.response.attachments
    assert "no image was asked for" in str(file.description)


async def test_an_administrator_of_a_server_with_the_owners_command_is_no_owner(
    scene: Scene, neighbours: Neighbours
) -> None:
    """Discord offers it to administrators whatever the default permissions say."""
    await scene.restart(owner_guilds=(neighbours.other.id,), owner_ids=(scene.moderator.id,))
    await scene.sync()
    before = await neighbours.rows()
    for command, options in EVERY_COMMAND.items():
        given = {name: neighbours.eve if value is None else value for name, value in options.items()}
        said = private_words(await neighbours.eve.slash(neighbours.channel, f"owner {command}", **given))
        assert said == owner_texts.NOT_OWNER, command
    assert await neighbours.rows() == before


FORGED = (
    *(f"imagine:{action}:{{image}}" for action in ("again", "edit", "details", "report", "delete", "remove", "cancel")),
    *(f"report:{action}:{{report}}" for action in ("remove", "block", "dismiss", "open")),
    *("history:post:{image}", "history:older:{image}", "owner:ledger:{alice}:0", "admin:words:0"),
)


async def test_a_press_with_a_custom_id_that_is_not_on_its_message_does_nothing(
    scene: Scene, neighbours: Neighbours
) -> None:
    """The message in the event comes from Discord, so a client can't put a control on it."""
    own = (await neighbours.eve.slash(neighbours.channel, "imagine", prompt="my own")).response
    assert own is not None
    await finish(scene)
    before, start = await neighbours.rows(), len(scene.env.http_requests)
    for each in FORGED:
        custom_id = each.format(image=neighbours.image_id, report=neighbours.report_id, alice=scene.alice.id)
        scene.completer.change = lambda payload, custom_id=custom_id: payload["data"].update(custom_id=custom_id)
        pressed: simcord.InteractionResult = await neighbours.eve.click(own, label="Details")
        assert not pressed.acknowledged, custom_id
    assert scene.env.http_requests[start:] == []
    assert await neighbours.rows() == before
