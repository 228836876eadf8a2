"""Check every promise against the rows and the records of the stand-ins. Reads only."""

from __future__ import annotations

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from generations.model import Ending, Generation, Progress, State
from sandbox.image_api import ImageApi, Mood
from sandbox.local_discord import LocalDiscord
from tests.chaos.experiment import Command, Experiment
from tests.chaos.plan import CHANNELS, CROWD_CHANNELS, PEOPLE, SEEDS_PER_REQUEST, Imagine
from tests.chaos.rows import Row, Rows
from tests.chaos.timeline import Timeline
from tests.e2e.running_bot import Json, buttons, gallery, text
from ui.interactions.buttons import card_buttons
from ui.texts.card import DRAINING, NOT_CANCELLABLE
from ui.views.cards import build_card

POLL_INTERVAL_MS = 5000
NO_USABLE_IMAGE = {Mood.DECLINED, Mood.NO_URL, Mood.NOT_AN_IMAGE, Mood.REDIRECT}  # the task ends without a usable image
STALL_MS = 3000  # a busy machine records late: a POST may be read after its sender was killed
WAKING_MS = 5000  # a call that was begun before SIGSTOP has ended by then
RETURNED = frozenset({"failed", "expired", "unknown", "cancelled"})
ENDED = RETURNED | {"delivered", "undelivered"}
IS_COMPONENTS_V2 = 1 << 15
TOO_MANY_REQUESTS = 429  # the only answer to a POST that means it was surely not taken
UNREADABLE = {Mood.ERROR_AFTER, Mood.SILENT, Mood.GARBAGE}  # the task was created, but its id was not returned
RECORD_MS = 35_000  # how long it may take until a task id is stored, after a stop or without a database
FIRST_RESPONSE_MS = 3000
POSTING_MS = 10_000  # from when an image is ready until it is posted and that is written down
STILL_THERE = "s after SIGTERM: kill -9"
IDLE_SECONDS = 8.0  # PostgreSQL ends a transaction that is idle for 5 s
ABANDONED_SECONDS = 10.0  # from the end of a lease until its work is taken; PostgreSQL may be away for 3 s of them
UNHEARD = 0  # the status of a request whose connection was dropped instead of an answer
LEGACY_CONTENT = "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2"
TRACEBACK = "Traceback (most recent call last):"
LOG_ENTRY = re.compile(r"\d{4}-\d\d-\d\d |\[sandbox\] ")
TOKENS = re.compile(r"(?<=/)[\w-]{60,}(?=/|$)")  # an interaction's, in an address
RECONNECTS = re.compile(r" discord\.(shard|gateway): | discord\.client: Attempting a reconnect")


def broken_promises(rows: Rows, experiment: Experiment) -> list[str]:
    """Return one sentence for each broken promise."""
    images, discord, asked = experiment.box.images, experiment.box.discord, experiment.asked
    screen = _everything_on_screen(discord)
    return [
        *_ledger(rows),
        *_states(rows),
        *_posts(rows, images),
        *_tasks(rows, experiment),
        *_polls(images, experiment.timeline),
        *_images(rows, images, screen, experiment.timeline),
        *_cards(rows, screen, experiment.timeline),
        *_answers(rows, asked, discord),
        *_cancels(rows, experiment),
        *_first_responses(experiment),
        *_processes(experiment),
        *_shared_database(experiment),
        *_rules(discord),
    ]


def _rules(discord: LocalDiscord) -> Iterator[str]:
    """Check that no rule of Discord was broken. A bot that could not hear that its edit took effect may put a sentence
    about the failure in its place, which Discord refuses."""
    unheard = {f"{request.method} {request.path}" for request in discord.requests if request.status == UNHEARD}
    for violation in discord.violations:
        if violation.where not in unheard or LEGACY_CONTENT not in violation.what:
            yield f"Discord's rule broken at {TOKENS.sub('TOKEN', violation.where)}: {violation.what}"


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


# -- states, posts, polls ----------------------------------------------------------------------------------------


def _states(rows: Rows) -> Iterator[str]:
    yield from (f"generation {row['id']} has work left: {row}" for row in rows.unsettled())
    for image in rows.images:
        if image["state"] not in ENDED:
            yield f"image {_image_id(image)} ended as {image['state']}"
        if image["state"] in RETURNED and image["ending"] is None:
            yield f"image {_image_id(image)} is {image['state']} and nobody knows why"


def _posts(rows: Rows, images: ImageApi) -> Iterator[str]:
    """Check by seed, which is unique for each image, that each image was posted once."""
    taken, sent = Counter[int](), Counter[int]()
    for post in images.posts:
        seed = int(post.body["seed"])  # type: ignore[index]
        taken[seed] += post.task_id is not None
        sent[seed] += post.status != TOO_MANY_REQUESTS
    known = {image["seed"] for image in rows.images}
    yield from (f"seed {seed} became {count} tasks" for seed, count in taken.items() if count > 1)
    yield from (f"seed {seed} was posted {count} times" for seed, count in sent.items() if count > 1)
    yield from (f"seed {seed} was posted for no image" for seed in sent if seed not in known)


def _tasks(rows: Rows, experiment: Experiment) -> Iterator[str]:
    """Check that a task id which a process received is in a row, unless that process was killed soon after. A process
    that was stopped must store it too, even when another one has given the image up meanwhile."""
    known = {image["task_id"] for image in rows.images}
    for post in experiment.box.images.posts:
        if post.status != 200 or post.task_id is None or post.task_id in known:
            continue
        poster = experiment.poster_of(post)
        died = experiment.timeline.was_killed_within(poster, post.at_ms - STALL_MS, post.at_ms + RECORD_MS)
        if not died and not experiment.timeline.moods_within(post.at_ms, post.at_ms + STALL_MS) & UNREADABLE:
            seed = post.body["seed"] if isinstance(post.body, dict) else None
            yield f"task {post.task_id}, seed {seed}, went to process {poster}, which was not killed, and is in no row"


def _polls(images: ImageApi, timeline: Timeline) -> Iterator[str]:
    """Check that polls of one task are 5 s apart. Polls soon after SIGCONT are left out: a process stopped between its
    claim and its poll sends the poll when it goes on, and no lease can prevent that."""
    for task_id, polls in images.polls.items():
        awake = [poll for poll in polls if not timeline.resumed_within(poll - WAKING_MS, poll)]
        for early, late in polls_too_close(polls, images.calls.get(task_id, [])):
            if early in awake and late in awake:
                yield f"task {task_id} was polled twice within {late - early} ms"
    yield from (f"{task_id} was polled and is no task" for task_id in images.polls.keys() - images.tasks)


def polls_too_close(polls: Sequence[int], calls: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield pairs of polls of one task that came within 5 s. *polls*: their times; *calls*: times of callbacks, in ms.

    A poll may come sooner after another one if a callback was sent between them, at most one such poll in 5 s.
    """
    called: int | None = None
    for early, late in itertools.pairwise(polls):
        if late - early >= POLL_INTERVAL_MS:
            continue
        if not any(early - STALL_MS <= sent <= late for sent in calls):
            yield early, late
        elif called is not None and late - called < POLL_INTERVAL_MS:
            yield called, late
        called = late


# -- messages ------------------------------------------------------------------------------------------------------


def _everything_on_screen(discord: LocalDiscord) -> dict[int, Json]:
    """Return every message that any person can see, by id."""
    seen: dict[int, Json] = {}
    for person in PEOPLE:
        actor = discord.actor(person)
        for channel in {*CHANNELS, *CROWD_CHANNELS}:
            seen |= {int(message["id"]): message for message in actor.messages(channel)}
    return seen


def _file_names(message: Json) -> Iterator[str]:
    """Yield the file names of visible images. In a message with components, an attachment that no component names is
    hidden (Discord docs: Component Reference, "Component Types")."""
    for item in gallery(message):
        yield urlsplit(item["media"]["url"]).path.rpartition("/")[2]
    if not message["flags"] & IS_COMPONENTS_V2:
        yield from (attachment["filename"] for attachment in message["attachments"])


def _images(rows: Rows, images: ImageApi, screen: dict[int, Json], timeline: Timeline) -> Iterator[str]:
    """Check that every finished task of a known image is posted once, or that its row says why not."""
    posted = Counter[int]()
    for message in screen.values():
        for name in _file_names(message):
            found = re.search(r"-(\d+)\.[a-z]+$", name)
            posted[int(found[1]) if found else -1] += 1
    for image in rows.images:
        count, name, state = posted.pop(image["seed"], 0), _image_id(image), image["state"]
        if count > 1:
            yield f"image {name} is posted {count} times"
        if count and state != "delivered" and not was_lost_after_its_post(image, timeline):
            yield f"image {name} is posted although it is {state}"
        if not count and state == "delivered":
            yield f"image {name} is delivered and on no message"
        task = images.tasks.get(image["task_id"] or "")
        exists = task is not None and bool(task.image_names())
        last_polls = images.polls.get(image["task_id"] or "", [])[
            -1:
        ]  # an image that can't be used ends with its last poll
        unusable = any(timeline.moods_within(poll, poll + STALL_MS) & NO_USABLE_IMAGE for poll in last_polls)
        if exists and state not in ("delivered", "failed") and not unusable:
            yield f"image {name} exists as task {image['task_id']}, yet it is {state}, {image['ending']}"
        if state == "delivered" and not exists:
            yield f"image {name} is delivered without a finished task"
    yield from (f"an image of seed {seed} is posted for no image" for seed in posted)


def was_lost_after_its_post(image: Row, timeline: Timeline) -> bool:
    """Return whether a process may have posted *image* and not lived to write that down, after which the next one found
    that it could no longer be fetched. The message is there then, and the row and the card say that it was lost."""
    if image["ending"] != Ending.IMAGE_LOST or image["ready_at_ms"] is None:
        return False
    ready_ms = image["ready_at_ms"] - timeline.began_wall_ms + timeline.began_ms
    return timeline.was_any_interrupted_within(ready_ms, ready_ms + POSTING_MS)


def _cards(rows: Rows, screen: dict[int, Json], timeline: Timeline) -> Iterator[str]:
    """Check that each card agrees with its rows and offers nothing to cancel."""
    lost = {image["generation_id"] for image in rows.images if was_lost_after_its_post(image, timeline)}
    for generation in rows.loaded.values():
        if generation.message_id is None:
            continue
        card = screen.get(generation.message_id)
        if card is None:
            yield f"the card of {generation.id} is gone"
            continue
        said, wanted = text(card).strip(), _final_text(generation)
        if said != wanted and generation.id not in lost and "discord.com/channels/" not in said:
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
    """Check that each card has a row, with the seed that was requested. A message without components is no card: one
    process may have answered that it could not take the request while another had taken it and then cancelled it."""
    for interaction_id, action in asked.items():
        card = discord.actor(action.person).answer(interaction_id)
        generation = rows.loaded.get(interaction_id)
        if generation is None:
            if card is not None and gallery(card):
                yield f"interaction {interaction_id} has images and no row"
            continue
        if generation.request.seed != action.number * SEEDS_PER_REQUEST:
            yield f"generation {interaction_id} has another seed than was requested"
        if card is not None and card["flags"] & IS_COMPONENTS_V2 and generation.message_id is None:
            yield f"the card of {interaction_id} exists and no row names it"


def _cancels(rows: Rows, experiment: Experiment) -> Iterator[str]:
    """Check that nobody whose Cancel took effect was answered that it came too late."""
    for press, interaction_id in experiment.cancels.items():
        generation = rows.loaded.get(interaction_id)
        if generation is None or all(image.ending is not Ending.CANCELLED for image in generation.images):
            continue
        answer = experiment.box.discord.actor(experiment.asked[interaction_id].person).answer(press)
        if answer is not None and NOT_CANCELLABLE in text(answer):
            yield f"{interaction_id} was cancelled, but the press was answered as too late"


def _first_responses(experiment: Experiment) -> Iterator[str]:
    """Check that each command that Discord delivered got its first response within 3 s, unless its process was killed
    or stopped meanwhile, and that none is refused because of a restart. The local Discord refuses later responses."""
    timeline = experiment.timeline
    for interaction_id, command in experiment.delivered.items():
        actor = experiment.box.discord.actor(command.person)
        if actor.interaction(interaction_id).ack is None:
            if not was_interrupted(command, timeline):
                at = (command.at_ms - timeline.began_ms) / 1000
                to = f"{command.place.bot} or {command.place.spare}"
                yield f"command {interaction_id} at {at:.2f} s, delivered to process {to}, got no first response"
        elif (answer := actor.answer(interaction_id)) is not None and DRAINING in text(answer):
            yield f"command {interaction_id} was refused because of a restart"


def was_interrupted(command: Command, timeline: Timeline) -> bool:
    """Return whether a process of the command's place was killed or stopped while it could respond."""
    since_ms, until_ms = command.at_ms - STALL_MS, command.at_ms + FIRST_RESPONSE_MS
    return any(
        timeline.was_killed_within(bot, since_ms, until_ms) or timeline.was_stopped_within(bot, since_ms, until_ms)
        for bot in (command.place.bot, command.place.spare)
    )


# -- processes ----------------------------------------------------------------------------------------------------


def _processes(experiment: Experiment) -> Iterator[str]:
    """Check that no process ended by itself or was too slow to end, and that no log has an unexpected traceback."""
    yield from (f"a bot ended by itself: {end}" for end in experiment.unexpected_ends)
    for number in range(len(experiment.bots)):
        if any(STILL_THERE in line for line in experiment.log_of(number)):
            yield f"process {number} did not end in time after SIGTERM"
        for fault in unexpected_faults(experiment.log_of(number)):
            yield f"process {number} logged an unexpected error: {fault}"


def _shared_database(experiment: Experiment) -> Iterator[str]:
    """Check the spacing of IDENTIFYs over all processes, and that a stopped process keeps no lock and a killed one no
    work."""
    if experiment.world.shards and (too_soon := experiment.box.discord.gateway.identifies_too_soon):
        yield f"{too_soon} shards were started too soon after another one"
    watch = experiment.watch
    if watch is not None and watch.idle_seconds > IDLE_SECONDS:
        yield f"a session was idle in a transaction for {watch.idle_seconds:.1f} s"
    if watch is not None and watch.abandoned_seconds > ABANDONED_SECONDS:
        yield f"work whose lease had run out waited {watch.abandoned_seconds:.1f} s"


def unexpected_faults(lines: Sequence[str]) -> Iterator[str]:
    """Yield log entries with a traceback, each with its last error. Reconnects logged by discord.py are left out."""
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
