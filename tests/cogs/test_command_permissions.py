"""Who may not use /imagine in a server may not press Again and Edit there, nor send their form."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace
from typing import Any

import discord
import pytest
import simcord

from discord_api.command_ids import CommandIds
from tests.cogs.scene import API_URL, BrokenConnection, Scene, private_words, words
from tests.cogs.test_buttons import finish, newest, result, told
from tests.cogs.test_forms import menu, said, unchanged
from tests.doubles import ManualClock
from ui.interactions.command_permissions import (
    ASK_SECONDS,
    FRESH_SECONDS,
    GUILDS_MAX,
    IMAGINE,
    RETRY_SECONDS,
    CommandPermissions,
)
from ui.interactions.errors import CommandDenied

ROLE, USER, CHANNEL = 1, 2, 3
PATH = "/applications/*/commands/permissions"
Entry = tuple[int, int, bool]


def command_id(scene: Scene, name: str = "imagine", kind: int = 1) -> int:
    return int(scene.env.backend.commands[None][name, kind]["id"])


def denied(scene: Scene) -> str:
    needed = f"{scene.mention('imagine')} to be allowed for you here"
    return f"This button needs {needed}; the server's admins decide that. Nothing was charged."


def entries_of(*entries: Entry) -> list[dict[str, Any]]:
    return [{"id": str(number), "type": kind, "permission": allowed} for kind, number, allowed in entries]


def set_permissions(scene: Scene, *entries: Entry, target: int | None = None) -> None:
    """Set what an admin sets for /imagine, or for *target*, without the event about it."""
    scene.env.backend.set_command_permissions(scene.guild.id, target or command_id(scene), entries_of(*entries))


async def tell(scene: Scene, *entries: Entry, target: int | None = None) -> None:
    """Deliver the event about a change; set nothing."""
    payload = {
        **{"id": str(target or command_id(scene)), "application_id": str(scene.bot.application_id)},
        **{"guild_id": str(scene.guild.id), "permissions": entries_of(*entries)},
    }
    scene.env.backend.emit("APPLICATION_COMMAND_PERMISSIONS_UPDATE", payload)
    await scene.env.settle()


def asked(scene: Scene) -> int:
    """Return how often Discord was asked."""
    return sum(call.path.endswith("/commands/permissions") for call in scene.env.http_requests)


async def again(scene: Scene, card: Any, person: simcord.MemberActor | None = None) -> str:
    """Press Again as Bob or *person*. Return the refusal, or "" if a request was accepted."""
    who = person or scene.bob
    held = (await scene.balance(who)).held
    pressed = await who.click(card, label="Again")
    if (await scene.balance(who)).held == held + 5:
        assert pressed.response is not None and "5 credits held" in words(pressed.response)
        return ""
    assert (await scene.balance(who)).held == held
    return private_words(pressed)


async def test_a_person_who_may_not_use_imagine_may_not_press_again_or_edit(scene: Scene) -> None:
    card = await result(scene)
    set_permissions(scene, (USER, scene.bob.id, False))
    assert await again(scene, card) == denied(scene)
    shown = await scene.bob.click(card, label="Edit")
    assert (shown.modal, private_words(shown)) == (None, denied(scene))
    assert await again(scene, card, scene.alice) == ""


async def test_the_other_buttons_stay(scene: Scene) -> None:
    card = await result(scene)
    set_permissions(scene, (USER, scene.alice.id, False))
    assert "seed" in private_words(await scene.alice.click(card, label="Details"))
    assert "Remove this card" in told(await scene.alice.click(card, label="Delete"))


async def test_a_role_counts_also_when_it_is_not_in_discord_pys_cache(scene: Scene) -> None:
    card = await result(scene)
    (role,) = scene.env.backend.get_guild(scene.guild.id).members[scene.moderator.id].role_ids
    set_permissions(scene, (ROLE, role, False))
    assert await again(scene, card, scene.moderator) == denied(scene)
    assert await again(scene, card) == ""


async def test_everybody_but_one_role_can_be_denied_the_whole_application(scene: Scene) -> None:
    card = await result(scene)
    (role,) = scene.env.backend.get_guild(scene.guild.id).members[scene.moderator.id].role_ids
    everybody: Entry = (ROLE, scene.guild.id, False)
    set_permissions(scene, everybody, (ROLE, role, True), target=scene.bot.application_id)
    assert await again(scene, card) == denied(scene)
    assert await again(scene, card, scene.moderator) == ""


async def test_a_denied_channel_counts_and_so_do_its_threads(scene: Scene) -> None:
    thread = scene.env.backend.create_thread(scene.channel.id, "sketches", scene.alice.id)
    place = simcord.ChannelHandle(scene.env, scene.guild, thread)
    card = await result(scene)
    in_thread = (await scene.alice.slash(place, "imagine", prompt="a quiet room")).response
    for _ in range(3):
        await scene.step()
        await scene.env.advance_time(5)
    set_permissions(scene, (CHANNEL, scene.channel.id, False))
    assert await again(scene, card) == denied(scene)
    assert await again(scene, in_thread) == denied(scene)
    await tell(scene)
    assert await again(scene, in_thread) == ""


async def test_administrators_are_never_refused(scene: Scene) -> None:
    card = await result(scene)
    set_permissions(scene, (ROLE, scene.guild.id, False), (CHANNEL, scene.guild.id - 1, False))
    admins = scene.guild.create_role("admins", permissions=discord.Permissions(administrator=True))
    admin = scene.guild.add_member(scene.env.create_user("carol"), roles=[admins])
    assert await again(scene, card, admin) == ""
    assert await again(scene, card) == denied(scene)


async def test_without_use_application_commands_in_the_channel_again_is_refused(scene: Scene) -> None:
    card = await result(scene)
    scene.completer.change = lambda payload: payload["member"].update(
        permissions=str(discord.Permissions(send_messages=True).value)
    )
    assert await again(scene, card) == denied(scene)


# -- forms ------------------------------------------------------------------------------------------------------------


async def test_a_form_that_was_opened_before_the_denial_is_refused_and_the_prompt_sent_back(scene: Scene) -> None:
    shown = await scene.bob.click(await result(scene), label="Edit")
    await tell(scene, (USER, scene.bob.id, False))
    refusal, kept = await said(
        scene, await scene.bob.submit_modal(shown, {**unchanged(), "prompt": "typed for minutes"})
    )
    assert refusal == denied(scene).replace("button", "form")
    assert "typed for minutes" in kept
    assert (await scene.balance(scene.bob)).held == 0


async def test_the_form_of_the_message_menu_is_bound_to_the_menu(scene: Scene) -> None:
    message = await scene.alice.send(scene.channel, "a fox in the snow")
    first, second = await menu(scene, message), await menu(scene, message)
    set_permissions(scene, (USER, scene.bob.id, False))
    await scene.bob.submit_modal(first, unchanged())
    assert (await newest(scene)).origin.user_id == scene.bob.id
    await tell(scene, (USER, scene.bob.id, False), target=command_id(scene, "Imagine this", 3))
    refusal, _ = await said(scene, await scene.bob.submit_modal(second, unchanged()))
    assert 'This form needs "Imagine this" to be allowed' in refusal
    assert (await scene.balance(scene.bob)).held == 5


# -- what is known ----------------------------------------------------------------------------------------------------


async def test_discord_is_asked_once_in_ten_minutes(scene: Scene) -> None:
    card = await result(scene)
    await again(scene, card)
    set_permissions(scene, (USER, scene.bob.id, False))
    await scene.env.advance_time(FRESH_SECONDS - 60)
    assert await again(scene, card) == ""
    assert asked(scene) == 1
    await scene.env.advance_time(61)
    assert await again(scene, card) == denied(scene)
    assert asked(scene) == 2


async def test_the_event_about_a_change_counts_at_once_and_without_a_call(scene: Scene) -> None:
    card = await result(scene)
    assert scene.bot.intents == discord.Intents.none()
    set_permissions(scene, (ROLE, scene.guild.id, True), target=scene.bot.application_id)
    assert await again(scene, card) == ""
    await tell(scene, (USER, scene.bob.id, False))
    assert await again(scene, card) == denied(scene)
    await tell(scene)
    assert await again(scene, card) == ""
    assert asked(scene) == 1


async def test_a_known_denial_stays_while_discord_is_down(scene: Scene) -> None:
    card = await result(scene)
    set_permissions(scene, (USER, scene.bob.id, False))
    assert await again(scene, card) == denied(scene)
    await scene.env.advance_time(FRESH_SECONDS + 1)
    scene.env.inject_error("GET", PATH, status=401, times=None)
    assert await again(scene, card) == denied(scene)
    assert await again(scene, card, scene.alice) == ""


@pytest.mark.parametrize("label", ["Again", "Edit"])
async def test_a_known_denial_stays_also_while_discord_py_repeats_a_call_for_half_a_minute(
    scene: Scene, label: str
) -> None:
    card = await result(scene)
    set_permissions(scene, (USER, scene.bob.id, False))
    assert await again(scene, card) == denied(scene)
    await scene.env.advance_time(FRESH_SECONDS + 1)
    scene.env.inject_error("GET", PATH, status=503, times=None)
    pressed = await scene.bob.click(card, label=label)
    await scene.env.advance_time(2)
    assert pressed.modal is None and (await scene.balance(scene.bob)).held == 0
    messages = [message for message in (pressed.response, *pressed.followups) if message is not None]
    assert [words(message) for message in messages if message.ephemeral] == [denied(scene)]


async def test_where_nothing_is_known_a_discord_that_is_down_stops_nobody(scene: Scene) -> None:
    card = await result(scene)
    set_permissions(scene, (USER, scene.bob.id, False))
    scene.env.backend.faults.append(BrokenConnection("GET", PATH))
    assert await again(scene, card) == ""
    assert await again(scene, card) == ""
    assert asked(scene) == 1
    await scene.env.advance_time(RETRY_SECONDS + 1)
    assert await again(scene, card) == denied(scene)


async def test_a_denial_that_an_event_told_counts_though_discord_was_never_asked(scene: Scene) -> None:
    card = await result(scene)
    await tell(scene, (USER, scene.bob.id, False))
    scene.env.inject_error("GET", PATH, status=401, times=None)
    assert await again(scene, card) == denied(scene)


@pytest.mark.parametrize(("status", "code"), [(404, 10066), (403, 50001)])
async def test_where_discord_has_none_or_the_bot_is_not_there_nobody_is_refused(
    scene: Scene, status: int, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    card = await result(scene)
    scene.completer.user_install = status == 403
    scene.env.inject_error("GET", PATH, status=status, code=code, times=None)
    with caplog.at_level(logging.INFO, "qwen_imagine.interactions"):
        assert await again(scene, card) == ""
    assert await again(scene, card) == ""
    assert asked(scene) == 1 and "can't be read" not in caplog.text


async def test_a_page_of_a_proxy_is_no_answer(scene: Scene) -> None:
    card = await result(scene)
    set_permissions(scene, (USER, scene.bob.id, False))
    assert await again(scene, card) == denied(scene)
    await scene.env.advance_time(FRESH_SECONDS + 1)
    scene.env.inject_error("GET", PATH, status=404, code=0)
    assert await again(scene, card) == denied(scene)


async def test_in_direct_messages_nobody_is_refused_and_discord_not_asked(scene: Scene) -> None:
    carol = scene.env.create_user("carol")
    made = await carol.slash("imagine", prompt="a quiet room")
    await finish(scene)
    set_permissions(scene, (ROLE, scene.guild.id, False), target=scene.bot.application_id)
    pressed = await carol.click(made.response, label="Again")
    assert pressed.response is not None and (await scene.balance(carol)).held == 5
    assert asked(scene) == 0


# -- one call at a time -----------------------------------------------------------------------------------------------


class SlowDiscord:
    """A client whose call for the permissions ends when a test says so, with the answers in order."""

    def __init__(self) -> None:
        self.http = self
        self.application_id = 5
        self.tree = SimpleNamespace(get_command=lambda name, type: None)
        self.calls: list[int] = []
        self.answers: list[asyncio.Future[Any]] = []
        self.clock = ManualClock()
        self.permissions = CommandPermissions(self, self.clock, CommandIds(self, self._load, API_URL))  # type: ignore[arg-type]

    async def _load(self, key: str) -> str | None:
        return '{"1:imagine": "7"}' if key.startswith("command_ids:") else None

    def is_closed(self) -> bool:
        return False

    async def get_guild_application_command_permissions(self, application_id: int, guild_id: int) -> Any:
        self.calls.append(guild_id)
        self.answers.append(asyncio.get_running_loop().create_future())
        return await self.answers[-1]

    def press(self, guild_id: int = 100) -> asyncio.Task[None]:
        member: Any = discord.Member.__new__(discord.Member)
        member._user, member._roles = SimpleNamespace(id=42), []
        event: Any = SimpleNamespace(
            **{"user": member, "guild_id": guild_id, "channel_id": 9, "channel": None, "application_id": 5},
            **{"permissions": discord.Permissions(use_application_commands=True)},
            type=discord.InteractionType.component,
        )
        return asyncio.create_task(self.permissions.check(event, IMAGINE))

    def tell(self, allowed: bool, guild_id: int = 100) -> None:
        each = SimpleNamespace(id=42, type=SimpleNamespace(value=USER), permission=allowed)
        event: Any = SimpleNamespace(guild=SimpleNamespace(id=guild_id), target_id=7, permissions=[each])
        self.permissions.note_update(event)


def denial(allowed: bool = False) -> list[dict[str, Any]]:
    return [{"id": "7", "permissions": [{"id": "42", "type": USER, "permission": allowed}]}]


async def quiet() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def is_denied(pressed: asyncio.Task[None]) -> bool:
    """Whether the press has been refused; it must have been answered."""
    await quiet()
    assert pressed.done(), "it still waits"
    return isinstance(pressed.exception(), CommandDenied)


async def test_two_presses_make_one_call_and_both_wait_for_its_answer() -> None:
    slow = SlowDiscord()
    pressed = [slow.press(), slow.press()]
    await quiet()
    assert slow.calls == [100] and not any(press.done() for press in pressed)
    slow.answers[0].set_result(denial())
    assert [await is_denied(press) for press in pressed] == [True, True]


async def test_a_press_does_not_wait_longer_than_its_response_allows_and_the_answer_counts_later() -> None:
    slow = SlowDiscord()
    pressed = slow.press()
    await quiet()
    slow.clock.advance(ASK_SECONDS)
    assert not await is_denied(pressed)
    slow.answers[0].set_result(denial())
    await quiet()
    assert await is_denied(slow.press())
    assert slow.calls == [100]


async def test_an_answer_that_was_on_its_way_does_not_undo_what_an_event_told() -> None:
    slow = SlowDiscord()
    pressed = slow.press()
    await quiet()
    slow.tell(allowed=False)
    slow.answers[0].set_result(denial(allowed=True))
    assert await is_denied(pressed)


@pytest.mark.parametrize("odd", [None, {"message": "x"}, [{"id": "7"}]])
async def test_an_answer_that_cannot_be_read_leaves_what_was_known(odd: Any) -> None:
    slow = SlowDiscord()
    pressed = slow.press()
    await quiet()
    slow.answers[0].set_result(denial())
    assert await is_denied(pressed)
    slow.clock.advance(FRESH_SECONDS)
    pressed = slow.press()
    await quiet()
    slow.answers[1].set_result(odd)
    assert await is_denied(pressed)


async def test_the_guilds_that_are_known_are_bounded_and_the_one_used_longest_ago_is_forgotten() -> None:
    slow = SlowDiscord()
    for guild_id in range(GUILDS_MAX):
        slow.tell(allowed=False, guild_id=guild_id)
    pressed = slow.press(0)
    await quiet()
    slow.answers[0].set_result(denial())
    assert await is_denied(pressed)
    slow.tell(allowed=False, guild_id=GUILDS_MAX)
    assert await is_denied(slow.press(0))
    assert slow.calls == [0]
    assert len(slow.permissions._guilds) == GUILDS_MAX and 1 not in slow.permissions._guilds
