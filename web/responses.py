"""Responses of both servers: each closes its connection, and nothing may keep it."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web


def build_response(status: int, headers: Mapping[str, str] | None = None, *, text: str | None = None) -> web.Response:
    """Build a response that closes its connection."""
    body = None if text is None else text.encode()
    kind = {} if text is None else {"Content-Type": "text/plain; charset=utf-8"}
    response = web.Response(status=status, headers={"Cache-Control": "no-store", **kind, **(headers or {})}, body=body)
    response.force_close()
    return response
