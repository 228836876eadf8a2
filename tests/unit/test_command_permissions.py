"""Who may use a command: Discord's flowchart as a table, and against a second reading of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discord_api.command_permissions import (
    ADMINISTRATOR,
    USE_APPLICATION_COMMANDS,
    may_use,
    parse_guild_permissions,
    parse_overwrites,
)
from limits.model import Requester

ROLE, USER, CHANNEL = 1, 2, 3
COMMAND, APPLICATION, GUILD = 2**60 + 1, 2**60 + 3, 2**60 + 5
ALICE, PAINTER, GUEST, PLACE, PARENT = 2**60 + 11, 2**60 + 12, 2**60 + 13, 2**60 + 14, 2**60 + 15
EVERYBODY, ALL_CHANNELS = GUILD, GUILD - 1
ORDINARY, MANAGE_GUILD = USE_APPLICATION_COMMANDS, 1 << 5

Entry = tuple[int, int, bool]


def answer(own: list[Entry], shared: list[Entry]) -> list[dict[str, Any]]:
    """Build what Discord answers, with ids as it writes them."""
    return [
        {
            "id": str(target),
            "application_id": str(APPLICATION),
            "guild_id": str(GUILD),
            "permissions": [{"id": str(number), "type": kind, "permission": allowed} for kind, number, allowed in set_],
        }
        for target, set_ in ((COMMAND, own), (APPLICATION, shared))
        if set_
    ]


def allows(
    own: list[Entry],
    shared: list[Entry],
    *,
    bits: int = ORDINARY,
    needed: int | None = None,
    parent: int | None = None,
    command_id: int | None = COMMAND,
) -> bool:
    return may_use(
        Requester(ALICE, GUILD, PLACE, parent, frozenset({PAINTER, GUEST})),
        bits,
        parse_guild_permissions(answer(own, shared)),
        command_id=command_id,
        application_id=APPLICATION,
        default_member_permissions=needed,
    )


@pytest.mark.parametrize(
    ("own", "shared", "allowed"),
    [
        ([], [], True),
        # the member
        ([(USER, ALICE, False)], [], False),
        ([(USER, ALICE + 100, False)], [], True),
        ([(ROLE, PAINTER, False)], [], False),
        ([(ROLE, PAINTER + 100, False)], [], True),
        ([(ROLE, EVERYBODY, False)], [], False),
        ([(ROLE, PAINTER, False), (ROLE, GUEST, True)], [], True),
        ([(ROLE, EVERYBODY, False), (ROLE, GUEST, True)], [], True),
        ([(ROLE, EVERYBODY, True), (ROLE, GUEST, False)], [], False),
        ([(ROLE, PAINTER, False), (USER, ALICE, True)], [], True),
        ([(ROLE, PAINTER, True), (USER, ALICE, False)], [], False),
        # the command before the application
        ([], [(USER, ALICE, False)], False),
        ([(USER, ALICE, True)], [(USER, ALICE, False)], True),
        ([(ROLE, EVERYBODY, True)], [(USER, ALICE, False)], True),
        ([(ROLE, EVERYBODY, False)], [(USER, ALICE, True)], False),
        ([(ROLE, PAINTER + 100, True)], [(ROLE, EVERYBODY, False)], False),
        ([], [(ROLE, EVERYBODY, False), (ROLE, PAINTER, True)], True),
        # the channel
        ([(CHANNEL, PLACE, False)], [], False),
        ([(CHANNEL, PLACE + 100, False)], [], True),
        ([(CHANNEL, ALL_CHANNELS, False)], [], False),
        ([(CHANNEL, ALL_CHANNELS, False), (CHANNEL, PLACE, True)], [], True),
        ([(CHANNEL, ALL_CHANNELS, True), (CHANNEL, PLACE, False)], [], False),
        ([(CHANNEL, ALL_CHANNELS, True)], [(CHANNEL, PLACE, False)], True),
        ([(CHANNEL, PLACE + 100, True)], [(CHANNEL, ALL_CHANNELS, False)], False),
        # both must allow
        ([(CHANNEL, PLACE, False), (USER, ALICE, True)], [], False),
        ([(CHANNEL, PLACE, True), (USER, ALICE, False)], [], False),
        ([(USER, ALICE, True)], [(CHANNEL, PLACE, False)], False),
        ([(CHANNEL, PLACE, True)], [(ROLE, EVERYBODY, False)], False),
        # one number for a user, a role and a channel
        ([(ROLE, ALICE, False), (CHANNEL, ALICE, False), (USER, PAINTER, False), (USER, PLACE, False)], [], True),
    ],
)
def test_the_channel_and_the_member_must_be_allowed(own: list[Entry], shared: list[Entry], allowed: bool) -> None:
    assert allows(own, shared) is allowed


def test_a_thread_follows_its_channel() -> None:
    assert not allows([(CHANNEL, PARENT, False)], [], parent=PARENT)
    assert not allows([], [(CHANNEL, PARENT, False)], parent=PARENT)
    assert allows([(CHANNEL, PARENT, True), (CHANNEL, ALL_CHANNELS, False)], [], parent=PARENT)
    assert allows([(CHANNEL, PARENT, False)], [])


def test_administrators_may_use_every_command_everywhere() -> None:
    denied: list[Entry] = [(USER, ALICE, False), (CHANNEL, PLACE, False)]
    assert allows(denied, denied, bits=ADMINISTRATOR, needed=0)


def test_without_use_application_commands_nobody_may_use_one() -> None:
    assert not allows([(USER, ALICE, True)], [], bits=MANAGE_GUILD)


@pytest.mark.parametrize(
    ("own", "shared", "bits", "needed", "allowed"),
    [
        ([], [], ORDINARY, MANAGE_GUILD, False),
        ([], [], ORDINARY | MANAGE_GUILD, MANAGE_GUILD, True),
        ([], [], ORDINARY | MANAGE_GUILD, MANAGE_GUILD | 2, False),
        ([], [], ORDINARY | MANAGE_GUILD, 0, False),
        ([(USER, ALICE, True)], [], ORDINARY, 0, True),
        ([], [(USER, ALICE, True)], ORDINARY, MANAGE_GUILD, False),
        ([], [(USER, ALICE, False)], ORDINARY | MANAGE_GUILD, MANAGE_GUILD, False),
        ([(CHANNEL, PLACE, True)], [], ORDINARY, MANAGE_GUILD, False),
    ],
)
def test_only_what_is_set_for_the_command_goes_before_its_default_permissions(
    own: list[Entry], shared: list[Entry], bits: int, needed: int, allowed: bool
) -> None:
    assert allows(own, shared, bits=bits, needed=needed) is allowed


def test_in_direct_messages_everybody_may_use_every_command() -> None:
    denied = parse_guild_permissions(answer([(USER, ALICE, False)], []))
    commands: dict[str, Any] = {"command_id": COMMAND, "application_id": APPLICATION, "default_member_permissions": 0}
    assert may_use(Requester(ALICE, None, PLACE), 0, denied, **commands)


def test_without_the_commands_id_the_application_decides() -> None:
    assert allows([(USER, ALICE, False)], [], command_id=None)
    assert not allows([(USER, ALICE, True)], [(USER, ALICE, False)], command_id=None)


def flowchart(own: list[Entry], shared: list[Entry], parent: int | None, bits: int, needed: int | None) -> bool:
    """Discord's flowchart, read a second time: the first entry that answers, over the list of entries itself."""
    if bits & ADMINISTRATOR:
        return True
    if not bits & USE_APPLICATION_COMMANDS:
        return False
    levels = {"command": own, "app": shared}
    verdict = "next"
    for level in levels.values():
        for place in [PLACE, parent, ALL_CHANNELS]:
            values = [allowed for kind, number, allowed in level if kind == CHANNEL and number == place]
            if values and verdict == "next":
                verdict = "yes" if values[-1] else "no"
    if verdict == "no":
        return False
    for name, level in levels.items():
        mine = [allowed for kind, number, allowed in level if (kind, number) == (USER, ALICE)][-1:]
        if not mine:
            last = {number: allowed for kind, number, allowed in level if kind == ROLE}
            mine = [last[role] for role in (PAINTER, GUEST) if role in last]
            if not mine and EVERYBODY in last:
                mine = [last[EVERYBODY]]
        if mine and True not in mine:
            return False
        if mine and name == "command":
            return True
        if mine:
            break
    if needed is None:
        return True
    return needed > 0 and (bits | needed) == bits


entries = st.lists(
    st.tuples(
        st.sampled_from([ROLE, USER, CHANNEL]),
        st.sampled_from([ALICE, PAINTER, GUEST, EVERYBODY, ALL_CHANNELS, PLACE, PARENT, 7]),
        st.booleans(),
    ),
    max_size=6,
)


@given(
    own=entries,
    shared=entries,
    parent=st.sampled_from([None, PARENT]),
    bits=st.sampled_from([ORDINARY, ORDINARY | MANAGE_GUILD, MANAGE_GUILD, ORDINARY | ADMINISTRATOR]),
    needed=st.sampled_from([None, 0, MANAGE_GUILD, MANAGE_GUILD | 2]),
)
def test_every_list_is_read_as_the_flowchart_says(
    own: list[Entry], shared: list[Entry], parent: int | None, bits: int, needed: int | None
) -> None:
    expected = flowchart(own, shared, parent, bits, needed)
    assert allows(own, shared, parent=parent, bits=bits, needed=needed) is expected


@pytest.mark.parametrize(
    "odd",
    [
        *(None, {}, "x", [None], [{}], [{"id": "1"}], [{"id": "x", "permissions": []}]),
        *([{"id": "1", "permissions": None}], [{"id": "1", "permissions": [{"id": "1", "type": 2}]}]),
        [{"id": "1", "permissions": [{"id": "1", "type": 2, "permission": "false"}]}],
    ],
)
def test_an_answer_of_another_shape_is_not_taken_for_one_that_allows(odd: object) -> None:
    with pytest.raises((ValueError, TypeError, LookupError)):
        parse_guild_permissions(odd)


def test_a_target_of_a_kind_that_nobody_knows_yet_is_skipped() -> None:
    found = parse_overwrites([{"id": "1", "type": 9, "permission": False}, {"id": "2", "type": 2, "permission": True}])
    assert (found.roles, found.users, found.channels) == ({}, {2: True}, {})
