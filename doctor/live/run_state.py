"""What the steps of one run share: the client, the bot's own delivery, what was found, and what has to be removed."""

from __future__ import annotations

import itertools
import random
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from discord_api.live_calls import Answer, LiveClient, SentMessage, Tried
from discord_api.live_commands import delete_command, find_command
from discord_api.snowflakes import snowflake_at
from doctor.live.expectations import Expected, judge, say
from doctor.live.report import Report
from doctor.model import Finding, Level
from generations.clock import Clock
from generations.model import Generation, Image, Origin, Request, State
from qwen.models import OutputFormat, Size
from ui.delivery.calls import Calls
from ui.delivery.channels import Places

PROMPT = "A trial of this bot by python bot.py doctor --live, removed in a moment"
SIZE_LIMIT = 10 * 1024 * 1024  # bytes of a file where neither the person nor the server pays for more
UNKNOWN_MESSAGE, UNKNOWN_COMMAND = 10008, 10063  # Discord docs: Opcodes and Status Codes, "JSON"


class Made(NamedTuple):
    """A message that has to be removed. *token*: of the interaction that made it; empty: the bot's own token did.
    *message_id* 0: the response to that interaction, whose id Discord did not tell."""

    channel_id: int
    message_id: int
    token: str = ""


class MadeCommand(NamedTuple):
    """A global command that has to be deleted. *command_id* 0: Discord did not tell whether it has made it."""

    name: str
    command_id: int


@dataclass(slots=True)
class Run:
    """One run. *owner_id*: who gets the direct message; the cards are for them. *addresses_taken*: whether a gallery of
    addresses was taken; None: not tried. *untried*: what this run can't or was not asked to try, and why."""

    client: LiveClient
    clock: Clock
    rng: random.Random
    places: Places
    calls: Calls
    report: Report
    application_id: int
    owner_id: int = 0
    addresses_taken: bool | None = None
    untried: list[str] = field(default_factory=list[str])
    made: list[Made | MadeCommand] = field(default_factory=list["Made | MadeCommand"])
    doubtful: int = 0  # calls that may have posted a message, whose id is not known
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def judge(self, expected: Expected, answer: Answer) -> None:
        """Note whether *answer* is as expected. One that is not is kept whole."""
        self.judged(judge(expected, answer), answer)

    def judged(self, finding: Finding, answer: Answer) -> None:
        """Note *finding*, which is about *answer*."""
        self.report.note(finding)
        if finding.level is not Level.OK or finding.advice:
            self.report.keep(finding.check, f"HTTP {answer.status}", answer.words)

    async def make(
        self, call: Callable[[], Awaitable[SentMessage]], expected: Expected | None = None, token: str = ""
    ) -> SentMessage | None:
        """Make a call that posts a message, and note the message for its removal. None: Discord refused it."""

        def register(tried: Tried[SentMessage]) -> None:
            if tried.value is not None:
                self.made.append(Made(tried.value.channel.id, tried.value.id, token))
            elif tried.answer.status is None or tried.answer.status >= 500:
                self.doubtful += 1

        tried = await self.client.attempt(call(), register)
        if expected is not None:
            self.judge(expected, tried.answer)
        return tried.value

    async def remove_commands(self) -> None:
        """Delete every command that was made. What could not be deleted is left to remove_all()."""
        for made in [each for each in self.made if isinstance(each, MadeCommand)]:
            if _is_gone(await self._delete_command(made)):
                self.made.remove(made)

    async def remove_all(self) -> None:
        """Remove everything that was made, the last one first. Notes what could not be removed."""
        left = 0
        while self.made:
            made = self.made.pop()
            removed = self._remove_command(made) if isinstance(made, MadeCommand) else self._remove_message(made)
            left += not await removed
        if self.doubtful:
            text = f"{self.doubtful} calls had no answer, and may have posted a message"
            self.report.note(Finding("removal", Level.WARN, text, "look into the channel, and delete it by hand"))
        elif not left:
            self.report.note(Finding("removal", Level.OK, "everything that was made is removed"))

    async def _remove_message(self, made: Made) -> bool:
        """Remove a message by its token if it has one, and else or then with the bot's own."""
        tried = None
        if made.token:
            tried = await self.client.delete_by_token(self.application_id, made.token, made.message_id)
        if tried is None or (made.message_id and not _is_gone(tried.answer)):
            tried = await self.client.delete(made.channel_id, made.message_id)
        if not _is_gone(tried.answer):
            text = f"message {made.message_id} in channel {made.channel_id} is still there: {say(tried.answer)}"
            self.report.note(Finding("removal", Level.WARN, text, "delete it by hand"))
        return _is_gone(tried.answer)

    async def _remove_command(self, made: MadeCommand) -> bool:
        """Delete a command, or note that it may still be there."""
        answer = await self._delete_command(made)
        if not _is_gone(answer):
            text = f"the command /{made.name} may still be there: {say(answer)}"
            advice = "start the bot anew: it sends its own list where Discord's differs, which has no such command"
            self.report.note(Finding("removal", Level.WARN, text, advice))
        return _is_gone(answer)

    async def _delete_command(self, made: MadeCommand) -> Answer:
        """Delete a command, by its name if its id is not known. Returns the answer to the last call."""
        command_id = made.command_id
        if not command_id:
            found = await find_command(self.client, made.name)
            if not found.value:
                return found.answer  # a list without it, or no list
            command_id = found.value
        return (await delete_command(self.client, command_id)).answer

    def generation(
        self, origin: Origin | None, channel_id: int, guild_id: int | None, *, prompt: str = PROMPT, count: int = 1
    ) -> Generation:
        """Build a generation whose images are being made, in a place that no interaction came from, or from *origin*.

        Its id is of this moment, so that no two have one nonce.
        """
        number = snowflake_at(self.clock.now_ms()) + next(self.numbers)
        if origin is None:
            ids = (number, self.application_id, self.owner_id, channel_id)
            origin = Origin(*ids, guild_id, token="", attachment_size_limit=SIZE_LIMIT)
        request = Request(prompt, Size.SQUARE, 42, OutputFormat.PNG, count)
        images = tuple(Image(number, at, request.seed_at(at), State.RUNNING) for at in range(count))
        return Generation(number, request, origin, self.clock.now_ms(), images)


def _is_gone(answer: Answer) -> bool:
    return answer.is_success or answer.code in (UNKNOWN_MESSAGE, UNKNOWN_COMMAND)
