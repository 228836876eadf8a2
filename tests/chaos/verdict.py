"""The promises, and whether they were kept: from the rows and from what the stand-ins saw. Reads only."""

from __future__ import annotations

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from generations.model import Ending, Generation, Progress, State
from sandbox.image_api import ImageApi, Mood
from sandbox.local_discord import LocalDiscord
from tests.chaos.arena import Arena
from tests.chaos.diary import Diary
from tests.chaos.plan import CHANNELS, PEOPLE, SEEDS_PER_REQUEST, Imagine
from tests.chaos.rows import Row, Rows
from tests.e2e.trial import Json, buttons, gallery, text
from ui.interactions.buttons import card_buttons
from ui.texts.card import NOT_CANCELLABLE
from ui.views.cards import build_card

POLLS_APART_MS = 5000
SPOILED = {Mood.DECLINED, Mood.NO_URL, Mood.NOT_AN_IMAGE, Mood.REDIRECT}  # the task ends without a usable image
STALL_MS = 3000  # a busy machine notes late what happened: a POST may be read after its sender was killed
WAKING_MS = 5000  # what a process had begun before it was stopped is through by then
RETURNED = frozenset({"failed", "expired", "unknown", "cancelled"})
ENDED = RETURNED | {"delivered", "undelivered"}
IS_COMPONENTS_V2 = 1 << 15
TOO_MANY = 429  # the one answer to a POST that says it was surely not taken
UNREADABLE = {Mood.ERROR_AFTER, Mood.SILENT, Mood.GARBAGE}  # the task was made, and nobody was told its id
REMEMBER_MS = 35_000  # after a stop, or while the database is away, so long may it take until a task is written down
TRACEBACK = "Traceback (most recent call last):"
LOG_ENTRY = re.compile(r"\d{4}-\d\d-\d\d |\[sandbox\] ")
TOKENS = re.compile(r"(?<=/)[\w-]{60,}(?=/|$)")  # an interaction's, in an address
RECONNECTS = re.compile(r" discord\.(shard|gateway): | discord\.client: Attempting a reconnect")


def broken_promises(rows: Rows, arena: Arena) -> list[str]:
    """One sentence for each promise that was broken; none: nobody was wronged."""
    images, discord, asked = arena.box.images, arena.box.discord, arena.asked
    screen = _everything_on_screen(discord)
    return [
        *_ledger(rows),
        *_states(rows),
        *_posts(rows, images),
        *_tasks(rows, arena),
        *_looks(images, arena.diary),
        *_images(rows, images, screen, arena.diary),
        *_cards(rows, screen),
        *_answers(rows, asked, discord),
        *_cancels(rows, arena),
        *_processes(rows, arena),
        *(f"Discord's rule broken at {TOKENS.sub('TOKEN', v.where)}: {v.what}" for v in discord.violations),
    ]


# -- money -----------------------------------------------------------------------------------------------------


def _ledger(rows: Rows) -> Iterator[str]:
    yield from (f"the account is not the sum of its entries: {found}" for found in rows.discrepancies)
    yield from (f"credits are still held: {account}" for account in rows.accounts if account["held"] != 0)
    kinds: dict[str, Counter[str]] = defaultdict(Counter)
    for entry in rows.entries:
        if entry["image_id"] is not None:
            kinds[entry["image_id"]][entry["kind"]] += 1
    for image in rows.images:
        yield from _image_money(image, kinds.pop(_image_id(image), Counter()))
    yield from (f"entries for {image_id}, which is no image" for image_id in kinds)


def _image_money(image: Row, kinds: Counter[str]) -> Iterator[str]:
    name, state = _image_id(image), image["state"]
    if kinds["hold"] != 1:
        yield f"image {name} has {kinds['hold']} holds"
    if kinds["settle"] + kinds["release"] != 1:
        yield f"image {name} has {kinds['settle']} settles and {kinds['release']} releases"
    lost = image["ending"] == "image_lost"
    charged = kinds["settle"] > kinds["refund"]
    late = image["ending"] is not None and state not in RETURNED
    if charged and (state in RETURNED or late):
        yield f"image {name} was charged although it is {state}, {image['ending']}"
    if not charged and state in ENDED - RETURNED and not late:
        yield f"image {name} is {state} and was not charged"
    if kinds["refund"] and not lost:
        yield f"image {name} was refunded without a reason"


def _image_id(image: Row) -> str:
    return f"{image['generation_id']}-{image['position']}"


# -- states, posts, looks ----------------------------------------------------------------------------------------


def _states(rows: Rows) -> Iterator[str]:
    yield from (f"generation {row['id']} never came to rest: {row}" for row in rows.unsettled())
    for image in rows.images:
        if image["state"] not in ENDED:
            yield f"image {_image_id(image)} ended as {image['state']}"
        if image["state"] in RETURNED and image["ending"] is None:
            yield f"image {_image_id(image)} is {image['state']} and nobody knows why"


def _posts(rows: Rows, images: ImageApi) -> Iterator[str]:
    """By the seed, which each image has for itself."""
    taken, sent = Counter[int](), Counter[int]()
    for post in images.posts:
        seed = int(post.body["seed"])  # type: ignore[index]
        taken[seed] += post.task_id is not None
        sent[seed] += post.status != TOO_MANY
    known = {image["seed"] for image in rows.images}
    yield from (f"seed {seed} became {count} tasks" for seed, count in taken.items() if count > 1)
    yield from (f"seed {seed} was posted {count} times" for seed, count in sent.items() if count > 1)
    yield from (f"seed {seed} was posted for no image" for seed in sent if seed not in known)


def _tasks(rows: Rows, arena: Arena) -> Iterator[str]:
    """What the image API told a process that lived on, some row knows: also when that process slept for so long that
    another one had given the image up."""
    known = {image["task_id"] for image in rows.images}
    for post in arena.box.images.posts:
        if post.status != 200 or post.task_id is None or post.task_id in known:
            continue
        poster = arena.poster_of(post)
        died = arena.diary.was_killed_within(poster, post.at_ms - STALL_MS, post.at_ms + REMEMBER_MS)
        if not died and not arena.diary.moods_within(post.at_ms, post.at_ms + STALL_MS) & UNREADABLE:
            seed = post.body["seed"] if isinstance(post.body, dict) else None
            yield f"task {post.task_id}, seed {seed}, was told to process {poster}, which lived on, and no row knows it"


def _looks(images: ImageApi, diary: Diary) -> Iterator[str]:
    """Who is stopped between its claim and its look makes it on waking, however late, beside whoever went on: no lease
    can hold that back, since the look may be on its way already."""
    for task_id, polls in images.polls.items():
        awake = [look for look in polls if not diary.woke_within(look - WAKING_MS, look)]
        for early, late in close_looks(polls, images.calls.get(task_id, [])):
            if early in awake and late in awake:
                yield f"task {task_id} was looked at twice within {late - early} ms"
    yield from (f"somebody looked at {task_id}, which is no task" for task_id in images.polls.keys() - images.tasks)


def close_looks(polls: Sequence[int], calls: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Pairs of looks at one task that should have lain 5 s apart. Times: when a look came and a call was sent, in ms.

    A look may follow the one before it sooner, if a call came between them: and then 5 s after the last such look.
    """
    called: int | None = None
    for early, late in itertools.pairwise(polls):
        if late - early >= POLLS_APART_MS:
            continue
        if not any(early - STALL_MS <= sent <= late for sent in calls):
            yield early, late
        elif called is not None and late - called < POLLS_APART_MS:
            yield called, late
        called = late


# -- what people see -----------------------------------------------------------------------------------------------


def _everything_on_screen(discord: LocalDiscord) -> dict[int, Json]:
    """Every message that anybody sees, by id."""
    seen: dict[int, Json] = {}
    for person in PEOPLE:
        actor = discord.actor(person)
        for channel in CHANNELS:
            seen |= {int(message["id"]): message for message in actor.messages(channel)}
    return seen


def _file_names(message: Json) -> Iterator[str]:
    """What is to be seen: beside components, an attachment that none of them names is not (Discord docs: Component
    Reference, "Component Types")."""
    for item in gallery(message):
        yield urlsplit(item["media"]["url"]).path.rpartition("/")[2]
    if not message["flags"] & IS_COMPONENTS_V2:
        yield from (attachment["filename"] for attachment in message["attachments"])


def _images(rows: Rows, images: ImageApi, screen: dict[int, Json], diary: Diary) -> Iterator[str]:
    """Every image that exists for a task that a row knows was posted, once; or its row says why not."""
    shown = Counter[int]()
    for message in screen.values():
        for name in _file_names(message):
            found = re.search(r"-(\d+)\.[a-z]+$", name)
            shown[int(found[1]) if found else -1] += 1
    for image in rows.images:
        count, name, state = shown.pop(image["seed"], 0), _image_id(image), image["state"]
        if count > 1:
            yield f"image {name} is shown {count} times"
        if count and state != "delivered":
            yield f"image {name} is shown although it is {state}"
        if not count and state == "delivered":
            yield f"image {name} is called delivered and nobody sees it"
        task = images.tasks.get(image["task_id"] or "")
        exists = task is not None and bool(task.image_names())
        last_polls = images.polls.get(image["task_id"] or "", [])[-1:]  # late: at a spoiled image it is the last
        spoiled = any(diary.moods_within(look, look + STALL_MS) & SPOILED for look in last_polls)
        if exists and state not in ("delivered", "failed") and not spoiled:
            yield f"image {name} exists as task {image['task_id']}, yet it is {state}, {image['ending']}"
        if state == "delivered" and not exists:
            yield f"image {name} is delivered from nowhere"
    yield from (f"an image of seed {seed} is shown for no image" for seed in shown)


def _cards(rows: Rows, screen: dict[int, Json]) -> Iterator[str]:
    """A card says what the rows say, and nothing on it waits."""
    for generation in rows.loaded.values():
        if generation.message_id is None:
            continue
        card = screen.get(generation.message_id)
        if card is None:
            yield f"the card of {generation.id} is gone"
            continue
        said, wanted = text(card).strip(), _final_text(generation)
        if said != wanted and "discord.com/channels/" not in said:
            yield f"the card of {generation.id} says {said!r} and not {wanted!r}"
        if "Cancel" in buttons(card):
            yield f"the card of {generation.id} still offers to cancel"


def _final_text(generation: Generation) -> str:
    attached = {
        image.position: f"attachment://{image.position}.png"
        for image in generation.images
        if image.state is State.DELIVERED
    }
    container = build_card(generation, Progress(), attached=attached, buttons=card_buttons).to_components()[0]
    return "\n".join(part["content"] for part in container["components"] if part["type"] == 10)


def _answers(rows: Rows, asked: dict[int, Imagine], discord: LocalDiscord) -> Iterator[str]:
    """Whoever has a card has a row that knows it, and the row is of what was asked. A plain text is no card: one
    process may have told the person that it could not, while another one had taken the request on, and gave it up."""
    for interaction_id, deed in asked.items():
        card = discord.actor(deed.person).answer(interaction_id)
        generation = rows.loaded.get(interaction_id)
        if generation is None:
            if card is not None and gallery(card):
                yield f"interaction {interaction_id} has images and no row"
            continue
        if generation.request.seed != deed.number * SEEDS_PER_REQUEST:
            yield f"generation {interaction_id} is not what was asked for"
        if card is not None and card["flags"] & IS_COMPONENTS_V2 and generation.message_id is None:
            yield f"the card of {interaction_id} stands and no row knows it"


def _cancels(rows: Rows, arena: Arena) -> Iterator[str]:
    """Each card is cancelled by one press at most, so nobody whose press took effect may read that it came too late."""
    for press, interaction_id in arena.cancels.items():
        generation = rows.loaded.get(interaction_id)
        if generation is None or all(image.ending is not Ending.CANCELLED for image in generation.images):
            continue
        answer = arena.box.discord.actor(arena.asked[interaction_id].person).answer(press)
        if answer is not None and NOT_CANCELLABLE in text(answer):
            yield f"{interaction_id} was cancelled by a press that was told it came too late"


# -- the processes themselves --------------------------------------------------------------------------------------


def _processes(rows: Rows, arena: Arena) -> Iterator[str]:
    """No process ends by itself, and none meets a fault that it has no sentence for."""
    yield from (f"a bot ended by itself: {end}" for end in arena.ends_of_its_own)
    for number in range(len(arena.bots)):
        for fault in unexpected_faults(arena.log_of(number)):
            yield f"process {number} met a fault that it did not expect: {fault}"


def unexpected_faults(lines: Sequence[str]) -> Iterator[str]:
    """The entries of a bot's log that hold a traceback, each with the error that it ends in. Not those in which
    discord.py says why it connects anew: what it does then is its own affair."""
    entry, indent, error = "", None, ""
    for line in [*lines, "[sandbox] end"]:
        if LOG_ENTRY.match(line):
            if error:
                yield f"{entry}: {error}"
            entry, indent, error = line, None, ""
        elif line.strip() == TRACEBACK:
            indent = None if RECONNECTS.search(entry) else line[: line.index(TRACEBACK)]
        elif indent is not None and line.startswith(indent) and not line[len(indent) :].startswith(" "):
            error, indent = line.strip(), None
