"""Run everything that was asked for, remove what was made, and write the report, also after Ctrl-C and faults."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass

from discord_api.live_calls import LoginFailed, open_client
from discord_api.owners import BotOwners
from doctor.live.arguments import LiveOptions, list_untried
from doctor.live.button_steps import try_presses
from doctor.live.card_steps import try_card, try_direct_message, try_posts, try_private_thread, try_without_bot
from doctor.live.command_steps import try_command
from doctor.live.expectations import Expected
from doctor.live.image_expectations import cost_of
from doctor.live.image_steps import try_images
from doctor.live.report import Report, open_report, write_report
from doctor.live.run_state import Run
from doctor.model import Finding, Level, worst_level
from generations.clock import Clock
from generations.token_only_channels import TokenOnlyChannels
from settings import Settings
from ui.delivery.calls import Calls
from ui.delivery.channels import Places
from ui.delivery.rate_guard import RateGuard

EXIT_FAIL = 1
EXIT_USAGE = 64  # sysexits.h EX_USAGE
EXIT_INTERRUPTED = 130  # as a shell reports SIGINT


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a run gets from outside. *say*: print a line; *ask*: whether a person agrees to a question, None where
    nobody can be asked; *port_is_given*: PORT is set in the environment itself."""

    clock: Clock
    rng: random.Random
    say: Callable[[str], None]
    ask: Callable[[str], Awaitable[bool]] | None = None
    token_bytes: Callable[[int], bytes] = os.urandom
    port_is_given: bool = False


async def run_live(settings: Settings, options: LiveOptions, around: Surroundings) -> int:
    """Run, and return the exit code: 0, 1 where something is broken for the bot, 64 and 130.

    Raises discord.LoginFailure for a refused token.
    """
    if options.buy and not await _may_spend(settings, options, around):
        return EXIT_USAGE
    try:
        descriptor = None if options.report is None else open_report(options.report)
    except OSError as error:
        around.say(f"{options.report} can't be written: {error.strerror}. A report never replaces a file.")
        return EXIT_FAIL
    report = Report(settings.secrets(), around.say)
    work = asyncio.create_task(_run_all(settings, options, around, report), name="doctor --live")
    try:
        with _cancelled_by_signals(work):
            await asyncio.wait({work})
    finally:
        work.cancel()
        await asyncio.wait({work})
        if descriptor is not None:
            write_report(descriptor, report)
            around.say(f"written: {options.report}")
    if work.cancelled():
        return EXIT_INTERRUPTED
    work.result()
    return EXIT_FAIL if worst_level(report.findings) is Level.FAIL else 0


async def _may_spend(settings: Settings, options: LiveOptions, around: Surroundings) -> bool:
    """Say what the images cost, and whether they may be made."""
    cost = cost_of(with_callback=bool(settings.public_url))
    around.say(f"--buy-one spends up to {cost} credits of the image API's account.")
    if options.is_confirmed:
        return True
    if around.ask is None:
        around.say("Nobody can be asked here: add --yes to agree.")
        return False
    return await around.ask("Spend them?")


@contextlib.contextmanager
def _cancelled_by_signals(work: asyncio.Task[None]) -> Generator[None]:
    """Cancel *work* at the first SIGINT or SIGTERM, and ignore further ones: it still removes what it has made."""
    loop, installed, came = asyncio.get_running_loop(), list[int](), list[int]()

    def stop(number: int) -> None:
        if not came:
            work.cancel()
        came.append(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C cancels the task of asyncio.run
            loop.add_signal_handler(number, stop, number)
            installed.append(number)
    try:
        yield
    finally:
        for number in installed:
            loop.remove_signal_handler(number)


async def _run_all(settings: Settings, options: LiveOptions, around: Surroundings, report: Report) -> None:
    try:
        opened = open_client(
            around.clock,
            settings.discord_token,
            api_url=settings.discord_api_url,
            gateway_url=settings.discord_gateway_url,
        )
        async with opened as client:
            places = Places(client, around.clock, TokenOnlyChannels(around.clock), token_margin_seconds=60.0)
            calls = Calls(places, RateGuard(around.clock))
            run = Run(client, around.clock, around.rng, places, calls, report, client.application_id or 0)
            try:
                await _try_discord(settings, options, run)
            finally:
                await run.remove_all()
    except LoginFailed as error:
        advice = "is Discord reachable from here? DISCORD_API_URL says where it is"
        report.note(Finding("login", Level.FAIL, str(error), advice))
    if options.buy:
        await try_images(settings, report, around.clock, around.token_bytes, port_is_given=around.port_is_given)


async def _try_discord(settings: Settings, options: LiveOptions, run: Run) -> None:
    found = await run.client.find_channel(options.channel_id)
    run.judge(Expected.CHANNEL, found.answer)
    channel = found.value
    if channel is None:
        return
    run.report.add("The channel", f"type {channel.type}, {'in a server' if channel.guild_id else 'direct message'}")
    owners = await run.client.attempt(BotOwners(run.client, run.clock, settings.owner_ids).load())
    if owners.value is not None:
        run.owner_id = min(owners.value.alerted)
    if await try_card(run, channel):
        await try_posts(run, channel)
    if options.private_thread_id is not None:
        await try_private_thread(run, options.private_thread_id, channel.guild_id)
    if options.without_bot_id is not None:
        await try_without_bot(run, options.without_bot_id)
    if owners.value is None:
        run.judge(Expected.DIRECT_MESSAGE, owners.answer)
    else:
        await try_direct_message(run)
    await try_command(run)
    if options.with_button:
        await try_presses(run, channel, options.without_files_id, settings.shards)
    run.report.add("Not tried, and why", *run.untried, *list_untried(options))
