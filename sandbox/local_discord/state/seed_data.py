"""The data that a local Discord starts with: six people, four guilds and their channels, a group DM, a DM of two.

Ids are the same every time.
"""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.local_discord.state import permissions as p
from sandbox.local_discord.state.model import Channel, ChannelKind, Guild, Message, MessageKind, Person, Role
from sandbox.local_discord.state.snowflakes import snowflake_at, snowflake_time_ms

_OPENED_AT_MS = 1_704_067_200_000
"""2024-01-01T00:00:00Z. Of six shards Lighthouse is on 0, Orchard on 2, Harbour on 3 and Boatyard on 4; of two
Harbour alone is on 1."""

LIGHTHOUSE_ID = snowflake_at(_OPENED_AT_MS)
HARBOUR_ID = snowflake_at(_OPENED_AT_MS + 3)
BOATYARD_ID = snowflake_at(_OPENED_AT_MS + 4)
ORCHARD_ID = snowflake_at(_OPENED_AT_MS + 8)
APPLICATION_ID = snowflake_at(_OPENED_AT_MS - 86_400_000, 7)
APP_NAME = "Qwen Imagine"
_MODERATORS_ID = snowflake_at(_OPENED_AT_MS + 2)
_APP_ROLE_ID = snowflake_at(_OPENED_AT_MS + 1)
_PAINTERS_ID, _KEEPERS_ID = (snowflake_at(_OPENED_AT_MS + 2, number) for number in (1, 2))
_ORCHARD_APP_ROLE_ID, _GROWERS_ID = (snowflake_at(_OPENED_AT_MS + 8, number) for number in (1, 2))
_GUILD_OWNER_ID = snowflake_at(_OPENED_AT_MS - 100)
"""None of the six people: the owner of a guild may do everything in it."""


@dataclass(frozen=True, slots=True)
class SeedData:
    people: dict[str, Person]
    guilds: dict[int, Guild]
    channels: dict[str, Channel]
    """By name; the name of a DM with the bot is "dm-" and the person's name."""
    messages: tuple[Message, ...]
    """A forum post begins with a message that has the post's id."""


def build_seed_data() -> SeedData:
    people = _people()
    channels = _channels(people)
    return SeedData(people=people, guilds=_guilds(people), channels=channels, messages=(_first_post(people, channels),))


def _people() -> dict[str, Person]:
    table = [
        ("mira", "#c2410c", "member", "MI"),
        ("jonas", "#0f766e", "member", "JO"),
        ("sam", "#6d28d9", "moderator", "SA"),
        ("olga", "#be123c", "owner", "OL"),
        ("ada", "#1d4ed8", "admin", "AD"),
        ("hugo", "#4d7c0f", "admin", "HU"),
    ]
    return {
        name: Person(snowflake_at(_OPENED_AT_MS - 1000 + number, 1), name, color, role, initials)
        for number, (name, color, role, initials) in enumerate(table)
    }


def _guilds(people: dict[str, Person]) -> dict[int, Guild]:
    moderators = Role(_MODERATORS_ID, "Moderators", p.EVERYONE | p.MODERATOR)
    painters, keepers = Role(_PAINTERS_ID, "Painters", 0), Role(_KEEPERS_ID, "Keepers", p.EVERYONE | p.ADMIN)
    app_role = Role(_APP_ROLE_ID, APP_NAME, p.EVERYONE)
    nothing: frozenset[int] = frozenset()
    mira, jonas, sam, olga, ada, _ = (person.id for person in people.values())
    members = dict.fromkeys((mira, jonas, sam, olga), nothing)
    lighthouse = Guild(
        LIGHTHOUSE_ID,
        "Lighthouse",
        _GUILD_OWNER_ID,
        installed=True,
        has_bot=True,
        roles=(Role(LIGHTHOUSE_ID, "@everyone", p.EVERYONE), painters, moderators, keepers, app_role),
        members=members
        | {
            mira: frozenset({painters.id}),
            sam: frozenset({moderators.id}),
            ada: frozenset({keepers.id}),
            APPLICATION_ID: frozenset({app_role.id}),
        },
    )
    harbour = Guild(
        HARBOUR_ID,
        "Harbour",
        _GUILD_OWNER_ID,
        installed=False,
        has_bot=False,
        roles=(Role(HARBOUR_ID, "@everyone", p.EVERYONE),),
        members=members,
    )
    boatyard = Guild(
        BOATYARD_ID,
        "Boatyard",
        _GUILD_OWNER_ID,
        installed=True,
        has_bot=False,
        roles=(Role(BOATYARD_ID, "@everyone", p.EVERYONE), moderators),
        members=members | {sam: frozenset({moderators.id})},
    )
    return {guild.id: guild for guild in (lighthouse, harbour, boatyard, _orchard(people))}


def _orchard(people: dict[str, Person]) -> Guild:
    """Return the second guild with the bot: hugo administers it, and neither sam, ada nor the bot's owner is in it."""
    growers = Role(_GROWERS_ID, "Growers", p.EVERYONE | p.ADMINISTRATOR)
    app_role = Role(_ORCHARD_APP_ROLE_ID, APP_NAME, p.EVERYONE)
    nothing: frozenset[int] = frozenset()
    return Guild(
        ORCHARD_ID,
        "Orchard",
        _GUILD_OWNER_ID,
        installed=True,
        has_bot=True,
        roles=(Role(ORCHARD_ID, "@everyone", p.EVERYONE), growers, app_role),
        members={
            people["mira"].id: nothing,
            people["jonas"].id: nothing,
            people["hugo"].id: frozenset({growers.id}),
            APPLICATION_ID: frozenset({app_role.id}),
        },
    )


def _channels(people: dict[str, Person]) -> dict[str, Channel]:
    def id_of(number: int) -> int:
        return snowflake_at(_OPENED_AT_MS + 1000 + number)

    no_posting = p.Overwrite(_APP_ROLE_ID, 0, allow=0, deny=p.SEND_MESSAGES | p.ATTACH_FILES)
    no_files = p.Overwrite(_APP_ROLE_ID, 0, allow=0, deny=p.ATTACH_FILES)
    no_history = p.Overwrite(_APP_ROLE_ID, 0, allow=0, deny=p.READ_MESSAGE_HISTORY)
    gallery = Channel(id_of(0), "gallery", ChannelKind.TEXT, LIGHTHOUSE_ID, topic="What we made today")
    channels = [
        gallery,
        Channel(id_of(1), "studio", ChannelKind.TEXT, LIGHTHOUSE_ID, topic="Try things out here"),
        Channel(id_of(2), "after-dark", ChannelKind.TEXT, LIGHTHOUSE_ID, topic="After ten in the evening", nsfw=True),
        Channel(
            id_of(3), "no-posting", ChannelKind.TEXT, LIGHTHOUSE_ID, topic="News of the house", overwrites=(no_posting,)
        ),
        Channel(id_of(4), "sketches", ChannelKind.THREAD, LIGHTHOUSE_ID, parent_id=gallery.id),
        Channel(id_of(5), "pier", ChannelKind.TEXT, HARBOUR_ID, topic="Boats, tides and weather"),
        Channel(id_of(6), "lounge", ChannelKind.VOICE, LIGHTHOUSE_ID),
        forum := Channel(id_of(7), "requests", ChannelKind.FORUM, LIGHTHOUSE_ID, topic="One post for each wish"),
        Channel(id_of(8), "summer-poster", ChannelKind.THREAD, LIGHTHOUSE_ID, parent_id=forum.id),
        Channel(
            id_of(9),
            "boat-crew",
            ChannelKind.GROUP_DM,
            member_ids=tuple(people[name].id for name in ("mira", "jonas", "olga")),
        ),
        Channel(id_of(10), "mira-and-jonas", ChannelKind.DM, member_ids=(people["mira"].id, people["jonas"].id)),
        Channel(
            id_of(11),
            "quay",
            ChannelKind.TEXT,
            HARBOUR_ID,
            topic="Who is in, who is out",
            overwrites=(p.Overwrite(HARBOUR_ID, 0, allow=0, deny=p.USE_EXTERNAL_APPS),),
        ),
        Channel(id_of(12), "slipway", ChannelKind.TEXT, BOATYARD_ID, topic="Hulls, masts and paint"),
        Channel(
            id_of(13),
            "night-watch",
            ChannelKind.PRIVATE_THREAD,
            LIGHTHOUSE_ID,
            parent_id=gallery.id,
            member_ids=tuple(people[name].id for name in ("mira", "olga")),
        ),
        Channel(
            id_of(14), "ferry", ChannelKind.TEXT, LIGHTHOUSE_ID, topic="Arrivals of today", overwrites=(no_history,)
        ),
        Channel(id_of(15), "meadow", ChannelKind.TEXT, ORCHARD_ID, topic="Apples, pears and plums"),
        cellar := Channel(id_of(16), "cellar", ChannelKind.TEXT, ORCHARD_ID, topic="Cider only", nsfw=True),
        Channel(id_of(17), "barrels", ChannelKind.THREAD, ORCHARD_ID, parent_id=cellar.id),
        Channel(id_of(18), "no-files", ChannelKind.TEXT, LIGHTHOUSE_ID, topic="Words only", overwrites=(no_files,)),
    ]
    for number, person in enumerate(people.values()):
        channels.append(Channel(id_of(20 + number), f"dm-{person.name}", ChannelKind.DM, recipient_id=person.id))
    return {channel.name: channel for channel in channels}


def _first_post(people: dict[str, Person], channels: dict[str, Channel]) -> Message:
    post = channels["summer-poster"].id
    wish = "A poster for the summer fair: lanterns over the harbour, room for the date at the top."
    return Message(post, post, people["sam"].id, MessageKind.DEFAULT, snowflake_time_ms(post), content=wish)
