"""Opens the world of the walk and tells its stories side by side, with or without kills between the steps."""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Browser

from sandbox.image_api.api import Post
from sandbox.image_api.moods import Mood
from sandbox.world import Sandbox
from scripts.visitor import DESKTOP, PHONE, Visitor
from tests.e2e.side_by_side import Books
from tests.e2e.trial import IMAGE_SECONDS, READY_SECONDS
from tests.journeys.scene import DECLINED, KEPT, MODERATED, SHARED, Scene, Story, until
from tests.journeys.stories import STORIES
from tests.page.chromium import open_chromium

log = logging.getLogger(__name__)
POSTER = "A poster for the summer fair: lanterns over the harbour, room for the date at the top."
PAINTED = [  # each of these once for every image, however often the bot was killed
    *(DECLINED, KEPT, MODERATED, SHARED, SHARED, "a wish that is granted"),
    *("as mira likes it", "as mira likes it", "every option at once", "every option at once"),
    *("edited by mira", "edited by mira", "one more for a second page", "in a direct message"),
    *("asked in a voice channel", POSTER, "three in a boat"),
    *("a boat far away", *["four in a thread"] * 4, "a street after dark", "a fox in deep snow"),
]
LOOKS = {"mira": (DESKTOP, True), "jonas": (PHONE, False), "sam": (DESKTOP, False), "olga": (PHONE, True)}
SMALL = "768*1024"
TOO_WIDE = """() => [...document.querySelectorAll('html, #app, #main, #messages, .container, .modal, .body')]
  .filter((it) => it.scrollWidth > it.clientWidth + 1).map((it) => it.id || it.className)"""


def pictures_folder(name: str) -> Path:
    """Where the pictures of a walk go: below JOURNEY_SCREENSHOTS, else a new folder among the temporary ones."""
    chosen = os.environ.get("JOURNEY_SCREENSHOTS")
    folder = Path(chosen) / name if chosen else Path(tempfile.mkdtemp(prefix=f"walk-{name}-"))
    folder.mkdir(parents=True, exist_ok=True)
    log.info("the pictures of this walk are in %s", folder)
    return folder


@asynccontextmanager
async def open_scene(data_dir: Path, name: str) -> AsyncIterator[Scene]:
    """A running bot, what stands there before anybody comes, and four people at their pages."""
    settings = {"MAX_IMAGES_PER_USER": "3", "MAX_QUEUE": "8", "REQUESTS_PER_MINUTE": "0"}
    async with Sandbox(data_dir=data_dir, bot_settings=settings, seconds_per_image=IMAGE_SECONDS) as box:
        box.discord.gateway.identify_spacing_ms = 0
        await box.bot.start()
        async with open_chromium() as browser:
            visitors = await _arrive(browser, box, pictures_folder(name))
            await box.bot.wait_ready(READY_SECONDS)
            scene = Scene(box, visitors)
            keeping = asyncio.create_task(_set_the_scene(scene, data_dir))
            await until(lambda: SHARED in scene.said)
            yield scene
            await keeping
            assert [line for each in visitors.values() for line in each.console_errors] == []
            Books(data_dir / "bot.sqlite3").assert_sound()
            prompts = [_prompt_of(post) for post in box.images.posts]
            assert sorted(prompts) == sorted(PAINTED)
    assert [str(violation) for violation in box.discord.violations] == []


def _prompt_of(post: Post) -> str:
    assert isinstance(post.body, dict)
    return str(post.body["prompt"])


async def _arrive(browser: Browser, box: Sandbox, folder: Path) -> dict[str, Visitor]:
    people = {
        name: Visitor.open(browser, box.url, name, size=size, dark=dark, folder=folder)
        for name, (size, dark) in LOOKS.items()
    }
    return dict(zip(people, await asyncio.gather(*people.values()), strict=True))


async def _set_the_scene(scene: Scene, data_dir: Path) -> None:
    """Olga's cards: two for others to press on, one that was declined, and one that nobody let the bot post."""
    box = scene.box
    actor, books = box.discord.actor("olga"), Books(data_dir / "bot.sqlite3")
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
        await until(lambda asked=asked: books.states(asked) in (["delivered"], ["failed"]))
    scene.said[SHARED] = "delivered"
    await until(lambda: books.states(kept) == ["undelivered"], 60)
    scene.said[KEPT] = "undelivered"


async def tell_freely(scene: Scene) -> None:
    """Everybody goes at their own pace."""
    async with asyncio.TaskGroup() as group:
        for name, story in STORIES.items():
            group.create_task(_tell(name, story(scene, scene.visitors[name]), scene))


async def tell_in_step(scene: Scene, between: Callable[[], Awaitable[None]]) -> int:
    """Everybody takes one step, then *between* happens, and so on. Gives how often it did."""
    stories = {name: story(scene, scene.visitors[name]) for name, story in STORIES.items()}
    rounds = 0
    while stories:
        async with asyncio.TaskGroup() as group:
            steps = {name: group.create_task(_step(name, story, scene)) for name, story in stories.items()}
        stories = {name: story for name, story in stories.items() if steps[name].result()}
        if stories:
            await between()
            rounds += 1
    return rounds


async def _tell(name: str, story: Story, scene: Scene) -> None:
    while await _step(name, story, scene):
        pass


async def _step(name: str, story: Story, scene: Scene) -> bool:
    """Take the next step and keep a picture of it; False when the story is over."""
    visitor = scene.visitors[name]
    try:
        step = await anext(story, None)
    except BaseException as error:  # also when somebody else's story went wrong: what was on this screen then?
        error.add_note(f"in the story of {name}")
        await visitor.screenshot("went-wrong")
        raise
    if step is not None:
        await visitor.screenshot(step)
        assert await visitor.page.evaluate(TOO_WIDE) == [], (name, step)
    return step is not None
