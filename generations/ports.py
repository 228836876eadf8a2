"""What the worker asks of the floors above and beside it, as protocols: bot.py joins them with the real ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from generations.delivery_result import DeliveryResult
from generations.model import Generation, Progress
from qwen.images import DownloadedImage, FoundImage
from qwen.models import Task, TaskRequest


class Delivery(Protocol):
    """Shows a generation by ids (ui/delivery/cards). Calls that change one message never overlap."""

    def show_progress(self, generation: Generation, progress: Progress) -> None:
        """Show how it goes, some time soon. Never waits, never raises; a newer one replaces it."""
        ...

    async def show(
        self, generation: Generation, progress: Progress, image_files: Mapping[int, FoundImage]
    ) -> DeliveryResult:
        """Show news that must arrive: endings, and the *images* (by position) of its succeeded images.

        Raises DeliveryDelayed when Discord can't take it now, LostClaim when somebody else has claimed it. Never raises
        for a place that is gone: it goes on to the next one, and says NOWHERE when there is none left.
        """
        ...

    def publish_delay_seconds(self, generation: Generation) -> float:
        """How long its images can't be shown yet, as far as is known; 0: they may be fetched, and then shown.

        Makes no call. Ask it once before images are fetched: while Discord doesn't answer, one asker at a time gets 0.
        """
        ...

    async def find_card(self, generation: Generation) -> int | None:
        """The id of the card of a generation that was never confirmed as answered; None: Discord has none.

        Raises DeliveryDelayed when Discord can't say now.
        """
        ...


class StaleEditGuard(Protocol):
    """Whether a card may still be made to say what a process once read; generations.stale_edits is it."""

    async def is_current(self, generation: Generation) -> bool:
        """Whether nobody has claimed it since *generation* was read."""
        ...

    async def was_published(self, generation: Generation, attachment_ids: Mapping[int, int]) -> None:
        """Progress of *generation* is on its card now: where news overtook it, have them shown again.

        *standing*: image position -> id of the attachments that it kept; empty: it left them alone.
        """
        ...


class Pings(Protocol):
    """Tells a person that their images are there, if they want to be told; ui/delivery/pings is it."""

    async def arrived(self, generation: Generation) -> None:
        """Nothing of *generation* is on its way any more. Decides at once, sends some time soon; raises nothing of
        Discord's."""
        ...


class Operator(Protocol):
    """Tells the bot's owner what only they can mend (ui/delivery/owner_alerts): once per matter and six hours."""

    def tell(self, matter: str, detail: str) -> None: ...


class ImageService(Protocol):
    """The image API; qwen.client is it."""

    async def create_task(self, request: TaskRequest) -> Task: ...

    async def get_task(self, task_id: str) -> Task: ...


class ImageStore(Protocol):
    """Where finished images are fetched; qwen.images is it."""

    async def download(self, url: str, announced: Callable[[int], None] | None = None) -> DownloadedImage: ...
