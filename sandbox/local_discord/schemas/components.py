"""The shapes of message and modal components (Discord docs: Component Reference)."""

from __future__ import annotations

from sandbox.local_discord.schemas.checks import (
    Check,
    an_object,
    anything,
    boolean,
    by_type,
    integer,
    list_of,
    nullable,
    one_of,
    snowflake,
    text,
)

ACTION_ROW, BUTTON, STRING_SELECT, TEXT_INPUT = 1, 2, 3, 4
USER_SELECT, ROLE_SELECT, MENTIONABLE_SELECT, CHANNEL_SELECT = 5, 6, 7, 8
_CHANNEL_TYPES = (0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15, 16)
SELECTS = (STRING_SELECT, USER_SELECT, ROLE_SELECT, MENTIONABLE_SELECT, CHANNEL_SELECT)
SECTION, TEXT_DISPLAY, THUMBNAIL, MEDIA_GALLERY, FILE, SEPARATOR, CONTAINER = 9, 10, 11, 12, 13, 14, 17
LABEL, FILE_UPLOAD, RADIO_GROUP, CHECKBOX_GROUP, CHECKBOX = 18, 19, 21, 22, 23

_CUSTOM_ID = text(1, 100)
_BASE: dict[str, Check] = {"type": integer(), "id": nullable(integer(0))}
_EMOJI = nullable(
    an_object({"id": nullable(snowflake), "name": nullable(text(0, 32)), "animated": nullable(boolean)}, ["name"])
)
_ALT_TEXT = nullable(text(1, 1024))
_MEDIA = an_object(
    {
        "url": text(1, 2048),
        # Keys of Discord's own answers that libraries send back; Discord ignores them.
        "id": anything,
        "proxy_url": anything,
        "width": anything,
        "height": anything,
        "content_type": anything,
        "attachment_id": anything,
        "loading_state": anything,
        "flags": anything,
        "placeholder": anything,
        "placeholder_version": anything,
    },
    ["url"],
)
_CHOICE: dict[str, Check] = {
    "label": text(1, 100),
    "value": text(1, 100),
    "description": nullable(text(0, 100)),
    "default": nullable(boolean),
}
_OPTION = an_object(_CHOICE | {"emoji": _EMOJI}, ["label", "value"])
_GROUP_OPTION = an_object(_CHOICE, ["label", "value"])  # of radio buttons and checkboxes: without emoji

_button = an_object(
    _BASE
    | {
        "style": one_of(1, 2, 3, 4, 5, 6),
        "custom_id": nullable(_CUSTOM_ID),
        "label": nullable(text(0, 80)),
        "disabled": nullable(boolean),
        "url": nullable(text(1, 512)),
        "sku_id": nullable(snowflake),
        "emoji": _EMOJI,
    },
    ["type", "style"],
)

_SELECT: dict[str, Check] = _BASE | {
    "custom_id": _CUSTOM_ID,
    "placeholder": nullable(text(0, 150)),
    "min_values": nullable(integer(0, 25)),
    "max_values": nullable(integer(1, 25)),
    "disabled": nullable(boolean),
    "required": nullable(boolean),
}
_string_select = an_object(_SELECT | {"options": list_of(_OPTION, 1, 25)}, ["type", "custom_id", "options"])


def _entity_select(*kinds: str, **more: Check) -> Check:
    """Return the check of a select that Discord fills; `default_values` may name things of its own kind alone (OpenAPI:
    UserSelectComponentForMessageRequest and the three like it).
    """
    default = an_object({"id": snowflake, "type": one_of(*kinds)}, ["id", "type"])
    return an_object(_SELECT | more | {"default_values": nullable(list_of(default, 0, 25))}, ["type", "custom_id"])


_SELECT_CHECKS: dict[int, Check] = {
    STRING_SELECT: _string_select,
    USER_SELECT: _entity_select("user"),
    ROLE_SELECT: _entity_select("role"),
    MENTIONABLE_SELECT: _entity_select("user", "role"),
    CHANNEL_SELECT: _entity_select("channel", channel_types=nullable(list_of(one_of(*_CHANNEL_TYPES)))),
}

_text_display = an_object(_BASE | {"content": text(1, 4000)}, ["type", "content"])
_thumbnail = an_object(
    _BASE | {"media": _MEDIA, "description": _ALT_TEXT, "spoiler": nullable(boolean)}, ["type", "media"]
)
_section = an_object(
    _BASE
    | {
        "components": list_of(by_type({TEXT_DISPLAY: _text_display}), 1, 3),
        "accessory": by_type({BUTTON: _button, THUMBNAIL: _thumbnail}),
    },
    ["type", "components", "accessory"],
)
_gallery = an_object(
    _BASE
    | {
        "items": list_of(
            an_object({"media": _MEDIA, "description": _ALT_TEXT, "spoiler": nullable(boolean)}, ["media"]), 1, 10
        )
    },
    ["type", "items"],
)
_file = an_object(
    _BASE | {"file": _MEDIA, "spoiler": nullable(boolean), "name": anything, "size": anything}, ["type", "file"]
)
_separator = an_object(_BASE | {"spacing": nullable(one_of(1, 2)), "divider": nullable(boolean)}, ["type"])
_message_row = an_object(
    _BASE | {"components": list_of(by_type({BUTTON: _button, **_SELECT_CHECKS}), 1, 5)}, ["type", "components"]
)
_INSIDE: dict[int, Check] = {
    ACTION_ROW: _message_row,
    SECTION: _section,
    TEXT_DISPLAY: _text_display,
    MEDIA_GALLERY: _gallery,
    FILE: _file,
    SEPARATOR: _separator,
}
_container = an_object(
    _BASE
    | {
        "components": list_of(by_type(_INSIDE), 1, 40),
        "accent_color": nullable(integer(0, 0xFFFFFF)),
        "spoiler": nullable(boolean),
    },
    ["type", "components"],
)
message_components = nullable(list_of(by_type(_INSIDE | {CONTAINER: _container}), 0, 40))

_text_input = an_object(
    _BASE
    | {
        "custom_id": _CUSTOM_ID,
        "style": one_of(1, 2),
        "label": nullable(text(1, 45)),
        "value": nullable(text(0, 4000)),
        "placeholder": nullable(text(0, 100)),
        "required": nullable(boolean),
        "min_length": nullable(integer(0, 4000)),
        "max_length": nullable(integer(1, 4000)),
    },
    ["type", "custom_id", "style"],
)
_RANGE: dict[str, Check] = {
    "custom_id": _CUSTOM_ID,
    "required": nullable(boolean),
    "min_values": nullable(integer(0, 10)),
    "max_values": nullable(integer(1, 10)),
}
_file_upload = an_object(_BASE | _RANGE, ["type", "custom_id"])
_radio_group = an_object(
    _BASE | {"custom_id": _CUSTOM_ID, "required": nullable(boolean), "options": list_of(_GROUP_OPTION, 2, 10)},
    ["type", "custom_id", "options"],
)
_checkbox_group = an_object(
    _BASE | _RANGE | {"options": list_of(_GROUP_OPTION, 1, 10)}, ["type", "custom_id", "options"]
)
_checkbox = an_object(_BASE | {"custom_id": _CUSTOM_ID, "default": nullable(boolean)}, ["type", "custom_id"])
_label = an_object(
    _BASE
    | {
        "label": text(1, 45),
        "description": nullable(text(1, 100)),
        "component": by_type(
            _SELECT_CHECKS
            | {
                TEXT_INPUT: _text_input,
                FILE_UPLOAD: _file_upload,
                RADIO_GROUP: _radio_group,
                CHECKBOX_GROUP: _checkbox_group,
                CHECKBOX: _checkbox,
            }
        ),
    },
    ["type", "label", "component"],
)
_modal_row = an_object(
    _BASE | {"components": list_of(by_type({TEXT_INPUT: _text_input}), 1, 1)}, ["type", "components"]
)
modal = an_object(
    {
        "custom_id": _CUSTOM_ID,
        "title": text(1, 45),
        "components": list_of(by_type({ACTION_ROW: _modal_row, LABEL: _label, TEXT_DISPLAY: _text_display}), 1, 5),
    },
    ["custom_id", "title", "components"],
)
