"""A claimed generation while its steps run, and the write that gives the claim back.

The last write of the last step gives the claim back in the same transaction, unless something is to be published.
What this process has written is not read again: the fence says that nobody else has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Concatenate, ParamSpec, TypeVar

from generations import records
from generations.model import VISIBLE_ENDINGS, Generation, Image
from store.database import Database
from store.transactions import Transaction

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Closed:
    """A claim after its steps. *released*: nothing is to be published, and the claim was given back."""

    generation: Generation  # as its rows are
    released: bool


@dataclass(slots=True)
class Claim:
    """*unfinished*: how many steps have not made their last write; 0 also where the steps must not give the claim
    back. *moved*: called with the image before and after each write of a step, once it is committed."""

    database: Database
    generation: Generation
    unfinished: int = 0
    moved: Callable[[Image, Image], None] = lambda _before, _after: None
    written: dict[int, Image] = field(default_factory=dict[int, Image])  # by the steps, by position
    closed: Closed | None = None

    async def finish(
        self,
        work: Callable[Concatenate[Transaction, Parameters], tuple[Image, Result]],
        /,
        *args: Parameters.args,
        **kwargs: Parameters.kwargs,
    ) -> Result:
        """Run the last work of a step, which returns the image as it has written it, and a result.

        Raises as Database.run does; LostClaim.
        """

        def finish(tx: Transaction) -> tuple[Image, Result, Closed | None]:
            image, result = work(tx, *args, **kwargs)
            written = [*self.written.values(), image]
            return image, result, _close(tx, self.generation, written) if is_last else None

        is_last = self.unfinished == 1
        image, result, closed = await self.database.run(finish)
        self.unfinished -= 1
        self.moved(self.written.get(image.position, self.generation.images[image.position]), image)
        self.written[image.position] = image
        self.closed = closed
        return result

    async def close(self, *, publishes: bool) -> Closed:
        """Give the claim back unless something is to be published, or *publishes* says so. Raises LostClaim."""
        if self.closed is None:
            self.closed = await self.database.run(_lock_and_close, self.generation, self.written.values(), publishes)
        return self.closed


def _lock_and_close(tx: Transaction, generation: Generation, written: Iterable[Image], publishes: bool) -> Closed:
    records.lock_generation(tx, generation.id, generation.fence)
    return _close(tx, generation, written, publishes=publishes)


def _close(tx: Transaction, generation: Generation, written: Iterable[Image], *, publishes: bool = False) -> Closed:
    """Give the claim back unless something is to be published. The generation's row must be locked."""
    by_position = {image.position: image for image in written}
    ended = [
        image
        for image in generation.images
        if by_position.get(image.position, image).state in VISIBLE_ENDINGS - {image.state}
    ]
    row = None if publishes or ended else records.release_published(tx, generation.id, generation.fence)
    released = row is not None
    if row is None:
        row = records.lock_generation(tx, generation.id, generation.fence)
    if row["revision"] != generation.revision + len(ended):  # another process has cancelled images, or corrected them
        return Closed(records.with_images(tx, [row])[0], released)
    images = (by_position.get(image.position, image) for image in generation.images)
    return Closed(records.read_generation(row, images), released)
