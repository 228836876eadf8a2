"""Alert the bot's owner to what only they can fix, at most once per matter in QUIET_SECONDS, and send what waits for
them in the outbox. Never raises."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine

import discord

from discord_api.errors import NO_ANSWER, ClientClosed, Verdict, asking, verdict_of
from discord_api.owners import BotOwners
from generations.clock import Clock
from limits.outbox import Outbox
from store.errors import DatabaseLost
from ui.texts.card import owner_alert, owner_news

log = logging.getLogger("qwen_imagine.operator")

QUIET_SECONDS = 6 * 3600.0
TRY_SECONDS = 90.0  # one try takes no longer: whoever began it and has not ended it by then is dead
RETRY_SECONDS = (30.0, 120.0, 480.0, 1800.0)  # after each try that failed, or that another process had begun
DRAIN_SECONDS = 2.0
BEFORE_START_SECONDS = 8.0
Claim = Callable[[str, float], Awaitable[bool]]


class OwnerAlerts:
    """generations.ports.Operator: one log line and one direct message to each owner, per matter and six hours.

    *owner_ids*: whom to alert; empty: whoever owns the application at Discord. *claim*: take a matter for so many
    seconds, or return False while another process has it; None: there is no other one. *outbox* None: before the start.
    """

    def __init__(
        self,
        client: discord.Client,
        clock: Clock,
        owner_ids: Collection[int],
        claim: Claim | None = None,
        outbox: Outbox | None = None,
    ) -> None:
        self._client = client
        self._clock = clock
        self._owners = BotOwners(client, clock, owner_ids)
        self._claim = claim or _claim_alone
        self._outbox = outbox
        self._alerted_at: dict[str, float] = {}
        self._telling: set[asyncio.Task[None]] = set()
        self._sending_news: asyncio.Task[None] | None = None
        self._pauses: set[asyncio.Future[None]] = set()  # between two tries
        self._draining = False

    def tell(self, matter: str, detail: str) -> None:
        """Send *detail*, a full sentence; not if *matter* (a short constant) had an alert in the last QUIET_SECONDS."""
        now = self._clock.monotonic()
        if now - self._alerted_at.get(matter, float("-inf")) < QUIET_SECONDS:
            return
        self._alerted_at[matter] = now
        log.error("%s: %s", matter, detail)
        self._start(self._send(matter, owner_alert(detail)))

    def tell_change(self, matter: str, detail: str) -> None:
        """Log *detail*, which the caller has added to the outbox, and send what waits there.

        An alert about the same *matter* is left out for the next QUIET_SECONDS.
        """
        self._alerted_at[matter] = self._clock.monotonic()
        log.warning("%s: %s", matter, detail)
        self._start_news()

    async def run_due(self) -> None:
        """Begin to send what waits in the outbox. Called regularly."""
        if self._sending_news is None or self._sending_news.done():
            self._start_news()

    def _start_news(self) -> None:
        """Send what waits, also what was added while a message before it was being sent."""
        if self._outbox is not None and not self._draining:
            self._sending_news = self._start(self._send_news_after(self._sending_news, self._outbox))

    def _start(self, sending: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(sending)
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)
        return task

    async def _send_news_after(self, earlier: asyncio.Task[None] | None, outbox: Outbox) -> None:
        if earlier is not None and not earlier.done():
            await asyncio.wait({earlier})
        try:
            while not self._draining and (news := await outbox.begin_news()):
                told = set(news.told)
                if not await self._try("news", owner_news(news.text), news.nonce, told):
                    await outbox.put_off(news, told)
                    return
                await outbox.end(news)
        except DatabaseLost as lost:
            log.warning("what waits for the owner can't be sent now (%s)", lost)

    async def tell_before_start(self, token: str, detail: str) -> None:
        """Send *detail* by REST alone, from a process that is about to end. Gives up where Discord does not answer."""
        with contextlib.suppress(discord.LoginFailure, discord.HTTPException, TimeoutError, *NO_ANSWER):
            async with asyncio.timeout(BEFORE_START_SECONDS), self._client:
                with asking(self._client):
                    await self._client.login(token)
                await self._send("start", owner_alert(detail))

    async def owners(self) -> frozenset[int]:
        """Return the ids of who gets alerts. Raises as BotOwners.load() does."""
        return (await self._owners.load()).alerted

    async def drain(self, seconds: float = DRAIN_SECONDS) -> None:
        """Begin no new try, and wait for messages under way, for *seconds* at most. The log has their text too."""
        self._draining = True
        for pause in self._pauses:
            pause.cancel()
        if self._telling:
            _, late = await asyncio.wait(self._telling, timeout=seconds)
            if late:
                log.warning("stopping: %d messages to the owner cut off after %.0f s", len(late), seconds)

    async def _send(self, matter: str, text: str) -> None:
        """Send to every owner, again after each of RETRY_SECONDS where Discord can't take it.

        The matter is claimed for each try, and for QUIET_SECONDS once it was sent. While another process has it, that
        process is waited for in the same way: it may have died. If the last try fails too, the next alert about the
        matter is sent whenever it comes.
        """
        nonce, done, is_claimed = f"alert-{self._clock.now_ms()}", set[int](), True
        for seconds in (*RETRY_SECONDS, None):
            is_claimed = await self._claim(matter, TRY_SECONDS + (seconds or 0.0))
            if is_claimed and await self._try(matter, text, nonce, done):
                await self._claim(matter, QUIET_SECONDS)
                return
            if seconds is None or not await self._pause(seconds):
                break
        if is_claimed:
            self._alerted_at.pop(matter, None)

    async def _try(self, matter: str, text: str, nonce: str, done: set[int]) -> bool:
        """Send to the owners who are not in *done*, and add them to it. Return whether no owner is left for later."""
        try:
            owner_ids = await self.owners()
        except (discord.HTTPException, *NO_ANSWER) as error:
            log.warning("%s: the application's owner can't be asked for (%s)", matter, type(error).__name__)
            return not _passes(error)
        for owner_id in sorted(owner_ids - done):
            try:
                with asking(self._client):
                    channel = await self._client.create_dm(discord.Object(owner_id))
                    # The nonce makes one message of two tries (Discord docs: "Create Message").
                    nobody = discord.AllowedMentions.none()
                    await channel.send(text, allowed_mentions=nobody, nonce=nonce)
            except (discord.HTTPException, *NO_ANSWER) as error:
                log.warning("%s: the owner %s can't be told (%s)", matter, owner_id, type(error).__name__)
                if _passes(error):
                    continue
            done.add(owner_id)
        return owner_ids <= done

    async def _pause(self, seconds: float) -> bool:
        """Sleep. False: the bot stops."""
        if self._draining:
            return False
        pause = asyncio.ensure_future(self._clock.sleep(seconds))
        self._pauses.add(pause)
        await asyncio.wait({pause})
        self._pauses.discard(pause)
        return not pause.cancelled()


async def _claim_alone(_matter: str, _seconds: float) -> bool:
    return True


def _passes(error: BaseException) -> bool:
    """Whether the same call may succeed later."""
    if isinstance(error, discord.HTTPException):
        return verdict_of(error, by_token=False) is Verdict.LATER
    return not isinstance(error, ClientClosed)
