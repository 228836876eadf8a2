"""Checks the bot's requests against Discord's OpenAPI document (docs/decisions/0007-discords-own-document.md)."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

VARIABLE = "DISCORD_OPENAPI"
ROOT = "urn:discord"
# Sent by discord.py 2.7.1, taken by Discord, not named in the document: (method, end of the route) -> keys.
TOLERATED = {
    ("PUT", "/commands"): {"nsfw"},
    ("PATCH", "/messages/@original"): {"tts"},
    ("PATCH", "/messages/{message_id}"): {"tts"},
}


class DiscordDocument:
    """Finds what is wrong with a request: unknown route, bad body, unknown keys."""

    def __init__(self, path: Path) -> None:
        self._document: dict[str, Any] = json.loads(path.read_text("utf-8"))
        schemas = self._document["components"]["schemas"]
        # Ids are strings in the document; Discord takes numbers too (its docs: "snowflake or number").
        schemas["SnowflakeType"] = {"anyOf": [{"type": "string", "pattern": r"^(0|[1-9][0-9]*)$"}, {"type": "integer"}]}
        _close(self._document)
        resource = Resource(contents=self._document, specification=DRAFT202012)
        self._registry: Any = Registry().with_resource(ROOT, resource)
        self._routes = [(_pattern(template), template) for template in self._document["paths"]]

    def faults(self, method: str, path: str, body: Any) -> list[str]:
        """Return what the document does not allow in this request; an empty list if it is correct."""
        template = self._find(method, path)
        if template is None:
            return [f"{method} {path}: no such route"]
        content = self._document["paths"][template][method.lower()].get("requestBody", {}).get("content", {})
        if "application/json" not in content:
            return [f"{method} {template}: takes no body"] if body else []
        pointer = f"/paths/{_escaped(template)}/{method.lower()}/requestBody/content/application~1json/schema"
        tolerated = next(
            (keys for (m, end), keys in TOLERATED.items() if m == method and template.endswith(end)), set()
        )
        return [
            f"{method} {template}: {error.json_path}: {error.message[:300]}"
            for error in self._validator(pointer).iter_errors(_without(body, tolerated))
        ]

    def _find(self, method: str, path: str) -> str | None:
        bare = unquote(re.sub(r"^/api/v\d+", "", path.split("?")[0]))
        fitting = [
            t for pattern, t in self._routes if pattern.match(bare) and method.lower() in self._document["paths"][t]
        ]
        return max(fitting, key=lambda template: template.count("/") * 10 - template.count("{"), default=None)

    def _validator(self, pointer: str) -> Draft202012Validator:
        return Draft202012Validator({"$ref": f"{ROOT}#{pointer}"}, registry=self._registry)


def _pattern(template: str) -> re.Pattern[str]:
    parts = [r"[^/]+" if part.startswith("{") else re.escape(part) for part in template.split("/")]
    return re.compile("^" + "/".join(parts) + "$")


def _escaped(text: str) -> str:
    return text.replace("~", "~0").replace("/", "~1")


def _without(body: Any, keys: set[str]) -> Any:
    if isinstance(body, dict):
        return {key: value for key, value in body.items() if key not in keys}
    return [_without(item, keys) for item in body] if isinstance(body, list) else body


def _close(node: Any) -> None:
    """Forbid unknown keys in every object: the document allows them, so a misspelt key would pass."""
    for schema in _schemas(node):
        if "properties" in schema and "allOf" not in schema:
            schema.setdefault("additionalProperties", False)


def _schemas(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if "multipart/form-data" in node:
            node = {key: value for key, value in node.items() if key != "multipart/form-data"}
        yield node
        for value in list(node.values()):
            yield from _schemas(value)
    elif isinstance(node, list):
        for value in node:
            yield from _schemas(value)


def document_is_named() -> bool:
    """Whether this machine has a copy of the document; then open_bot checks every request."""
    return bool(os.environ.get(VARIABLE))


def faults_in(requests: Iterable[Any]) -> set[str]:
    """Return what the document does not allow in recorded requests (method, path, json)."""
    document = discord_document()
    return {fault for request in requests for fault in document.faults(request.method, request.path, request.json)}


@cache
def discord_document() -> DiscordDocument:
    """The document named by DISCORD_OPENAPI; the test is skipped without one."""
    named = os.environ.get(VARIABLE)
    if not named:
        pytest.skip(f"set {VARIABLE} to a copy of specs/openapi.json of github.com/discord/discord-api-spec")
    return DiscordDocument(Path(named))
