"""Draws the stand-in's images: a landscape from prompt and seed. The same input gives the same bytes.

The image does not show what the prompt says; a small label says that it comes from the sandbox.
"""

from __future__ import annotations

import colorsys
import hashlib
import io
import itertools
import random
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFilter, ImageFont

Rgb = tuple[int, int, int]
Size = tuple[int, int]
_SMOOTH = 2  # shapes are drawn this much larger and then reduced, for soft edges
_PINE_MAX = 0.07  # of the height: more than any pine has


@dataclass(frozen=True, slots=True)
class Scene:
    """The random choices of one image. Lengths are shares of its height or width."""

    sky_top: Rgb
    sky_low: Rgb
    light: Rgb
    near: Rgb
    sun_x: float
    sun_y: float
    sun_radius: float
    horizon: float
    ridges: int
    water: bool
    night: bool


def draw_image(prompt: str, seed: int, size: Size, output_format: str) -> bytes:
    """Return an encoded image of exactly *size* pixels in *output_format* (jpeg, png or webp)."""
    digest = hashlib.sha256(f"{seed}\n{prompt}".encode("utf-8", "surrogatepass")).digest()
    rng = random.Random(int.from_bytes(digest, "big"))
    scene = _draw_scene(rng)
    canvas = _sky(scene, size)
    if scene.night:
        _stars(canvas, rng, scene)
    _sun(canvas, scene)
    _ridges(canvas, scene, rng)
    if scene.water:
        _water(canvas, scene, rng)
    _label(canvas, f"sandbox · seed {seed}")
    return _encode(canvas, output_format)


def _draw_scene(rng: random.Random) -> Scene:
    hue = rng.random()
    night = rng.random() < 0.35
    warm = (hue + rng.choice((0.07, 0.12, 0.45, 0.55))) % 1
    return Scene(
        sky_top=_rgb(hue, 0.62, 0.20 if night else 0.72),
        sky_low=_rgb(warm, 0.42, 0.55 if night else 0.98),
        light=_rgb(warm, 0.10 if night else 0.22, 1.0),
        near=_rgb((hue + rng.uniform(-0.06, 0.06)) % 1, 0.55, 0.10 if night else 0.20),
        sun_x=rng.uniform(0.18, 0.82),
        sun_y=rng.uniform(0.16, 0.42),
        sun_radius=rng.uniform(0.045, 0.10),
        horizon=rng.uniform(0.44, 0.58),
        ridges=rng.randint(4, 6),
        water=rng.random() < 0.5,
        night=night,
    )


def _rgb(hue: float, saturation: float, value: float) -> Rgb:
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)


def _between(one: Rgb, other: Rgb, share: float) -> Rgb:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def _sky(scene: Scene, size: Size) -> Image.Image:
    column = Image.new("RGB", (1, 64))
    for y in range(64):
        column.putpixel((0, y), _between(scene.sky_top, scene.sky_low, min(1.0, y / 63 / (scene.horizon + 0.1))))
    return _stretch(column, (1, size[1])).resize(size, Image.Resampling.NEAREST)  # pyright: ignore[reportUnknownMemberType]


def _stretch(image: Image.Image, size: Size) -> Image.Image:
    return image.resize(size, Image.Resampling.BICUBIC)  # pyright: ignore[reportUnknownMemberType] - names numpy's type


def _stars(canvas: Image.Image, rng: random.Random, scene: Scene) -> None:
    draw = ImageDraw.Draw(canvas)
    width, height = canvas.size
    for _ in range(150):
        x, y = rng.uniform(0, width), rng.uniform(0, height * scene.horizon)
        radius = rng.choice((0.6, 0.9, 0.9, 1.6))
        colour = _between(scene.sky_top, scene.light, rng.uniform(0.3, 0.95))
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)


def _sun(canvas: Image.Image, scene: Scene) -> None:
    width, height = canvas.size
    radius = scene.sun_radius * min(canvas.size)
    x, y = scene.sun_x * width, scene.sun_y * height
    glow = Image.new("L", (width // 8, height // 8))
    reach = radius * 1.7
    ImageDraw.Draw(glow).ellipse([v / 8 for v in (x - reach, y - reach, x + reach, y + reach)], fill=150)
    glow = _stretch(glow.filter(ImageFilter.GaussianBlur(radius / 8)), canvas.size)
    canvas.paste(scene.light, mask=glow)
    left, top, side = int(x - radius) - 1, int(y - radius) - 1, int(2 * radius) + 4  # only what the disc covers
    disc = Image.new("L", (side * _SMOOTH, side * _SMOOTH))
    around = (x - radius - left, y - radius - top, x + radius - left, y + radius - top)
    ImageDraw.Draw(disc).ellipse([v * _SMOOTH for v in around], fill=255)
    canvas.paste(scene.light, (left, top), disc.reduce(_SMOOTH))


def _ridges(canvas: Image.Image, scene: Scene, rng: random.Random) -> None:
    width, height = canvas.size
    foot = 0.86 if scene.water else 1.0
    for layer in range(scene.ridges):
        share = layer / (scene.ridges - 1)
        base = scene.horizon + (foot - 0.12 - scene.horizon) * share
        roughness = 0.13 * (1.1 - 0.5 * share)
        line = _ridge_line(rng, base, roughness)
        top = max(0, int((min(y for _, y in line) - _PINE_MAX) * height))  # the mask begins above the highest pine
        depth = (height - top) * _SMOOTH
        mask = Image.new("L", (width * _SMOOTH, depth))
        draw = ImageDraw.Draw(mask)
        points = [(x * width * _SMOOTH, (y * height - top) * _SMOOTH) for x, y in line]
        draw.polygon([(0, depth), *points, (width * _SMOOTH, depth)], fill=255)
        if layer == scene.ridges - 1:
            _pines(draw, rng, points, height * _SMOOTH * 0.05)
        colour = _between(_between(scene.sky_low, scene.near, 0.22), scene.near, share**0.8)
        canvas.paste(colour, (0, top), mask.reduce(_SMOOTH))


def _ridge_line(rng: random.Random, base: float, roughness: float) -> list[tuple[float, float]]:
    """Return a line from the left edge to the right by midpoint displacement, as shares of width and height."""
    heights = [rng.uniform(-1, 1), rng.uniform(-1, 1)]
    spread = 1.0
    while len(heights) < 200:
        finer: list[float] = []
        for left, right in itertools.pairwise(heights):
            finer += [left, (left + right) / 2 + rng.uniform(-spread, spread)]
        heights = [*finer, heights[-1]]
        spread *= 0.5
    return [(i / (len(heights) - 1), base + roughness * 0.5 * h) for i, h in enumerate(heights)]


def _pines(draw: ImageDraw.ImageDraw, rng: random.Random, ridge: list[tuple[float, float]], height: float) -> None:
    for x, y in ridge[1:-1]:
        if rng.random() < 0.55:
            continue
        reach = height * rng.uniform(0.5, 1.2)
        x += rng.uniform(-1, 1) * height * 0.2
        draw.polygon([(x - reach * 0.2, y + reach * 0.3), (x, y - reach), (x + reach * 0.2, y + reach * 0.3)], fill=255)


def _water(canvas: Image.Image, scene: Scene, rng: random.Random) -> None:
    """Mirror in the lowest part what is above it, darker and softer, with a few lines of light."""
    width, height = canvas.size
    shore = round(height * 0.84)
    depth = height - shore
    mirrored = canvas.crop((0, shore - depth, width, shore)).transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    tint = Image.new("RGB", mirrored.size, _between(scene.sky_low, scene.near, 0.5))
    water = Image.blend(mirrored.filter(ImageFilter.GaussianBlur(3)), tint, 0.45)
    draw = ImageDraw.Draw(water)
    for _ in range(70):
        y = depth * rng.random() ** 1.4
        reach = width * (0.02 + 0.09 * y / depth)
        x = width * (scene.sun_x + rng.gauss(0, 0.05 + 0.12 * y / depth))
        draw.line((x - reach, y, x + reach, y), fill=_between(scene.near, scene.light, rng.uniform(0.4, 0.8)), width=1)
    canvas.paste(water, (0, shore))


def _label(canvas: Image.Image, text: str) -> None:
    font = ImageFont.load_default(size=max(14, canvas.width // 64))
    margin = canvas.width // 50
    draw = ImageDraw.Draw(canvas)
    corner = (canvas.width - margin, canvas.height - margin)
    draw.text((corner[0] + 1, corner[1] + 1), text, fill=(0, 0, 0), font=font, anchor="rs")
    draw.text(corner, text, fill=(255, 255, 255), font=font, anchor="rs")


def _encode(canvas: Image.Image, output_format: str) -> bytes:
    out = io.BytesIO()
    quality = {} if output_format == "png" else {"quality": 90}
    canvas.save(out, format=output_format.upper(), **quality)
    return out.getvalue()
