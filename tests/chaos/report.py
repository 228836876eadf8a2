"""Report a failed run so that it can be understood from a log alone: the timeline, then for each generation that a
broken promise names its rows, what the stand-ins recorded of it and what the bots logged about it. Reads only.

Seconds are counted from the first action. Prompts and tokens are made up by the run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from tests.chaos.experiment import Experiment
from tests.chaos.rows import Row, Rows

REPORTED_GENERATIONS = 4
REPORTED_LINES = 60  # of each source about each generation: the first half and the last half
LINE_CHARACTERS = 320
LEFT_OUT = frozenset({"token", "prompt", "image_url", "locale", "application_id"})


def report(rows: Rows, experiment: Experiment, broken: list[str]) -> Iterator[str]:
    """Yield the lines of the report."""
    yield f"second 0 is {_clock(experiment.timeline.began_wall_ms)} UTC in the bots' logs"
    yield "timeline:"
    for entry in experiment.timeline.entries:
        yield f"  {_seconds(entry.at_ms - experiment.timeline.began_ms)} {entry.what}"
    named = named_generations(rows, [*broken, *(_owner_of(experiment, message) for message in _messages_in(broken))])
    for generation_id in named[:REPORTED_GENERATIONS]:
        yield from _generation(rows, experiment, generation_id)
    if len(named) > REPORTED_GENERATIONS:
        yield f"and {len(named) - REPORTED_GENERATIONS} more: {named[REPORTED_GENERATIONS:]}"


def named_generations(rows: Rows, broken: Iterable[str]) -> list[int]:
    """Return the generations that *broken* names by id, task id or seed, in order of mention."""
    by_word = {str(row["id"]): row["id"] for row in rows.generations}
    for image in rows.images:
        by_word[f"seed {image['seed']}"] = image["generation_id"]
        if image["task_id"]:
            by_word[image["task_id"]] = image["generation_id"]
    found: dict[int, None] = {}
    for sentence in broken:
        for word in re.findall(r"seed \d+|[\w-]+", sentence):
            known = by_word.get(word, by_word.get(word.partition("-")[0]))
            if known is not None:
                found[known] = None
    return list(found)


def _messages_in(broken: Iterable[str]) -> Iterator[str]:
    """Yield the message ids in the addresses that *broken* names."""
    yield from (found[1] for sentence in broken for found in re.finditer(r"/messages/(\d+)", sentence))


def _owner_of(experiment: Experiment, message: str) -> str:
    """Return the generation id that the buttons of *message* carry; empty when it never had buttons."""
    sent = (str(request.json) for request in experiment.box.discord.requests if message in request.path)
    return next((found[1] for text in sent if (found := re.search(r"imagine:[a-z]+:(\d+)", text))), "")


def _generation(rows: Rows, experiment: Experiment, generation_id: int) -> Iterator[str]:
    row = next(row for row in rows.generations if row["id"] == generation_id)
    its_images = [image for image in rows.images if image["generation_id"] == generation_id]
    yield f"generation {generation_id}: {_columns(row)}"
    for image in its_images:
        yield f"  image {image['position']}: {_columns(image)}"
    yield from (f"  entry {_columns(e)}" for e in rows.entries if str(e["image_id"]).startswith(f"{generation_id}-"))
    yield from _image_api(
        experiment, {image["seed"] for image in its_images}, {image["task_id"] for image in its_images}
    )
    yield from _discord(experiment, row)
    words = [str(generation_id), *(image["task_id"] for image in its_images if image["task_id"])]
    for process in range(len(experiment.bots)):
        yield f"  process {process} logged:"
        lines = (line for line in experiment.log_of(process) if any(word in line for word in words))
        yield from _some([f"    {line}" for line in lines])


def _image_api(experiment: Experiment, seeds: set[int], task_ids: set[str | None]) -> Iterator[str]:
    images, began = experiment.box.images, experiment.timeline.began_ms
    for post in images.posts:
        if isinstance(post.body, dict) and post.body.get("seed") in seeds:
            task_ids.add(post.task_id)
            sent = f"POST of seed {post.body['seed']} by process {experiment.poster_of(post)}"
            yield f"  {_seconds(post.at_ms - began)} {sent}: {post.status}, {post.task_id}"
    for task_id in task_ids - {None}:
        polls = ", ".join(_seconds(at_ms - began).strip() for at_ms in images.polls.get(task_id or "", []))
        task = images.tasks.get(task_id or "")
        due = "no such task" if task is None else f"ready at {_seconds(task.due_at_ms - began).strip()}"
        yield f"  task {task_id}: {due}, polled at {polls or 'no time'}"


def _discord(experiment: Experiment, row: Row) -> Iterator[str]:
    """Yield the requests to Discord about one generation: by its token, its message, or buttons that name it."""
    requests = experiment.box.discord.requests
    answered = (re.match(rf"/interactions/{row['id']}/([^/]+)", request.path) for request in requests)
    token = next((found[1] for found in answered if found), str(row["id"]))
    names = [str(row["id"]), str(row["message_id"]), token]
    lines: list[str] = []
    for request in requests:
        if any(name in request.path for name in names) or f":{row['id']}" in str(request.json):
            at = _seconds(request.at_ms - experiment.timeline.began_wall_ms)
            sent = f"{len(request.files)} files, {_texts_in(request.json)}"
            where = request.path.replace(token, "TOKEN")
            lines.append(f"  {at} Discord: {request.method} {where}: {request.status}, {sent}")
    yield from _some(lines)


def _texts_in(part: Any) -> list[str]:
    """Return every text of a message's components."""
    if isinstance(part, dict):
        own = [part["content"]] if isinstance(part.get("content"), str) else []
        return [*own, *(text for value in part.values() for text in _texts_in(value))]
    return [text for value in part for text in _texts_in(value)] if isinstance(part, list) else []


def _some(lines: list[str]) -> Iterator[str]:
    half = REPORTED_LINES // 2
    if len(lines) > REPORTED_LINES:
        lines = [*lines[:half], f"    … {len(lines) - REPORTED_LINES} lines …", *lines[-half:]]
    yield from (_short(line, LINE_CHARACTERS) for line in lines)


def _columns(row: Row) -> str:
    return ", ".join(f"{name}={value}" for name, value in row.items() if value is not None and name not in LEFT_OUT)


def _short(value: Any, characters: int) -> str:
    text = str(value)
    return text if len(text) <= characters else text[: characters - 1] + "…"


def _seconds(ms: int) -> str:
    return f"{ms / 1000:7.2f} s"


def _clock(unix_ms: int) -> str:
    seconds = unix_ms // 1000 % 86_400
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{unix_ms % 1000:03}"
