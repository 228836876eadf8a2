"""The moods of the image API, the ways in which it can behave, and the dial that holds the present one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Mood(StrEnum):
    NORMAL = "normal"
    FAST = "fast"
    SLOW = "slow"
    STUCK = "stuck"
    DECLINED = "declined"
    BAD_REQUEST = "bad_request"
    KEY_REFUSED = "key_refused"
    EMPTY_ACCOUNT = "empty_account"
    COUNTS_UTF16 = "counts_utf16"
    LOST_TASK = "lost_task"
    BUSY = "busy"
    BUSY_WAIT = "busy_wait"
    FEW_TASKS = "few_tasks"
    ERROR_BEFORE = "error_before"
    ERROR_AFTER = "error_after"
    SILENT = "silent"
    GARBAGE = "garbage"
    CHALLENGE = "challenge"
    STRANGE_STATUS = "strange_status"
    OTHER_WORDS = "other_words"
    OTHER_WORDS_FAILED = "other_words_failed"
    NO_URL = "no_url"
    SEVERAL_URLS = "several_urls"
    HUGE_IMAGE = "huge_image"
    NOT_AN_IMAGE = "not_an_image"
    BOMB = "bomb"
    REDIRECT = "redirect"
    REDIRECTED = "redirected"
    REDIRECT_LOOP = "redirect_loop"
    DRIP = "drip"
    CALLBACK_LOST = "callback_lost"
    CALLBACK_TWICE = "callback_twice"
    CALLBACK_EARLY = "callback_early"
    CALLBACK_AHEAD = "callback_ahead"
    CALLBACK_FORGED = "callback_forged"
    CALLBACK_PUT = "callback_put"
    CALLBACK_TASKID = "callback_taskid"
    CALLBACK_ID = "callback_id"


@dataclass(frozen=True, slots=True)
class MoodCard:
    """The label and the help of a mood in the page."""

    mood: Mood
    group: str
    label: str
    help: str


_SPEED, _REFUSALS, _SERVICE, _RESULT, _CALLBACKS = "Speed", "Refusals", "Service trouble", "The image", "Callbacks"

CARDS = (
    MoodCard(Mood.NORMAL, _SPEED, "Normal", "Every task is accepted and becomes an image."),
    MoodCard(Mood.FAST, _SPEED, "Fast", "New tasks take about a second."),
    MoodCard(Mood.SLOW, _SPEED, "Slow", "New tasks take about a minute."),
    MoodCard(Mood.STUCK, _SPEED, "Stuck", "Tasks stay PENDING for as long as this lasts."),
    MoodCard(Mood.DECLINED, _REFUSALS, "Declined", "Tasks end as FAILED: content policy violation; 0 credits used."),
    MoodCard(Mood.BAD_REQUEST, _REFUSALS, "Bad request", "New tasks are refused with 400."),
    MoodCard(Mood.KEY_REFUSED, _REFUSALS, "Key refused", "Every request is refused with 401."),
    MoodCard(Mood.EMPTY_ACCOUNT, _REFUSALS, "Account empty", "New tasks are refused: insufficient credits."),
    MoodCard(Mood.COUNTS_UTF16, _REFUSALS, "Counts UTF-16", "Prompts of more than 2000 UTF-16 units are refused."),
    MoodCard(Mood.LOST_TASK, _SERVICE, "Task lost", "Status answers 404 for tasks that exist."),
    MoodCard(Mood.BUSY, _SERVICE, "Busy", "Every request gets 429, without saying how long to wait."),
    MoodCard(Mood.BUSY_WAIT, _SERVICE, "Busy, says when", "Every request gets 429 with Retry-After: 7."),
    MoodCard(Mood.FEW_TASKS, _SERVICE, "Three at once", "A new task gets 429 while three others run."),
    MoodCard(Mood.ERROR_BEFORE, _SERVICE, "Error, not accepted", "Every request gets 500; no task is made."),
    MoodCard(Mood.ERROR_AFTER, _SERVICE, "Error, yet accepted", "New tasks are made, but the answer is a 500."),
    MoodCard(Mood.SILENT, _SERVICE, "Silent", "Tasks are made, but no request is ever answered."),
    MoodCard(Mood.GARBAGE, _SERVICE, "Not JSON", "Tasks are made, but every answer is an HTML page."),
    MoodCard(
        Mood.CHALLENGE, _SERVICE, "Challenge page", "A CDN answers every request with a 403 page; no task is made."
    ),
    MoodCard(Mood.STRANGE_STATUS, _SERVICE, "Strange status", "The first polls get a status that no document names."),
    MoodCard(Mood.OTHER_WORDS, _SERVICE, "Other words", "Statuses are queued, processing and completed."),
    MoodCard(Mood.OTHER_WORDS_FAILED, _SERVICE, "Other words, failed", "Statuses are queued, processing and error."),
    MoodCard(Mood.NO_URL, _RESULT, "No image URL", "Tasks end as SUCCESS with an empty list of URLs."),
    MoodCard(Mood.SEVERAL_URLS, _RESULT, "Several URLs", "Tasks end as SUCCESS with three URLs."),
    MoodCard(Mood.HUGE_IMAGE, _RESULT, "Huge image", "The image is a valid PNG of more than 30 MiB."),
    MoodCard(Mood.NOT_AN_IMAGE, _RESULT, "Not an image", "The image URL serves text that claims to be an image."),
    MoodCard(Mood.BOMB, _RESULT, "Decompression bomb", "The image is a small PNG of 30000 × 30000 pixels."),
    MoodCard(Mood.REDIRECT, _RESULT, "Redirect inside", "The image URL redirects to a private address."),
    MoodCard(Mood.REDIRECTED, _RESULT, "Redirected", "The image URL redirects three times, then serves the image."),
    MoodCard(Mood.REDIRECT_LOOP, _RESULT, "Redirect loop", "The image URL redirects again and again."),
    MoodCard(Mood.DRIP, _RESULT, "Slow drip", "The image arrives ten bytes at a time."),
    MoodCard(Mood.CALLBACK_LOST, _CALLBACKS, "Callback lost", "The callback never comes."),
    MoodCard(Mood.CALLBACK_TWICE, _CALLBACKS, "Callback twice", "The callback comes two times."),
    MoodCard(Mood.CALLBACK_EARLY, _CALLBACKS, "Callback early", "One callback comes before the task id is known."),
    MoodCard(Mood.CALLBACK_AHEAD, _CALLBACKS, "Callback ahead", "The callback comes half a second before the status."),
    MoodCard(Mood.CALLBACK_FORGED, _CALLBACKS, "Callback forged", "A false callback claims success too soon."),
    MoodCard(Mood.CALLBACK_PUT, _CALLBACKS, "Callback by PUT", "The callback is a PUT."),
    MoodCard(Mood.CALLBACK_TASKID, _CALLBACKS, "Callback, taskId", "The callback names its task as data.taskId."),
    MoodCard(Mood.CALLBACK_ID, _CALLBACKS, "Callback, id", "The callback has no envelope and names its task as id."),
)

# The statuses in the words of similar services.
OTHER_WORDS = {"PENDING": "queued", "IN_PROGRESS": "processing", "SUCCESS": "completed", "FAILED": "error"}

# These moods hold for every request, not for a task: "the next N" counts requests.
REQUEST_MOODS = frozenset(
    {Mood.KEY_REFUSED, Mood.BUSY, Mood.BUSY_WAIT, Mood.ERROR_BEFORE, Mood.SILENT, Mood.GARBAGE, Mood.CHALLENGE}
)


def written_status(status: str, mood: Mood) -> str:
    """Return a status of the document as an answer writes it."""
    return OTHER_WORDS.get(status, status) if mood in (Mood.OTHER_WORDS, Mood.OTHER_WORDS_FAILED) else status


class MoodDial:
    """The present mood.

    Lasting: it holds for every task, old and new, until it is changed. Counted: for the next N tasks (or requests, see
    REQUEST_MOODS), then back to normal; such a task keeps its mood. Aimed: for the one task whose prompt contains
    certain words.
    """

    def __init__(self) -> None:
        self.mood = Mood.NORMAL
        self.remaining: int | None = None
        self._aimed: dict[str, Mood] = {}

    def set(self, mood: Mood, count: int | None = None) -> None:
        """Set the mood. Raises ValueError for a *count* below 1."""
        if count is not None and count < 1:
            raise ValueError("The count of tasks must be 1 or more.")
        self.mood = mood
        self.remaining = None if mood is Mood.NORMAL else count

    def aim(self, words: str, mood: Mood) -> None:
        """Set the mood of the next valid POST whose prompt contains *words*.

        It is not counted. A request mood holds for this request only; any other mood is kept by the task.
        """
        self._aimed[words] = mood

    def for_post(self, prompt: str) -> tuple[Mood, Mood | None]:
        """Return the mood of a valid POST, and the mood that its task keeps (None: it follows the dial)."""
        for words in self._aimed:
            if words in prompt:
                mood = self._aimed.pop(words)
                return mood, mood if mood not in REQUEST_MOODS else None
        counted = self.remaining is not None
        mood = self._use()
        return mood, mood if counted and mood not in REQUEST_MOODS else None

    def for_poll(self, kept: Mood | None) -> Mood:
        """Return the mood of a status request for a task that keeps *kept*."""
        return self._use() if self.mood in REQUEST_MOODS else self.for_task(kept)

    def for_task(self, kept: Mood | None) -> Mood:
        """Return the mood of a task and of its image's download."""
        if kept is not None:
            return kept
        return self.mood if self.remaining is None else Mood.NORMAL

    def _use(self) -> Mood:
        mood = self.mood
        if self.remaining is not None:
            self.remaining -= 1
            if self.remaining == 0:
                self.set(Mood.NORMAL)
        return mood
