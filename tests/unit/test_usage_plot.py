"""The chart of a usage report: decoded again, and its colours as people see them."""

from __future__ import annotations

import asyncio
import datetime
import io
import itertools
import threading
from collections.abc import Mapping

import pytest
from PIL import Image

from charts import plot
from charts.plot import (
    BACKGROUND,
    CREDITS,
    GREEN,
    HEIGHT,
    IMAGES,
    INK,
    MUTED,
    ORANGE,
    SKY,
    WIDTH,
    UsageDrawer,
    draw_usage,
)
from charts.usage_report import DayUsage, TopEntry, UsageReport, Waits

LAST = datetime.date(2026, 11, 29)
Rgb = tuple[float, float, float]
# What people without one kind of cone see of linear RGB: Machado, Oliveira and Fernandes 2009, severity 1.0.
SIGHT = {
    "all cones": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.01182, 0.04294, 0.968881)),
}
XYZ = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.072175), (0.0193339, 0.119192, 0.9503041))


def linear(colour: str) -> Rgb:
    shares = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares)
    return red, green, blue


def times(matrix: tuple[Rgb, ...], rgb: Rgb) -> Rgb:
    first, second, third = (sum(a * b for a, b in zip(row, rgb, strict=True)) for row in matrix)
    return first, second, third


def contrast(one: str, other: str) -> float:
    """WCAG 2.2, "contrast ratio"."""
    darker, lighter = sorted(times(XYZ, linear(colour))[1] for colour in (one, other))
    return (lighter + 0.05) / (darker + 0.05)


def lab(colour: str, sight: str) -> Rgb:
    """CIE 1976 L*a*b* under D65."""
    seen = times(SIGHT[sight], linear(colour))
    xyz = times(XYZ, (min(1, max(0, seen[0])), min(1, max(0, seen[1])), min(1, max(0, seen[2]))))
    x, y, z = (
        value ** (1 / 3) if value > 0.008856 else 7.787 * value + 16 / 116
        for value in (xyz[0] / 0.95047, xyz[1], xyz[2] / 1.08883)
    )
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def distance(one: str, other: str, sight: str) -> float:
    return sum((a - b) ** 2 for a, b in zip(lab(one, sight), lab(other, sight), strict=True)) ** 0.5


def make_report(number: int, scale: int = 10, **values: object) -> UsageReport:
    days = [
        DayUsage(
            LAST - datetime.timedelta(number - place),
            *(scale * (place % 5 + 1), scale, scale * 25, scale * 5, scale),
            waits=Waits(10 + place % 3, 30 + place % 7, 5),
        )
        for place in range(number)
    ]
    top = [TopEntry(2**53 + place, scale * (5 - place)) for place in range(5)]
    return UsageReport(days, Waits(11, 35, 5), top, **values)  # type: ignore[arg-type]


def decode(png: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(png))
    assert (image.format, image.size) == ("PNG", (WIDTH, HEIGHT))
    return image.convert("RGB")


def share_of(image: Image.Image, colour: str) -> float:
    """Return how much of the chart has exactly this colour, from 0 to 1."""
    wanted = tuple(int(colour[place : place + 2], 16) for place in (1, 3, 5))
    found = {seen: number for number, seen in image.getcolors(WIDTH * HEIGHT) or []}
    return found.get(wanted, 0) / (WIDTH * HEIGHT)


def draw(report: UsageReport, title: str = "Server", labels: Mapping[int, str] | None = None) -> Image.Image:
    return decode(draw_usage(report, title, labels or {}))


@pytest.mark.parametrize("colour", [INK, MUTED, SKY, ORANGE, GREEN])
def test_all_text_and_all_bars_stand_out_from_the_background(colour: str) -> None:
    assert contrast(colour, BACKGROUND) >= 4.5


@pytest.mark.parametrize("sight", SIGHT)
def test_the_colours_differ_for_people_who_lack_a_kind_of_cone(sight: str) -> None:
    for one, other in itertools.combinations((SKY, ORANGE, GREEN), 2):
        assert distance(one, other, sight) >= 40, (one, other)


@pytest.mark.parametrize("series", [IMAGES, CREDITS])
def test_stacked_series_differ_without_any_colour(series: tuple[plot.Series, ...]) -> None:
    assert len({one.hatch for one in series}) == len({one.colour for one in series}) == len(series)


@pytest.mark.parametrize("number", [1, 366])
def test_what_failed_is_hatched_in_the_chart_too(number: int) -> None:
    image = draw(UsageReport([DayUsage(LAST, failed=10)] * number))
    inside = image.crop((WIDTH // 2, 310, WIDTH // 2 + 60, 430)).convert("L").histogram()
    light, dark = sum(inside[150:]) / sum(inside), sum(inside[:100]) / sum(inside)
    assert light > 0.5
    assert dark > 0.1


@pytest.mark.parametrize("number", [1, 30, 366])
def test_a_report_of_any_length_is_drawn_in_all_its_colours(number: int) -> None:
    image = draw(make_report(number, credits_a_day=400))
    assert 0.5 < share_of(image, BACKGROUND) < 0.95
    assert share_of(image, SKY) > 0.03
    assert min(share_of(image, ORANGE), share_of(image, GREEN)) > 0.0005
    assert share_of(image, INK) > 0.005


def test_a_report_without_requests_is_a_sentence() -> None:
    image = draw(UsageReport([DayUsage(LAST)]))
    assert share_of(image, SKY) == 0
    assert share_of(image, INK) > 0.002
    assert share_of(image, BACKGROUND) > 0.95


def test_requests_without_an_image_yet_are_drawn() -> None:
    image = draw(UsageReport([DayUsage(LAST, held=20)]))
    assert share_of(image, SKY) == 0
    assert share_of(image, GREEN) > 0.002


def test_a_far_limit_does_not_flatten_the_bars_and_a_near_one_is_drawn() -> None:
    none, near, far = (draw(make_report(30, credits_a_day=limit)) for limit in (0, 400, 10**6))
    assert share_of(near, INK) > share_of(far, INK) > share_of(none, INK)
    assert share_of(far, SKY) > 0.7 * share_of(none, SKY)


def test_numbers_beyond_64_bits_are_drawn() -> None:
    assert share_of(draw(make_report(7, 10**25, credits_a_day=10**26)), SKY) > 0.03


HOSTILE = {
    "mathematics": "$\\frac{a}{b}$ $x^2 \\undefined{$",
    "right to left": "שלום \u202emoc.live مرحبا",
    "no glyph": "日本語の名前",
    "emoji": "👨‍👩‍👧‍👦🏳️‍🌈",
    "marks": "Z\u0334\u0322\u031b\u031e" * 50,
    "controls": "a\x00\n\n\nb\x1b[2J\ud800",
    "long": "W" * 100_000,
    "one wide glyph": "\ufdfd" * 40,
    "nothing": "",
}


@pytest.mark.parametrize("first", [0, 5])
def test_hostile_labels_stay_in_their_line_and_beside_their_bar(first: int) -> None:
    report = make_report(3)
    plain = draw(report)
    labels = [*HOSTILE.values()][first : first + 5]
    hostile = draw(report, max(labels, key=len), dict(zip((entry.id for entry in report.top), labels, strict=False)))
    names = (0, 1064, 412, HEIGHT)
    different = (0, 0, WIDTH, 84), names  # the title, and the names of the most active
    for box in different:
        for image in (plain, hostile):
            image.paste((0, 0, 0), box)
    assert hostile.tobytes() == plain.tobytes()


async def test_charts_are_drawn_one_after_another_also_when_nobody_waits_any_more() -> None:
    may_end, begun, running = threading.Event(), threading.Event(), list[int]()

    def draw_slowly(report: UsageReport, title: str, labels: Mapping[int, str]) -> bytes:
        running.append(running[-1] + 1 if running else 1)
        begun.set()
        assert may_end.wait(60)
        running.append(running[-1] - 1)
        return title.encode()

    drawer = UsageDrawer(draw_slowly)
    report = make_report(1)
    first = asyncio.ensure_future(drawer.draw(report, "first", {}))
    assert await asyncio.to_thread(begun.wait, 60)
    second = asyncio.ensure_future(drawer.draw(report, "second", {}))
    first.cancel()
    await asyncio.wait([first])
    for _ in range(10):  # of the pool's threads, which take what they are given in order
        await asyncio.to_thread(begun.is_set)
    may_end.set()
    assert await second == b"second"
    assert running == [1, 0, 1, 0]
