"""Start a bot and a browser, and run all journeys side by side, with or without kills between the steps."""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Set
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from playwright.async_api import Browser

from sandbox.image_api.api import Post
from sandbox.image_api.moods import Mood
from sandbox.local_discord.media.cdn import attachment_id_in
from sandbox.world import Sandbox
from scripts.visitor import DESKTOP, PHONE, Visitor
from tests.e2e.running_bot import IMAGE_SECONDS, READY_SECONDS
from tests.e2e.scenarios import BotDatabase
from tests.journeys.journeys import JOURNEYS
from tests.journeys.owner import closing
from tests.journeys.scene import (
    DECLINED,
    KEPT,
    MODERATED,
    PRIVATE,
    REPORTED,
    RUDE,
    SHARED,
    Journey,
    Scene,
    until,
)
from tests.page.chromium import open_chromium

log = logging.getLogger(__name__)
SCREENSHOTS = os.environ.get("JOURNEY_SCREENSHOTS")  # without it no step that goes well has one
POSTER = "A poster for the summer fair: lanterns over the harbour, room for the date at the top."
PROMPTS = [  # of the POSTs that must be made: one for each image, however often the bot was killed
    *(DECLINED, KEPT, MODERATED, SHARED, SHARED, "a wish that is granted"),
    *("as mira likes it", "as mira likes it", "every option at once", "every option at once"),
    *("edited by mira", "edited by mira", "one more for a second page", "in a direct message"),
    *("asked in a voice channel", POSTER, "three in a boat"),
    *("a boat far away", *["four in a thread"] * 4, "a street after dark", "a fox in deep snow"),
    *(RUDE, REPORTED, PRIVATE, "an apple tree in May"),
]
DARK = {"mira": True, "jonas": False, "sam": False, "olga": True, "ada": True, "hugo": False}
AT_DESKS = frozenset({"mira", "sam", "ada"})
SMALL = "768*1024"
TOO_WIDE = """() => [...document.querySelectorAll('html, #app, #main, #messages, .container, .modal, .body')]
  .filter((it) => it.scrollWidth > it.clientWidth + 1).map((it) => it.id || it.className)"""


def screenshots_folder(name: str) -> Path:
    """The folder for screenshots: below JOURNEY_SCREENSHOTS, else a new temporary one, for a step that goes wrong."""
    folder = Path(SCREENSHOTS) / name if SCREENSHOTS else Path(tempfile.mkdtemp(prefix=f"journeys-{name}-"))
    folder.mkdir(parents=True, exist_ok=True)
    log.info("the screenshots of these journeys are in %s", folder)
    return folder


@asynccontextmanager
async def open_scene(data_dir: Path, name: str, at_desks: Set[str] = AT_DESKS) -> AsyncIterator[Scene]:
    """Start a bot and six people's pages, post the cards that the journeys need, and check everything at the end.

    *at_desks*: who has a wide page; the others have a phone.
    """
    settings = {"MAX_IMAGES_PER_USER": "3", "MAX_QUEUE": "8", "REQUESTS_PER_MINUTE": "0"}
    async with Sandbox(data_dir=data_dir, bot_settings=settings, seconds_per_image=IMAGE_SECONDS) as box:
        box.discord.gateway.identify_spacing_ms = 0
        await box.bot.start()
        async with open_chromium() as browser:
            visitors = await _open_pages(browser, box, screenshots_folder(name), at_desks)
            await box.bot.wait_ready(READY_SECONDS)
            scene = Scene(box, visitors)
            posting = asyncio.create_task(_post_first_cards(scene, data_dir))
            await until(lambda: SHARED in scene.known)
            yield scene
            await posting
            console_errors = [line for each in visitors.values() for line in each.console_errors]
            unexpected = [line for line in console_errors if not _is_deleted_file(line, box)]
            assert unexpected == [], unexpected
            BotDatabase(data_dir / "bot.sqlite3").assert_balanced()
            prompts = [_prompt_of(post) for post in box.images.posts]
            assert sorted(prompts) == sorted(PROMPTS)
    assert [str(violation) for violation in box.discord.violations] == []


def _is_deleted_file(line: str, box: Sandbox) -> bool:
    """Whether an error in a console says that a file was not found whose message somebody deleted: a page that opens a
    channel just then has not loaded it yet."""
    url = urlsplit(line.rpartition(" ")[2])
    is_gone = box.discord.cdn.find(url.path, dict(parse_qsl(url.query))) is None
    return "404" in line and attachment_id_in(url.path) is not None and is_gone


def _prompt_of(post: Post) -> str:
    assert isinstance(post.body, dict)
    return str(post.body["prompt"])


async def _open_pages(browser: Browser, box: Sandbox, folder: Path, at_desks: Set[str]) -> dict[str, Visitor]:
    people = {
        name: Visitor.open(
            browser, box.url, name, size=DESKTOP if name in at_desks else PHONE, dark=dark, folder=folder
        )
        for name, dark in DARK.items()
    }
    return dict(zip(people, await asyncio.gather(*people.values()), strict=True))


async def _post_first_cards(scene: Scene, data_dir: Path) -> None:
    """Post olga's cards: two with buttons for others, one declined, and one whose image can't be posted anywhere."""
    box = scene.box
    actor, rows = box.discord.actor("olga"), BotDatabase(data_dir / "bot.sqlite3")
    box.images.set_mood(Mood.DECLINED, 1)
    declined = await actor.command("gallery", "imagine", prompt=DECLINED, size=SMALL)
    await until(lambda: len(box.images.posts) == 1)
    kept = await actor.command("studio", "imagine", prompt=KEPT, size=SMALL)
    await actor.wait_for(lambda: actor.answer(kept))
    token, studio = actor.interaction(kept).token, box.discord.channels["studio"].id
    box.discord.faults.rest("*", f"/{token}", status=403, code=50001, times=None)
    box.discord.faults.rest("*", f"/channels/{studio}/", status=403, code=50013, times=None)
    box.discord.closed_dms.add(box.discord.people["olga"].id)
    cards = {name: await actor.command("gallery", "imagine", prompt=name, size=SMALL) for name in (MODERATED, SHARED)}
    for asked in (declined, *cards.values()):
        await until(lambda asked=asked: rows.states(asked) in (["delivered"], ["failed"]))
    scene.known[SHARED] = "delivered"
    await until(lambda: rows.states(kept) == ["undelivered"], 60)
    box.discord.closed_dms.clear()  # reports come to her by direct message
    scene.known[KEPT] = "undelivered"


async def run_side_by_side(scene: Scene) -> None:
    """Run all journeys at once, each without waiting for the others, then the closing."""
    async with asyncio.TaskGroup() as group:
        for name, journey in JOURNEYS.items():
            group.create_task(_run(name, journey(scene, scene.visitors[name]), scene))
    await closing(scene)


async def run_in_step(scene: Scene, between: Callable[[], Awaitable[None]]) -> int:
    """Run one step of every journey, await *between*, and so on, then the closing. Return how often *between* was
    awaited."""
    journeys = {name: journey(scene, scene.visitors[name]) for name, journey in JOURNEYS.items()}
    rounds = 0
    while journeys:
        async with asyncio.TaskGroup() as group:
            steps = {name: group.create_task(_step(name, journey, scene)) for name, journey in journeys.items()}
        journeys = {name: journey for name, journey in journeys.items() if steps[name].result()}
        if journeys:
            await between()
            rounds += 1
    await closing(scene)
    return rounds


async def _run(name: str, journey: Journey, scene: Scene) -> None:
    while await _step(name, journey, scene):
        pass


async def _step(name: str, journey: Journey, scene: Scene) -> bool:
    """Take the next step, with a screenshot if wanted; return False when the journey is over."""
    visitor = scene.visitors[name]
    try:
        step = await anext(journey, None)
    except BaseException as error:  # also when another journey failed: its screenshot helps too
        error.add_note(f"in the journey of {name}")
        await visitor.screenshot("went-wrong")
        raise
    if step is not None:
        if SCREENSHOTS:
            await visitor.screenshot(step)
        assert await visitor.page.evaluate(TOO_WIDE) == [], (name, step)
    return step is not None
