"""Serves the page's own files: nothing is cached, and nothing of another site may run or be loaded in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from aiohttp import web

PAGE_FOLDER = Path(__file__).resolve().with_name("page")
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def attach_page(app: web.Application, public_url: Callable[[], str], folder: Path = PAGE_FOLDER) -> None:
    """`/` is the folder's index.html, `/page/…` are its files."""

    async def show_page(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Host") != public_url().partition("//")[2]:
            # localhost is another origin than 127.0.0.1: the page's pictures would not count as its own.
            return web.Response(status=302, headers={"Location": f"{public_url()}/"})
        return web.FileResponse(folder / "index.html")

    async def add_headers(request: web.Request, answer: web.StreamResponse) -> None:
        if request.path == "/" or request.path.startswith("/page/"):
            answer.headers.update(HEADERS)

    app.router.add_get("/", show_page)
    app.router.add_static("/page/", folder)
    app.on_response_prepare.append(add_headers)
