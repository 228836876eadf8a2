"""Serves the page's files, uncached and with a policy that lets nothing of another site run or load."""

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
    """Serve the folder's index.html at `/` and its files at `/page/…`."""

    async def serve_page(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Host") != public_url().partition("//")[2]:
            # localhost is another origin than 127.0.0.1: the policy would refuse the page's images.
            return web.Response(status=302, headers={"Location": f"{public_url()}/"})
        return web.FileResponse(folder / "index.html")

    async def add_headers(request: web.Request, answer: web.StreamResponse) -> None:
        if request.path == "/" or request.path.startswith("/page/"):
            answer.headers.update(HEADERS)

    app.router.add_get("/", serve_page)
    app.router.add_static("/page/", folder)
    app.on_response_prepare.append(add_headers)
