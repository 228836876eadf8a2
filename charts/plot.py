"""Draw a usage report as one PNG: portrait, as phones show it, without pyplot's global state.

All sizes are in pixels, positions from the upper left. Matplotlib is imported when the first chart is drawn. No
series is told apart by its colour alone: each has a hatch or a marker, and its name.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# matplotlib's own annotations leave out those of **kwargs.

from __future__ import annotations

import asyncio
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from charts.labels import clean_label, shorten
from charts.usage_report import (
    DayUsage,
    UsageReport,
    date_text,
    percent_made,
    seconds_text,
    short_count,
    span,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties

WIDTH, HEIGHT = 1000, 1250
MARGIN, LEFT, RIGHT = 40, 130, 940  # of the chart, and of its plots; between them the numbers of the axes
PLOT_HEIGHT = 158
TITLE, TEXT, SMALL = 30, 28, 24  # font sizes

# Okabe and Ito's sky blue, orange and bluish green, which people with each kind of colour blindness tell apart, on a
# dark background of its own, so that the chart looks the same in Discord's dark and light mode.
BACKGROUND, GRID, INK, MUTED = "#1e1f22", "#3f4248", "#f2f3f5", "#b5bac1"
SKY, ORANGE, GREEN = "#56b4e9", "#e69f00", "#009e73"

SEPARATE_BARS = 62  # most days that are drawn as bars with gaps between them
MIN_PLACES = 7  # for bars: one of a single day is as wide as those of a week
MAX_DATES = 4  # below one plot
MAX_TOP = 5
LIMIT_IN_SIGHT = 3  # a limit above so many times the highest bar is only named: its line would flatten the bars


@dataclass(frozen=True, slots=True)
class Series:
    """What is stacked: its name, how it is drawn, and its value on a day."""

    name: str
    colour: str
    hatch: str
    value: Callable[[DayUsage], int]


IMAGES = (
    Series("made", SKY, "", lambda day: day.made),
    Series("failed", ORANGE, "//", lambda day: day.failed),
)
CREDITS = (
    Series("charged", SKY, "", lambda day: day.charged),
    Series("held", GREEN, "..", lambda day: day.held),
    Series("unknown", ORANGE, "//", lambda day: day.unknown),
)


class UsageDrawer:
    """Draws charts in a thread, one after another. Use one for the whole process."""

    def __init__(self, draw: Callable[[UsageReport, str, Mapping[int, str]], bytes] | None = None) -> None:
        """*draw*: draw_usage, or what a test has in its place."""
        self._draw = draw or draw_usage
        self._lock = asyncio.Lock()

    async def draw(self, report: UsageReport, title: str, labels: Mapping[int, str]) -> bytes:
        """Return what draw_usage returns. Cancelled or not, the next chart is begun when this one is drawn."""
        return await asyncio.shield(asyncio.ensure_future(self._draw_alone(report, title, labels)))

    async def _draw_alone(self, report: UsageReport, title: str, labels: Mapping[int, str]) -> bytes:
        async with self._lock:
            return await asyncio.to_thread(self._draw, report, title, labels)


def draw_usage(report: UsageReport, title: str, labels: Mapping[int, str]) -> bytes:
    """Return a PNG of WIDTH × HEIGHT. *title* and *labels* (by the ids of report.top) may hold anything."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH / 72, HEIGHT / 72), dpi=72, facecolor=BACKGROUND)  # at 72 dpi a point is a pixel
    canvas = FigureCanvasAgg(figure)
    _write(figure, MARGIN, 70, _drawable(title) or "Usage", size=46, bold=True, most=WIDTH - 2 * MARGIN)
    _write(figure, MARGIN, 112, span(report), size=TEXT, colour=MUTED)
    if report.is_empty:
        _write(figure, MARGIN, HEIGHT / 2, "No image was asked for in this time.", size=44)
    else:
        _draw_headline(figure, report)
        _draw_stack(figure, 244, "Images a day", report.days, IMAGES)
        _draw_stack(figure, 504, "Credits a day", report.days, CREDITS, report.credits_a_day)
        _draw_waits(figure, 764, report)
        _draw_top(figure, 1024, report, labels)
    png = io.BytesIO()
    canvas.print_png(png, metadata={"Software": None})
    figure.clear()  # a figure and its parts refer to each other, which leaves them to the garbage collector
    return png.getvalue()


def _draw_headline(figure: Figure, report: UsageReport) -> None:
    waits = report.waits
    numbers = (
        (short_count(report.made), "images made" if report.made != 1 else "image made"),
        (percent_made(report) or "–", "success"),
        (seconds_text(waits.median_seconds) if waits else "–", "median wait"),
    )
    for column, (number, name) in enumerate(numbers):
        left = MARGIN + column * 320
        _write(figure, left, 178, number, size=50, bold=True)
        _write(figure, left, 212, name, size=SMALL, colour=MUTED)


def _draw_stack(
    figure: Figure, top: float, title: str, days: Sequence[DayUsage], series: Sequence[Series], limit: int = 0
) -> None:
    """Draw the series on top of each other: bars, or for many days areas. *limit*: drawn as a line; 0: none."""
    axes = _open_plot(figure, top, title, days)
    bottoms = [0.0] * len(days)
    for one in series:
        values = [float(one.value(day)) for day in days]
        tops = [bottom + value for bottom, value in zip(bottoms, values, strict=True)]
        style: dict[str, Any] = {"facecolor": one.colour, "edgecolor": BACKGROUND, "linewidth": 0}
        style |= {"hatch": one.hatch or None, "hatch_linewidth": 2}
        if any(values):
            style["label"] = f"{one.name} {short_count(sum(values))}"
        if len(days) <= SEPARATE_BARS:
            axes.bar(range(len(days)), values, 0.78, bottom=bottoms, **style)
        else:
            edges = [day - 0.5 for day in range(len(days) + 1)]
            axes.stairs(tops, edges, baseline=bottoms, fill=True, **style)
        bottoms = tops
    if any(bottoms):
        _write_legend(axes)
        _scale_with_limit(axes, max(bottoms), limit)
    else:
        _say_nothing(axes, "None.")


def _scale_with_limit(axes: Axes, highest: float, limit: int) -> None:
    """Scale the axis, draw the limit (0: there is none) as a line, and name it above everything else."""
    if not limit:
        _scale(axes, highest)
        return
    name = f"limit {short_count(limit)}"
    if limit <= LIMIT_IN_SIGHT * highest:
        axes.axhline(limit, color=INK, linestyle=(0, (6, 4)), linewidth=3)
        highest, name = max(highest, limit), f"╌╌ {name}"
    else:
        name += " ↑"
    _scale(axes, highest, room=1.4)
    box = {"facecolor": BACKGROUND, "edgecolor": "none", "pad": 2}  # over a line of the grid
    _annotate(axes, name, (axes.get_xlim()[1], highest), (0, 5), va="bottom", ha="right", bbox=box)


def _draw_waits(figure: Figure, top: float, report: UsageReport) -> None:
    axes = _open_plot(figure, top, "Wait for an image", report.days)
    waits = report.waits
    if waits is None:
        _say_nothing(axes, "None.")
        return
    longest = max((day.waits.p95_seconds for day in report.days if day.waits), default=waits.p95_seconds)
    unit, name = (3600, " h") if longest >= 3 * 3600 else (60, " min") if longest >= 3 * 60 else (1, " s")
    width, size = (3, 10) if len(report.days) <= SEPARATE_BARS else (2, 3)
    medians = [day.waits.median_seconds / unit if day.waits else math.nan for day in report.days]
    p95s = [day.waits.p95_seconds / unit if day.waits else math.nan for day in report.days]
    places = range(len(report.days))
    style: dict[str, Any] = {"linewidth": width, "markersize": size}
    label = f"95 % within {seconds_text(waits.p95_seconds)}"
    axes.plot(places, p95s, color=ORANGE, linestyle=(0, (3, 1)), marker="s", label=label, **style)
    label = f"median {seconds_text(waits.median_seconds)}"
    axes.plot(places, medians, color=SKY, marker="o", label=label, **style)
    _write_legend(axes)
    _scale(axes, longest / unit, name)


def _draw_top(figure: Figure, top: float, report: UsageReport, labels: Mapping[int, str]) -> None:
    """Draw who has most images: the label on the left, the number at the end of the bar."""
    whose = "people" if report.of_server else "servers"
    _write(figure, MARGIN, top + 26, f"Most images: {whose}", size=TITLE, bold=True)
    entries = report.top[:MAX_TOP]
    if not entries:
        _write(figure, MARGIN, top + 70, "None.", size=SMALL)
        return
    bars, row = 420, 36
    axes = _open_axes(figure, bars, top + 40, RIGHT - bars - 50, row * MAX_TOP)
    made = [float(entry.made) for entry in entries]
    axes.set(xlim=(0, max(1, *made)), ylim=(MAX_TOP - 0.5, -0.5), yticks=[], xticks=[])
    axes.barh(range(len(entries)), made, 0.7, color=SKY)
    for place, entry in enumerate(entries):
        bottom = top + 40 + row * place + 26
        label = _drawable(labels.get(entry.id, "")) or f"…{str(entry.id)[-6:]}"  # the end of the id says something
        _write(figure, MARGIN, bottom, f"{place + 1}.", size=SMALL)  # apart from labels that are read from the right
        _write(figure, MARGIN + 36, bottom, label, size=SMALL, most=bars - MARGIN - 52)
        _annotate(axes, short_count(entry.made), (made[place], place), (10, 0), va="center", ha="left")


def _open_plot(figure: Figure, top: float, title: str, days: Sequence[DayUsage]) -> Axes:
    """Return a plot whose x are the numbers of the days, with some of their dates below it."""
    _write(figure, MARGIN, top + 26, title, size=TITLE, bold=True)
    axes = _open_axes(figure, LEFT, top + 42, RIGHT - LEFT, PLOT_HEIGHT)
    last = len(days) - 1
    beside = max(0.6, (MIN_PLACES - len(days)) / 2)
    axes.set_xlim(-beside, last + beside)
    steps = min(last, MAX_DATES - 1)
    places = [round(last * step / steps) for step in range(steps + 1)] if steps else [0]
    axes.set_xticks(places, [date_text(days[place].date) for place in places], fontproperties=_font(SMALL), color=MUTED)
    if len(days) > 10:  # else the outer dates are far enough from the edges
        first, *_, final = axes.get_xticklabels()
        first.set_horizontalalignment("left")
        final.set_horizontalalignment("right")
    axes.grid(axis="y", color=GRID, linewidth=2)
    axes.spines["bottom"].set(visible=True, color=MUTED, linewidth=2)
    return axes


def _open_axes(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    place = (left / WIDTH, 1 - (top + height) / HEIGHT, width / WIDTH, height / HEIGHT)
    axes = figure.add_axes(place, facecolor=BACKGROUND)
    axes.tick_params(length=0, pad=8)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return axes


def _scale(axes: Axes, highest: float, unit: str = "", room: float = 1.12) -> None:
    """Let the y axis begin at 0 and end at *room* times *highest*, with few round numbers."""
    from matplotlib.ticker import MaxNLocator

    highest = highest or 1
    axes.set_ylim(0, highest * room)
    ticks = [float(tick) for tick in MaxNLocator(3, integer=not unit).tick_values(0, highest)]
    ticks = [tick for tick in ticks if 0 <= tick <= highest * room]
    names = [f"{short_count(tick)}{unit if tick else ''}" for tick in ticks]
    axes.set_yticks(ticks, names, fontproperties=_font(SMALL), color=MUTED)


def _write_legend(axes: Axes) -> None:
    """Name the series above the plot, on the right of its title."""
    axes.legend(
        loc="lower right",
        bbox_to_anchor=(1, 1 + 12 / PLOT_HEIGHT),
        ncols=3,
        borderaxespad=0,
        borderpad=0,
        frameon=False,
        prop=_font(SMALL),
        labelcolor=INK,
        handlelength=1.5,
        handletextpad=0.4,
        columnspacing=0.9,
    )


def _say_nothing(axes: Axes, text: str) -> None:
    axes.set_ylim(0, 1)
    axes.set_yticks([])
    _annotate(axes, text, (axes.get_xlim()[0], 0.5), (0, 0), va="center", ha="left")


def _annotate(axes: Axes, text: str, point: tuple[float, float], offset: tuple[int, int], **style: Any) -> None:
    """Write beside a point of a plot. *offset*: pixels to the right and upwards."""
    axes.annotate(
        text,
        point,
        offset,
        textcoords="offset points",
        color=INK,
        fontproperties=_font(SMALL),
        parse_math=False,
        **style,
    )


def _write(
    figure: Figure,
    left: float,
    bottom: float,
    text: str,
    *,
    size: int,
    colour: str = INK,
    bold: bool = False,
    most: float = math.inf,
) -> None:
    """Write one line on the chart, cut where it is wider than *most*. Nothing in it is read as mathematics."""
    font = _font(size, bold=bold)
    written = figure.text(left / WIDTH, 1 - bottom / HEIGHT, text, color=colour, fontproperties=font, parse_math=False)
    length = len(text)
    while written.get_window_extent().width > most and length > 1:
        length -= 1
        written.set_text(shorten(text, length))


def _drawable(label: str) -> str:
    from matplotlib.font_manager import get_font

    glyphs = [get_font(_font_file(bold)) for bold in (False, True)]
    return clean_label(label, lambda char: all(font.get_char_index(ord(char)) for font in glyphs))


def _font(size: int, *, bold: bool = False) -> FontProperties:
    from matplotlib.font_manager import FontProperties

    return FontProperties(fname=_font_file(bold), size=size)


def _font_file(bold: bool) -> str:
    """Return the path of a font that comes with matplotlib, so that the system's fonts don't matter."""
    from matplotlib import get_data_path

    return f"{get_data_path()}/fonts/ttf/DejaVuSans{'-Bold' if bold else ''}.ttf"
