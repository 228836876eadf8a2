"""A failed run, told so that it can be understood from a log alone: the deeds, then for each generation that a broken
promise names, its rows, what the stand-ins saw of it and what the bots wrote about it. Reads only.

Seconds are counted from the first deed. Prompts and tokens here are the arena's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from tests.chaos.arena import Arena
from tests.chaos.rows import Row, Rows

TOLD_GENERATIONS = 4
TOLD_LINES = 60  # of each witness about each generation: the first and the last
LINE_CHARACTERS = 320
UNTOLD = frozenset({"token", "prompt", "image_url", "locale", "application_id"})


def tell(rows: Rows, arena: Arena, broken: list[str]) -> Iterator[str]:
    """The lines of the story."""
    yield f"second 0 is {_clock(arena.diary.began_wall_ms)} UTC in the bots' logs"
    yield "what was done:"
    for moment in arena.diary.moments:
        yield f"  {_seconds(moment.at_ms - arena.diary.began_ms)} {moment.what}"
    named = named_generations(rows, [*broken, *(_owner_of(arena, message) for message in _messages_in(broken))])
    for generation_id in named[:TOLD_GENERATIONS]:
        yield from _generation(rows, arena, generation_id)
    if len(named) > TOLD_GENERATIONS:
        yield f"and {len(named) - TOLD_GENERATIONS} more: {named[TOLD_GENERATIONS:]}"


def named_generations(rows: Rows, broken: Iterable[str]) -> list[int]:
    """Those that the sentences speak of, by their own id, a task's, or an image's seed; the first named first."""
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
    """The messages that sentences speak of by their address."""
    yield from (found[1] for sentence in broken for found in re.finditer(r"/messages/(\d+)", sentence))


def _owner_of(arena: Arena, message: str) -> str:
    """Whose card a message was, by the buttons that were put on it; empty: it never had any."""
    sent = (str(request.json) for request in arena.box.discord.requests if message in request.path)
    return next((found[1] for text in sent if (found := re.search(r"imagine:[a-z]+:(\d+)", text))), "")


def _generation(rows: Rows, arena: Arena, generation_id: int) -> Iterator[str]:
    row = next(row for row in rows.generations if row["id"] == generation_id)
    its_images = [image for image in rows.images if image["generation_id"] == generation_id]
    yield f"generation {generation_id}: {_columns(row)}"
    for image in its_images:
        yield f"  image {image['position']}: {_columns(image)}"
    yield from (f"  entry {_columns(e)}" for e in rows.entries if str(e["image_id"]).startswith(f"{generation_id}-"))
    yield from _image_api(arena, {image["seed"] for image in its_images}, {image["task_id"] for image in its_images})
    yield from _discord(arena, row)
    words = [str(generation_id), *(image["task_id"] for image in its_images if image["task_id"])]
    for process in range(len(arena.bots)):
        yield f"  process {process} wrote:"
        lines = (line for line in arena.log_of(process) if any(word in line for word in words))
        yield from _some([f"    {line}" for line in lines])


def _image_api(arena: Arena, seeds: set[int], task_ids: set[str | None]) -> Iterator[str]:
    images, began = arena.box.images, arena.diary.began_ms
    for post in images.posts:
        if isinstance(post.body, dict) and post.body.get("seed") in seeds:
            task_ids.add(post.task_id)
            sent = f"POST of seed {post.body['seed']} by process {arena.poster_of(post)}"
            yield f"  {_seconds(post.at_ms - began)} {sent}: {post.status}, {post.task_id}"
    for task_id in task_ids - {None}:
        polls = ", ".join(_seconds(at_ms - began).strip() for at_ms in images.polls.get(task_id or "", []))
        task = images.tasks.get(task_id or "")
        due = "no such task" if task is None else f"ready at {_seconds(task.due_at_ms - began).strip()}"
        yield f"  task {task_id}: {due}, looks at {polls or 'no time'}"


def _discord(arena: Arena, row: Row) -> Iterator[str]:
    """By its own token, by its message, or with buttons that name it."""
    requests = arena.box.discord.requests
    answered = (re.match(rf"/interactions/{row['id']}/([^/]+)", request.path) for request in requests)
    token = next((found[1] for found in answered if found), str(row["id"]))
    names = [str(row["id"]), str(row["message_id"]), token]
    lines: list[str] = []
    for request in requests:
        if any(name in request.path for name in names) or f":{row['id']}" in str(request.json):
            at = _seconds(request.at_ms - arena.diary.began_wall_ms)
            sent = f"{len(request.files)} files, {_said(request.json)}"
            where = request.path.replace(token, "TOKEN")
            lines.append(f"  {at} Discord: {request.method} {where}: {request.status}, {sent}")
    yield from _some(lines)


def _said(part: Any) -> list[str]:
    """Every text of a message's components."""
    if isinstance(part, dict):
        own = [part["content"]] if isinstance(part.get("content"), str) else []
        return [*own, *(text for value in part.values() for text in _said(value))]
    return [text for value in part for text in _said(value)] if isinstance(part, list) else []


def _some(lines: list[str]) -> Iterator[str]:
    half = TOLD_LINES // 2
    if len(lines) > TOLD_LINES:
        lines = [*lines[:half], f"    … {len(lines) - TOLD_LINES} lines …", *lines[-half:]]
    yield from (_short(line, LINE_CHARACTERS) for line in lines)


def _columns(row: Row) -> str:
    return ", ".join(f"{name}={value}" for name, value in row.items() if value is not None and name not in UNTOLD)


def _short(value: Any, characters: int) -> str:
    text = str(value)
    return text if len(text) <= characters else text[: characters - 1] + "…"


def _seconds(ms: int) -> str:
    return f"{ms / 1000:7.2f} s"


def _clock(unix_ms: int) -> str:
    seconds = unix_ms // 1000 % 86_400
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{unix_ms % 1000:03}"
