"""Callbacks of the image API: an address with a token for each image, and the poll that follows a call.

A call is only a hint: it is followed by at most one poll of the image in 5 s, or names a task that a worker then asks
the service about. Knows rows and time; knows no HTTP, no Discord, and stores no token.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from generations import records
from generations.clock import Clock
from generations.model import Image, State
from generations.poll_schedule import LATE_POLL_SECONDS
from qwen.protocol import parse_callback
from store.database import Database
from store.transactions import Transaction

log = logging.getLogger("qwen_imagine.callbacks")

PATH = "/callbacks/"
TOKEN_BYTES = 32
SILENCE_IMAGES = 5  # images ready in a row without a call, until the log warns
CALLED_POLL_SPACING_MS = 5000  # between two polls of one image that follow calls; other polls don't count
INTEREST_SECONDS = LATE_POLL_SECONDS[-1][0]  # a late image is still posted for a day


@dataclass(frozen=True, slots=True)
class Address:
    """The address that one image's task calls back. Only the hash may be stored."""

    url: str = field(repr=False)
    token_hash: str


@dataclass(frozen=True, slots=True)
class Poll:
    """One poll of an image's task: when it was made, and the time of the call that it follows, if any."""

    asked_at_ms: int
    called_at_ms: int | None = None

    @property
    def was_called(self) -> bool:
        return self.called_at_ms is not None


class Callbacks:
    """Create addresses under *public_url*, recognise calls to them, and note what they say.

    *nudge* and *announce* wake workers, as in generations.service.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        public_url: str,
        nudge: Callable[[], None],
        announce: Callable[[Transaction], None] = lambda _: None,
        token_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._database = database
        self._clock = clock
        self._public_url = public_url.rstrip("/")
        self._nudge = nudge
        self._announce = announce
        self._token_bytes = token_bytes
        self._silent_images = 0

    def new_address(self) -> Address:
        """Create an address that nobody can guess."""
        token = encode_token(self._token_bytes(TOKEN_BYTES))
        return Address(f"{self._public_url}{PATH}{token}", hash_token(token))

    async def recognise(self, token: str) -> records.Callback | None:
        """Return the expected callback with this token; None if none is expected. Takes as long for every token."""
        token_hash = hash_token(token)
        found = await self._database.read(records.find_callback, token_hash)
        if found is None:
            return None
        callback, image = found
        same = hmac.compare_digest(callback.token_hash, token_hash)
        return callback if same and is_awaited(image, self._clock.now_ms()) else None

    async def handle(self, callback: records.Callback, body: bytes) -> None:
        """Note the call, and make a poll due: at once, or 5 s after the last poll that followed a call."""
        image = await self._database.run(self._note_call, callback, parse_callback(body))
        if image is not None:
            log.info("image %s: the service called back", image.image_id)
            self._nudge()

    def _note_call(self, tx: Transaction, callback: records.Callback, claim: str | None) -> Image | None:
        """Return the image if a poll of it is due sooner now."""
        generation = records.load_locked(tx, callback.generation_id)
        if generation is None:
            return None
        image, now_ms = generation.images[callback.position], self._clock.now_ms()
        fresh = records.load_callback(tx, image)
        if fresh is None or fresh.token_hash != callback.token_hash or not is_awaited(image, now_ms):
            return None
        noted = noted_call(fresh, image, claim, now_ms)
        if noted != fresh:  # the same call again writes nothing
            records.note_callback(tx, noted)
        due_at_ms = due_after_call(noted, image, now_ms)
        if due_at_ms is None or not records.bring_forward(tx, image, due_at_ms):
            return None
        self._announce(tx)
        return image

    def image_was_ready(self, *, called: bool) -> None:
        """Count images that were ready without a call. Logs one warning when SILENCE_IMAGES follow each other."""
        self._silent_images = 0 if called else self._silent_images + 1
        if self._silent_images == SILENCE_IMAGES:
            log.warning(
                "the last %d images were ready without a callback: can the image API reach PUBLIC_URL? Until it can, "
                "images come up to 10 s later than without PUBLIC_URL",
                SILENCE_IMAGES,
            )


def encode_token(raw: bytes) -> str:
    """Encode *raw* in characters that need no escaping in an address."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def hash_token(token: str) -> str:
    """Return what is stored of a token: SHA-256 in hex. A token of 32 random bytes needs no salt."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def is_awaited(image: Image, now_ms: int) -> bool:
    """Whether a call about *image* still matters: it is being made, or its hold was returned less than a day ago."""
    match image.state:
        case State.SUBMITTING | State.RUNNING:
            return True
        case State.EXPIRED | State.UNKNOWN:
            return image.submitted_at_ms is not None and now_ms - image.submitted_at_ms < INTEREST_SECONDS * 1000
        case _:
            return False


def is_called(known: records.Callback, image: Image) -> bool:
    """Whether a call still has to be followed by a poll: none was begun since."""
    return known.called_at_ms is not None and known.called_at_ms > (image.last_poll_at_ms or 0)


def noted_call(known: records.Callback, image: Image, claim: str | None, now_ms: int) -> records.Callback:
    """Return the callback after one more call. Of several calls before one poll the first one's time counts."""
    called_at_ms = known.called_at_ms
    if not is_called(known, image):
        after_last = now_ms if called_at_ms is None else called_at_ms + CALLED_POLL_SPACING_MS
        called_at_ms = max(now_ms, min(after_last, now_ms + CALLED_POLL_SPACING_MS))  # a clock may have gone back
        called_at_ms += called_at_ms == image.last_poll_at_ms  # a poll of this very millisecond was begun before
    return records.Callback(
        known.generation_id,
        known.position,
        known.token_hash,
        called_at_ms=called_at_ms,
        claimed_task_id=(claim or known.claimed_task_id) if image.task_id is None else None,
    )


def due_after_call(known: records.Callback, image: Image, now_ms: int) -> int | None:
    """Return when a called image may be polled, regardless of other polls. None: there is no task to poll."""
    if image.state is State.SUBMITTING or (image.task_id is None and known.claimed_task_id is None):
        return None
    return max(now_ms, known.called_at_ms or 0)


def after_poll(known: records.Callback, poll: Poll, ended_at_ms: int) -> records.Callback:
    """Return the callback after a poll: a call that came during the poll is followed by another one.

    The next poll that follows a call comes 5 s after the end of this one, if this one followed a call too.
    """
    if not poll.was_called:
        return known
    is_called_again = (known.called_at_ms or 0) > poll.asked_at_ms
    again_at_ms = max(known.called_at_ms or 0, ended_at_ms + CALLED_POLL_SPACING_MS)
    return replace(known, called_at_ms=again_at_ms if is_called_again else ended_at_ms)
