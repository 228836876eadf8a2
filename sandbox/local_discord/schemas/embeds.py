"""The shapes of embeds and of entries of `attachments` (Discord docs: Message)."""

from __future__ import annotations

from sandbox.local_discord.schemas.checks import (
    an_object,
    anything,
    boolean,
    integer,
    list_of,
    nullable,
    number,
    snowflake,
    text,
)

_EMBED_URL = nullable(text(0, 2048))
_EMBED_MEDIA = nullable(
    an_object(
        {"url": _EMBED_URL, "proxy_url": anything, "width": anything, "height": anything, "description": anything},
    )
)
embed = an_object(
    {
        "type": nullable(text()),
        "url": _EMBED_URL,
        "title": nullable(text(0, 256)),
        "description": nullable(text(0, 4096)),
        "color": nullable(integer(0, 0xFFFFFF)),
        "timestamp": nullable(text()),
        "author": nullable(
            an_object({"name": nullable(text(0, 256)), "url": _EMBED_URL, "icon_url": _EMBED_URL}),
        ),
        "footer": nullable(an_object({"text": nullable(text(0, 2048)), "icon_url": _EMBED_URL})),
        "image": _EMBED_MEDIA,
        "thumbnail": _EMBED_MEDIA,
        "fields": nullable(
            list_of(
                an_object(
                    {"name": text(1, 256), "value": text(1, 1024), "inline": nullable(boolean)}, ["name", "value"]
                ),
                0,
                25,
            )
        ),
    }
)
attachment = an_object(
    {
        "id": snowflake,
        "filename": nullable(text(1, 1024)),
        "description": nullable(text(0, 1024)),
        "title": nullable(text(0, 1024)),
        "is_spoiler": nullable(boolean),
        "duration_secs": nullable(number),
        "waveform": nullable(text(0, 400)),
        # A kept attachment is sent back as it was received; Discord reads only its id.
        "url": anything,
        "proxy_url": anything,
        "size": anything,
        "width": anything,
        "height": anything,
        "content_type": anything,
        "spoiler": anything,
        "flags": anything,
        "ephemeral": anything,
    },
    ["id"],
)
