"""Serves REST calls: reads one, checks route, token and rate limit, calls the route's handler, answers and records it.

Handlers never await, so no other call runs in between.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from sandbox.clock import Clock
from sandbox.local_discord import errors
from sandbox.local_discord.errors import BREAKS_A_RULE, DiscordError
from sandbox.local_discord.faults import Faults, RestFault
from sandbox.local_discord.media.uploads import LARGEST_REQUEST, Body, parse_body
from sandbox.local_discord.recording import RecordedFile, RecordedRequest, Recording
from sandbox.local_discord.rest.routing import Answer, Call, Route, find_route, top_level_resource
from sandbox.local_discord.rules.rate_limits import EVERYTHING, RateLimits, rate_limited

PREFIX = "/api/v10"


class Rest:
    def __init__(
        self, routes: list[Route], clock: Clock, recording: Recording, faults: Faults, token: Callable[[], str]
    ) -> None:
        self._routes = routes
        self._clock = clock
        self._recording = recording
        self._faults = faults
        self._token = token
        self.limits = RateLimits(clock)
        self.overall = EVERYTHING

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer one call; whatever is wrong with it becomes an answer."""
        at_ms, path = self._clock.now_ms(), request.path.removeprefix(PREFIX)
        fault = self._faults.match(request.method, path, uploads=request.content_type.startswith("multipart/"))
        if fault is not None and fault.delay_seconds:
            await asyncio.sleep(fault.delay_seconds)
        raw = await _read(request)
        body, headers = Body(), dict[str, str]()
        try:
            if raw is None:
                raise errors.too_large()
            body = parse_body(request.headers.get("Content-Type", ""), raw)
            answer = self._handle(request.method, path, request.query, request.headers, body, fault, headers)
        except DiscordError as error:
            answer = Answer(error.status, error.body())
            headers |= error.headers
            injected = fault is not None and (fault.drop is not None or fault.status == error.status)
            self._record_violation(f"{request.method} {path}", error, injected=injected)
        dropped = fault is not None and fault.drop is not None
        self._record(request, at_ms, path, body, 0 if dropped else answer.status, answer.body)
        if dropped and request.transport is not None:
            request.transport.abort()
        return _response(answer, headers)

    def _handle(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        sent_headers: Mapping[str, str],
        body: Body,
        fault: RestFault | None,
        headers: dict[str, str],
    ) -> Answer:
        """Return the answer of the route's handler. *headers* gets the rate limit's headers, also when this raises."""
        route, parts = find_route(self._routes, method, path)
        if route.needs_bot and sent_headers.get("Authorization") != f"Bot {self._token()}":
            raise errors.unauthorized()
        self._limit(route, parts, headers)
        if fault is not None and (fault.drop == "before" or (fault.status is not None and not fault.after)):
            raise fault.error() or DiscordError(500, 0, "dropped")
        if unknown := sorted(set(query) - route.query):
            raise errors.invalid_field((unknown[0],), "UNKNOWN_KEY", "No such query parameter is documented here")
        answer = route.handler(Call(method, path, parts, query, body.json, body.uploads))
        if fault is not None and fault.after and (error := fault.error()) is not None:
            raise error
        return answer

    def _limit(self, route: Route, parts: Mapping[str, str], headers: dict[str, str]) -> None:
        taken = self.limits.take(route.bucket_name, top_level_resource(parts), route.limit)
        headers |= taken.headers()
        if not taken.granted:
            raise taken.error()
        if route.needs_bot:
            overall = self.limits.take("", "", self.overall)
            if not overall.granted:
                raise rate_limited(max(1, overall.ends_at_ms - overall.now_ms) / 1000, scope="global")

    def _record_violation(self, where: str, error: DiscordError, *, injected: bool) -> None:
        """Record a violation for a broken rule, an unknown route or a 500; not for what can happen to a correct bot."""
        unknown_route = error.code == 0 and error.status in (404, 405)
        if not injected and (unknown_route or error.status == 500 or error.code in BREAKS_A_RULE):
            self._recording.violation(where, json.dumps(error.body(), ensure_ascii=False))

    def _record(self, request: web.Request, at_ms: int, path: str, body: Body, status: int, response: Any) -> None:
        self._recording.requests.append(
            RecordedRequest(
                at_ms=at_ms,
                method=request.method,
                path=path,
                query=dict(request.query),
                json=body.json,
                files=tuple(RecordedFile(each.name, each.filename, len(each.data)) for each in body.uploads),
                status=status,
                response=response,
                authorized=request.headers.get("Authorization") == f"Bot {self._token()}",
                user_agent=request.headers.get("User-Agent", ""),
            )
        )


async def _read(request: web.Request) -> bytes | None:
    """Return the whole body, None when it is over Discord's limit. It is read to its end all the same: the client
    reads the answer only then.
    """
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.content.iter_any():
        size += len(chunk)
        if size <= LARGEST_REQUEST:
            chunks.append(chunk)
    return b"".join(chunks) if size <= LARGEST_REQUEST else None


def _response(answer: Answer, headers: dict[str, str]) -> web.Response:
    """Return the response.

    Its Content-Type is exactly application/json: with a charset discord.py does not parse it.
    """
    if answer.status == 204:
        return web.Response(status=204, headers=headers)
    data = json.dumps(answer.body, separators=(",", ":")).encode()
    return web.Response(status=answer.status, body=data, headers=headers | {"Content-Type": "application/json"})
