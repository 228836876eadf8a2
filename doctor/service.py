"""Run the checks: get what each one judges, one apart from the other, each within a time. Changes nothing anywhere."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from discord_api.command_lists import CommandLists
from discord_api.errors import described
from doctor import discord_checks, machine_checks, network_checks
from doctor.discord_checks import Answered
from doctor.listening import PortRefused, PortTaken, answering
from doctor.model import Finding, Level
from doctor.network_checks import Listener, PublicAnswer
from generations.callbacks import PATH
from generations.clock import Clock, done_within
from qwen.errors import QwenError
from qwen.pages import Fetch, Unreached
from qwen.retry_after import find_header
from settings import Settings
from store.errors import DatabaseUnreachable
from store.inspection import Inspected, folder_of, inspect_database, known_revisions
from store.schema import NEWEST_REVISION
from version import VERSION

CHECK_SECONDS = 30.0  # for one check; a request gets 10 s, and a file of some gigabytes is read whole
REDIRECTS_MAX = 5
USER_AGENT = f"DiscordBot (https://discord.com, {VERSION})"  # Discord docs: API Reference, "User Agent"

Findings = Sequence[Finding]
Check = Callable[[], Coroutine[Any, Any, Findings]]


@dataclass(frozen=True, slots=True)
class Machine:
    """What the checks get of this machine and its network. *environment*: of this process. *mounts*: the text of
    /proc/mounts, "" where there is none. *free_bytes*: the room on the disk of a folder. *listen_host*: where the bot
    listens on PORT. *ask_task*: GET /status of the image API; raises QwenError.
    """

    clock: Clock
    environment: Mapping[str, str]
    mounts: str
    free_bytes: Callable[[Path], int]
    listen_host: str
    fetch: Fetch
    ask_task: Callable[[str], Awaitable[object]]
    list_commands: Callable[[Settings], Awaitable[CommandLists]]


class Doctor:
    """The checks of one installation, by its settings."""

    def __init__(self, settings: Settings, machine: Machine) -> None:
        self._settings = settings
        self._machine = machine
        self._is_accepted = False  # the token
        self._application_id: int | None = None
        self._inspection: asyncio.Task[Inspected] | None = None

    async def examine(self) -> list[Finding]:
        """Run every check and return what they found, in the order of the table.

        Those of the application, the servers and the commands are left out where the login fails.
        """
        found = await self._run({"token": self._check_token})
        if self._is_accepted:
            found += await self._run({"application": self._check_application})
        if self._application_id is not None:
            found += await self._run({"servers": self._check_servers, "commands": self._check_commands})
        return found + await self._run(
            {
                "API key": self._check_key,
                "database": self._check_database,
                "disk": self._check_disk,
                "PUBLIC_URL": self._check_public_url,
                "links": self._check_links,
            }
        )

    async def _run(self, checks: Mapping[str, Check]) -> list[Finding]:
        """Run *checks* beside each other. One that raises or takes too long is a finding."""
        tasks = {name: asyncio.ensure_future(check()) for name, check in checks.items()}
        await asyncio.gather(*(done_within(task, CHECK_SECONDS, self._machine.clock) for task in tasks.values()))
        found: list[Finding] = []
        for name, task in tasks.items():
            if not task.done():
                task.cancel()
                found.append(Finding(name, Level.FAIL, f"It did not end within {CHECK_SECONDS:.0f} s.", "Try again."))
            elif error := task.exception():
                text = f"The check itself failed ({described(error)})."
                found.append(Finding(name, Level.FAIL, text, "Report this line."))
            else:
                found += task.result()
        return found

    async def _ask(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, *, redirects: int = 0
    ) -> Answered:
        try:
            return await self._machine.fetch(method, url, headers, redirects=redirects)
        except Unreached as unreached:
            return unreached

    async def _ask_discord(self, path: str) -> Answered:
        token = self._settings.discord_token
        headers = {"Authorization": f"Bot {token}", "User-Agent": USER_AGENT}
        return await self._ask("GET", f"{self._settings.discord_api_url}{path}", headers)

    async def _check_token(self) -> Findings:
        """Log in as the bot does, without the gateway; the answer's header tells Discord's time."""
        clock = self._machine.clock
        asked_ms = clock.now_ms()
        answer = await self._ask_discord("/users/@me")
        answered_ms = clock.now_ms()
        judged = discord_checks.judge_token(answer)
        self._is_accepted = judged.level is Level.OK
        if isinstance(answer, Unreached):
            return [judged]
        date = find_header(answer.headers, "date")
        return [judged, discord_checks.judge_clock(date, asked_ms, answered_ms)]

    async def _check_application(self) -> Findings:
        answer = await self._ask_discord("/applications/@me")
        self._application_id = discord_checks.parse_application_id(answer)
        return discord_checks.judge_application(answer, self._settings.privacy_url, self._settings.terms_url)

    async def _check_servers(self) -> Findings:
        return [discord_checks.judge_servers(await self._ask_discord("/users/@me/guilds?limit=200"))]

    async def _check_commands(self) -> Findings:
        application = f"/applications/{self._application_id}"
        ours = await self._machine.list_commands(self._settings)
        answer = await self._ask_discord(f"{application}/commands?with_localizations=true")
        found = [discord_checks.judge_commands(answer, ours.everywhere)]
        for guild_id, commands in ours.by_guild.items():
            answer = await self._ask_discord(f"{application}/guilds/{guild_id}/commands?with_localizations=true")
            found.append(discord_checks.judge_guild_commands(answer, guild_id, commands))
        return found

    async def _inspect(self) -> Inspected:
        """Look at the database, once for all checks. Raises DatabaseUnreachable."""
        if self._inspection is None:
            self._inspection = asyncio.create_task(inspect_database(self._settings.database_url))
        return await asyncio.shield(self._inspection)

    async def _check_key(self) -> Findings:
        try:
            await self._machine.ask_task(network_checks.NO_TASK)
        except QwenError as error:
            return [network_checks.judge_key(error)]
        return [network_checks.judge_key(None)]

    async def _check_database(self) -> Findings:
        clock = self._machine.clock
        asked_ms = clock.now_ms()
        try:
            found = await self._inspect()
        except DatabaseUnreachable as error:
            return [machine_checks.judge_database(error)]
        judged = [
            machine_checks.judge_database(found),
            machine_checks.judge_migrations(found.revisions, NEWEST_REVISION, known_revisions()),
        ]
        if found.now_ms is not None:
            judged.append(discord_checks.judge_skew("the database server", found.now_ms, 0, asked_ms, clock.now_ms()))
        return judged

    async def _check_disk(self) -> Findings:
        """Judge whether the disk of a SQLite file is kept, and the room on it."""
        address, machine = self._settings.database_url, self._machine
        folder = folder_of(address)
        kind = None if folder is None else machine_checks.find_file_system(folder, machine.mounts)
        allowed = self._settings.allow_ephemeral_database
        try:
            size = (await self._inspect()).bytes
        except DatabaseUnreachable:
            size = 0
        return [
            machine_checks.judge_disk(address, machine.environment, kind, allowed=allowed),
            machine_checks.judge_space(None if folder is None else machine.free_bytes(folder), size),
        ]

    async def _check_public_url(self) -> Findings:
        settings = self._settings
        if not settings.public_url:
            return [Finding(network_checks.PUBLIC, Level.OK, "It is not set: the bot polls, and nothing is missing.")]
        if loopback := network_checks.judge_loopback(settings.public_url, settings.qwen_api_url):
            return [loopback]
        is_server = folder_of(settings.database_url) is None
        found = await self._ask_public_url()
        return network_checks.judge_public_url(found, settings.callback_port, others_may_answer=is_server)

    async def _ask_public_url(self) -> PublicAnswer:
        """Call PUBLIC_URL as the image API would, while the bot listens on PORT, or this command in its place."""
        port = self._settings.callback_port
        name = secrets.token_urlsafe(24)
        url, proof = f"{self._settings.public_url}{PATH}doctor-{name}", name.encode("ascii")
        try:
            async with answering(self._machine.listen_host, port, proof):
                return PublicAnswer(Listener.DOCTOR, await self._ask("POST", url), proof)
        except PortRefused:
            return PublicAnswer(Listener.NOBODY, None, proof)
        except PortTaken:
            here = f"http://127.0.0.1:{port}"
            callback = await self._ask("POST", f"{here}{PATH}doctor-{name}")
            health = await self._ask("GET", f"{here}/healthz") if self._settings.port is not None else None
            return PublicAnswer(network_checks.judge_listener(callback, health), await self._ask("POST", url), proof)

    async def _check_links(self) -> Findings:
        settings, found = self._settings, list[Finding]()
        for name, url in (
            *(("PRIVACY_URL", settings.privacy_url), ("TERMS_URL", settings.terms_url)),
            *(("SUPPORT_URL", settings.support_url),),
        ):
            answer = await self._ask("GET", url, redirects=REDIRECTS_MAX) if url else None
            found += network_checks.judge_link(name, answer)
        return found
