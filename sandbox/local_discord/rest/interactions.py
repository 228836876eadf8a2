"""REST routes of interactions: the callback, and the webhook of an interaction's token. They need no bot token."""

from __future__ import annotations

from sandbox.local_discord import errors
from sandbox.local_discord.payloads.interactions import InteractionPayloads
from sandbox.local_discord.payloads.messages import Payloads
from sandbox.local_discord.rest.routing import Answer, Call, Route
from sandbox.local_discord.rules.interactions import Interactions
from sandbox.local_discord.rules.rate_limits import WEBHOOK
from sandbox.local_discord.schemas.messages import follow_up_create, interaction_callback, message_edit
from sandbox.local_discord.state.model import Interaction, Message

_WEBHOOK = "/webhooks/{webhook_id}/{token}"


class InteractionRoutes:
    def __init__(self, interactions: Interactions, payloads: Payloads, bodies: InteractionPayloads) -> None:
        self._interactions = interactions
        self._payloads = payloads
        self._bodies = bodies

    def routes(self) -> list[Route]:
        callback = "/interactions/{interaction_id}/{token}/callback"
        original, by_id = f"{_WEBHOOK}/messages/@original", f"{_WEBHOOK}/messages/{{message_id}}"
        table = [Route("POST", callback, self._callback, WEBHOOK, needs_bot=False, query=frozenset({"with_response"}))]
        for method, template, handler in (
            ("POST", _WEBHOOK, self._follow_up),
            ("GET", original, self._get),
            ("PATCH", original, self._edit),
            ("DELETE", original, self._delete),
            ("GET", by_id, self._get),
            ("PATCH", by_id, self._edit),
            ("DELETE", by_id, self._delete),
        ):
            query = frozenset({"wait", "with_components", "thread_id"})
            table.append(Route(method, template, handler, WEBHOOK, "webhook", needs_bot=False, query=query))
        return table

    def _callback(self, call: Call) -> Answer:
        body = call.checked(interaction_callback)
        interaction = self._interactions.answer(call.id("interaction_id"), call.parts["token"], body, call.uploads)
        return Answer(200, self._bodies.callback(interaction)) if call.flag("with_response") else Answer(204)

    def _reach(self, call: Call) -> Interaction:
        if "thread_id" in call.query:
            raise errors.invalid_field(("thread_id",), "UNKNOWN_KEY", "Follow-ups take no thread_id")
        return self._interactions.by_webhook(call.id("webhook_id"), call.parts["token"])

    def _message(self, call: Call, interaction: Interaction) -> Message:
        message_id = call.id("message_id") if "message_id" in call.parts else None
        return self._interactions.message_of(interaction, message_id)

    def _follow_up(self, call: Call) -> Answer:
        interaction = self._reach(call)
        message = self._interactions.follow_up(interaction, call.checked(follow_up_create), call.uploads)
        return Answer(200, self._payloads.answer(message))

    def _get(self, call: Call) -> Answer:
        return Answer(200, self._payloads.answer(self._message(call, self._reach(call))))

    def _edit(self, call: Call) -> Answer:
        interaction = self._reach(call)
        message = self._message(call, interaction)
        self._interactions.edit(interaction, message, call.checked(message_edit), call.uploads)
        return Answer(200, self._payloads.answer(message))

    def _delete(self, call: Call) -> Answer:
        interaction = self._reach(call)
        self._interactions.delete(interaction, self._message(call, interaction))
        return Answer(204)
