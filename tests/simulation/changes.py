"""What the owner, admins and reporters do in a run: each action calls the product as its cog does.

All of it is done to one person, TARGET, or in one server, GUILD, with one log channel.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import discord
from discord import ui

from reports.model import Reason
from tests.simulation.fake_discord import (
    BOT,
    FIRST_CHANNEL,
    FIRST_PERSON,
    GUILD,
    LOG_CHANNEL,
    FakeDiscord,
    Interaction,
    Message,
)
from ui.interactions.admin import AdminItem
from ui.interactions.admin_submissions import handle_submission
from ui.interactions.errors import handle_errors
from ui.interactions.owner import OwnerActions, respond
from ui.interactions.report_decisions import (
    BLOCK_PREFIX,
    DismissReportButton,
    RemoveReportedButton,
    block_reported,
    parse_block,
)
from ui.interactions.reports import FORM_PREFIX, file_report, parse_report
from ui.views import cards_reports

if TYPE_CHECKING:
    from tests.simulation.process import Process

OWNER, ADMIN, TARGET = 999, 103, 107
WHY = "because"
MANAGE = str(discord.Permissions(manage_guild=True).value)

Perform = Callable[["Process", Interaction], Awaitable[bool]]  # whether its person was answered without an error
Work = Callable[[OwnerActions, Any, discord.User, "Process"], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Action:
    """*person*: who does it. *changes*: its first time changes something, wherever nothing failed before."""

    person: int
    perform: Perform
    changes: bool = True
    channel: int = FIRST_CHANNEL


# -- the owner ---------------------------------------------------------------


def _command(work: Work, *, changes: bool = True) -> Action:
    async def perform(process: Process, interaction: Interaction) -> bool:
        event = process.client.interaction(interaction, {"id": "1", "name": "owner", "type": 1}, 2)
        user = discord.User(state=event._state, data={**BOT, "id": str(TARGET), "bot": False})  # type: ignore[arg-type]
        actions, services = OwnerActions(process.services), process.services
        return await handle_errors(event, respond(event, services, lambda: work(actions, event, user, process)))

    return Action(OWNER, perform, changes)


def _newest_grant(process: Process) -> int:
    sql = "SELECT max(number) FROM entries WHERE kind = 'grant' AND actor_id IS NOT NULL"
    return process.environment.disk.ask(sql)[0][0] or 1


def _first_made(process: Process) -> int:
    return process.environment.disk.ask("SELECT min(generation_id) FROM images WHERE state = 'delivered'")[0][0] or 0


# -- an admin ---------------------------------------------------------------


def _pick(action: str, *values: int | str, changes: bool = True) -> Action:
    async def perform(process: Process, interaction: Interaction) -> bool:
        custom_id = f"admin:{action}:{_version(process)}"
        data = {"component_type": 3, "custom_id": custom_id, "values": [str(value) for value in values]}
        message = _screen(process.environment.discord, interaction)
        event = process.client.interaction(interaction, data, 3, **_admin(interaction), message=message)
        return await handle_errors(event, AdminItem(ui.Button(custom_id=custom_id)).respond(event))

    return Action(ADMIN, perform, changes)


def _form(name: str, /, **fields: str) -> Action:
    async def perform(process: Process, interaction: Interaction) -> bool:
        data = _submitted(f"admin:form:{name}:{_version(process)}:1", fields)
        message = _screen(process.environment.discord, interaction)
        await handle_submission(
            process.client.interaction(interaction, data, 5, **_admin(interaction), message=message)
        )
        return False  # it says to its person alone whether it was done

    return Action(ADMIN, perform)


def _version(process: Process) -> int:
    rows = process.environment.disk.ask("SELECT version FROM rule_versions WHERE scope_id = ?", GUILD)
    return rows[0][0] if rows else 0


def _screen(fake: FakeDiscord, interaction: Interaction) -> dict[str, Any]:
    """Return the message on which the interaction's person presses."""
    if interaction.message_id is None:
        message = Message(fake.new_id(), interaction.channel_id, interaction, ephemeral=True, content="the screen")
        fake.messages[message.id], interaction.message_id = message, message.id
    return fake.message_payload(fake.messages[interaction.message_id])


def _admin(interaction: Interaction) -> dict[str, Any]:
    person = {**BOT, "id": str(interaction.person), "bot": False}
    facts = {"roles": [], "joined_at": None, "flags": 0, "deaf": False, "mute": False}
    return {"member": {"user": person, "permissions": MANAGE, **facts}}


def _submitted(custom_id: str, fields: dict[str, str]) -> dict[str, Any]:
    """Return the data of a submitted form (Discord docs: Receiving and Responding, "Modal Submit Data")."""
    typed = [
        {"type": 18, "component": {"type": 4, "custom_id": name, "value": value}} for name, value in fields.items()
    ]
    return {"custom_id": custom_id, "components": typed}


# -- reports ---------------------------------------------------------------


async def _report(process: Process, interaction: Interaction) -> bool:
    fields = {cards_reports.REASON: Reason.HATEFUL.value, cards_reports.TEXT: WHY}
    data = _submitted(f"{FORM_PREFIX}{_first_made(process)}:1", fields)
    event = process.client.interaction(interaction, data, 5)
    form = parse_report(event)
    assert form is not None
    return await handle_errors(event, file_report(event, form))


def _decide(person: int, decide: Callable[[discord.Interaction[Any], int], Awaitable[None]]) -> Action:
    """*decide*: gets the press, on the message that tells of the report, and the report's id."""

    async def perform(process: Process, interaction: Interaction) -> bool:
        fake, reports = process.environment.discord, process.environment.disk.ask("SELECT id FROM reports")
        told = [each for each in fake.messages.values() if each.channel_id == LOG_CHANNEL and each.components]
        if not told:
            return False
        interaction.message_id = told[0].id
        event = process.client.interaction(
            interaction,
            {"component_type": 2, "custom_id": "x"},
            3,
            **(_admin(interaction) if person == ADMIN else {}),
            message=fake.message_payload(told[0]),
        )
        return await handle_errors(event, decide(event, reports[0][0]))

    return Action(person, perform, changes=False, channel=LOG_CHANNEL)


async def _block(event: discord.Interaction[Any], report_id: int) -> None:
    fields = {cards_reports.DAYS: "3", cards_reports.REASON: WHY}
    event.data, event.type = _submitted(f"{BLOCK_PREFIX}{report_id}:1", fields), discord.InteractionType.modal_submit  # type: ignore[assignment]
    submitted = parse_block(event)
    assert submitted is not None
    await block_reported(event, *submitted)


ACTIONS: dict[str, Action] = {
    "grant": _command(lambda owner, event, user, _: owner.grant(event, user, 7, WHY)),
    "take": _command(lambda owner, event, user, _: owner.take(event, user, 3, WHY)),
    "undo": _command(lambda owner, event, _, process: owner.undo(event, _newest_grant(process), WHY), changes=False),
    "refund": _command(
        lambda owner, event, _, process: owner.refund(event, f"{_first_made(process)}-0", WHY, None), changes=False
    ),
    "set tier": _command(lambda owner, event, *_: owner.set_tier(event, 60, WHY, str(2**54), None)),
    "remove tier": _command(lambda owner, event, *_: owner.remove_tier(event, WHY, str(2**54), None), changes=False),
    "exempt": _command(lambda owner, event, user, _: owner.exempt(event, user, WHY)),
    "unexempt": _command(lambda owner, event, user, _: owner.unexempt(event, user, WHY), changes=False),
    "block": _command(lambda owner, event, user, _: owner.block(event, user, WHY, 3, None)),
    "unblock": _command(lambda owner, event, user, _: owner.unblock(event, user, WHY), changes=False),
    "pause": _command(lambda owner, event, *_: owner.pause(event, WHY)),
    "resume": _command(lambda owner, event, *_: owner.resume(event), changes=False),
    "log channel": _pick("log", LOG_CHANNEL),
    "no log channel": _pick("log", changes=False),
    "channels": _pick("channels", FIRST_CHANNEL, FIRST_CHANNEL + 1),
    "roles": _pick("roles", 5),
    "content": _pick("content", "age_restricted_only"),
    "person cap": _form("person", period="day", images="5"),
    "budget": _form("budget", period="month", images="50"),
    "add words": _form("words", lines="gore\nblood", kind="plain", name="violence"),
    "remove words": _pick("remove", 1, changes=False),
    "block here": _form("block", who=str(TARGET), reason=WHY, days="2"),
    "unblock here": _pick("unblock", TARGET, changes=False),
    "pause here": _form("pause", reason=WHY),
    "resume here": _pick("resume", changes=False),
    "report": Action(FIRST_PERSON + 1, _report, changes=False),
    "remove reported": _decide(ADMIN, lambda event, report: RemoveReportedButton(report).respond(event)),
    "block reported": _decide(ADMIN, _block),
    "dismiss report": _decide(OWNER, lambda event, report: DismissReportButton(report).respond(event)),
}
