"""/admin limits: each control, who may use it, two admins at once, restarts, the log channel."""

from __future__ import annotations

import json
from typing import Any

import discord
import pytest
import simcord

from credits.allowance import CreditPeriod
from limits.model import Actor, Cap, ContentRule, GuildRules
from limits.words import WordKind
from tests.cogs.scene import Scene, private_words, words

HUGE_ID = 2**62 + 12345
EVIL = "@everyone **x** [a](https://evil.example) <@1> `y` \u202e"


def admin_of(scene: Scene, name: str = "sara") -> simcord.MemberActor:
    role = scene.guild.create_role(f"keepers of {name}", permissions=discord.Permissions(manage_guild=True))
    return scene.guild.add_member(scene.env.create_user(name), roles=[role])


async def opened(scene: Scene, admin: simcord.MemberActor) -> Any:
    result = await admin.slash(scene.channel, "admin limits")
    assert result.response is not None and result.response.ephemeral
    return result.response


def controls(message: Any) -> dict[str, dict[str, Any]]:
    """Return the controls of the screen by their action."""
    found: dict[str, dict[str, Any]] = {}

    def collect(part: dict[str, Any]) -> None:
        if "custom_id" in part:
            found[part["custom_id"].split(":")[1]] = part
        for each in [*part.get("components", ()), *([part["accessory"]] if "accessory" in part else ())]:
            collect(each)

    for part in message.components:
        collect(part if isinstance(part, dict) else part.to_dict())
    return found


def picked(message: Any, action: str) -> list[str]:
    """Return what a list of the screen shows as picked."""
    return [str(each["id"]) for each in controls(message)[action].get("default_values") or ()]


def id_of(message: Any, action: str) -> str:
    return controls(message)[action]["custom_id"]


async def rules(scene: Scene, guild_id: int | None = None) -> GuildRules:
    return (await scene.services.request_limits.rules_for(guild_id or scene.guild.id)).guild


async def pick(scene: Scene, admin: simcord.MemberActor, screen: Any, action: str, values: list[Any]) -> Any:
    return await admin.select(screen, values, custom_id=id_of(screen, action))


async def press(admin: simcord.MemberActor, screen: Any, action: str) -> Any:
    return await admin.click(screen, custom_id=id_of(screen, action))


def log_lines(channel: simcord.ChannelHandle) -> list[str]:
    return [message.content for message in channel.history()]


def posts_to(scene: Scene, channel: simcord.ChannelHandle) -> list[dict[str, Any]]:
    """Return what the bot sent to a channel with its own token."""
    calls = [call for call in scene.env.http_requests if call.method == "POST"]
    return [dict(call.json or {}) for call in calls if call.path == f"/channels/{channel.id}/messages"]


async def test_the_lists_set_and_clear_channels_roles_content_and_log_channel(scene: Scene) -> None:
    sara, role = admin_of(scene), scene.guild.create_role("painters")
    log = scene.guild.create_text_channel("mod-log")
    screen = await opened(scene, sara)
    for action, values in (
        ("channels", [scene.channel]),
        ("roles", [role]),
        ("content", ["age_restricted_only"]),
        ("log", [log]),
    ):
        await scene.restart()
        assert (await pick(scene, sara, screen, action, values)).followups == []
    found = await rules(scene)
    assert (found.channels, found.roles) == ({scene.channel.id}, {role.id})
    assert (found.content, found.log_channel_id) == (ContentRule.AGE_RESTRICTED_ONLY, log.id)
    said = words(screen)
    assert f"**Channels** · <#{scene.channel.id}>" in said and f"**Roles** · <@&{role.id}>" in said
    assert f"**Done:** log channel: none → <#{log.id}>" in said and f"Last change: <@{sara.id}>" in said
    assert picked(screen, "channels") == [str(scene.channel.id)]
    for action, values in (("channels", []), ("roles", []), ("content", ["general"]), ("log", [])):
        await pick(scene, sara, screen, action, values)
    assert await rules(scene) == GuildRules(version=8)
    assert "**Channels** · everywhere" in words(screen) and "**Roles** · everybody" in words(screen)


async def test_a_cap_for_each_person_is_set_and_taken_away_by_a_form_after_a_restart(scene: Scene) -> None:
    sara = admin_of(scene)
    screen = await opened(scene, sara)
    form = await press(sara, screen, "person")
    await scene.restart()
    await sara.submit_modal(form, {"period": "week", "images": " 12 "})
    assert (await rules(scene)).person_cap == Cap(12, CreditPeriod.WEEK)
    assert "12 images a week at most" in words(screen) and "each person: no cap → 12 images a week" in words(screen)
    form = await press(sara, screen, "person")
    assert "12" in json.dumps(form.modal)
    await sara.submit_modal(form, {"period": "none", "images": "12"})
    assert (await rules(scene)).person_cap is None


async def test_a_number_of_images_that_is_out_of_range_is_refused_with_the_range(scene: Scene) -> None:
    sara = admin_of(scene)
    screen = await opened(scene, sara)
    for typed in ("", "0", "-1", "1.5", "100001", "many", "٣", "999999999"):
        refused = await sara.submit_modal(await press(sara, screen, "budget"), {"period": "day", "images": typed})
        assert "from 1 to 100,000" in private_words(refused), typed
    assert (await rules(scene)).version == 0


async def test_a_budget_below_what_is_used_asks_once_and_one_above_does_not(scene: Scene) -> None:
    sara = admin_of(scene)
    await scene.imagine(count=3)
    screen = await opened(scene, sara)
    assert "3 images today" in words(screen)
    await sara.submit_modal(await press(sara, screen, "budget"), {"period": "day", "images": "4"})
    assert "3 used this day; the next day begins" in words(screen)
    await sara.submit_modal(await press(sara, screen, "budget"), {"period": "month", "images": "3"})
    assert "used 3 in this month already" in words(screen)
    assert (await rules(scene)).budget == Cap(4, CreditPeriod.DAY)
    await press(sara, screen, "leave")
    assert "Nothing was changed" in words(screen) and (await rules(scene)).version == 1
    await sara.submit_modal(await press(sara, screen, "budget"), {"period": "month", "images": "2"})
    await scene.restart()
    await press(sara, screen, "set_budget")
    assert (await rules(scene)).budget == Cap(2, CreditPeriod.MONTH)
    refused = await scene.imagine()
    assert "2 images a month" in private_words(refused)


async def test_pause_asks_by_its_form_and_resume_is_one_press(scene: Scene) -> None:
    sara = admin_of(scene)
    screen = await opened(scene, sara)
    form = await press(sara, screen, "pause")
    assert "Images that were asked for before are still made" in json.dumps(form.modal)
    await sara.submit_modal(form, {"reason": "a contest"})
    assert f"**Paused** by <@{sara.id}>" in words(screen) and "a contest" in words(screen)
    assert "paused in this server by its admins: a contest" in private_words(await scene.imagine())
    await press(sara, screen, "resume")
    assert "Requests are taken" in words(screen) and (await rules(scene)).pause is None


async def test_words_are_added_line_by_line_shown_by_pages_and_removed(scene: Scene) -> None:
    sara = admin_of(scene)
    screen = await opened(scene, sara)
    await press(sara, screen, "words")
    assert "No words are blocked" in words(screen)
    lines = "\n".join(f"word{number}" for number in range(12)) + "\n\n"
    await sara.submit_modal(await press(sara, screen, "add"), {"lines": lines, "kind": "whole", "name": "the list"})
    found = (await rules(scene)).words
    assert len(found) == 12 and found[0].kind is WordKind.WHOLE and found[0].name == "the list"
    assert "word9" in words(screen) and "word10" not in words(screen) and "Page 1 of 2" in words(screen)
    await sara.click(screen, label="Next")
    assert "word11" in words(screen) and "Page 2 of 2" in words(screen)
    await scene.restart()
    await pick(scene, sara, screen, "remove", ["11", "12"])
    assert len((await rules(scene)).words) == 10 and "word9" in words(screen)
    await sara.click(screen, label="Back")
    assert "10 blocked" in words(screen)
    assert "rule: the list" in private_words(await scene.imagine("a word3 at sea"))


BAD_WORDS = [
    ("pattern", "good\n(", "Line 2: This rule can't be kept: the pattern can't be read"),
    ("pattern", "(((a{1,100}){1,100}){1,9})", "Line 1: This rule can't be kept"),
    ("plain", "x" * 101, "at most 100 characters"),
    ("plain", "ok\n\u200b", "Line 2: This rule can't be kept: it would find every prompt"),
    ("plain", " \n ", "There is no word in it"),
    ("pattern", "\n".join(f"a{number}" for number in range(21)), "At most 20 rules"),
    ("plain", "\n".join(f"a{number}" for number in range(201)), "At most 200 rules"),
]


async def test_refused_words_are_named_by_their_line_and_given_back(scene: Scene) -> None:
    sara = admin_of(scene)
    screen = await opened(scene, sara)
    await press(sara, screen, "words")
    for kind, lines, said in BAD_WORDS:
        refused = await sara.submit_modal(await press(sara, screen, "add"), {"lines": lines, "kind": kind})
        messages = [words(each) for each in (refused.response, *refused.followups) if each is not None]
        assert said in messages[0], (said, messages)
        assert not lines.strip() or "What you typed" in messages[1], said
    assert (await rules(scene)).version == 0


async def test_a_person_is_blocked_until_a_day_with_a_reason_and_unblocked(scene: Scene) -> None:
    sara = admin_of(scene)
    screen = await opened(scene, sara)
    await press(sara, screen, "people")
    fields = {"who": [scene.alice], "reason": EVIL, "days": "3"}
    await sara.submit_modal(await press(sara, screen, "block"), fields)
    [(who, block)] = (await rules(scene)).blocks.items()
    assert who == scene.alice.id and block.until_ms is not None
    assert 0 <= scene.clock.now_ms() + 3 * 86_400_000 - block.until_ms < 60_000
    assert "You are blocked in this server until" in private_words(await scene.imagine())
    await scene.restart()
    await pick(scene, sara, screen, "unblock", [str(scene.alice.id)])
    assert (await rules(scene)).blocks == {} and "Nobody is blocked" in words(screen)
    assert words((await scene.imagine()).response).startswith("**a lighthouse")


async def test_days_that_are_out_of_range_block_nobody(scene: Scene) -> None:
    sara = admin_of(scene)
    screen = await opened(scene, sara)
    await press(sara, screen, "people")
    for days in ("0", "3651", "soon", "-1"):
        refused = await sara.submit_modal(await press(sara, screen, "block"), {"who": [scene.alice], "days": days})
        assert "Nobody was blocked" in private_words(refused), days
    assert (await rules(scene)).version == 0


# ---- who may --------------------------------------------------------------------------------------------------------


def without_manage_guild(payload: dict[str, Any]) -> None:
    payload["member"]["permissions"] = str(discord.Permissions(send_messages=True, manage_messages=True).value)


async def test_the_command_is_for_servers_and_hidden_from_who_may_not_manage_them(scene: Scene) -> None:
    [sent] = [each for each in scene.bot.tree.get_commands() if each.name == "admin"]
    described = sent.to_dict(scene.bot.tree)
    assert described["default_member_permissions"] == discord.Permissions(manage_guild=True).value
    assert (described["contexts"], described["integration_types"]) == ([0], [0])


async def test_who_is_no_admin_any_more_is_refused_by_every_control_of_an_old_screen(scene: Scene) -> None:
    sara = admin_of(scene)
    limits, actor = scene.services.limits, Actor(sara.id, 1, scene.guild.id)
    await limits.add_words(actor, [(WordKind.PLAIN, "gore", "")], expected_version=0)
    await limits.block_here(actor, scene.bob.id, "spam", None)
    screens = [await opened(scene, sara) for _ in range(3)]
    await press(sara, screens[1], "words")
    await press(sara, screens[2], "people")
    forms = [await press(sara, screens[0], action) for action in ("person", "budget", "pause")]
    before = await rules(scene)
    scene.completer.change = without_manage_guild
    tried = 0
    for screen in screens:
        shown = words(screen)
        for part in controls(screen).values():
            values = {5: [scene.bob], 8: [scene.channel], 6: []}.get(part["type"], [])
            if part["type"] == discord.ComponentType.select.value:
                values = [part["options"][0]["value"]]
            if part["type"] == discord.ComponentType.button.value:
                result = await sara.click(screen, custom_id=part["custom_id"])
            else:
                result = await sara.select(screen, values, custom_id=part["custom_id"])
            assert private_words(result).startswith("Only who may manage this server"), part["custom_id"]
            tried += 1
        assert words(screen) == shown
    for form, fields in zip(forms, [{"period": "none"}, {"period": "day", "images": "1"}, {}], strict=True):
        assert private_words(await sara.submit_modal(form, fields)).startswith("Only who may manage this server")
    assert await rules(scene) == before and tried >= 14
    refused = await sara.slash(scene.channel, "admin limits")
    assert private_words(refused).startswith("Only who may manage this server")


async def test_an_administrator_may_without_manage_server(scene: Scene) -> None:
    role = scene.guild.create_role("chiefs", permissions=discord.Permissions(administrator=True))
    chief = scene.guild.add_member(scene.env.create_user("chief"), roles=[role])
    assert "Images in this server" in words(await opened(scene, chief))


async def test_a_forged_custom_id_reaches_no_other_servers_settings(scene: Scene) -> None:
    other = HUGE_ID
    await scene.services.limits.pause_here(Actor(1, 1, other), "theirs")
    await scene.services.limits.set_log_channel(Actor(1, 2, other), HUGE_ID + 1, expected_version=1)
    sara = admin_of(scene)
    screen = await opened(scene, sara)
    assert "theirs" not in words(screen)
    forged = [
        "admin:resume:2",
        f"admin:resume:{other}",
        f"admin:resume:2:{other}",
        "admin:log:2",
        "admin:set_budget:2:1:day",
    ]
    for custom_id in forged:
        earlier = await press_forged(scene, sara, screen, custom_id)
        assert earlier is not None
    assert (await rules(scene, other)).pause is not None and (await rules(scene, other)).version == 2
    assert (await rules(scene)).version == 0


async def press_forged(scene: Scene, admin: simcord.MemberActor, screen: Any, custom_id: str) -> Any:
    """Press Pause as a client that sends another custom_id for it, also in the message."""
    own = id_of(screen, "pause")

    def forge(payload: dict[str, Any]) -> None:
        text = json.dumps(payload).replace(own, custom_id)
        payload.clear()
        payload.update(json.loads(text))

    scene.completer.change = forge
    try:
        return await admin.click(screen, custom_id=own)
    finally:
        scene.completer.change = None


async def test_a_control_that_does_not_exist_changes_nothing_and_says_so(scene: Scene) -> None:
    sara = admin_of(scene)
    screen = await opened(scene, sara)
    for custom_id in ("nothing:0", "set_budget:0:0:day", "set_budget:0:5:year", "set_budget:0:x", "content:0"):
        result = await press_forged(scene, sara, screen, f"admin:{custom_id}")
        assert "othing was changed" in private_words(result), custom_id
    assert (await rules(scene)).version == 0


async def test_a_picked_id_that_is_none_changes_nothing(scene: Scene) -> None:
    sara = admin_of(scene)
    screen = await opened(scene, sara)
    for value in ("x", "-1", str(2**63), "9" * 30, "\ud800"):
        scene.completer.change = lambda payload, value=value: payload["data"].update(values=[value])
        refused = await pick(scene, sara, screen, "channels", [scene.channel])
        assert "Nothing was changed" in private_words(refused), value
    assert (await rules(scene)).version == 0


async def test_ids_above_2_to_the_53_are_kept_to_the_last_digit(scene: Scene) -> None:
    sara = admin_of(scene)
    screen = await opened(scene, sara)
    scene.completer.change = lambda payload: payload["data"].update(values=[str(HUGE_ID), str(HUGE_ID + 1)])
    await pick(scene, sara, screen, "channels", [scene.channel])
    assert (await rules(scene)).channels == {HUGE_ID, HUGE_ID + 1}
    assert picked(screen, "channels") == [str(HUGE_ID), str(HUGE_ID + 1)]


# ---- two admins -----------------------------------------------------------------------------------------------------


async def test_the_later_of_two_admins_sees_what_the_first_did_and_overwrites_nothing(scene: Scene) -> None:
    sara, tom = admin_of(scene), admin_of(scene, "tom")
    first, second = await opened(scene, sara), await opened(scene, tom)
    form = await press(tom, second, "budget")
    await pick(scene, sara, first, "channels", [scene.channel])
    refused = await pick(scene, tom, second, "channels", [])
    assert refused.followups == []
    assert f"<@{sara.id}> changed something" in words(second) and f"everywhere → <#{scene.channel.id}>" in words(second)
    assert (await rules(scene)).channels == {scene.channel.id}
    await sara.submit_modal(await press(sara, first, "pause"), {})
    await tom.submit_modal(form, {"period": "day", "images": "9"})
    assert "paused images" in words(second) and (await rules(scene)).budget is None
    await pick(scene, tom, second, "channels", [])
    assert (await rules(scene)).channels == frozenset()


async def test_words_that_came_after_another_change_are_given_back(scene: Scene) -> None:
    sara = admin_of(scene)
    screen = await opened(scene, sara)
    await press(sara, screen, "words")
    form = await press(sara, screen, "add")
    await scene.services.limits.pause_here(Actor(scene.bob.id, 1, scene.guild.id), "")
    refused = await sara.submit_modal(form, {"lines": "gore", "kind": "plain"})
    assert ["```\ngore\n```" in words(each) for each in refused.followups] == [True]
    assert (await rules(scene)).words == ()


# ---- the log channel ------------------------------------------------------------------------------------------------


async def with_log(scene: Scene, sara: simcord.MemberActor) -> tuple[Any, simcord.ChannelHandle]:
    log = scene.guild.create_text_channel("mod-log")
    screen = await opened(scene, sara)
    await pick(scene, sara, screen, "log", [log])
    return screen, log


async def test_the_log_channel_is_told_who_did_what_but_no_word_and_nobody_is_pinged(scene: Scene) -> None:
    sara = admin_of(scene)
    screen, log = await with_log(scene, sara)
    await pick(scene, sara, screen, "channels", [scene.channel])
    await press(sara, screen, "words")
    fields = {"lines": "secretword", "kind": "plain", "name": EVIL}
    await sara.submit_modal(await press(sara, screen, "add"), fields)
    await pick(scene, sara, screen, "remove", ["1"])
    await sara.click(screen, label="Back")
    await sara.submit_modal(await press(sara, screen, "pause"), {"reason": EVIL})
    told = log_lines(log)
    assert told[0] == f"**Image settings** · <@{sara.id}> · log channel: none → <#{log.id}>"
    assert told[1].endswith(f"channels: everywhere → <#{scene.channel.id}>")
    assert "added rule 1" in told[2] and "removed rule 1" in told[3] and "paused images" in told[4]
    assert "secretword" not in "".join(told) and "@everyone" not in "".join(told)
    assert all(r"\[a\]\(https\:" in each and r"\<\@1\>" in each for each in told[2:])
    assert [sent["allowed_mentions"] for sent in posts_to(scene, log)] == [{"parse": []}] * 5


async def test_a_change_that_comes_twice_is_told_once(scene: Scene) -> None:
    sara = admin_of(scene)
    screen, log = await with_log(scene, sara)
    scene.completer.twice = True
    await pick(scene, sara, screen, "channels", [scene.channel])
    await scene.completer.deliver_again()
    assert len(posts_to(scene, log)) == 2 and (await rules(scene)).version == 2
    scene.env.inject_error("POST", "/interactions/*/callback", status=404, code=10062)
    scene.completer.twice = True
    await pick(scene, sara, screen, "channels", [])
    assert len(posts_to(scene, log)) == 3 and (await rules(scene)).version == 3


async def test_an_earlier_log_channel_is_told_where_the_log_went(scene: Scene) -> None:
    sara = admin_of(scene)
    screen, log = await with_log(scene, sara)
    other = scene.guild.create_text_channel("quiet-log")
    await pick(scene, sara, screen, "log", [other])
    await pick(scene, sara, screen, "log", [])
    assert log_lines(log)[1].endswith(f"log channel: <#{log.id}> → <#{other.id}>")
    assert [line.rsplit(" ", 1)[1] for line in log_lines(other)] == [f"<#{other.id}>", "none"]


@pytest.mark.parametrize("status", [403, 404, 500])
async def test_a_log_channel_that_takes_nothing_is_a_note_on_the_screen(scene: Scene, status: int) -> None:
    sara = admin_of(scene)
    log = scene.guild.create_text_channel("mod-log")
    scene.env.inject_error("POST", f"/channels/{log.id}/messages", status=status, code=50013, times=9)
    screen = await opened(scene, sara)
    result = await pick(scene, sara, screen, "log", [log])
    await scene.env.advance_time(60)
    assert result.followups == [] and (await rules(scene)).log_channel_id == log.id
    assert "It is set, but" in words(screen) and "could not be told" in words(screen)


async def test_a_log_channel_of_another_server_is_never_posted_in(scene: Scene) -> None:
    theirs = scene.env.create_guild().create_text_channel("theirs")
    await scene.services.limits.set_log_channel(Actor(1, 1, scene.guild.id), theirs.id, expected_version=0)
    sara = admin_of(scene)
    screen = await opened(scene, sara)
    await pick(scene, sara, screen, "channels", [scene.channel])
    assert log_lines(theirs) == [] and "could not be told" in words(screen)


# ---- bad days -------------------------------------------------------------------------------------------------------


async def test_a_slow_database_is_waited_for(scene: Scene) -> None:
    sara = admin_of(scene)
    screen = await opened(scene, sara)
    scene.database.delays = [1.1]
    await pick(scene, sara, screen, "channels", [scene.channel])
    await scene.env.advance_time(4)
    assert f"**Channels** · <#{scene.channel.id}>" in words(screen)


async def test_a_screen_whose_filled_lists_are_refused_is_shown_without_what_is_picked(scene: Scene) -> None:
    await scene.services.limits.set_channels(Actor(1, 1, scene.guild.id), [HUGE_ID], expected_version=0)
    scene.env.inject_error("POST", "/interactions/*/callback", status=400, code=50035)
    screen = await opened(scene, admin_of(scene))
    assert f"<#{HUGE_ID}>" in words(screen)
    assert picked(screen, "channels") == []


async def test_hostile_words_names_and_reasons_have_no_effect_on_the_screen(scene: Scene) -> None:
    sara = admin_of(scene)
    limits, guild_id = scene.services.limits, scene.guild.id
    await limits.add_words(Actor(1, 1, guild_id), [(WordKind.PLAIN, EVIL, EVIL)], expected_version=0)
    await limits.block_here(Actor(1, 2, guild_id), scene.bob.id, EVIL, None)
    await limits.pause_here(Actor(1, 3, guild_id), EVIL)
    screen = await opened(scene, sara)
    said = words(screen)
    await press(sara, screen, "words")
    said += words(screen)
    await sara.click(screen, label="Back")
    await press(sara, screen, "people")
    said += words(screen)
    assert "@everyone" not in said and "[a](" not in said and "<@1> `" not in said and "\u202e" not in said


# ---- /admin usage ---------------------------------------------------------------------------------------------------


async def test_usage_is_a_private_chart_with_its_numbers_in_words(scene: Scene) -> None:
    sara = admin_of(scene)
    await scene.imagine(count=2)
    shown = await sara.slash(scene.channel, "admin usage")
    assert shown.response is not None and shown.response.ephemeral
    [file] = shown.response.attachments
    assert file.filename == "usage.png" and "10 held" in str(file.description)
    scene.completer.change = without_manage_guild
    assert private_words(await sara.slash(scene.channel, "admin usage")).startswith("Only who may manage")
