"""What a server's admins set: command permissions, age-restricted channels, the app itself; and the app's owners."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.local_discord.people.command_checks import Refused
from sandbox.local_discord.rules.command_permissions import may_use
from sandbox.local_discord.state import permissions as p
from tests.sandbox.discord_bench import PAINT, Bench

GUILDS = 1
PLACES = ("meadow", "gallery")
GUILD, USER, PAINTERS, KEEPERS, HERE, PARENT = 1000, 1, 2, 3, 11, 12
EVERYONE, ALL_CHANNELS = (1, GUILD), (3, GUILD - 1)


def entries(*listed: tuple[tuple[int, int], bool]) -> list[dict[str, Any]]:
    return [{"id": str(number), "type": kind, "permission": allowed} for (kind, number), allowed in listed]


@pytest.mark.parametrize(
    ("own", "shared", "needed", "allowed"),
    [
        (None, [], None, True),
        (None, [], 1 << 5, False),
        (None, [], 0, False),
        ([(EVERYONE, False)], [], None, False),
        ([(EVERYONE, False), ((1, PAINTERS), True)], [], None, True),
        ([((1, PAINTERS), False), ((1, KEEPERS), True)], [], None, True),
        ([((1, PAINTERS), True), ((2, USER), False)], [], None, False),
        ([(EVERYONE, False), ((2, USER), True)], [], None, True),
        ([((1, KEEPERS), False)], [], None, False),
        ([((1, 99), False), ((2, 99), False), ((3, 99), False)], [], None, True),
        ([((1, PAINTERS), True)], [], 0, True),
        ([(EVERYONE, True)], [], 1 << 5, True),
        ([(ALL_CHANNELS, False)], [], None, False),
        ([(ALL_CHANNELS, False), ((3, HERE), True)], [], None, True),
        ([(ALL_CHANNELS, False), ((3, PARENT), True)], [], None, True),
        ([((3, HERE), False), ((2, USER), True)], [], None, False),
        ([((3, HERE), True)], [], 0, False),
        (None, [(EVERYONE, False)], None, False),
        (None, [((3, PARENT), False)], None, False),
        (None, [(EVERYONE, True)], 1 << 5, False),
        ([((3, 99), False)], [(EVERYONE, False)], None, False),
        ([((1, PAINTERS), True)], [(EVERYONE, False)], None, True),
        ([(EVERYONE, False)], [((2, USER), True)], None, False),
        ([((3, HERE), True)], [(ALL_CHANNELS, False)], None, True),
    ],
)
def test_command_permissions_decide_by_channel_then_person_then_roles_then_everyone(
    own: Any, shared: Any, needed: int | None, allowed: bool
) -> None:
    asked = {
        "guild_id": GUILD,
        "user_id": USER,
        "role_ids": {PAINTERS, KEEPERS},
        "channel_ids": [HERE, PARENT],
        "needed": needed,
    }
    mine, everyones = None if own is None else entries(*own), entries(*shared)
    assert may_use(mine, everyones, held=p.SEND_MESSAGES, **asked) is allowed
    assert may_use(mine, everyones, held=p.ADMINISTRATOR, **asked), "administrators may use everything"


def permissions_path(bench: Bench, guild: str, target: str = "") -> str:
    middle = f"/{target}" if target else ""
    number = bench.discord.guild(guild).id
    return f"/applications/{bench.discord.application_id}/guilds/{number}/commands{middle}/permissions"


async def test_a_denied_command_is_refused_and_its_buttons_still_work(bench: Bench) -> None:
    ada, mira, jonas = (bench.actor(name) for name in ("ada", "mira", "jonas"))
    act = await bench.paint()
    row = {"type": 1, "components": [{"type": 2, "style": 1, "custom_id": "again", "label": "Again"}]}
    shown = await act.callback({"type": 4, "data": {"content": "x", "components": [row]}})
    await ada.permit("Lighthouse", "paint", ("role", "@everyone", False), ("role", "Painters", True))
    with pytest.raises(Refused, match="You lack the permissions for /paint"):
        await jonas.command("gallery", "paint", prompt="x")
    assert await mira.command("gallery", "paint", prompt="x")
    assert await jonas.press(int(shown.body["resource"]["message"]["id"]), "Again")
    assert await jonas.command("meadow", "paint", prompt="x"), "another server is not bound by it"


async def test_a_denied_channel_denies_its_threads(bench: Bench) -> None:
    await bench.actor("ada").permit("Lighthouse", None, ("channel", "gallery", False))
    for channel, offered in (("gallery", False), ("sketches", False), ("studio", True)):
        try:
            assert await bench.actor("mira").command(channel, "paint", prompt="x") and offered
        except Refused:
            assert not offered


async def test_the_bot_reads_permissions_and_is_told_of_changes_without_any_intent(bench: Bench) -> None:
    paint = (await bench.rest("GET", f"/applications/{bench.discord.application_id}/commands")).body[0]["id"]
    missing = await bench.rest("GET", permissions_path(bench, "Lighthouse", paint))
    assert (missing.status, missing.code) == (404, 10066)
    async with bench.connect() as gateway:
        await bench.actor("ada").permit("Lighthouse", "paint", ("channel", "*", False), ("user", "jonas", True))
        told = await gateway.event("APPLICATION_COMMAND_PERMISSIONS_UPDATE")
        guild = bench.discord.guild("Lighthouse").id
        jonas = bench.discord.people["jonas"].id
        assert told == {
            "id": paint,
            "application_id": str(bench.discord.application_id),
            "guild_id": str(guild),
            "permissions": entries(((3, guild - 1), False), ((2, jonas), True)),
        }
        assert (await bench.rest("GET", permissions_path(bench, "Lighthouse", paint))).body == told
        assert (await bench.rest("GET", permissions_path(bench, "Lighthouse"))).body == [told]
        assert (await bench.rest("GET", permissions_path(bench, "Orchard"))).body == []
        await bench.actor("ada").permit("Lighthouse", "paint")
        assert (await gateway.event("APPLICATION_COMMAND_PERMISSIONS_UPDATE"))["permissions"] == []
        assert (await bench.rest("GET", permissions_path(bench, "Lighthouse", paint))).code == 10066
        await bench.actor("ada").permit("Lighthouse", None, ("role", "Painters", False))
        app = str(bench.discord.application_id)
        assert (await gateway.event("APPLICATION_COMMAND_PERMISSIONS_UPDATE"))["id"] == app
        assert (await bench.rest("GET", permissions_path(bench, "Lighthouse", app))).body["id"] == app


@pytest.mark.parametrize(
    ("method", "guild", "target", "status", "code"),
    [
        ("GET", "Lighthouse", "5", 404, 10063),
        ("GET", "Harbour", "", 403, 50001),
        ("PUT", "Lighthouse", "5", 403, 20001),
    ],
)
async def test_permissions_of_nothing_and_changes_by_a_bot_are_refused(
    bench: Bench, method: str, guild: str, target: str, status: int, code: int
) -> None:
    reply = await bench.rest(method, permissions_path(bench, guild, target), {} if method == "PUT" else None)
    assert (reply.status, reply.code) == (status, code)


@pytest.mark.parametrize(
    ("person", "guild", "command", "listed", "sentence"),
    [
        ("sam", "Lighthouse", None, [], "You may not change the permissions of commands in Lighthouse."),
        ("ada", "Orchard", None, [], "You may not change the permissions of commands in Orchard."),
        ("ada", "Nowhere", None, [], "There is no such server."),
        ("ada", "Lighthouse", "unknown", [], "There is no such command in this server."),
        ("ada", "Lighthouse", None, [("user", "hugo", True)], "Only roles, members and channels of this server"),
        ("ada", "Lighthouse", None, [("channel", "meadow", True)], "Only roles, members and channels of this server"),
        ("ada", "Lighthouse", None, [("user", "sam", True)] * 2, "Each of them can be listed once only."),
        ("ada", "Lighthouse", None, [("user", "sam", True)] * 101, "Up to 100 roles, people and channels"),
    ],
)
async def test_only_a_servers_own_admins_set_its_permissions_and_only_for_what_is_in_it(
    bench: Bench, person: str, guild: str, command: str | None, listed: Any, sentence: str
) -> None:
    with pytest.raises(Refused, match=sentence):
        await bench.actor(person).permit(guild, command, *listed)


async def test_an_admin_cannot_give_others_a_command_that_is_denied_to_the_admin(bench: Bench) -> None:
    await bench.actor("ada").permit("Lighthouse", "paint", ("user", "ada", False))
    with pytest.raises(Refused, match="You may not use this command yourself"):
        await bench.actor("ada").permit("Lighthouse", "paint", ("user", "sam", True))


async def test_commands_of_one_server_are_offered_there_alone_and_hide_global_ones(bench: Bench) -> None:
    guild = bench.discord.guild("Orchard").id
    path = f"/applications/{bench.discord.application_id}/guilds/{guild}/commands"
    owners = {"name": "owner", "description": "d", "default_member_permissions": "0"}
    own = {"name": "paint", "description": "Paint here", "options": []}
    assert (await bench.rest("PUT", path, [owners, own])).status == 200
    hugo, mira = bench.actor("hugo"), bench.actor("mira")
    data = hugo.interaction(await hugo.command("meadow", "owner")).data
    assert data["guild_id"] == str(guild)
    assert mira.interaction(await mira.command("meadow", "paint")).data["guild_id"] == str(guild)
    async with bench.http.ws_connect(f"{bench.url}/sandbox/live?as=mira") as socket:
        page = await socket.receive_json()
    by_id = {command["id"]: command for command in page["commands"]}
    offered = {place: [by_id[each] for each in page["offered"][str(bench.channel_id(place))]] for place in PLACES}
    assert [(each["name"], each.get("guild_id")) for each in offered["meadow"]] == [("paint", str(guild))]
    assert [(each["name"], each.get("guild_id")) for each in offered["gallery"]] == [("paint", None)]
    for person, channel in ((mira, "meadow"), (mira, "gallery"), (hugo, "dm")):
        with pytest.raises(Refused):
            await person.command(channel, "owner")


async def test_age_restricted_commands_are_for_adults_in_age_restricted_places(bench: Bench) -> None:
    await bench.register({"name": "night", "description": "d", "nsfw": True, "integration_types": [0, 1]})
    mira = bench.actor("mira")
    places = ("after-dark", "cellar", "barrels", "gallery", "dm", "boat-crew", "pier")

    async def offered() -> list[str]:
        found = []
        for place in places:
            try:
                await mira.command(place, "night")
                found.append(place)
            except Refused:
                pass
        return found

    assert await offered() == ["after-dark", "cellar", "barrels"]
    bench.discord.age_restricted_dms.add(mira.person.id)
    assert await offered() == ["after-dark", "cellar", "barrels", "dm"]
    await bench.actor("ada").set_age_restricted("gallery", True)
    await bench.actor("hugo").set_age_restricted("cellar", False)
    assert await offered() == ["after-dark", "gallery", "dm"]
    bench.discord.minors.add(mira.person.id)
    assert await offered() == []


async def test_a_thread_tells_its_parent_and_its_channel_that_it_is_age_restricted(bench: Bench) -> None:
    async with bench.connect() as gateway:
        await bench.paint(channel="barrels")
        thread = (await gateway.event("INTERACTION_CREATE"))["channel"]
        assert thread["parent_id"] == str(bench.channel_id("cellar")) and "nsfw" not in thread
        assert (await bench.rest("GET", f"/channels/{thread['parent_id']}")).body["nsfw"] is True


async def test_members_carry_their_roles_and_an_administrator_every_permission(bench: Bench) -> None:
    async with bench.connect() as gateway:
        for person, channel, role in (("mira", "gallery", "Painters"), ("hugo", "cellar", "Growers")):
            await bench.paint(person, channel)
            event = await gateway.event("INTERACTION_CREATE")
            roles = {str(each.id): each.name for each in bench.discord.guild(_guild_of(bench, channel)).roles}
            assert [roles[number] for number in event["member"]["roles"]] == [role]
            assert bool(int(event["member"]["permissions"]) & p.ADMINISTRATOR) is (person == "hugo")
        assert int(event["member"]["permissions"]) == p.EVERYTHING


def _guild_of(bench: Bench, channel: str) -> str:
    names = {guild.id: guild.name for guild in map(bench.discord.guild, ("Lighthouse", "Orchard"))}
    return names[bench.discord.channels[channel].guild_id or 0]


async def test_channels_are_made_and_marked_by_admins_and_only_bots_with_the_guilds_intent_are_told(
    bench: Bench,
) -> None:
    bench.discord.gateway.identify_spacing_ms = 0
    async with bench.connect(intents=GUILDS) as gateway, bench.connect() as without:
        made = await bench.actor("ada").make_channel("Lighthouse", "night-desk", nsfw=True)
        told = await gateway.event("CHANNEL_CREATE")
        assert (told["id"], told["nsfw"]) == (str(made.id), True)
        await bench.actor("ada").set_age_restricted("night-desk", False)
        assert (await gateway.event("CHANNEL_UPDATE"))["nsfw"] is False
        with pytest.raises(TimeoutError):
            await without.next(timeout=0.1)
    for attempt in (
        bench.actor("sam").make_channel("Lighthouse", "mine"),
        bench.actor("ada").make_channel("Lighthouse", "gallery"),
        bench.actor("ada").make_channel("Lighthouse", "No Such Name"),
        bench.actor("sam").set_age_restricted("gallery", True),
        bench.actor("ada").set_age_restricted("sketches", True),
        bench.actor("ada").set_age_restricted("dm", True),
    ):
        with pytest.raises(Refused):
            await attempt


async def test_a_removed_bot_is_told_once_and_has_lost_the_servers_channels_commands_and_permissions(
    bench: Bench,
) -> None:
    hugo, guild = bench.actor("hugo"), bench.discord.guild("Orchard")
    act = await bench.paint(channel="meadow")
    row = {"type": 1, "components": [{"type": 2, "style": 1, "custom_id": "again", "label": "Again"}]}
    card = (await act.callback({"type": 4, "data": {"content": "x", "components": [row]}})).body["resource"]["message"]
    await bench.register({**PAINT, "integration_types": [0]})
    old = await bench.paint(channel="meadow")
    shown = (await old.callback({"type": 4, "data": {"content": "x", "components": [row]}})).body["resource"]["message"]
    await hugo.permit("Orchard", "paint", ("user", "jonas", False))
    commands = f"/applications/{bench.discord.application_id}/guilds/{guild.id}/commands"
    assert (await bench.rest("PUT", commands, [{"name": "owner", "description": "d"}])).status == 200
    async with bench.connect(intents=GUILDS) as gateway:
        await hugo.remove_app("Orchard")
        assert await gateway.event("GUILD_DELETE") == {"id": str(guild.id)}
    for path, code in (
        (f"/channels/{bench.channel_id('meadow')}", 50001),
        (f"/guilds/{guild.id}", 10004),
        (f"/guilds/{guild.id}/roles", 10004),
        (permissions_path(bench, "Orchard"), 50001),
    ):
        assert (await bench.rest("GET", path)).code == code
    assert [each["name"] for each in (await bench.rest("GET", "/users/@me/guilds")).body] == ["Lighthouse"]
    with pytest.raises(Refused, match="The app is not installed in Orchard"):
        await bench.actor("mira").command("meadow", "paint", prompt="x")
    with pytest.raises(Refused, match="The app is no longer in this server"):
        await bench.actor("jonas").press(int(shown["id"]), "Again")
    assert await bench.actor("jonas").press(int(card["id"]), "Again"), "its person installed the app as well"
    bench.clock.advance(6)
    async with bench.connect(intents=GUILDS) as gateway:
        assert [each["id"] for each in gateway.frames[-1]["d"]["guilds"]] == [str(bench.discord.guild("Lighthouse").id)]
        await hugo.add_app("Orchard")
        assert (await gateway.event("GUILD_CREATE"))["name"] == "Lighthouse"
        back = await gateway.event("GUILD_CREATE")
        assert "unavailable" not in back, "it is told as a new server"
        assert (back["name"], len(back["channels"]), [role["managed"] for role in back["roles"]]) == (
            "Orchard",
            2,
            [False, False, True],
        )
    assert (await bench.rest("GET", permissions_path(bench, "Orchard"))).body == []
    assert (await bench.rest("GET", commands)).body == []


async def test_a_bot_without_intents_learns_of_a_removal_from_rest_and_the_next_ready_alone(bench: Bench) -> None:
    async with bench.connect() as gateway:
        await bench.actor("hugo").remove_app("Orchard")
        with pytest.raises(TimeoutError):
            await gateway.next(timeout=0.1)
    assert [each["name"] for each in (await bench.rest("GET", "/users/@me/guilds")).body] == ["Lighthouse"]
    bench.clock.advance(6)
    async with bench.connect() as gateway:
        assert len(gateway.frames[-1]["d"]["guilds"]) == 1


async def test_an_outage_is_told_as_unavailable_and_is_no_removal(bench: Bench) -> None:
    guild = bench.discord.guild("Orchard")
    async with bench.connect(intents=GUILDS) as gateway:
        bench.discord.set_outage("Orchard", True)
        assert await gateway.event("GUILD_DELETE") == {"id": str(guild.id), "unavailable": True}
        assert (await bench.rest("GET", f"/guilds/{guild.id}")).body["name"] == "Orchard"
        bench.clock.advance(6)
        async with bench.connect(intents=GUILDS) as later:
            assert {each["id"] for each in later.frames[-1]["d"]["guilds"]} >= {str(guild.id)}
            assert (await later.event("GUILD_DELETE"))["unavailable"] is True
        bench.discord.set_outage("Orchard", False)
        assert (await gateway.event("GUILD_CREATE"))["name"] == "Orchard"
        bench.discord.set_outage("Orchard", False)
        with pytest.raises(TimeoutError):
            await gateway.next(timeout=0.1)


@pytest.mark.parametrize(("person", "guild"), [("sam", "Lighthouse"), ("ada", "Orchard"), ("olga", "Lighthouse")])
async def test_only_who_manages_a_server_removes_the_app_from_it(bench: Bench, person: str, guild: str) -> None:
    with pytest.raises(Refused, match=f"You may not remove apps in {guild}."):
        await bench.actor(person).remove_app(guild)


async def test_the_guilds_of_the_bot_are_paged_by_id(bench: Bench) -> None:
    async def page(query: str) -> list[str]:
        return [each["name"] for each in (await bench.rest("GET", f"/users/@me/guilds{query}")).body]

    first = bench.discord.guild("Lighthouse").id
    assert await page("?limit=1") == ["Lighthouse"]
    assert await page(f"?limit=1&after={first}") == ["Orchard"]
    assert await page(f"?before={bench.discord.guild('Orchard').id}") == ["Lighthouse"]
    assert (await bench.rest("GET", "/users/@me/guilds?limit=201")).code == 50035
    assert (await bench.rest("DELETE", f"/users/@me/guilds/{first}")).status == 204
    assert await page("") == ["Orchard"]


async def test_members_and_roles_can_be_fetched(bench: Bench) -> None:
    guild, people = bench.discord.guild("Orchard"), bench.discord.people
    hugo = (await bench.rest("GET", f"/guilds/{guild.id}/members/{people['hugo'].id}")).body
    roles = (await bench.rest("GET", f"/guilds/{guild.id}/roles")).body
    assert [role["name"] for role in roles if role["id"] in hugo["roles"]] == ["Growers"]
    assert (await bench.rest("GET", f"/guilds/{guild.id}/members/{people['ada'].id}")).code == 10007
    assert (await bench.rest("GET", f"/guilds/{guild.id}/members/1")).code == 10013


async def test_the_application_belongs_to_one_person_or_to_a_team(bench: Bench) -> None:
    about = (await bench.rest("GET", "/oauth2/applications/@me")).body
    assert (about["owner"]["username"], about["team"]) == ("olga", None)
    bench.discord.set_team({"ada": "admin", "sam": "developer"})
    about = (await bench.rest("GET", "/applications/@me")).body
    team = about["team"]
    assert about["owner"]["id"] == team["id"] and about["owner"]["username"] == f"team{team['id']}"
    assert team["owner_user_id"] == str(bench.discord.people["ada"].id)
    assert [(each["user"]["username"], each["role"], each["membership_state"]) for each in team["members"]] == [
        ("ada", "admin", 2),
        ("sam", "developer", 2),
    ]


async def test_what_is_set_on_the_page_is_what_an_admin_sets(bench: Bench) -> None:
    guild = str(bench.discord.guild("Lighthouse").id)
    jonas = str(bench.discord.people["jonas"].id)

    async def post(act: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        async with bench.http.post(f"{bench.url}/sandbox/{act}", json={"as": "ada", **body}) as response:
            return response.status, await response.json()

    listed = [{"id": jonas, "type": 2, "permission": False}]
    assert (await post("command-permissions", {"guild_id": guild, "permissions": listed}))[0] == 200
    assert (await post("command-permissions", {"guild_id": guild, "permissions": "all"}))[0] == 400
    with pytest.raises(Refused):
        await bench.actor("jonas").command("gallery", "paint", prompt="x")
    status, made = await post("channel", {"guild_id": guild, "name": "attic"})
    assert status == 200
    assert (await post("age-restriction", {"channel_id": made["channel_id"], "nsfw": True}))[0] == 200
    assert bench.discord.channels["attic"].nsfw
    assert (await post("app", {"guild_id": guild, "installed": False}))[0] == 200
    assert not bench.discord.guild("Lighthouse").has_bot
    assert (await post("app", {"guild_id": guild, "installed": True}))[0] == 200
    assert bench.discord.guild("Lighthouse").has_bot


async def test_a_page_shows_its_person_their_servers_and_settings_to_admins_alone(bench: Bench) -> None:
    await bench.actor("ada").permit("Lighthouse", None, ("user", "jonas", False))
    found = {}
    for person in ("ada", "hugo", "jonas"):
        async with bench.http.ws_connect(f"{bench.url}/sandbox/live?as={person}") as socket:
            found[person] = await socket.receive_json()
    names = {person: [guild["name"] for guild in snapshot["guilds"]] for person, snapshot in found.items()}
    assert names["ada"] == ["Lighthouse"] and names["hugo"] == ["Orchard"] and len(names["jonas"]) == 4
    settings = {person: snapshot["guilds"][0].get("command_permissions") for person, snapshot in found.items()}
    app = str(bench.discord.application_id)
    assert settings["jonas"] is None and settings["hugo"] == {} and set(settings["ada"]) == {app}
    may = {person: snapshot["guilds"][0]["may_set"] for person, snapshot in found.items()}
    assert set(may["jonas"].values()) == {False} and set(may["ada"].values()) == {True}
    gallery = str(bench.channel_id("gallery"))
    paint = found["ada"]["commands"][0]["id"]
    assert (found["ada"]["offered"][gallery], found["jonas"]["offered"][gallery]) == ([paint], [])
