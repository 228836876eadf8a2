"""/owner: for the bot's owner alone, private, and done once however often its event comes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, cast

import discord
import pytest
import simcord

from charts.plot import UsageDrawer
from charts.service import UsageCharts
from credits.model import EntryKind
from discord_api.snowflakes import snowflake_time_ms
from limits import audit
from limits.model import BOT, Change, Rules
from tests.cogs.scene import Scene, private_words, words
from ui.interactions.owner import OwnerActions
from ui.texts import owner as texts

SERVER, ROLE = 2**53 + 1001, 2**60 + 7


class Owner:
    """Olga, who owns the bot, in her direct messages with it."""

    def __init__(self, scene: Scene, olga: simcord.UserHandle) -> None:
        self.scene, self.olga = scene, olga

    async def __call__(self, command: str, **options: Any) -> str:
        """Type /owner, and return the private answer."""
        return private_words(await self.olga.slash(f"owner {command}", **options))

    async def again(self) -> None:
        """Deliver the last command a second time: Discord has its answer already."""
        await self.scene.completer.deliver_again()

    async def changes(self) -> list[Change]:
        return await self.scene.database.real.read(audit.load_changes, BOT, 100)

    async def rules(self) -> Rules:
        return await self.scene.services.request_limits.rules_for(None)

    async def newest_entry(self, person: simcord.MemberActor) -> tuple[EntryKind, int, str, int | None]:
        ledger = self.scene.services.ledger
        (entry,) = await self.scene.database.real.run(ledger.history, person.id, 1)
        return entry.kind, entry.available_delta, entry.reason, entry.actor_id


@pytest.fixture
async def owner(scene: Scene) -> Owner:
    olga = scene.env.create_user("olga")
    await scene.restart(owner_ids=(olga.id,))
    return Owner(scene, olga)


async def test_a_grant_names_person_reason_balance_and_entry(scene: Scene, owner: Owner) -> None:
    said = await owner("grant", user=scene.alice, amount=50, reason="won the contest.")
    assert re.fullmatch(
        rf"50 bonus credits for <@{scene.alice.id}>: won the contest\. They have 100 now, 50 of them don't expire\. "
        r"Entry \d+\.",
        said,
    )
    assert await owner.newest_entry(scene.alice) == (EntryKind.GRANT, 50, "won the contest.", owner.olga.id)
    (change,) = await owner.changes()
    assert (change.action, change.actor_id, change.subject_id) == ("grant", owner.olga.id, scene.alice.id)
    assert change.after.startswith("entry ") and change.reason == "won the contest."


async def test_an_event_that_comes_twice_changes_credits_once(scene: Scene, owner: Owner) -> None:
    await owner("grant", user=scene.alice, amount=50, reason="a present")
    await owner.again()
    scene.completer.twice = True
    await owner("take", user=scene.alice, amount=10, reason="a slip")
    assert (await scene.balance(scene.alice)).available == 90
    assert [change.action for change in await owner.changes()] == ["take", "grant"]


async def test_nobody_is_pinged(scene: Scene, owner: Owner) -> None:
    await owner("grant", user=scene.alice, amount=1, reason="@everyone <@1> **loud** [x](https://x.example)")
    sent = [request for request in scene.env.http_requests if request.path.endswith("/callback")][-1]
    assert sent.json is not None
    data = sent.json["data"]
    assert data["allowed_mentions"] == {"parse": []} and data["flags"] & 64
    assert "@everyone" not in data["content"] and "<@1>" not in data["content"] and "](" not in data["content"]


async def test_a_take_says_how_much_was_there(scene: Scene, owner: Owner) -> None:
    said = await owner("take", user=scene.alice, amount=20, reason="a slip")
    assert said.startswith(f"20 credits were taken from <@{scene.alice.id}>: a slip. They have 30 now. Entry ")
    said = await owner("take", user=scene.alice, amount=40, reason="more")
    assert said.startswith("30 of 40 credits, all that was there, were taken")
    assert "Nothing was taken" in await owner("take", user=scene.alice, amount=1, reason="more")
    assert [change.action for change in await owner.changes()] == ["take", "take"]


async def test_a_grant_is_undone_by_its_number_once(scene: Scene, owner: Owner) -> None:
    given = await owner("grant", user=scene.alice, amount=50, reason="wrong person")
    number = int(re.findall(r"Entry (\d+)", given)[0])
    said = await owner("undo", number=number, reason="I meant bob")
    assert said.startswith(f"50 credits of entry {number}, as many as were left, were taken back")
    assert "They have 50 now." in said
    assert f"That was done before: entry {number + 1}" in await owner("undo", number=number, reason="again")
    assert texts.no_such_grant(10**9) == await owner("undo", number=10**9, reason="no such")
    assert [change.action for change in await owner.changes()] == ["undo", "grant"]


async def test_an_image_is_refunded_by_number_or_link(scene: Scene, owner: Owner) -> None:
    result = await scene.imagine(count=2)
    for _ in range(8):
        await scene.step()
        await scene.env.advance_time(10)
    assert result.response is not None
    generation = await scene.only_generation()
    link = f"https://discord.com/channels/{scene.guild.id}/{scene.channel.id}/{result.response.id}"
    assert await owner("refund", image=link, reason="blurred") == texts.which_image(2)
    said = await owner("refund", image=link, reason="blurred", position=2)
    assert said.startswith(f"5 credits refunded to <@{scene.alice.id}> for one image: blurred. They have 45 now. Entry")
    assert "That was done before" in await owner("refund", image=f"{generation.id}-1", reason="blurred")
    assert "5 credits refunded" in await owner("refund", image=str(generation.id), reason="too", position=1)
    assert (await scene.balance(scene.alice)).available == 50


async def test_what_was_not_paid_is_not_refunded(scene: Scene, owner: Owner) -> None:
    await scene.imagine()
    number = str((await scene.only_generation()).id)
    assert await owner("refund", image=number, reason="impatient") == texts.NO_REFUND
    assert await owner("refund", image=str(SERVER), reason="?") == texts.NO_SUCH_IMAGE
    assert await owner("refund", image=number, position=3, reason="?") == texts.NO_SUCH_IMAGE
    assert await owner("refund", image="the one with the boat", reason="?") == texts.BAD_IMAGE
    assert await owner.changes() == []


async def test_a_tier_counts_at_the_next_look(scene: Scene, owner: Owner) -> None:
    said = await owner("tier set", credits=80, reason="summer")
    assert said.startswith("Everybody gets 80 credits a day: summer. It counts at each person's next look")
    result = await scene.alice.slash(scene.channel, "credits")
    assert "**80 of 80 credits" in words(result.response)
    assert "is set already" in await owner("tier set", credits=80, reason="summer")
    assert (await owner("tier remove", reason="autumn")).startswith("The tier was removed: autumn. Everybody:")
    assert "no tier is set" in await owner("tier remove", reason="autumn")


async def test_tiers_of_servers_and_roles_take_ids_of_any_size(owner: Owner) -> None:
    said = await owner("tier set", credits=5, reason="guests", server=str(SERVER))
    assert said.startswith(f"Everybody in server {SERVER} gets 5 credits a day")
    said = await owner("tier set", credits=90, reason="patrons", server=str(SERVER), role=f"<@&{ROLE}>")
    assert said.startswith(f"Role {ROLE} of server {SERVER} gets 90 credits a day")
    tiers = {(tier.guild_id, tier.role_id): tier.credits for tier in (await owner.rules()).bot.tiers}
    assert tiers == {(SERVER, 0): 5, (SERVER, ROLE): 90}


async def test_exemptions_are_given_and_taken_back(scene: Scene, owner: Owner) -> None:
    assert "No cap and no limit" in await owner("exempt", user=scene.bob, reason="tester")
    assert (await owner.rules()).is_exempt(scene.bob.id)
    assert "is exempt already" in await owner("exempt", user=scene.bob, reason="tester")
    assert "count for" in await owner("unexempt", user=scene.bob, reason="done")
    assert "is not exempt" in await owner("unexempt", user=scene.bob, reason="done")
    assert not (await owner.rules()).is_exempt(scene.bob.id)


async def test_a_block_refuses_with_its_end_until_it_is_taken_back(scene: Scene, owner: Owner) -> None:
    scene.clock.ahead_seconds = 100.0  # the days count from the command, so that its second delivery says the same
    said = await owner("block", user=scene.alice, reason="spam", days=7)
    until = f"<t:{snowflake_time_ms(scene.completer.command_id) // 1000 + 7 * 86_400}:f>"
    assert said.startswith(f"<@{scene.alice.id}> is blocked everywhere until {until}: spam. Change ")
    assert f"has blocked you until {until}: spam" in private_words(await scene.imagine())
    assert (await owner("unblock", user=scene.alice, reason="sorry")).startswith(f"<@{scene.alice.id}> may ask")
    assert "is not blocked by you" in await owner("unblock", user=scene.alice, reason="sorry")
    await scene.imagine()
    assert scene.posts()


async def test_a_block_without_end_and_one_until_a_day(scene: Scene, owner: Owner) -> None:
    assert "until you unblock them: rude. Change" in await owner("block", user=scene.alice, reason="rude")
    assert "blocked like that already" in await owner("block", user=scene.alice, reason="rude")
    said = await owner("block", user=scene.alice, reason="rude", until="2031-05-01")
    assert "until <t:1935360000:f>: rude" in said, "midnight in UTC"
    for until, sentence in (("2001-05-01", texts.PAST_UNTIL), ("31.12.2030", texts.BAD_UNTIL)):
        assert await owner("block", user=scene.alice, reason="rude", until=until) == sentence
    assert await owner("block", user=scene.alice, reason="x", days=1, until="2031-05-01") == texts.DAYS_AND_UNTIL


async def test_a_pause_holds_everybody_up_until_it_is_resumed(scene: Scene, owner: Owner) -> None:
    said = await owner("pause", reason="the image service moves")
    assert f"{scene.mention('owner resume')} ends it." in said
    assert re.match(r"Nothing is taken on anywhere since <t:\d+:f>: the image service moves\. ", said)
    assert "paused by its owner: the image service moves" in private_words(await scene.imagine())
    assert await owner("pause", reason="the image service moves") == texts.pause_unchanged()
    assert (await owner("resume")).startswith("Requests are taken on again since <t:")
    assert await owner("resume") == texts.NOT_PAUSED
    await scene.imagine()
    assert scene.posts()


async def test_the_ledger_is_paged_and_names_actor_reason_and_number(scene: Scene, owner: Owner) -> None:
    for number in range(12):
        await owner("grant", user=scene.alice, amount=1, reason=f"present {number}")
    result = await owner.olga.slash("owner ledger", user=scene.alice)
    said = private_words(result)
    assert "62 credits, 12 of them bonus · refills to 50 <t:" in said
    assert f"**+1** bonus · grant: present 11 · by <@{owner.olga.id}>" in said and "present 1 " not in said
    assert result.response is not None
    older = await owner.olga.click(result.response, label="Older")
    assert older is not None
    said = words(result.response)
    assert "present 1 " in said and "grant: refill" in said and "present 11" not in said
    await owner.olga.click(result.response, label="Newest")
    assert "present 11" in words(result.response)


async def test_the_ledger_of_somebody_unknown_opens_no_account(scene: Scene, owner: Owner) -> None:
    assert texts.NO_ACCOUNT in await owner("ledger", user=scene.bob)
    assert await scene.database.real.read(scene.services.ledger.history, scene.bob.id, 1) == []


async def test_the_status_names_what_runs(scene: Scene, owner: Owner) -> None:
    await scene.imagine()
    for _ in range(8):
        await scene.step()
        await scene.env.advance_time(10)
    await scene.services.worker._run_maintenance()
    await owner("pause", reason="a *test*")
    said = await owner("status")
    for part in (
        *("1 bot, 0 workers", "0 images waiting · 0 images being made", "slots of at most 20"),
        *("of the last 1 request", "**Image API** no pause", "**Discord** answers"),
        *("**Spent today** 5 credits, no limit", "no fault in 1 account", "**Database** SQLite", "schema 0"),
        *("**Paused** since <t:", r"a \*test\*"),
    ):
        assert part in said


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("grant", {"amount": 5, "reason": "x"}),
        ("take", {"amount": 5, "reason": "x"}),
        ("exempt", {"reason": "x"}),
        ("unexempt", {"reason": "x"}),
        ("block", {"reason": "x"}),
        ("unblock", {"reason": "x"}),
        ("ledger", {}),
    ],
)
async def test_bots_have_no_credits_and_no_rules(
    scene: Scene, owner: Owner, command: str, options: dict[str, Any]
) -> None:
    robot = scene.env.create_user("robot", bot=True)
    assert await owner(command, user=robot, **options) == texts.IS_BOT
    assert await owner.changes() == []


async def test_the_usage_of_everybody_is_a_chart_with_its_numbers_in_words(scene: Scene, owner: Owner) -> None:
    await scene.imagine()
    for _ in range(8):
        await scene.step()
        await scene.env.advance_time(10)
    result = await owner.olga.slash("owner usage", days=7)
    async with asyncio.timeout(60):
        while result.response is None or not result.response.attachments:
            await asyncio.sleep(0.05)  # it is drawn in a thread
            await scene.env.advance_time(0.1)
    assert private_words(result) == "What everybody used in the last 7 days."
    (chart,) = result.response.attachments
    assert chart.filename == "usage.png" and chart.description is not None
    assert "7 days" in chart.description and "1 image made, 0 failed" in chart.description


class Nameless:
    """Discord tells no names."""

    async def of_guilds(self, guild_ids: Collection[int]) -> dict[int, str]:
        return {}


async def test_the_usage_has_the_names_of_servers_or_else_their_ids(scene: Scene) -> None:
    await scene.imagine()
    for _ in range(8):
        await scene.step()
        await scene.env.advance_time(10)
    drawn: list[Mapping[int, str]] = []
    drawer = UsageDrawer(lambda report, title, labels: drawn.append(labels) or b"")
    charts = UsageCharts(scene.database.real, scene.services.request_limits.calendar, drawer)
    services = replace(scene.services, usage_charts=charts)
    await OwnerActions(services).usage(7)
    await OwnerActions(replace(services, names=cast("Any", Nameless()))).usage(7)
    assert drawn == [{scene.guild.id: scene.guild.name}, {scene.guild.id: str(scene.guild.id)}]


EVERY_COMMAND: dict[str, dict[str, Any]] = {
    "grant": {"user": None, "amount": 5, "reason": "x"},
    "take": {"user": None, "amount": 5, "reason": "x"},
    "undo": {"number": 1, "reason": "x"},
    "refund": {"image": "1" * 18, "reason": "x"},
    "tier set": {"credits": 5, "reason": "x"},
    "tier remove": {"reason": "x"},
    "exempt": {"user": None, "reason": "x"},
    "unexempt": {"user": None, "reason": "x"},
    "block": {"user": None, "reason": "x"},
    "unblock": {"user": None, "reason": "x"},
    "pause": {"reason": "x"},
    "resume": {},
    "status": {},
    "usage": {},
    "ledger": {"user": None},
}


async def test_who_is_not_the_owner_gets_one_private_sentence_and_changes_nothing(scene: Scene, owner: Owner) -> None:
    listed = scene.env.backend.commands[None]["owner", 1]
    names = {
        f"{part['name']} {inner['name']}" if part["type"] == 2 else part["name"]
        for part in listed["options"]
        for inner in (part.get("options") or [part] if part["type"] == 2 else [part])
    }
    assert names == set(EVERY_COMMAND)
    carol = scene.env.create_user("carol")
    for command, options in EVERY_COMMAND.items():
        given = {name: scene.alice if value is None else value for name, value in options.items()}
        assert private_words(await carol.slash(f"owner {command}", **given)) == texts.NOT_OWNER, command
    assert await owner.changes() == []


async def test_a_page_of_the_ledger_is_turned_by_owners_alone(scene: Scene, owner: Owner) -> None:
    for number in range(12):
        await owner("grant", user=scene.alice, amount=1, reason=f"present {number}")
    result = await owner.olga.slash("owner ledger", user=scene.alice)
    assert result.response is not None
    await scene.restart(owner_ids=(scene.bob.id,))
    pressed = await owner.olga.click(result.response, label="Older")
    assert private_words(pressed) == texts.NOT_OWNER


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("amount", 0, texts.number_out_of_range("amount", 1, 1_000_000)),
        ("amount", 1_000_001, texts.number_out_of_range("amount", 1, 1_000_000)),
        ("amount", "7", texts.number_out_of_range("amount", 1, 1_000_000)),
        ("reason", "  ", texts.NO_REASON),
        ("reason", "x" * 301, texts.reason_too_long(300)),
    ],
)
async def test_what_discord_should_have_refused_is_checked_again(
    scene: Scene, owner: Owner, option: str, value: object, sentence: str
) -> None:
    def change(payload: dict[str, Any]) -> None:
        for given in payload["data"]["options"][0]["options"]:
            if given["name"] == option:
                given["value"] = value

    scene.completer.change = change
    answer = await owner("grant", user=scene.alice, amount=5, reason="fine")
    assert re.sub(r"<(/\w+):\d+>", r"`\1`", answer) == sentence
    assert await owner.changes() == []


async def test_ids_must_be_ids(owner: Owner) -> None:
    for place in (
        {"server": "lighthouse-keepers"},
        {"server": str(2**63)},
        {"server": "1" * 15, "role": "painters-role-x"},
    ):
        assert await owner("tier set", credits=5, reason="x", **place) == texts.BAD_ID
    assert await owner("tier set", credits=5, reason="x", role="1" * 18) == texts.ROLE_WITHOUT_SERVER


async def test_without_owner_ids_discord_is_asked_and_silence_refuses(scene: Scene) -> None:
    carol = scene.env.create_user("carol")
    assert private_words(await carol.slash("owner resume")) == texts.NOT_OWNER
    await scene.restart()
    scene.env.backend.faults.append({"method": "GET", "path": "/oauth2/applications/@me", "status": 500, "times": 9})
    result = await carol.slash("owner resume")
    await scene.env.advance_time(60)
    assert words(result.response) == texts.OWNER_UNKNOWN


async def test_a_slow_database_is_preceded_by_thinking(scene: Scene, owner: Owner) -> None:
    scene.database.delays = [1.2]
    result = await owner.olga.slash("owner grant", user=scene.alice, amount=5, reason="slow")
    await scene.env.advance_time(2)
    assert "5 bonus credits for" in private_words(result)


async def test_the_servers_of_owner_guilds_have_the_command_and_direct_messages_do_not(scene: Scene) -> None:
    chief = scene.guild.create_role("chief", permissions=discord.Permissions(administrator=True))
    olga = scene.guild.add_member(scene.env.create_user("olga"), roles=[chief])
    await scene.restart(owner_ids=(olga.id,), owner_guilds=(scene.guild.id, SERVER))
    assert await scene.sync()
    assert ("owner", 1) not in scene.env.backend.commands[None]
    listed = scene.env.backend.commands[scene.guild.id]["owner", 1]
    assert listed["default_member_permissions"] == 0
    result = await olga.slash(scene.channel, "owner grant", user=scene.alice, amount=5, reason="x")
    assert "5 bonus credits" in private_words(result)
    paused = private_words(await olga.slash(scene.channel, "owner pause", reason="x"))
    assert f"</owner resume:{listed['id']}> ends it." in paused, "the id is that server's"
    assert not await scene.sync(), "nothing has changed, and a server without the bot is no fault"
    await scene.restart(owner_guilds=())
    assert await scene.sync()
    assert not scene.env.backend.commands[scene.guild.id]


def test_direct_messages_alone_have_it_otherwise(scene: Scene) -> None:
    listed = scene.env.backend.commands[None]["owner", 1]
    assert listed["contexts"] == [1] and listed["default_member_permissions"] == 0
    assert set(scene.env.backend.commands) == {None}
