"""Turn exceptions into sentences, by one table, and send those privately: for commands, buttons and forms.

Must not show an exception's own text to anybody, and must not log what a person typed or an interaction's token.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import discord
from discord import app_commands

from credits.errors import InsufficientCredits, UnknownGrant, UnknownHold
from discord_api.errors import described
from generations.errors import (
    Draining,
    LineFull,
    NoSuchImage,
    NotCancellable,
    NotThere,
    NotYours,
    StillAtWork,
    Stopped,
    TooManyRequests,
    WhichImage,
)
from generations.prices import price_of
from limits.errors import (
    AgeRestrictedOnly,
    Blocked,
    Budget,
    BudgetUsedUp,
    ChangedMeanwhile,
    ChannelNotAllowed,
    Paused,
    RoleNotAllowed,
    RulesChanged,
    TooManyRules,
    WordNotAllowed,
)
from limits.words import BadWordRule
from reports.errors import AlreadyReported, NothingToReport, NotYoursToDecide, ReportGone, TooManyReports
from ui.texts import admin as texts_admin
from ui.texts import buttons as texts_buttons
from ui.texts import card as texts
from ui.texts import limits as texts_limits
from ui.texts import owner as texts_owner
from ui.texts import privacy as texts_privacy
from ui.texts import reports as texts_reports
from ui.texts.command_mentions import mention_commands
from ui.texts.escaping import escape
from ui.texts.help import support_hint

log = logging.getLogger("qwen_imagine.interactions")

NOBODY = discord.AllowedMentions.none()
UNKNOWN_INTERACTION = 10062  # Discord docs: Opcodes and Status Codes, "JSON"; so are the next two
UNKNOWN_WEBHOOK = 10015
ALREADY_ACKNOWLEDGED = 40060
REASON_UNITS = 300  # UTF-16 units of a reason that an admin typed
RULE_UNITS = 100  # of the name of a rule of words
_DEFERRED_PRIVATELY = "deferred privately"  # in Interaction.extras; so is the next
_RESPONDED_PRIVATELY = "responded privately"


class Refusal(app_commands.AppCommandError):
    """Refused before anything was held. Its text is the whole sentence to show."""


class CommandDenied(Refusal):
    """This server does not let the person use *command*, which a button or a form (*by_form*) stands for."""

    def __init__(self, command: str, *, by_form: bool) -> None:
        super().__init__(f"{command} is denied")
        self.command, self.by_form = command, by_form


class RequestFailed(app_commands.AppCommandError):
    """A fault of the bot while it accepted a request. *nothing_held*: whether it is sure that no credits are held."""

    def __init__(self, *, nothing_held: bool) -> None:
        super().__init__("the request could not be accepted")
        self.nothing_held = nothing_held


class CardRefused(RequestFailed):
    """Discord refused the card, so the request was undone."""


def _request_failed(error: RequestFailed, reference: int) -> str:
    return texts.failed(reference) if error.nothing_held else texts.failed_unsure(reference)


def _card_refused(error: CardRefused, reference: int) -> str:
    return texts.card_refused(reference) if error.nothing_held else texts.failed_unsure(reference)


def _insufficient_credits(error: InsufficientCredits, _: int) -> str:
    balance = error.balance
    return texts.too_few_credits(
        needed=error.needed,
        available=balance.available,
        held=balance.held,
        allowance=balance.allowance,
        price=price_of(1),
        refills_at_ms=balance.refills_at_ms,
    )


def _budget_used_up(error: BudgetUsedUp, _: int) -> str:
    if error.cap is None:
        return texts_limits.bot_budget_used_up(error.back_at_ms)
    is_server = error.budget is Budget.SERVER
    sentence = texts_limits.server_budget_used_up if is_server else texts_limits.person_cap_used_up
    return sentence(error.cap.images, error.used, error.cap.period, error.back_at_ms)


def _blocked(error: Blocked, _: int) -> str:
    reason = _reason(error.reason)
    return texts_limits.blocked(everywhere=error.is_everywhere, until_ms=error.until_ms, reason=reason)


def _reason(typed: str) -> str:
    return escape(typed, REASON_UNITS) if typed.strip() else ""


def _changed_meanwhile(error: ChangedMeanwhile, _: int) -> str:
    last = error.last
    return texts_limits.changed_meanwhile(None if last is None else last.actor_id, None if last is None else last.at_ms)


def _bad_word_rule(error: BadWordRule, _: int) -> str:
    return texts_admin.bad_word(error.fault, _reason(error.detail))


# Each function takes an error of its key's class and the reference, and returns the whole sentence.
SENTENCES: Mapping[type[BaseException], Callable[[Any, int], str]] = {
    Refusal: lambda error, _: str(error),
    CommandDenied: lambda error, _: texts_buttons.command_denied(error.command, by_form=error.by_form),
    RequestFailed: _request_failed,
    CardRefused: _card_refused,
    InsufficientCredits: _insufficient_credits,
    LineFull: lambda error, _: texts.line_full(error.limit, error.free_at_ms),
    TooManyRequests: lambda error, _: texts.too_many_requests(error.limit, error.next_at_ms),
    Stopped: lambda error, _: texts.stopped(error.reason),
    Draining: lambda error, _: texts.DRAINING,
    NotCancellable: lambda error, _: texts.NOT_CANCELLABLE,
    NotYours: lambda error, _: texts.not_yours(error.owner_id),
    NotThere: lambda error, _: texts_buttons.NOT_THERE,
    UnknownGrant: lambda error, _: texts_owner.no_such_grant(error.number),
    UnknownHold: lambda error, _: texts_owner.NEVER_HELD,
    NoSuchImage: lambda error, _: texts_owner.NO_SUCH_IMAGE,
    WhichImage: lambda error, _: texts_owner.which_image(error.images),
    Blocked: _blocked,
    Paused: lambda error, _: texts_limits.paused(everywhere=error.is_everywhere, reason=_reason(error.reason)),
    ChannelNotAllowed: lambda error, _: texts_limits.channel_not_allowed(error.channel_ids),
    RoleNotAllowed: lambda error, _: texts_limits.role_not_allowed(error.role_ids),
    AgeRestrictedOnly: lambda error, _: texts_limits.AGE_RESTRICTED_ONLY,
    WordNotAllowed: lambda error, _: texts_limits.word_not_allowed(escape(error.rule, RULE_UNITS)),
    BudgetUsedUp: _budget_used_up,
    RulesChanged: lambda error, _: texts_limits.RULES_CHANGED,
    ChangedMeanwhile: _changed_meanwhile,
    BadWordRule: _bad_word_rule,
    TooManyRules: lambda error, _: texts_limits.too_many_rules(error.limit),
    StillAtWork: lambda error, _: texts_privacy.still_at_work(error.images),
    AlreadyReported: lambda error, _: texts_reports.ALREADY_REPORTED,
    NothingToReport: lambda error, _: texts_reports.NOTHING_TO_REPORT,
    TooManyReports: lambda error, _: texts_reports.too_many_reports(error.limit, error.next_at_ms),
    ReportGone: lambda error, _: texts_reports.GONE,
    NotYoursToDecide: lambda error, _: texts_reports.NOT_YOURS,
    app_commands.TransformerError: lambda error, _: texts.VALUE_NOT_TAKEN,
    app_commands.CommandNotFound: lambda error, _: texts.STALE_COMMAND,
    app_commands.CommandSignatureMismatch: lambda error, _: texts.STALE_COMMAND,
    app_commands.CheckFailure: lambda error, _: texts.NOT_ALLOWED_HERE,
    app_commands.NoPrivateMessage: lambda error, _: texts.ONLY_IN_SERVERS,
    app_commands.MissingRole: lambda error, _: texts.NOT_ALLOWED_HERE,
    app_commands.MissingAnyRole: lambda error, _: texts.NOT_ALLOWED_HERE,
    app_commands.MissingPermissions: lambda error, _: texts.NOT_ALLOWED_HERE,
    app_commands.BotMissingPermissions: lambda error, _: texts.permissions_missing(
        [name.replace("_", " ").title() for name in error.missing_permissions]
    ),
}


def sentence_for(error: BaseException, reference: int) -> str | None:
    """Return the sentence for *error*, by its class or the nearest base that has one. None: a fault of the bot."""
    for kind in type(error).__mro__:
        if kind in SENTENCES:
            return SENTENCES[kind](error, reference)
    return None


async def respond_to_error(interaction: discord.Interaction, error: BaseException) -> None:
    """Send the person the sentence for *error*, privately. Log a fault of the bot with the interaction's id."""
    cause = error.original if isinstance(error, app_commands.CommandInvokeError) else error
    if isinstance(cause, discord.HTTPException) and is_unanswerable(cause):
        log.info("interaction %s: Discord takes no response any more (%s)", interaction.id, cause.code)
        return
    sentence = sentence_for(cause, interaction.id)
    if sentence is None or isinstance(cause, RequestFailed):
        log.error("interaction %s of user %s failed: %s", interaction.id, interaction.user.id, described(cause))
    said = (sentence or texts.failed(interaction.id)) + _hint(interaction, cause)
    await respond_privately(interaction, with_mentions(interaction, said))


def with_mentions(interaction: discord.Interaction[Any], text: str) -> str:
    """Make the commands that a *text* of the bot's own names clickable, as far as their ids here are known."""
    return mention_commands(text, interaction.client.services.command_ids.slash_commands(interaction.guild_id))


def _hint(interaction: discord.Interaction[Any], error: BaseException) -> str:
    """Return where to ask, after a refusal that only the bot's owner can take back; empty after others."""
    is_owners = isinstance(error, Stopped) or (isinstance(error, Blocked | Paused) and error.is_everywhere)
    hint = support_hint(interaction.client.services.settings.support_url) if is_owners else ""
    return f" {hint}" if hint else ""


async def handle_errors(interaction: discord.Interaction, work: Awaitable[None]) -> bool:
    """Await *work*, and send the person a sentence if it raises. Return whether it did not raise.

    For buttons and forms, whose exceptions discord.py itself would only log.
    """
    try:
        await work
        return True
    except Exception as error:  # noqa: BLE001 - the last place where a fault can become a sentence
        await respond_to_error(interaction, error)
        return False


async def respond_privately(interaction: discord.Interaction, sentence: str) -> None:
    """Send *sentence* to the person alone, whatever was sent before. Never raises."""
    try:
        await _send_privately(interaction, sentence)
    except Exception as error:  # noqa: BLE001 - a failure to report an error must not raise a second one
        log.info("interaction %s could not be responded to: %s", interaction.id, described(error))


async def defer(interaction: discord.Interaction, *, private: bool) -> discord.InteractionCallbackResponse[Any] | None:
    """Show "thinking…", to all or to the person alone, and note which: a sentence about an error depends on it."""
    interaction.extras[_DEFERRED_PRIVATELY] = private
    return await interaction.response.defer(ephemeral=private, thinking=True)


async def _send_privately(interaction: discord.Interaction, sentence: str) -> None:
    already, interaction.extras[_RESPONDED_PRIVATELY] = _RESPONDED_PRIVATELY in interaction.extras, True
    if not interaction.response.is_done():
        await interaction.response.send_message(sentence, ephemeral=True, allowed_mentions=NOBODY)
    elif already or interaction.response.type is not discord.InteractionResponseType.deferred_channel_message:
        await interaction.followup.send(sentence, ephemeral=True, allowed_mentions=NOBODY)
    elif not interaction.extras.get(_DEFERRED_PRIVATELY, False):
        await _send_after_public_deferral(interaction, sentence)
    elif not await _replace_thinking(interaction, sentence):
        await interaction.followup.send(sentence, ephemeral=True, allowed_mentions=NOBODY)


async def _replace_thinking(interaction: discord.Interaction, text: str) -> bool:
    """Write *text* in place of "thinking…". Return False if the page or card stands there: the edit that failed has
    taken effect, only its answer was lost, and Discord refuses text in a message of Components V2."""
    try:
        await interaction.edit_original_response(content=text, allowed_mentions=NOBODY)
    except discord.HTTPException as error:
        if error.status != 400:
            raise
        return False
    return True


async def _send_after_public_deferral(interaction: discord.Interaction, sentence: str) -> None:
    """Delete the public "thinking…" and send *sentence* privately. What stands in its place stays.

    A follow-up to a message that is still "thinking…" replaces it and is as public as it (Discord docs: Receiving and
    Responding, "Create Followup Message"). After the message is deleted, Discord may refuse the follow-up
    (discord-api-docs#2739). So: edit the message, send the follow-up, delete the message.
    """
    is_replaced = await _replace_thinking(interaction, texts.EXPLAINED_PRIVATELY)
    try:
        await interaction.followup.send(sentence, ephemeral=True, allowed_mentions=NOBODY)
    finally:
        if is_replaced:
            await interaction.delete_original_response()


def is_unanswerable(error: discord.HTTPException) -> bool:
    """Return whether Discord takes no first response to this interaction: too late, or there is one already."""
    return error.code in (UNKNOWN_INTERACTION, UNKNOWN_WEBHOOK, ALREADY_ACKNOWLEDGED)


class Tree(app_commands.CommandTree[discord.Client]):
    """The bot's command tree: an exception of a command becomes a private sentence."""

    async def on_error(self, interaction: discord.Interaction, error: app_commands.AppCommandError, /) -> None:
        await respond_to_error(interaction, error)
