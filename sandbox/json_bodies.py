"""Reads the JSON body of a request, and writes an error as JSON."""

from __future__ import annotations

import json
from typing import Any, cast

from aiohttp import web


class NotAnObject(ValueError):
    """The body of a request is not a JSON object."""


async def read_json(request: web.Request) -> object:
    """Return the decoded body. Raises ValueError for what is not JSON, not UTF-8, or nested too deeply."""
    try:
        return json.loads(await request.read())
    except RecursionError:
        raise ValueError("nested too deeply") from None


async def read_object(request: web.Request) -> dict[str, Any]:
    """Return the JSON object in the body. Raises NotAnObject."""
    try:
        body = await read_json(request)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise NotAnObject("The body must be a JSON object.")
    return cast("dict[str, Any]", body)


def error_response(status: int, sentence: str) -> web.Response:
    """Return `{"error": sentence}` with this status."""
    return web.json_response({"error": sentence}, status=status)
