"""Discord's errors: HTTP status, JSON code and message (Discord docs: Opcodes and Status Codes)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Path = tuple[str | int, ...]

BREAKS_A_RULE = frozenset({50006, 50035, 50109, 50146})
"""Codes that a correct bot never gets, whatever people do: they are recorded as violations."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault of a request body: where (keys and indexes), Discord's short code, a sentence."""

    at: Path
    code: str
    message: str


class DiscordError(Exception):
    """An answer other than 2xx. `errors` is the nested tree; `extra` is added to the body (`retry_after`, `global`)."""

    def __init__(
        self,
        status: int,
        code: int,
        message: str,
        *,
        errors: dict[str, Any] | None = None,
        extra: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.errors = errors
        self.extra = extra or {}
        self.headers = headers or {}

    def within(self, key: str) -> DiscordError:
        """Return the same error for a body that lies under *key* of a larger one."""
        if self.errors is not None:
            self.errors = {key: self.errors}
        return self

    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = {"message": self.message, "code": self.code, **self.extra}
        if self.errors is not None:
            body["errors"] = self.errors
        return body


def error_tree(problems: Sequence[Problem]) -> dict[str, Any]:
    """Nest problems by JSON key and array index, ending in `_errors` (Discord docs: Reference, 'Error Messages')."""
    tree: dict[str, Any] = {}
    for problem in problems:
        node = tree
        for key in problem.at:
            node = node.setdefault(str(key), {})
        node.setdefault("_errors", []).append({"code": problem.code, "message": problem.message})
    return tree


def invalid_form(problems: Sequence[Problem]) -> DiscordError:
    return DiscordError(400, 50035, "Invalid Form Body", errors=error_tree(problems))


def invalid_field(at: Path, code: str, message: str) -> DiscordError:
    return invalid_form([Problem(at, code, message)])


def invalid_json() -> DiscordError:
    return DiscordError(400, 50109, "The request body contains invalid JSON.")


def unauthorized() -> DiscordError:
    return DiscordError(401, 0, "401: Unauthorized")


def no_such_route() -> DiscordError:
    return DiscordError(404, 0, "404: Not Found")


def method_not_allowed() -> DiscordError:
    return DiscordError(405, 0, "405: Method Not Allowed")


def unknown_interaction() -> DiscordError:
    return DiscordError(404, 10062, "Unknown interaction")


def already_acknowledged() -> DiscordError:
    return DiscordError(400, 40060, "Interaction has already been acknowledged.")


def unknown_webhook() -> DiscordError:
    return DiscordError(404, 10015, "Unknown Webhook")


def invalid_webhook_token() -> DiscordError:
    return DiscordError(401, 50027, "Invalid Webhook Token")


def too_many_follow_ups() -> DiscordError:
    """Discord's docs do not name the status; 400 is assumed."""
    return DiscordError(400, 40094, "Maximum number of follow-up messages for this interaction reached")


def unknown_thing(code: int, name: str) -> DiscordError:
    """404; codes: 10002 application, 10003 channel, 10004 guild, 10007 member, 10013 user, 10029 entitlement, 10063
    command, 10066 command permissions.
    """
    return DiscordError(404, code, f"Unknown {name}")


def unknown_message() -> DiscordError:
    return unknown_thing(10008, "Message")


def not_for_bots() -> DiscordError:
    return DiscordError(403, 20001, "Bots cannot use this endpoint")


def missing_access() -> DiscordError:
    return DiscordError(403, 50001, "Missing Access")


def missing_permissions() -> DiscordError:
    return DiscordError(403, 50013, "Missing Permissions")


def no_reply_without_history() -> DiscordError:
    return DiscordError(403, 160002, "Cannot reply without permission to read message history")


def not_the_author() -> DiscordError:
    return DiscordError(403, 50005, "Cannot edit a message authored by another user")


def direct_messages_too_fast() -> DiscordError:
    """The status 403 was seen on Discord."""
    return DiscordError(403, 40003, "You are opening direct messages too fast")


def closed_direct_messages() -> DiscordError:
    return DiscordError(403, 50007, "Cannot send messages to this user")


def thread_archived() -> DiscordError:
    """The status 400 was seen on Discord."""
    return DiscordError(400, 50083, "Thread is archived")


def not_a_text_channel() -> DiscordError:
    return DiscordError(400, 50008, "Cannot send messages in a non-text channel")


def empty_message() -> DiscordError:
    return DiscordError(400, 50006, "Cannot send an empty message")


def upload_not_found() -> DiscordError:
    return DiscordError(400, 50146, "Uploaded file not found.")


def server_error() -> DiscordError:
    return DiscordError(500, 0, "500: Internal Server Error")


def too_large() -> DiscordError:
    return DiscordError(413, 40005, "Request entity too large")
