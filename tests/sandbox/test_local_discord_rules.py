"""The rules as functions: components, commands, mentions, permissions, ids, file types."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sandbox.local_discord.errors import Problem, error_tree
from sandbox.local_discord.media.file_types import read_facts
from sandbox.local_discord.rules.command_list import characters, examine_commands
from sandbox.local_discord.rules.components import clean_filename, with_ids
from sandbox.local_discord.rules.mentions import find_mentions
from sandbox.local_discord.rules.message_body import examine_message, text_bytes, walk
from sandbox.local_discord.schemas.checks import Findings, examine
from sandbox.local_discord.schemas.components import modal
from sandbox.local_discord.schemas.messages import message_create
from sandbox.local_discord.state import permissions as p
from sandbox.local_discord.state.model import COMPONENTS_V2
from sandbox.local_discord.state.snowflakes import Snowflakes, shard_of, snowflake_at, snowflake_time_ms


def text(content: str = "x") -> dict[str, Any]:
    return {"type": 10, "content": content}


def button(**changes: Any) -> dict[str, Any]:
    return {"type": 2, "style": 1, "custom_id": "a", "label": "A"} | changes


def row(*children: dict[str, Any]) -> dict[str, Any]:
    return {"type": 1, "components": list(children)}


def faults(*components: dict[str, Any], flags: int = COMPONENTS_V2, **body: Any) -> set[str]:
    """Return the codes of all that is wrong with a message."""
    whole = {"components": list(components), **body}
    found = examine(whole, message_create)
    if not found.problems:
        examine_message(whole, flags, found)
    return {problem.code for problem in found.problems} | set(found.unknown_keys)


def gallery(count: int, **item: Any) -> dict[str, Any]:
    return {"type": 12, "items": [{"media": {"url": "https://x/y.png"}, **item} for _ in range(count)]}


select = {"type": 3, "custom_id": "s", "options": [{"label": "L", "value": "v"}]}

GOOD: list[list[dict[str, Any]]] = [
    [text()],
    [
        {
            "type": 17,
            "components": [
                text("x" * 4000),
                gallery(10, description="a" * 1024),
                row(*[button(custom_id=str(number)) for number in range(5)]),
            ],
        }
    ],
    [{"type": 9, "components": [text()], "accessory": button()}],
    [text() for _ in range(40)],
    [row(select)],
    [row({"type": 2, "style": 5, "url": "https://x", "label": "Go"})],
    [row({"type": 2, "style": 6, "sku_id": "1"})],
    [{"type": 14, "spacing": 2, "divider": False}, {"type": 13, "file": {"url": "attachment://a.json"}}],
]


@pytest.mark.parametrize("components", GOOD)
def test_valid_components_are_accepted(components: list[dict[str, Any]]) -> None:
    assert faults(*components) == set()


BAD: list[tuple[list[dict[str, Any]], str]] = [
    ([text("")], "BASE_TYPE_BAD_LENGTH"),
    ([text("x" * 4001)], "BASE_TYPE_BAD_LENGTH"),
    ([text("x" * 2001), text("x" * 2000)], "COMPONENT_DISPLAYABLE_TEXT_SIZE_EXCEEDED"),
    ([text() for _ in range(41)], "BASE_TYPE_BAD_LENGTH"),
    ([{"type": 17, "components": [text() for _ in range(40)]}], "COMPONENT_MAX_TOTAL"),
    ([gallery(0)], "BASE_TYPE_BAD_LENGTH"),
    ([gallery(11)], "BASE_TYPE_BAD_LENGTH"),
    ([gallery(1, description="a" * 1025)], "BASE_TYPE_BAD_LENGTH"),
    ([row()], "BASE_TYPE_BAD_LENGTH"),
    ([row(*[button(custom_id=str(number)) for number in range(6)])], "BASE_TYPE_BAD_LENGTH"),
    ([row(button(custom_id="a" * 101))], "BASE_TYPE_BAD_LENGTH"),
    ([row(button(label="a" * 81))], "BASE_TYPE_MAX_LENGTH"),
    ([row(button(label=""))], "BUTTON_COMPONENT_LABEL_OR_EMOJI"),
    ([row(button(custom_id=None))], "BUTTON_COMPONENT_CUSTOM_ID_REQUIRED"),
    ([row(button(style=5, custom_id=None))], "BASE_TYPE_REQUIRED"),
    ([row(button(style=5, url="https://x"))], "BUTTON_COMPONENT_CUSTOM_ID_URL"),
    ([row(button(style=5, custom_id=None, url="javascript:alert(1)"))], "URL_TYPE_INVALID_SCHEME"),
    ([row(button(style=6, sku_id="1"))], "BUTTON_COMPONENT_PREMIUM"),
    ([row(button(), button())], "COMPONENT_CUSTOM_ID_DUPLICATED"),
    ([text() | {"id": 3}, text() | {"id": 3}], "COMPONENT_ID_DUPLICATED"),
    ([row(select, button())], "COMPONENT_LAYOUT_WIDTH_EXCEEDED"),
    ([row(text())], "UNION_TYPE_CHOICES"),
    ([{"type": 99}], "UNION_TYPE_CHOICES"),
    ([{"type": 17, "components": [{"type": 17, "components": [text()]}]}], "UNION_TYPE_CHOICES"),
    ([{"type": 17, "components": [text()], "accent_color": 1 << 24}], "NUMBER_TYPE_MAX"),
    ([text() | {"colour": 1}], "components.0.colour"),
]


@pytest.mark.parametrize(("components", "code"), BAD)
def test_invalid_components_are_refused_with_discords_code(components: list[dict[str, Any]], code: str) -> None:
    assert faults(*components) == {code}


def test_v2_messages_have_no_legacy_fields_and_legacy_messages_no_v2_components() -> None:
    legacy = "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2"
    assert faults(text(), content="beside") == {legacy}
    assert faults(text(), embeds=[{"title": "beside"}]) == {legacy}
    assert faults(text(), flags=0) == {"UNION_TYPE_CHOICES"}
    assert faults(row(button()), flags=0, content="fine") == set()
    assert faults(*[row(button(custom_id=str(each))) for each in range(6)], flags=0) == {"BASE_TYPE_BAD_LENGTH"}


def test_legacy_text_and_embeds_have_limits() -> None:
    assert faults(flags=0, content="x" * 2000) == set()
    assert faults(flags=0, content="x" * 2001) == {"BASE_TYPE_MAX_LENGTH"}
    assert faults(flags=0, embeds=[{"description": "x" * 4096}, {"description": "x" * 1905}]) == {
        "MAX_EMBED_SIZE_EXCEEDED"
    }
    assert faults(flags=0, embeds=[{"title": "x" * 257}]) == {"BASE_TYPE_MAX_LENGTH"}
    assert faults(flags=0, embeds=[{"title": "t"}] * 11) == {"BASE_TYPE_BAD_LENGTH"}


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["type", "components", "id", "items"]), inner)
        ),
    )
)
def test_the_checks_raise_nothing_for_any_body(body: Any) -> None:
    found = examine(body, message_create)
    assert isinstance(error_tree(found.problems), dict)
    examine(body, modal)
    examine_commands(body)


def test_errors_are_nested_by_key_and_index() -> None:
    tree = error_tree([Problem(("components", 0, "label"), "BASE_TYPE_MAX_LENGTH", "Must be …")])
    assert tree == {
        "components": {"0": {"label": {"_errors": [{"code": "BASE_TYPE_MAX_LENGTH", "message": "Must be …"}]}}}
    }


@given(st.lists(st.none() | st.integers(0, 12), min_size=1, max_size=12))
def test_every_component_gets_an_id_of_its_own_and_keeps_a_given_one(ids: list[int | None]) -> None:
    wanted = [number for number in ids if number]
    sent = [text() | ({} if number is None else {"id": number}) for number in ids]
    if len(set(wanted)) < len(wanted):
        found = Findings()
        examine_message({"components": sent}, COMPONENTS_V2, found)
        assert found.problems
        return
    got = [part["id"] for _, part in walk(with_ids(sent))]
    assert len(set(got)) == len(got) and min(got) >= 1
    assert all(new == old for new, old in zip(got, ids, strict=True) if old)


OPTION = {"type": 3, "name": "prompt", "description": "d"}


def command(**changes: Any) -> dict[str, Any]:
    return {"name": "imagine", "description": "d", "type": 1} | changes


@pytest.mark.parametrize(
    ("commands", "code"),
    [
        ([command(name="Imagine")], "APPLICATION_COMMAND_INVALID_NAME"),
        ([command(name="two words")], "APPLICATION_COMMAND_INVALID_NAME"),
        ([command(name="x" * 33)], "BASE_TYPE_BAD_LENGTH"),
        ([command(description="")], "BASE_TYPE_REQUIRED"),
        ([command(description="x" * 101)], "BASE_TYPE_MAX_LENGTH"),
        ([command(), command()], "APPLICATION_COMMANDS_DUPLICATE_NAME"),
        (
            [command(options=[OPTION, OPTION | {"required": True, "name": "late"}])],
            "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID",
        ),
        ([command(options=[OPTION, OPTION])], "APPLICATION_COMMANDS_DUPLICATE_NAME"),
        ([command(options=[OPTION | {"name": str(number)} for number in range(26)])], "BASE_TYPE_BAD_LENGTH"),
        ([command(options=[OPTION | {"max_length": 6001}])], "NUMBER_TYPE_MAX"),
        (
            [command(options=[OPTION | {"choices": [{"name": str(number), "value": "v"} for number in range(26)]}])],
            "BASE_TYPE_BAD_LENGTH",
        ),
        ([command(name="Menu", type=3, description="no")], "APPLICATION_COMMAND_CONTEXT_MENU_DESCRIPTION"),
        ([command(name=f"c{number}") for number in range(101)], "APPLICATION_COMMANDS_MAX"),
        ([command(name=f"M {number}", type=3, description="") for number in range(16)], "APPLICATION_COMMANDS_MAX"),
        (
            [
                command(
                    options=[
                        OPTION
                        | {
                            "name": f"o{number}",
                            "choices": [{"name": f"{each}" + "n" * 90, "value": "v" * 100} for each in range(25)],
                        }
                        for number in range(2)
                    ]
                )
            ],
            "APPLICATION_COMMAND_TOO_LARGE",
        ),
    ],
)
def test_invalid_commands_are_refused_with_discords_code(commands: list[dict[str, Any]], code: str) -> None:
    assert {problem.code for problem in examine_commands(commands).problems} == {code}


def test_a_valid_command_is_accepted_and_its_longest_translation_is_counted() -> None:
    sound = command(options=[OPTION | {"required": True}], description_localizations={"de": "lang und länger"})
    assert examine_commands([sound]).problems == []
    assert characters(sound) == len("imagine") + len("lang und länger") + len("prompt") + len("d")


@pytest.mark.parametrize(
    ("allowed", "users", "everyone"),
    [
        (None, (9, 1), True),
        ({"parse": []}, (), False),
        ({"parse": ["users"]}, (1,), False),
        ({"users": ["1"]}, (1,), False),
        ({"users": ["2"], "replied_user": True}, (9,), False),
        ({"parse": ["everyone"]}, (), True),
    ],
)
def test_only_allowed_mentions_count(allowed: dict[str, Any] | None, users: tuple[int, ...], everyone: bool) -> None:
    found = find_mentions("@everyone <@1> <@77>", allowed, [1, 2, 9], replied_to=9, may_everyone=True)
    assert (found.users, found.everyone) == (users, everyone)


def test_text_is_counted_in_utf8_over_contents_descriptions_labels_and_placeholders() -> None:
    listed = {"type": 3, "custom_id": "s", "placeholder": "pick", "options": [{"label": "一", "value": "vvv"}]}
    whole = [{"type": 17, "components": [text("灯台"), gallery(2, description="海"), row(button()), row(listed)]}]
    assert text_bytes(whole) == 6 + 2 * 3 + 1 + 4 + 3


def test_mentioning_everyone_needs_the_permission() -> None:
    assert not find_mentions("@here", None, [], replied_to=None, may_everyone=False).everyone


def test_overwrites_apply_in_discords_order() -> None:
    def held(*overwrites: p.Overwrite) -> int:
        return p.effective_permissions(p.EVERYONE, overwrites, everyone_id=1, role_ids=frozenset({2, 3}), member_id=4)

    deny_all, allow_role = p.Overwrite(1, 0, 0, p.SEND_MESSAGES), p.Overwrite(2, 0, p.SEND_MESSAGES, 0)
    assert not held(deny_all) & p.SEND_MESSAGES
    assert held(deny_all, allow_role) & p.SEND_MESSAGES
    assert held(p.Overwrite(3, 0, 0, p.SEND_MESSAGES), allow_role) & p.SEND_MESSAGES, (
        "a role's allow beats a role's deny"
    )
    assert not held(allow_role, p.Overwrite(4, 1, 0, p.SEND_MESSAGES)) & p.SEND_MESSAGES
    assert held(p.Overwrite(1, 0, 0, p.VIEW_CHANNEL)) == 0


def test_ids_contain_the_time_and_always_grow() -> None:
    class Still:
        at_ms = 1_800_000_000_000

        def now_ms(self) -> int:
            return self.at_ms

    clock = Still()
    ids = Snowflakes(clock)
    first, second = ids.next_id(), ids.next_id()
    clock.at_ms -= 60_000
    assert first < second < ids.next_id()
    assert snowflake_time_ms(first) == 1_800_000_000_000


def test_shards_follow_the_documented_formula() -> None:
    assert shard_of(None, 4) == 0
    assert [shard_of(snowflake_at(1_704_067_200_000 + step), 4) for step in range(5)] == [0, 1, 2, 3, 0]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_an_images_size_and_type_are_read_from_its_bytes(kind: str) -> None:
    data = io.BytesIO()
    Image.new("RGB", (64, 96), "teal").save(data, kind)
    facts = read_facts(data.getvalue(), "lies.txt")
    assert (facts.content_type, facts.width, facts.height) == (f"image/{kind.lower()}", 64, 96)


@given(st.binary(max_size=40))
def test_broken_images_raise_nothing(data: bytes) -> None:
    for head in (b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF0000WEBPVP8X", b"GIF89a"):
        assert read_facts(head + data, "a.bin").content_type


def test_file_names_are_cleaned_as_discord_cleans_them() -> None:
    assert clean_filename("../a castle?.png") == "_a_castle_.png"
    assert clean_filename("..") == "unknown"
