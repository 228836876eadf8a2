"""What the worker needs of other rooms, as protocols; services/ passes the real ones in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from generations.delivery_result import DeliveryResult
from generations.model import Generation, Progress
from qwen.images import DownloadedImage, FoundImage
from qwen.models import Task, TaskRequest


class Delivery(Protocol):
    """Publish a generation by its ids (ui/delivery/cards). Calls that change one message never overlap."""

    def publish_progress(self, generation: Generation, progress: Progress) -> None:
        """Edit the card to *progress* soon. Never waits, never raises; newer progress replaces it."""
        ...

    async def publish(
        self, generation: Generation, progress: Progress, image_files: Mapping[int, FoundImage]
    ) -> DeliveryResult:
        """Publish the newest revision: endings, and *image_files* (by position) of its succeeded images.

        Raises DeliveryDelayed when Discord can't take it now, LostClaim when another process has claimed it. A place
        that is gone is no error: the next one is tried, and the result is NOWHERE when there is none left.
        """
        ...

    def publish_delay_seconds(self, generation: Generation) -> float:
        """How long its images can't be published yet, as far as is known; 0: they can be downloaded and published.

        Makes no request. Call it once before a download: while Discord doesn't answer, one caller at a time gets 0.
        """
        ...

    async def find_card(self, generation: Generation) -> int | None:
        """Look up the card of a generation that was never confirmed, and return its id; None: Discord has none.

        Raises DeliveryDelayed when Discord can't say now.
        """
        ...


class StaleEditGuard(Protocol):
    """Keeps old data off a card (generations.stale_edits)."""

    async def is_current(self, generation: Generation) -> bool:
        """Whether nobody has claimed it since *generation* was read."""
        ...

    async def was_published(self, generation: Generation, attachment_ids: Mapping[int, int]) -> None:
        """*generation* is on its card now: where a newer revision was there before, have that published again.

        *attachment_ids*: image position -> id of the attachments that are on the card; empty: they were left alone.
        """
        ...

    async def forget_attachments(self, generation: Generation, gone: Mapping[int, int]) -> None:
        """Attachments, image position -> id, are *gone* from the card: have these images posted again.

        Raises DatabaseLost.
        """
        ...


class FollowUps(Protocol):
    """Note a message by an interaction's token before it is sent; generations.follow_ups is it."""

    async def begin(self, generation: Generation) -> int:
        """Commit that a follow-up of *generation* begins now, and return what its row says of it: unix milliseconds.

        Raises LostClaim and DatabaseLost.
        """
        ...


class Pings(Protocol):
    """Pings a person when their images are ready, if they want that (ui/delivery/pings)."""

    def send(self, generation: Generation) -> None:
        """Send a ping for *generation* soon: generations.pings has decided so. Never waits, never raises."""
        ...


class Operator(Protocol):
    """Alerts the bot's owner to what only they can fix (ui/delivery/owner_alerts)."""

    def tell(self, matter: str, detail: str) -> None:
        """Send *detail*, once per *matter* and six hours."""
        ...

    def tell_change(self, matter: str, detail: str) -> None:
        """Log *detail*, which was added to the outbox in the transaction of its change, and send what waits there."""
        ...


class ImageService(Protocol):
    """The image API (qwen.client)."""

    async def create_task(self, request: TaskRequest) -> Task: ...

    async def get_task(self, task_id: str) -> Task: ...


class ImageStore(Protocol):
    """Downloads finished images (qwen.images)."""

    async def download(self, url: str, announced: Callable[[int], None] | None = None) -> DownloadedImage: ...
