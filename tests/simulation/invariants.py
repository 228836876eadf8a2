"""What must be true after every run, whatever died, failed or came late. Judged from the rows and from what the world
outside saw; nothing here asks the product."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from generations.model import MADE, RETURNED, Ending, State
from generations.poll_schedule import POLL_SECONDS
from generations.worker.throttle import FIRST_SLOTS, FIRST_TRY_SECONDS
from tests.simulation.discord_world import Message
from tests.simulation.image_api import Look
from tests.simulation.promises_of_calls import calls_are_hints, was_called_between
from tests.simulation.promises_of_downloads import images_are_fetched_once
from tests.simulation.promises_of_pings import pings_are_wanted
from tests.simulation.promises_of_sizes import links_are_needed
from tests.simulation.rows import GenerationRow, ImageRow, read_rows
from ui.texts import card as texts
from ui.texts.escaping import escape

if TYPE_CHECKING:
    from tests.simulation.run import Run

PRICE = 5
PLAIN_SECONDS = 45.0  # so long discord.py may have tried to send it
TOKEN_SECONDS = 13 * 60.0  # so long a private card can surely be edited


def check(run: Run) -> Iterator[str]:
    """Every sentence that is not true."""
    generations = read_rows(run)
    images = [image for generation in generations for image in generation.images]
    yield from _the_ledger_adds_up(run)
    yield from _each_hold_ended_once(run, images)
    yield from _each_image_was_posted_once(run)
    yield from _the_limit_of_tasks_is_not_stormed(run)
    yield from _polls_keep_their_distance(run)
    yield from _everything_came_to_an_end(images)
    yield from _no_task_was_forgotten(run, images)
    yield from _each_charge_is_right(run, images)
    yield from _each_refill_is_right(run)
    yield from _each_ending_has_a_cause(run, generations)
    yield from calls_are_hints(run, images)
    yield from pings_are_wanted(run, generations)
    yield from links_are_needed(run, generations)
    yield from images_are_fetched_once(run, images)
    for generation in generations:
        yield from _the_card_is_right(run, generation)
        yield from _plain_messages_are_right(run, generation)
        yield from _images_are_where_they_belong(run, generation)


# -- money ---------------------------------------------------------------


def _the_ledger_adds_up(run: Run) -> Iterator[str]:
    sums: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    for user_id, available, held in run.world.disk.ask("SELECT user_id, available_delta, held_delta FROM entries"):
        sums[user_id][0] += available
        sums[user_id][1] += held
        # Entries are in order; each must have been possible when it was made.
        if min(sums[user_id]) < 0:
            yield f"the entries of {user_id} go below zero"
    for user_id, available, held in run.world.disk.ask("SELECT user_id, available, held FROM accounts"):
        if [available, held] != sums[user_id]:
            yield f"account {user_id} says {available}/{held}, its entries {sums[user_id]}"
        if held:
            yield f"{held} credits of {user_id} are still held"


def _each_hold_ended_once(run: Run, images: list[ImageRow]) -> Iterator[str]:
    kinds: dict[str, Counter[str]] = defaultdict(Counter)
    for image_id, kind in run.world.disk.ask("SELECT image_id, kind FROM entries WHERE image_id IS NOT NULL"):
        kinds[image_id][kind] += 1
    for image in images:
        seen = kinds.pop(image.id, Counter[str]())
        if seen["hold"] != 1:
            yield f"image {image.id} has {seen['hold']} holds"
        if seen["settle"] + seen["release"] != 1:
            yield f"the hold of {image.id} ended {seen['settle'] + seen['release']} times"
    if kinds:
        yield f"entries for images that are not there: {sorted(kinds)}"


def _charges(run: Run) -> dict[str, int]:
    charged: dict[str, int] = defaultdict(int)
    rows = run.world.disk.ask(
        "SELECT image_id, kind, available_delta, held_delta FROM entries WHERE kind IN ('settle', 'refund')"
    )
    for image_id, _, available, held in rows:
        charged[image_id] -= held + available
    return charged


def _each_charge_is_right(run: Run, images: list[ImageRow]) -> Iterator[str]:
    charged = _charges(run)
    for image in images:
        task = run.world.api.tasks.get(image.task_id or "")
        paid = image.state in MADE and image.ending is None
        expected = min(task.consumed, PRICE) if paid and task is not None else 0
        if charged[image.id] != expected:
            yield f"image {image.id} ({image.state}, {image.ending}) was charged {charged[image.id]}, not {expected}"
        if image.state in MADE and (task is None or run.world.api.outcome_of(task) != "success"):
            yield f"image {image.id} is {image.state} but its task never had an image"


def _each_refill_is_right(run: Run) -> Iterator[str]:
    """As if every hold of a period had ended just before the next refill (docs/decisions/0002)."""
    charged = _charges(run)
    spent: dict[int, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    periods: dict[int, set[int]] = defaultdict(set)
    rows = run.world.disk.ask(
        "SELECT user_id, kind, image_id, available_delta, refilled_from_ms, id FROM entries ORDER BY number"
    )
    latest: dict[int, int] = {}
    for user_id, kind, image_id, _, period, entry in rows:
        if period < latest.get(user_id, period):
            yield f"{entry} went back to an earlier period"
        latest[user_id] = period
        periods[user_id].add(period)
        if kind == "hold":
            spent[user_id][period] += charged[image_id]
            refunds = [row for row in rows if row[1] == "refund" and row[2] == image_id]
            for refund in refunds:  # paid in the hold's period, given back in its own
                spent[user_id][period] += refund[3]
                spent[user_id][refund[4]] -= refund[3]
    for user_id, available in run.world.disk.ask("SELECT user_id, available FROM accounts"):
        balance = 0
        for period in sorted(periods[user_id]):
            balance += max(0, run.scenario.allowance - balance)
            balance -= spent[user_id][period]
        if available != balance:
            yield f"{user_id} has {available} credits, by the rule of the refill {balance}"


# -- the image API ---------------------------------------------------------------


def _each_image_was_posted_once(run: Run) -> Iterator[str]:
    for image, posts in itertools.groupby(sorted(run.world.api.posts, key=lambda post: post.image), lambda p: p.image):
        sent = list(posts)
        if sum(post.taken for post in sent) > 1:
            yield f"the service took image {image} {sum(post.taken for post in sent)} times"
        if sum(not post.sure for post in sent) > 1:
            yield f"image {image} was posted again although it was not sure that nothing was taken"
        told = run.interactions[int(image.partition("-")[0])]
        if told.message_id is None:
            yield f"image {image} was posted although its card never stood"


def _the_limit_of_tasks_is_not_stormed(run: Run) -> Iterator[str]:
    """A process tries the first tasks together, and afterwards now and then a few more."""
    above = Counter(post.life.name for post in run.world.api.posts if post.above_limit)
    for name, times in above.items():
        began = min(post.at for post in run.world.api.posts if post.life.name == name)
        tries = 1 + (run.loop.time() - began) // FIRST_TRY_SECONDS
        if times > tries * FIRST_SLOTS:
            yield f"{name} met the limit of tasks {times} times"


def _polls_keep_their_distance(run: Run) -> Iterator[str]:
    """The looks of one image, whatever task they were for: a call may name another one.

    A look less than 5 s after the one before it follows a call that came since, and lies 5 s after the last such look.
    """
    for image, polls in _looks(run).items():
        called: Look | None = None
        for earlier, later in itertools.pairwise(sorted(polls, key=lambda look: look.at)):
            if not _too_close(run, earlier, later):
                continue
            if not was_called_between(run, image, earlier.at, later.at):
                yield f"image {image} was looked at twice within {later.at - earlier.at:.2f} s"
            elif called is not None and _too_close(run, called, later):
                yield f"two calls were followed by looks at image {image} within {later.at - called.at:.2f} s"
            called = later


def _too_close(run: Run, earlier: Look, later: Look) -> bool:
    """Whether two looks are less than 5 s apart by anybody's fault: who is stopped before a look makes it on waking."""
    stopped = {name for name, _, _ in run.paused}
    awake = run.scenario.even_clocks and not {earlier.life.name, later.life.name} & stopped
    return later.at - earlier.at < POLL_SECONDS - 0.01 and (awake or earlier.life is later.life)


def _looks(run: Run) -> dict[str, list[Look]]:
    api, found = run.world.api, defaultdict[str, list[Look]](list)
    for post in api.posts:
        if post.told is not None:  # the answer to the POST tells as much
            found[post.image].append(Look(post.at, post.life))
    for task_id, polls in api.polls.items():
        task = api.tasks.get(task_id)
        image = run.calls.claimed_for.get(task_id) or (task.image if task else task_id)
        found[image].extend(polls)
    return found


def _no_task_was_forgotten(run: Run, images: list[ImageRow]) -> Iterator[str]:
    rows = {image.key: image for image in images}
    known = {image.task_id for image in images}
    for post in run.world.api.posts:
        lived = run.died_at.get(post.life.name, float("inf")) - post.at > 120.0
        # A task is written down again and again for half a minute; a database that is away for longer has lost it.
        away = any(
            window.kind == "database" and window.probability >= 0.3 and window.begins - 5.0 <= post.at <= window.ends
            for window in run.scenario.windows
        )
        if post.told is not None and lived and not away and post.told not in known:
            yield f"{post.told} was told to {post.life.name}, which lived on and forgot it"
    for image in rows.values():
        task = run.world.api.tasks.get(image.task_id or "")
        if task is None or run.world.api.outcome_of(task) != "success" or image.state in MADE:
            continue
        jumped = not run.scenario.even_clocks  # a clock that leaps over an hour ends what may take an hour
        if not (image.ending is Ending.IMAGE_LOST and jumped):
            yield f"{task.id} was made, but its image is {image.state} ({image.ending})"


# -- endings ---------------------------------------------------------------


def _everything_came_to_an_end(images: list[ImageRow]) -> Iterator[str]:
    for image in images:
        if image.state not in RETURNED | {State.DELIVERED, State.UNDELIVERED}:
            yield f"image {image.id} is left {image.state}"
        if image.state is State.UNDELIVERED and image.due_at_ms is None:
            yield f"image {image.id} is kept, and nobody will see whether it can still be had"
        if image.state is not State.UNDELIVERED and image.due_at_ms is not None:
            yield f"image {image.id} ({image.state}) is due for ever"


def _each_ending_has_a_cause(run: Run, generations: list[GenerationRow]) -> Iterator[str]:
    pressed = {press.number for press in run.scenario.pressed}
    troubled = {window.kind for window in run.scenario.windows}
    disturbed = bool(run.died_at or run.paused) or "database" in troubled or not run.scenario.even_clocks
    outcomes = set(run.scenario.outcomes)
    for generation in generations:
        for image in generation.images:
            cause = True
            match image.ending:
                case Ending.OUTCOME_UNKNOWN:
                    posts = [post for post in run.world.api.posts if post.image == image.key]
                    cause = disturbed or any(post.fault is not None and not post.sure for post in posts)
                case Ending.CANCELLED:
                    cause = generation.told.request in pressed
                case Ending.TASK_LOST:
                    cause = "gone" in outcomes or "look" in troubled
                case Ending.PROMPT_REFUSED | Ending.KEY_REFUSED | Ending.ACCOUNT_EMPTY:
                    cause = "post" in troubled
                case Ending.DECLINED | Ending.SERVICE_FAILED:
                    cause = bool(outcomes & {"declined", "failed"})
                case Ending.NO_IMAGE | Ending.IMAGE_UNUSABLE:
                    cause = bool(outcomes & {"no image", "not an image"}) or "image" in troubled
                case Ending.NOT_ANSWERED:
                    cause = "discord" in troubled or disturbed or bool(run.scenario.asked[0].late)
                    cause = cause or any(asked.late or asked.again_after is not None for asked in run.scenario.asked)
                case _:
                    pass
            if not cause:
                yield f"image {image.id} ended as {image.ending} without a cause"


# -- what people see ---------------------------------------------------------------


def _the_card_is_right(run: Run, generation: GenerationRow) -> Iterator[str]:
    world = run.world.discord
    if generation.message_id is None:
        message = world.messages.get(generation.told.message_id or 0)
        stands = message is not None and not message.deleted and (bool(message.components) or not message.content)
        excused = all(image.ending is Ending.NOT_ANSWERED for image in generation.images)
        # A clock that leaps over a token's life makes it useless before Discord could be asked for the card.
        if stands and not (excused and not run.scenario.even_clocks):
            yield f"the card of {generation.id} stands and nobody knows it"
        return
    if generation.published_revision < generation.revision:
        yield f"the card of {generation.id} still owes news"
    card = world.messages.get(generation.message_id)
    if card is None:
        yield f"the card of {generation.id} is a message that never was"
        return
    if not _within_reach(run, card):
        return
    last = card.versions[-1]
    if last.cancellable:
        yield f"the card of {generation.id} still offers Cancel"
    for image in generation.images:
        if image.state in RETURNED and card.components:
            sentence = texts.ending_sentence(image.ending, escape(image.detail, 200) if image.detail else "")
            if sentence not in last.text:
                yield f"the card of {generation.id} does not say how image {image.position} ended: {sentence!r}"
    yield from _no_word_is_left_over(run, generation, card)


def _plain_messages_are_right(run: Run, generation: GenerationRow) -> Iterator[str]:
    """Images that found no other place than a message of their own, which is never edited."""
    tasks = {image.task_id for image in generation.images} - {None}
    for message in run.world.discord.messages.values():
        plain = message.id != generation.message_id and not message.components
        if plain and message.versions and tasks & message.versions[-1].holds:
            yield from _no_word_is_left_over(run, generation, message)


def _no_word_is_left_over(run: Run, generation: GenerationRow, message: Message) -> Iterator[str]:
    for word in (texts.SENDING, texts.POSTING, " held"):
        excused = word == " held" and _was_held_then(run, generation, message)
        if word in message.versions[-1].text and not excused:
            yield f"message {message.id} of {generation.id} ends with {word!r}"


def _was_held_then(run: Run, generation: GenerationRow, message: Message) -> bool:
    """Whether *message* is plain, so that it can't be edited, and credits were held when it was about to be sent: for
    other images than those that it shows."""
    others = [image for image in generation.images if image.task_id not in message.versions[-1].holds]
    if message.components or not others:
        return False
    if not run.scenario.even_clocks:  # times in rows are a process' own
        return True
    rows = run.world.disk.ask("SELECT image_id, created_at_ms FROM entries WHERE kind IN ('settle', 'release')")
    ended = dict(rows)
    sent_ms = run.world.start_ms + (message.versions[-1].at - PLAIN_SECONDS) * 1000
    return any(ended.get(image.id, sent_ms) >= sent_ms for image in others)


def _within_reach(run: Run, card: Message) -> bool:
    """Whether the product can have brought this card up to date in the end."""
    if card.deleted:
        return False
    if card.ephemeral or card.channel_id in run.world.discord.secluded:
        # Only the token reaches it, and a process whose clock leapt ahead takes the token for dead.
        young = card.interaction is not None and run.loop.time() - card.interaction.born < TOKEN_SECONDS
        return young and run.scenario.even_clocks
    return card.channel_id // 10 not in run.world.discord.closed_dms


def _images_are_where_they_belong(run: Run, generation: GenerationRow) -> Iterator[str]:
    messages = [message for message in run.world.discord.messages.values() if message.versions]
    for image in generation.images:
        if image.task_id is None:
            continue
        holding = [message for message in messages if any(image.task_id in v.holds for v in message.versions)]
        if image.state is State.DELIVERED and not holding:
            yield f"image {image.id} is called delivered, but nobody ever saw it"
        attachment_ids = [message for message in holding if image.task_id in message.versions[-1].holds]
        if image.state is State.DELIVERED and holding and not attachment_ids:
            yield f"image {image.id} was shown and then taken away"
        if image.state is State.UNDELIVERED and image.user_id not in run.world.discord.closed_dms:
            yield f"image {image.id} is called undeliverable, but its person could have been written to"
        for message in holding:
            yield from _may_hold(generation, image, message)
        if image.state not in MADE and holding:
            yield f"image {image.id} is {image.state} but was shown"
    for message in messages:
        if message.interaction is generation.told and not message.deleted:
            # An edit whose answer was lost may be followed by one that knows less, but that is not the last one.
            lost = (
                frozenset[str]().union(*(version.image_files for version in message.versions))
                - message.versions[-1].image_files
            )
            # What Discord would not have on the card again stands in a message of its own, which the card names.
            lost -= {
                image_file
                for other in messages
                if f"/{other.id}" in message.versions[-1].text and not other.deleted
                for image_file in other.versions[-1].image_files
            }
            if lost:
                yield f"message {message.id} showed {sorted(lost)} and ends without"


def _may_hold(generation: GenerationRow, image: ImageRow, message: Message) -> Iterator[str]:
    theirs = message.channel_id == image.user_id * 10
    if generation.private and not message.ephemeral and not theirs:
        yield f"private image {image.id} was posted where others see it"
    if not theirs and message.channel_id != generation.told.channel_id:
        yield f"image {image.id} was posted in a place it does not belong to"
