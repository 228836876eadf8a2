"""Selects in messages and forms, radio groups and checkboxes in forms: what may be sent, and what comes back."""

from __future__ import annotations

from typing import Any

import discord
import pytest
from discord.components import CheckboxGroupOption, RadioGroupOption

from sandbox.local_discord.people.command_checks import Refused
from sandbox.local_discord.rules.message_body import walk
from sandbox.local_discord.state.state import DEFAULT_ATTACHMENT_SIZE_LIMIT
from tests.sandbox.discord_bench import Act, Bench, png

Json = dict[str, Any]
OPTIONS = [{"label": name.upper(), "value": name} for name in ("a", "b", "c")]
TWO = OPTIONS[:2]


def option(**changes: Any) -> Json:
    return {"label": "x", "value": "x", **changes}


def select(kind: int, **changes: Any) -> Json:
    return {"type": kind, "custom_id": "pick", **({"options": OPTIONS} if kind == 3 else {}), **changes}


def label(component: Json, text: str = "Pick") -> Json:
    return {"type": 18, "label": text, "component": component}


def form(*components: Json) -> Json:
    return {"type": 9, "data": {"custom_id": "form", "title": "Settings", "components": list(components)}}


def default(kind: str, number: int = 5) -> Json:
    return {"id": str(number), "type": kind}


REFUSED_EVERYWHERE = [
    (select(3, min_values=2, max_values=1), "SELECT_COMPONENT_RANGE"),
    (select(3, options=[option(), option()]), "SELECT_COMPONENT_OPTION_VALUE_DUPLICATED"),
    (select(3, options=[]), "BASE_TYPE_BAD_LENGTH"),
    (select(3, options=[option(value=str(each)) for each in range(26)]), "BASE_TYPE_BAD_LENGTH"),
    (select(3, options=[option(label="x" * 101)]), "BASE_TYPE_BAD_LENGTH"),
    (select(3, options=TWO, max_values=3), "BASE_TYPE_BAD_LENGTH"),
    (select(3, options=[each | {"default": True} for each in TWO]), "SELECT_COMPONENT_TOO_MANY_DEFAULTS"),
    (select(3, placeholder="x" * 151), "BASE_TYPE_MAX_LENGTH"),
    (select(5, max_values=26), "NUMBER_TYPE_MAX"),
    (select(5, max_values=0), "NUMBER_TYPE_MIN"),
    (select(5, default_values=[default("role")]), "BASE_TYPE_CHOICES"),
    (select(6, default_values=[default("user")]), "BASE_TYPE_CHOICES"),
    (select(7, default_values=[default("channel")]), "BASE_TYPE_CHOICES"),
    (select(8, default_values=[default("user")]), "BASE_TYPE_CHOICES"),
    (select(5, default_values=[default("user", 1), default("user", 2)]), "BASE_TYPE_BAD_LENGTH"),
    (select(5, max_values=2, default_values=[default("user"), default("user")]), "SET_TYPE_ALREADY_CONTAINS_VALUE"),
    (select(5, options=OPTIONS), "UNKNOWN_KEY"),
    (select(8, channel_types=[99]), "BASE_TYPE_CHOICES"),
    (select(3, custom_id="x" * 101), "BASE_TYPE_BAD_LENGTH"),
]
REFUSED_IN_FORMS = [
    (select(3, disabled=True), "COMPONENT_DISABLED_IN_MODAL"),
    (select(3, min_values=0), "COMPONENT_REQUIRED_RANGE"),
    (select(22, options=OPTIONS, min_values=0), "COMPONENT_REQUIRED_RANGE"),
    (select(21, options=OPTIONS[:1]), "BASE_TYPE_BAD_LENGTH"),
    (select(21, options=[option(value=str(each)) for each in range(11)]), "BASE_TYPE_BAD_LENGTH"),
    (select(21, options=[each | {"default": True} for each in TWO]), "SELECT_COMPONENT_TOO_MANY_DEFAULTS"),
    (select(21, options=[option(), option()]), "SELECT_COMPONENT_OPTION_VALUE_DUPLICATED"),
    (select(21, options=[option(emoji={"name": "x"}), OPTIONS[0]]), "UNKNOWN_KEY"),
    (select(22, options=[]), "BASE_TYPE_BAD_LENGTH"),
    (select(22, options=TWO, max_values=3), "BASE_TYPE_BAD_LENGTH"),
    (select(22, options=OPTIONS, min_values=3, max_values=2), "SELECT_COMPONENT_RANGE"),
    (select(22, options=OPTIONS, max_values=11), "NUMBER_TYPE_MAX"),
    (select(23, required=True), "UNKNOWN_KEY"),
    (select(19, min_values=2, max_values=1), "SELECT_COMPONENT_RANGE"),
    (select(19, max_values=11), "NUMBER_TYPE_MAX"),
    (select(23, default="yes"), "BOOLEAN_TYPE_CONVERT"),
    (select(4, style=1, min_length=5, max_length=4), "TEXT_INPUT_COMPONENT_RANGE"),
    (select(4, style=1, max_length=2, value="long"), "BASE_TYPE_BAD_LENGTH"),
    (select(2, style=1, label="x"), "UNION_TYPE_CHOICES"),
]


@pytest.mark.parametrize(("component", "code"), REFUSED_EVERYWHERE)
async def test_a_wrong_select_is_refused_in_messages_and_forms(bench: Bench, component: Json, code: str) -> None:
    act = await bench.paint()
    body = {"type": 4, "data": {"content": "x", "components": [{"type": 1, "components": [component]}]}}
    for answer in (body, form(label(component))):
        reply = await act.callback(answer)
        assert (reply.status, reply.code, reply.error_codes()) == (400, 50035, {code})


@pytest.mark.parametrize(("component", "code"), REFUSED_IN_FORMS)
async def test_a_wrong_field_of_a_form_is_refused(bench: Bench, component: Json, code: str) -> None:
    reply = await (await bench.paint()).callback(form(label(component)))
    assert (reply.status, reply.code, reply.error_codes()) == (400, 50035, {code})
    assert bench.actor("mira").messages("gallery") == []


async def test_a_form_needs_unique_custom_ids_and_at_most_five_parts(bench: Bench) -> None:
    act = await bench.paint()
    twice = await act.callback(form(label(select(23)), label(select(5))))
    assert twice.error_codes() == {"COMPONENT_CUSTOM_ID_DUPLICATED"}
    six = await act.callback(form(*[label(select(23, custom_id=str(number))) for number in range(6)]))
    assert six.error_codes() == {"BASE_TYPE_BAD_LENGTH"}


@pytest.mark.parametrize("kind", [21, 22, 23])
async def test_radio_groups_and_checkboxes_are_for_forms_only(bench: Bench, kind: int) -> None:
    component = select(kind, **({} if kind == 23 else {"options": OPTIONS}))
    body = {"content": "x", "components": [{"type": 1, "components": [component]}]}
    reply = await (await bench.paint()).callback({"type": 4, "data": body})
    assert reply.error_codes() == {"UNION_TYPE_CHOICES"}


class Picking:
    """What the tests name people, roles and channels by."""

    def __init__(self, bench: Bench) -> None:
        roles = {role.name: role.id for role in bench.discord.guild("Lighthouse").roles}
        people = {name: person.id for name, person in bench.discord.people.items()}
        channels = {name: channel.id for name, channel in bench.discord.channels.items()}
        self.ids = {**channels, **roles, **people, "the bot": bench.discord.application_id}

    def __call__(self, *names: str) -> list[str]:
        return [str(self.ids.get(name, name)) for name in names]


async def message_with(bench: Bench, component: Json, channel: str = "gallery") -> int:
    act = await bench.paint(channel=channel)
    rows = [{"type": 1, "components": [component]}]
    shown = await act.callback({"type": 4, "data": {"content": "x", "components": rows}})
    return int(shown.body["resource"]["message"]["id"])


@pytest.mark.parametrize(
    ("component", "names", "kinds"),
    [
        (select(5, max_values=3), ("sam", "ada", "the bot"), {"users", "members"}),
        (select(6, max_values=2), ("Painters", "Keepers"), {"roles"}),
        (select(7, max_values=2), ("Painters", "jonas"), {"roles", "users", "members"}),
        (select(8, max_values=2), ("studio", "sketches"), {"channels"}),
        (select(8, channel_types=[15]), ("requests",), {"channels"}),
    ],
)
async def test_what_is_picked_comes_whole_in_resolved(
    bench: Bench, component: Json, names: tuple[str, ...], kinds: set[str]
) -> None:
    mira, ids = bench.actor("mira"), Picking(bench)
    number = await message_with(bench, component)
    data = mira.interaction(await mira.press(number, "pick", ids(*names))).data
    assert data["values"] == ids(*names) and set(data["resolved"]) == kinds
    assert {key for found in data["resolved"].values() for key in found} == set(ids(*names))
    opened = await bench.paint()
    assert (await opened.callback(form(label(component)))).status == 200
    sent = mira.interaction(await mira.submit(opened.id, {"Pick": ids(*names)})).data
    assert sent["resolved"] == data["resolved"]
    assert sent["components"][0]["component"] == {"type": component["type"], "id": 2, "custom_id": "pick"} | {
        "values": ids(*names)
    }


@pytest.mark.parametrize(
    ("component", "names"),
    [
        (select(5), ("hugo",)),
        (select(5), ("Painters",)),
        (select(6), ("Growers",)),
        (select(6), ("mira",)),
        (select(7), ("gallery",)),
        (select(8), ("meadow",)),
        (select(8, channel_types=[2]), ("studio",)),
        (select(8), ("night-watch",)),
        (select(5), ("nobody",)),
        (select(5), ("mira", "sam")),
        (select(5), ()),
        (select(5, max_values=2), ("mira", "mira")),
        (select(5, min_values=2, max_values=3), ("mira",)),
    ],
)
async def test_what_a_select_does_not_offer_cannot_be_picked(
    bench: Bench, component: Json, names: tuple[str, ...]
) -> None:
    jonas, ids = bench.actor("jonas"), Picking(bench)
    number = await message_with(bench, component)
    with pytest.raises(Refused):
        await jonas.press(number, "pick", ids(*names))
    opened = await bench.paint("jonas")
    assert (await opened.callback(form(label(component)))).status == 200
    with pytest.raises(Refused):
        await jonas.submit(opened.id, {"Pick": ids(*names)})


async def test_a_select_that_needs_no_value_can_be_emptied(bench: Bench) -> None:
    mira, ids = bench.actor("mira"), Picking(bench)
    component = select(5, min_values=0, default_values=[{"id": int(ids("sam")[0]), "type": "user"}])
    number = await message_with(bench, component)
    answered = [part for _, part in walk(mira.message(number)["components"]) if part["type"] == 5]
    assert [part["default_values"][0]["id"] for part in answered] == ids("sam")
    data = mira.interaction(await mira.press(number, "pick", [])).data
    assert data["values"] == [] and "resolved" not in data
    opened = await bench.paint()
    await opened.callback(form(label(component | {"required": False})))
    kept = mira.interaction(await mira.submit(opened.id, {})).data
    assert kept["components"][0]["component"]["values"] == ids("sam") and set(kept["resolved"]["users"]) == set(
        ids("sam")
    )
    emptied = mira.interaction(await mira.submit(opened.id, {"Pick": []})).data
    assert emptied["components"][0]["component"]["values"] == [] and "resolved" not in emptied


FIELDS = [
    ("Rule", select(21, custom_id="rule", options=OPTIONS), "b", {"value": "b"}),
    ("Rule", select(21, custom_id="rule", options=OPTIONS, required=False), None, {"value": None}),
    ("Days", select(22, custom_id="days", options=OPTIONS), ["c", "a"], {"values": ["c", "a"]}),
    ("Days", select(22, custom_id="days", options=OPTIONS, required=False), [], {"values": []}),
    ("On", select(23, custom_id="on", default=True), False, {"value": False}),
    ("Words", select(4, custom_id="words", style=2, required=False), "", {"value": ""}),
    ("Kind", select(3, custom_id="kind", max_values=2), ["a", "c"], {"values": ["a", "c"]}),
]


@pytest.mark.parametrize(("name", "component", "given", "sent"), FIELDS)
async def test_every_field_of_a_form_sends_a_value_of_its_type(
    bench: Bench, name: str, component: Json, given: Any, sent: Json
) -> None:
    act, mira = await bench.paint(), bench.actor("mira")
    assert (await act.callback(form({"type": 10, "content": "Read this"}, label(component, name)))).status == 200
    data = mira.interaction(await mira.submit(act.id, {name: given})).data
    about = {"type": component["type"], "id": 3, "custom_id": component["custom_id"]}
    assert data["components"] == [
        {"type": 10, "id": 1},
        {"type": 18, "id": 2, "component": about | sent},
    ]


async def test_fields_that_are_left_alone_send_their_defaults(bench: Bench) -> None:
    act, mira = await bench.paint(), bench.actor("mira")
    first = [OPTIONS[0], OPTIONS[1] | {"default": True}]
    await act.callback(
        form(
            label(select(21, custom_id="r", options=first)),
            label(select(22, custom_id="g", options=first)),
            label(select(23, custom_id="c", default=True)),
            label(select(4, custom_id="t", style=1, value="was here")),
        )
    )
    sent = mira.interaction(await mira.submit(act.id, {})).data["components"]
    found = [each["component"].get("value", each["component"].get("values")) for each in sent]
    assert found == ["b", ["b"], True, "was here"]


@pytest.mark.parametrize(
    ("component", "given"),
    [
        (select(21, options=OPTIONS), None),
        (select(21, options=OPTIONS), "d"),
        (select(22, options=OPTIONS), []),
        (select(22, options=OPTIONS), ["d"]),
        (select(22, options=OPTIONS, max_values=1), ["a", "b"]),
        (select(23), "yes"),
        (select(23), None),
        (select(4, style=1), 5),
        (select(4, style=1), ""),
        (select(3), "a"),
    ],
)
async def test_a_form_is_not_sent_with_what_its_fields_do_not_offer(bench: Bench, component: Json, given: Any) -> None:
    act, mira = await bench.paint(), bench.actor("mira")
    await act.callback(form(label(component)))
    with pytest.raises(Refused):
        await mira.submit(act.id, {"Pick": given})
    assert bench.discord.violations == []


async def test_files_are_uploaded_for_a_form_and_come_whole_in_resolved(bench: Bench) -> None:
    act, mira = await bench.paint(), bench.actor("mira")
    assert (await act.callback(form(label(select(19, max_values=2), "Files")))).status == 200
    names = {await mira.upload(act.id, name, png(2, 3)): name for name in ("first.png", "second.png")}
    data = mira.interaction(await mira.submit(act.id, {"Files": list(names)})).data
    assert data["components"][0]["component"]["values"] == list(names)
    found = data["resolved"]["attachments"]
    assert {key: each["filename"] for key, each in found.items()} == names
    for each in found.values():
        assert (each["content_type"], each["width"], each["height"], each["ephemeral"]) == ("image/png", 2, 3, True)
        async with bench.http.get(each["url"]) as answer:
            assert await answer.read() == png(2, 3)


async def test_a_form_takes_only_files_that_were_uploaded_for_it_and_as_many_as_it_allows(bench: Bench) -> None:
    act, other, mira = await bench.paint(), await bench.paint(), bench.actor("mira")
    for each in (act, other):
        await each.callback(form(label(select(19))))
    first, second = [await mira.upload(act.id, "a.png", png()) for _ in range(2)]
    elsewhere = await mira.upload(other.id, "a.png", png())
    for given in ([], [first, second], [elsewhere], ["5"]):
        with pytest.raises(Refused):
            await mira.submit(act.id, {"Pick": given})
    with pytest.raises(Refused):
        await mira.upload(act.id, "large.png", bytes(DEFAULT_ATTACHMENT_SIZE_LIMIT + 1))
    with pytest.raises(Refused):
        await bench.actor("jonas").upload(act.id, "a.png", png())


async def test_what_discord_py_sends_for_every_field_is_accepted(bench: Bench) -> None:
    roles = [role.id for role in bench.discord.guild("Lighthouse").roles]
    parts: list[tuple[str, discord.ui.Item[Any]]] = [
        ("Roles", discord.ui.RoleSelect(default_values=[discord.Object(roles[1], type=discord.Role)], max_values=2)),
        ("Channels", discord.ui.ChannelSelect(channel_types=[discord.ChannelType.text], required=False, min_values=0)),
        ("People", discord.ui.MentionableSelect(max_values=25, required=False)),
        ("Rule", discord.ui.RadioGroup(options=[RadioGroupOption(label=name, value=name) for name in "ab"])),
        ("Days", discord.ui.CheckboxGroup(options=[CheckboxGroupOption(label=name, value=name) for name in "ab"])),
        ("On", discord.ui.Checkbox(default=True)),
        ("Users", discord.ui.UserSelect(max_values=3)),
        ("Files", discord.ui.FileUpload(required=False, min_values=0, max_values=10)),
    ]
    for chunk in (parts[:4], parts[4:]):
        modal = discord.ui.Modal(title="Settings", timeout=1)
        for text, component in chunk:
            modal.add_item(discord.ui.Label(text=text, component=component))
        act: Act = await bench.paint()
        reply = await act.callback({"type": 9, "data": modal.to_dict()})
        assert reply.status == 200, reply.body
