"""Invariants that hold after every run. Checked against the rows and the records of the simulated services, without
product code that reads them."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from generations.model import MADE, RETURNED, Ending, State
from generations.poll_schedule import POLL_SECONDS
from generations.worker.throttle import FIRST_SLOTS, FIRST_TRY_SECONDS
from tests.simulation.fake_discord import Message
from tests.simulation.image_api import Poll
from tests.simulation.promises_of_calls import calls_are_hints, was_called_between
from tests.simulation.promises_of_changes import changes_are_whole
from tests.simulation.promises_of_counters import counters_are_sums
from tests.simulation.promises_of_downloads import images_are_fetched_once
from tests.simulation.promises_of_pings import pings_are_wanted
from tests.simulation.promises_of_sizes import links_are_needed
from tests.simulation.promises_of_stops import few_posts_find_the_account_empty
from tests.simulation.rows import GenerationRow, ImageRow, read_rows
from ui.texts import card as texts
from ui.texts.escaping import escape

if TYPE_CHECKING:
    from tests.simulation.run import Run

PRICE = 5
PLAIN_SECONDS = 45.0  # discord.py may try to send a message for so long
TOKEN_SECONDS = 13 * 60.0  # a private card can surely be edited for so long


def check(run: Run) -> Iterator[str]:
    """Yield a message for each violation."""
    generations = read_rows(run)
    images = [image for generation in generations for image in generation.images]
    yield from _the_ledger_adds_up(run)
    yield from _each_hold_ended_once(run, images)
    yield from _each_image_was_posted_once(run)
    yield from _few_posts_exceed_the_task_limit(run)
    yield from _polls_are_five_seconds_apart(run)
    yield from _every_image_has_ended(images)
    yield from _no_task_is_lost(run, images)
    yield from _each_charge_is_right(run, images)
    yield from _each_refill_is_right(run)
    yield from _each_ending_has_a_cause(run, generations)
    yield from calls_are_hints(run, images)
    yield from pings_are_wanted(run, generations)
    yield from links_are_needed(run, generations)
    yield from images_are_fetched_once(run, images)
    yield from counters_are_sums(run, images)
    yield from few_posts_find_the_account_empty(run)
    yield from changes_are_whole(run)
    for generation in generations:
        yield from _the_card_is_right(run, generation)
        yield from _plain_messages_are_final(run, generation)
        yield from _images_are_in_the_right_messages(run, generation)


# -- money ---------------------------------------------------------------


def _the_ledger_adds_up(run: Run) -> Iterator[str]:
    sums: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    for user_id, available, held in run.environment.disk.ask(
        "SELECT user_id, available_delta, held_delta FROM entries"
    ):
        sums[user_id][0] += available
        sums[user_id][1] += held
        # Entries are in order; each must have been possible when it was made.
        if min(sums[user_id]) < 0:
            yield f"the entries of {user_id} go below zero"
    for user_id, available, held in run.environment.disk.ask("SELECT user_id, available, held FROM accounts"):
        if [available, held] != sums[user_id]:
            yield f"account {user_id} says {available}/{held}, its entries {sums[user_id]}"
        if held:
            yield f"{held} credits of {user_id} are still held"


def _each_hold_ended_once(run: Run, images: list[ImageRow]) -> Iterator[str]:
    kinds: dict[str, Counter[str]] = defaultdict(Counter)
    for image_id, kind in run.environment.disk.ask("SELECT image_id, kind FROM entries WHERE image_id IS NOT NULL"):
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
    rows = run.environment.disk.ask(
        "SELECT image_id, kind, available_delta, held_delta FROM entries WHERE kind IN ('settle', 'refund')"
    )
    for image_id, _, available, held in rows:
        charged[image_id] -= held + available
    return charged


def _each_charge_is_right(run: Run, images: list[ImageRow]) -> Iterator[str]:
    charged = _charges(run)
    by_hand = set(
        run.environment.disk.ask("SELECT image_id FROM entries WHERE kind = 'refund' AND actor_id IS NOT NULL")
    )
    for image in images:
        task = run.environment.api.tasks.get(image.task_id or "")
        paid = image.state in MADE and image.ending is None
        paid = paid and (image.id,) not in by_hand
        expected = min(task.consumed, PRICE) if paid and task is not None else 0
        if charged[image.id] != expected:
            yield f"image {image.id} ({image.state}, {image.ending}) was charged {charged[image.id]}, not {expected}"
        if image.state in MADE and (task is None or run.environment.api.outcome_of(task) != "success"):
            yield f"image {image.id} is {image.state} but its task never had an image"


def _each_refill_is_right(run: Run) -> Iterator[str]:
    """Each balance is as if every hold of a period had ended just before the next refill (docs/decisions/0002)."""
    charged = _charges(run)
    spent: dict[int, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    periods: dict[int, set[int]] = defaultdict(set)
    rows = run.environment.disk.ask(
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
            for refund in refunds:  # charged in the hold's period, refunded in the refund's own
                spent[user_id][period] += refund[3]
                spent[user_id][refund[4]] -= refund[3]
    given = run.environment.disk.ask(
        "SELECT user_id, sum(available_delta) FROM entries WHERE kind IN ('grant', 'take') AND actor_id IS NOT NULL"
        " GROUP BY user_id"
    )
    for user_id, available in run.environment.disk.ask("SELECT user_id, available FROM accounts"):
        balance = 0
        for period in sorted(periods[user_id]):
            balance += max(0, run.scenario.allowance - balance)
            balance -= spent[user_id][period]
        balance += dict(given).get(user_id, 0)  # in runs of one period
        if available != balance:
            yield f"{user_id} has {available} credits, by the rule of the refill {balance}"


# -- the image API ---------------------------------------------------------------


def _each_image_was_posted_once(run: Run) -> Iterator[str]:
    for image, posts in itertools.groupby(
        sorted(run.environment.api.posts, key=lambda post: post.image), lambda p: p.image
    ):
        sent = list(posts)
        if sum(post.accepted for post in sent) > 1:
            yield f"the service took image {image} {sum(post.accepted for post in sent)} times"
        if sum(not post.sure for post in sent) > 1:
            yield f"image {image} was posted again although it was not sure that nothing was taken"
        interaction = run.interactions[int(image.partition("-")[0])]
        if interaction.message_id is None:
            yield f"image {image} was posted although its card was never posted"


def _few_posts_exceed_the_task_limit(run: Run) -> Iterator[str]:
    """A process posts FIRST_SLOTS tasks at once, and as many again every FIRST_TRY_SECONDS at most."""
    above = Counter(post.life.name for post in run.environment.api.posts if post.above_limit)
    for name, times in above.items():
        began = min(post.at for post in run.environment.api.posts if post.life.name == name)
        tries = 1 + (run.loop.time() - began) // FIRST_TRY_SECONDS
        if times > tries * FIRST_SLOTS:
            yield f"{name} exceeded the limit of tasks {times} times"


def _polls_are_five_seconds_apart(run: Run) -> Iterator[str]:
    """All polls of one image count, also those of other tasks that calls named.

    A poll less than 5 s after the one before it follows a call in between, and is 5 s after the last such poll.
    """
    for image, polls in _polls_by_image(run).items():
        called: Poll | None = None
        for earlier, later in itertools.pairwise(sorted(polls, key=lambda poll: poll.at)):
            if not _too_close(run, earlier, later):
                continue
            if not was_called_between(run, image, earlier.at, later.at):
                yield f"image {image} was polled twice within {later.at - earlier.at:.2f} s"
            elif called is not None and _too_close(run, called, later):
                yield f"two calls were followed by polls of image {image} within {later.at - called.at:.2f} s"
            called = later


def _too_close(run: Run, earlier: Poll, later: Poll) -> bool:
    """Whether two polls are less than 5 s apart, except by a stop (SIGSTOP) or a moved clock between processes."""
    stopped = {name for name, _, _ in run.paused}
    awake = run.scenario.no_clock_jumps and not {earlier.life.name, later.life.name} & stopped
    return later.at - earlier.at < POLL_SECONDS - 0.01 and (awake or earlier.life is later.life)


def _polls_by_image(run: Run) -> dict[str, list[Poll]]:
    api, found = run.environment.api, defaultdict[str, list[Poll]](list)
    for post in api.posts:
        if post.received_task_id is not None:  # the answer to the POST holds a status too
            found[post.image].append(Poll(post.at, post.life))
    for task_id, polls in api.polls.items():
        task = api.tasks.get(task_id)
        image = run.calls.claimed_for.get(task_id) or (task.image if task else task_id)
        found[image].extend(polls)
    return found


def _no_task_is_lost(run: Run, images: list[ImageRow]) -> Iterator[str]:
    rows = {image.key: image for image in images}
    known = {image.task_id for image in images}
    for post in run.environment.api.posts:
        lived = run.died_at.get(post.life.name, float("inf")) - post.at > 120.0
        # A process tries to store a task for half a minute; it is lost when the database is away for longer.
        away = any(
            window.kind == "database" and window.probability >= 0.3 and window.begins - 5.0 <= post.at <= window.ends
            for window in run.scenario.windows
        )
        if post.received_task_id is not None and lived and not away and post.received_task_id not in known:
            yield f"{post.received_task_id} was returned to {post.life.name}, which lived on and did not store it"
    for image in rows.values():
        task = run.environment.api.tasks.get(image.task_id or "")
        if task is None or run.environment.api.outcome_of(task) != "success" or image.state in MADE:
            continue
        jumped = not run.scenario.no_clock_jumps  # a clock that jumps over an hour ends what may take an hour
        if not (image.ending is Ending.IMAGE_LOST and jumped):
            yield f"{task.id} was made, but its image is {image.state} ({image.ending})"


# -- endings ---------------------------------------------------------------


def _every_image_has_ended(images: list[ImageRow]) -> Iterator[str]:
    for image in images:
        if image.state not in RETURNED | {State.DELIVERED, State.UNDELIVERED}:
            yield f"image {image.id} is left {image.state}"
        if image.state is State.UNDELIVERED and image.due_at_ms is None:
            yield f"image {image.id} is kept, but no check is due"
        if image.state is not State.UNDELIVERED and image.due_at_ms is not None:
            yield f"image {image.id} ({image.state}) is due for ever"


def _each_ending_has_a_cause(run: Run, generations: list[GenerationRow]) -> Iterator[str]:
    pressed = {press.number for press in run.scenario.pressed}
    faulty_kinds = {window.kind for window in run.scenario.windows}
    disturbed = bool(run.died_at or run.paused) or "database" in faulty_kinds or not run.scenario.no_clock_jumps
    outcomes = set(run.scenario.outcomes)
    for generation in generations:
        for image in generation.images:
            cause = True
            match image.ending:
                case Ending.OUTCOME_UNKNOWN:
                    posts = [post for post in run.environment.api.posts if post.image == image.key]
                    cause = disturbed or any(post.fault is not None and not post.sure for post in posts)
                case Ending.CANCELLED:
                    cause = generation.interaction.request in pressed
                case Ending.TASK_LOST:
                    cause = "gone" in outcomes or "poll" in faulty_kinds
                case Ending.PROMPT_REFUSED | Ending.KEY_REFUSED | Ending.ACCOUNT_EMPTY:
                    cause = "post" in faulty_kinds
                case Ending.DECLINED | Ending.SERVICE_FAILED:
                    cause = bool(outcomes & {"declined", "failed"})
                case Ending.NO_IMAGE | Ending.IMAGE_UNUSABLE:
                    cause = bool(outcomes & {"no image", "not an image"}) or "image" in faulty_kinds
                case Ending.NOT_ANSWERED:
                    cause = "discord" in faulty_kinds or disturbed or bool(run.scenario.asked[0].late)
                    cause = cause or any(asked.late or asked.again_after is not None for asked in run.scenario.asked)
                case _:
                    pass
            if not cause:
                yield f"image {image.id} ended as {image.ending} without a cause"


# -- messages ---------------------------------------------------------------


def _the_card_is_right(run: Run, generation: GenerationRow) -> Iterator[str]:
    environment = run.environment.discord
    if generation.message_id is None:
        message = environment.messages.get(generation.interaction.message_id or 0)
        exists = message is not None and not message.deleted and (bool(message.components) or not message.content)
        excused = all(image.ending is Ending.NOT_ANSWERED for image in generation.images)
        # A clock that jumps over a token's lifetime makes it useless before Discord could be asked for the card.
        if exists and not (excused and not run.scenario.no_clock_jumps):
            yield f"the card of {generation.id} exists, but no row has its id"
        return
    if generation.published_revision < generation.revision:
        yield f"the newest revision of the card of {generation.id} was never published"
    card = environment.messages.get(generation.message_id)
    if card is None:
        yield f"the card of {generation.id} is a message that does not exist"
        return
    if not _can_be_edited(run, card):
        return
    last = card.versions[-1]
    if last.cancellable:
        yield f"the card of {generation.id} still offers Cancel"
    for image in generation.images:
        if image.state in RETURNED and card.components:
            sentence = texts.ending_sentence(image.ending, escape(image.detail, 200) if image.detail else "")
            if sentence not in last.text:
                yield f"the card of {generation.id} does not say how image {image.position} ended: {sentence!r}"
    yield from _no_progress_words_remain(run, generation, card)


def _plain_messages_are_final(run: Run, generation: GenerationRow) -> Iterator[str]:
    """Check plain messages that hold images: they are never edited."""
    tasks = {image.task_id for image in generation.images} - {None}
    for message in run.environment.discord.messages.values():
        plain = message.id != generation.message_id and not message.components
        if plain and message.versions and tasks & message.versions[-1].holds:
            yield from _no_progress_words_remain(run, generation, message)


def _no_progress_words_remain(run: Run, generation: GenerationRow, message: Message) -> Iterator[str]:
    for word in (texts.SENDING, texts.POSTING, " held"):
        excused = word == " held" and _was_held_then(run, generation, message)
        if word in message.versions[-1].text and not excused:
            yield f"message {message.id} of {generation.id} ends with {word!r}"


def _was_held_then(run: Run, generation: GenerationRow, message: Message) -> bool:
    """Whether *message* is plain and credits for other images than its own were held when it was sent."""
    others = [image for image in generation.images if image.task_id not in message.versions[-1].holds]
    if message.components or not others:
        return False
    if not run.scenario.no_clock_jumps:  # times in rows come from the processes' clocks
        return True
    rows = run.environment.disk.ask("SELECT image_id, created_at_ms FROM entries WHERE kind IN ('settle', 'release')")
    ended = dict(rows)
    sent_ms = run.environment.start_ms + (message.versions[-1].at - PLAIN_SECONDS) * 1000
    return any(ended.get(image.id, sent_ms) >= sent_ms for image in others)


def _can_be_edited(run: Run, card: Message) -> bool:
    """Whether the product was able to edit this card at the end of the run."""
    if card.deleted:
        return False
    if card.ephemeral or card.channel_id in run.environment.discord.token_only_channels:
        # Only the token reaches it, and a process whose clock jumped ahead treats the token as expired.
        is_valid = card.interaction is not None and run.loop.time() - card.interaction.created_at < TOKEN_SECONDS
        return is_valid and run.scenario.no_clock_jumps
    return card.channel_id // 10 not in run.environment.discord.closed_dms


def _images_are_in_the_right_messages(run: Run, generation: GenerationRow) -> Iterator[str]:
    messages = [message for message in run.environment.discord.messages.values() if message.versions]
    for image in generation.images:
        if image.task_id is None:
            continue
        holding = [message for message in messages if any(image.task_id in v.holds for v in message.versions)]
        if image.state is State.DELIVERED and not holding:
            yield f"image {image.id} is DELIVERED, but no message ever held it"
        attachment_ids = [message for message in holding if image.task_id in message.versions[-1].holds]
        if image.state is State.DELIVERED and holding and not attachment_ids:
            yield f"image {image.id} was shown and then removed"
        if image.state is State.UNDELIVERED and image.user_id not in run.environment.discord.closed_dms:
            yield f"image {image.id} is UNDELIVERED, but its person has open direct messages"
        for message in holding:
            yield from _may_hold(generation, image, message)
        if image.state not in MADE and holding:
            yield f"image {image.id} is {image.state} but was shown"
    for message in messages:
        if message.interaction is generation.interaction and not message.deleted:
            # After an edit whose answer was lost one edit may drop images, but not the last one.
            lost = (
                frozenset[str]().union(*(version.image_files for version in message.versions))
                - message.versions[-1].image_files
            )
            # An image that Discord refused on the card is in a message of its own, which the card links to unless only
            # its person sees it.
            lost -= {
                image_file
                for other in messages
                if (
                    f"/{other.id}" in message.versions[-1].text
                    or (other.ephemeral and other.interaction is generation.interaction)
                )
                and not other.deleted
                for image_file in other.versions[-1].image_files
            }
            if lost:
                yield f"message {message.id} showed {sorted(lost)} and ends without"


def _may_hold(generation: GenerationRow, image: ImageRow, message: Message) -> Iterator[str]:
    is_direct_message = message.channel_id == image.user_id * 10
    if generation.private and not message.ephemeral and not is_direct_message:
        yield f"private image {image.id} was posted in public"
    if not is_direct_message and message.channel_id != generation.interaction.channel_id:
        yield f"image {image.id} was posted in another channel"
