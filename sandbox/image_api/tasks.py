"""A task of the image API, on monotonic time.

It is PENDING for the first part of its time, then IN_PROGRESS, then it ends; its ending is fixed when first read.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sandbox.image_api.document import CREDITS_PER_IMAGE, DECLINED_MESSAGE, SEED_MAX, GenerateBody, Json
from sandbox.image_api.moods import Mood, written_status

PENDING_SHARE = 0.15
STRANGE_STATUS = "WARMING_UP"
FAILING_MOODS = frozenset({Mood.DECLINED, Mood.OTHER_WORDS_FAILED})
STRANGE_POLLS = 2
AHEAD_MS = 500  # how much earlier a callback may tell the ending than a status request
SEVERAL = 3
_ID_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


def new_task_id(rng: random.Random) -> str:
    """Return an id like the document's example, n43abc123def456qwenimg."""
    return f"n{rng.randrange(100):02d}{''.join(rng.choices(_ID_LETTERS, k=12))}qwenimg"


def draw_seed(body: GenerateBody, rng: random.Random) -> int:
    """Return the seed of the image: the one asked for, or for -1 a random one."""
    return body.seed if body.seed >= 0 else rng.randint(0, SEED_MAX)


@dataclass(slots=True)
class Task:
    """One task. `kept_mood`: the mood that it keeps, None when it follows the dial. Times in milliseconds."""

    task_id: str
    body: GenerateBody
    seed: int
    created_at_ms: int  # unix time, for the answer only
    accepted_at_ms: int  # monotonic, as is due_at_ms
    due_at_ms: int
    kept_mood: Mood | None = None
    strange_polls_left: int = STRANGE_POLLS
    ending: Mood | None = None
    next_polls: list[Mood] = field(default_factory=list[Mood])  # the moods of its next polls, one each

    def is_due(self, now_ms: int) -> bool:
        return now_ms >= self.due_at_ms

    def status(self, now_ms: int, mood: Mood) -> str:
        """Return the status now. After the task has ended, a later mood changes nothing."""
        if self.ending is None and mood is Mood.STUCK:
            return "PENDING"
        if self.ending is None and self.is_due(now_ms):
            self.ending = mood
        if self.ending is not None:
            return "FAILED" if self.ending in FAILING_MOODS else "SUCCESS"
        pending_ms = (self.due_at_ms - self.accepted_at_ms) * PENDING_SHARE
        return "PENDING" if now_ms < self.accepted_at_ms + pending_ms else "IN_PROGRESS"

    def advance(self, seconds: float) -> None:
        """Make the task older by *seconds*."""
        self.accepted_at_ms -= round(seconds * 1000)
        self.due_at_ms -= round(seconds * 1000)

    def poll(self, now_ms: int, mood: Mood) -> str:
        """Return the status as a status request gets it.

        In the mood `strange_status` the first two polls get one that the document does not name; in `callback_ahead` a
        success is told 500 ms late.
        """
        if mood is Mood.STRANGE_STATUS and self.strange_polls_left > 0:
            self.strange_polls_left -= 1
            return STRANGE_STATUS
        status = self.status(now_ms, mood)
        is_ahead = mood is Mood.CALLBACK_AHEAD and now_ms < self.due_at_ms + AHEAD_MS
        return "IN_PROGRESS" if is_ahead and status == "SUCCESS" else status

    def image_names(self) -> list[str]:
        """Return the file names of the finished images on the CDN, `<task id>.<format>`."""
        none = (None, Mood.NO_URL, *FAILING_MOODS)
        count = 0 if self.ending in none else SEVERAL if self.ending is Mood.SEVERAL_URLS else 1
        marks = ["", *(f"-{n}" for n in range(2, count + 1))][:count]
        return [f"{self.task_id}{mark}.{self.body.output_format}" for mark in marks]

    def report(self, status: str, cdn_url: str, mood: Mood = Mood.NORMAL) -> Json:
        """Return the `data` of a status answer; some moods write the status in other words."""
        created = datetime.fromtimestamp(self.created_at_ms // 1000, UTC)
        return {
            "task_id": self.task_id,
            "status": written_status(status, mood),
            "consumed_credits": 0 if status == "FAILED" else CREDITS_PER_IMAGE,
            "error_message": DECLINED_MESSAGE if status == "FAILED" else None,
            "created_at": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "request": self.body.echo(),
            "response": [f"{cdn_url}/{name}" for name in self.image_names()] if status == "SUCCESS" else None,
        }
