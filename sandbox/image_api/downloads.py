"""Serves an image as the mood says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

from sandbox.image_api.bad_images import NOT_AN_IMAGE, bomb_png, huge_png
from sandbox.image_api.moods import Mood

DRIP_BYTES = 10
DRIP_SECONDS = 0.3
INSIDE_URL = "http://[::1]:1/"  # this machine, by another name than the bot may download from
REDIRECT_STATUSES = (301, 302, 307)


async def serve(
    request: web.Request, mood: Mood, content_type: str, get_image: Callable[[], Awaitable[bytes]]
) -> web.StreamResponse:
    """Answer a GET for an image. *get_image* is called only where the mood serves the image itself."""
    if mood is Mood.REDIRECT:
        return web.Response(status=302, headers={"Location": INSIDE_URL})
    hops = int(hop) if (hop := request.query.get("hop", "0")).isdecimal() else 0
    if mood is Mood.REDIRECT_LOOP or (mood is Mood.REDIRECTED and hops < len(REDIRECT_STATUSES)):
        return _redirect(request, hops)
    if mood is Mood.HUGE_IMAGE:
        return await _serve_huge(request)
    if mood is Mood.BOMB:
        return web.Response(body=await asyncio.to_thread(bomb_png), content_type="image/png")
    if mood is Mood.NOT_AN_IMAGE:
        return web.Response(body=NOT_AN_IMAGE, content_type=content_type)
    body = await get_image()
    if mood is Mood.DRIP:
        return await _serve_drip(request, body, content_type)
    return web.Response(body=body, content_type=content_type)


def _redirect(request: web.Request, hops: int) -> web.Response:
    """Redirect to a path, a query, or a whole address (RFC 9110, 10.2.2: all three are allowed)."""
    place = f"{request.path}?hop={hops + 1}"
    location = (place, f"?hop={hops + 1}", str(request.url.origin()) + place)[hops % 3]
    return web.Response(status=REDIRECT_STATUSES[hops % 3], headers={"Location": location})


async def _serve_huge(request: web.Request) -> web.StreamResponse:
    """Send without Content-Length, so that only a limit that counts while reading can stop it."""
    answer = web.StreamResponse(headers={"Content-Type": "image/png"})
    await answer.prepare(request)
    try:
        for piece in huge_png():
            await answer.write(piece)
        await answer.write_eof()
    except ConnectionError:
        pass  # the client closed the connection, as it should
    return answer


async def _serve_drip(request: web.Request, body: bytes, content_type: str) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"Content-Type": content_type, "Content-Length": str(len(body))})
    await answer.prepare(request)
    try:
        for start in range(0, len(body), DRIP_BYTES):
            await answer.write(body[start : start + DRIP_BYTES])
            await asyncio.sleep(DRIP_SECONDS)
    except ConnectionError:
        pass  # the client closed the connection, as it should
    return answer
