"""What is expected of one image of the image API, and what takes care of it where it comes otherwise. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from doctor.model import Finding, Level
from generations.prices import price_of
from qwen.images import DownloadedImage
from qwen.models import Size, Task, TaskRequest, TaskStatus, parse_status


@dataclass(slots=True)
class Course:
    """How the making of one image went. Times are seconds since its POST.

    *statuses*: (seconds, status as it was written), one for each change; *fault*: the bot's own words on what went
    wrong; *called_after*: when the first callback came, None without one.
    """

    request: TaskRequest = field(repr=False)
    statuses: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])
    posted_after: float = 0.0
    ready_after: float | None = None
    consumed_credits: int | None = None
    urls: int = 0
    fault: str = ""
    image: DownloadedImage | None = field(default=None, repr=False)
    hosts: list[str] = field(default_factory=list[str])
    called_after: float | None = None

    def note_poll(self, task: Task, seconds: float) -> None:
        """Note the answer to a poll. A status that is the same as before is left out."""
        if self.statuses[-1][1] != task.status_text:
            self.statuses.append((seconds, task.status_text))
        self.ready_after, self.consumed_credits, self.urls = seconds, task.consumed_credits, len(task.image_urls)

    @property
    def name(self) -> str:
        """What this image is called in a report."""
        with_callback = " with a callback" if self.request.callback_url else ""
        return f"image {self.request.size.value} {self.request.output_format.value}{with_callback}"

    def lines(self) -> Iterator[str]:
        """Yield what was seen, a line each."""
        yield f"POST answered after {self.posted_after:.2f} s"
        yield from (f"{seconds:8.2f} s  {status}" for seconds, status in self.statuses)
        if self.request.callback_url:
            called = "no callback came" if self.called_after is None else f"called back after {self.called_after:.2f} s"
            yield called
        yield f"consumed_credits {self.consumed_credits}, addresses in response {self.urls}"
        if self.image is not None:
            image = self.image
            yield f"{image.width}x{image.height} {image.format.value}, {len(image.data)} bytes, from {self.hosts}"


def judge_course(course: Course) -> Finding:
    """Judge one image: its ending, its price, its form, its statuses and its callback."""
    if course.fault or course.image is None:
        return Finding(course.name, Level.FAIL, f"no image: {course.fault}", "qwen/protocol says what it means")
    surprises = [*_surprises(course)]
    took = f"ready after {course.ready_after or 0:.1f} s"
    if not surprises:
        return Finding(course.name, Level.OK, f"as expected: {took}")
    said, handled = zip(*surprises, strict=True)
    return Finding(course.name, Level.WARN, f"{took}, but {'; '.join(said)}", "; ".join(dict.fromkeys(handled)))


def _surprises(course: Course) -> Iterator[tuple[str, str]]:
    """Yield what was seen instead, and what takes care of it."""
    wanted, image = course.request, course.image
    if strange := sorted({text for _, text in course.statuses if parse_status(text) is TaskStatus.UNKNOWN}):
        yield f"the API said the status {', '.join(strange)}", "qwen/answers judges it by what comes with it"
    if course.consumed_credits != price_of(1):
        yield (
            f"the API said consumed_credits {course.consumed_credits}, not {price_of(1)}",
            "generations/prices has the price; the ledger charges no more than that",
        )
    if course.urls != 1:
        yield f"the API sent {course.urls} addresses", "the first one is posted"
    if image is not None and (image.width, image.height) != (wanted.size.width, wanted.size.height):
        yield f"it has {image.width}x{image.height} pixels", "nothing: the card names the size that was asked for"
    if image is not None and image.format is not wanted.output_format:
        yield f"it is a {image.format.value}", "ui/views/file_names names the file after its own format"
    if len(set(course.hosts)) > 1:
        yield f"its address redirects: {' to '.join(course.hosts)}", "qwen/images follows; QWEN_IMAGE_HOSTS names both"
    if wanted.callback_url and course.called_after is None:
        yield "no callback came", "polls go on without; PUBLIC_URL must be reachable from outside"


def cost_of(with_callback: bool) -> int:
    """Return the credits of one image of each size, or of two where one comes *with_callback*."""
    return price_of(len(Size) * (2 if with_callback else 1))
