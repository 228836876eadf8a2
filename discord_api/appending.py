"""Edit a message to add files, and keep all attachments without listing them.

Discord appends files that come without `attachments` (Discord docs: Webhook, "Edit Webhook Message"). discord.py 2.7.1
always sends a list of what it uploads, and Discord removes what is not in it, so the list is removed from the payload
here. Knows no card.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Generator, Sequence

import discord
from discord.http import MultipartParameters, handle_message_parameters
from discord.webhook.async_ import async_context


async def append_by_token(
    webhook: discord.Webhook, message_id: int, files: Sequence[discord.File], view: discord.ui.LayoutView
) -> discord.Message:
    """Edit a message of an interaction by its token. Raises as Webhook.edit_message does."""
    with _appending(files, view) as sent:
        data = await async_context.get().edit_webhook_message(
            webhook.id,
            webhook.token or "",
            message_id,
            session=webhook.session,
            multipart=sent.multipart,
            files=sent.files,
            with_components=True,
        )
    read = webhook._create_message  # pyright: ignore[reportPrivateUsage, reportUnknownMemberType, reportUnknownVariableType]
    return read(data, thread=discord.utils.MISSING)


async def append_as_bot(
    client: discord.Client,
    message: discord.PartialMessage,
    files: Sequence[discord.File],
    view: discord.ui.LayoutView,
) -> discord.Message:
    """Edit a message with the bot's own token. Raises as PartialMessage.edit does."""
    with _appending(files, view) as sent:
        data = await client.http.edit_message(message.channel.id, message.id, params=sent)
    state = client._connection  # pyright: ignore[reportPrivateUsage]
    return discord.Message(state=state, channel=message.channel, data=data)


@contextlib.contextmanager
def _appending(files: Sequence[discord.File], view: discord.ui.LayoutView) -> Generator[MultipartParameters]:
    """Yield what discord.py would send, without the list. Closes the files, as discord.py does."""
    nobody = discord.AllowedMentions.none()
    with handle_message_parameters(attachments=files, view=view, allowed_mentions=nobody) as sent:
        payload = json.loads(sent.multipart[0]["value"])  # type: ignore[index]
        del payload["attachments"]
        sent.multipart[0]["value"] = json.dumps(payload)  # type: ignore[index]
        yield sent
