"""Steps with an interaction's token: somebody presses a button that this run has posted, and the bot answers."""

from __future__ import annotations

from dataclasses import replace

from discord_api.links import message_link
from discord_api.live_calls import PRESS_PREFIX, ChannelFacts, Press, SentMessage, Tried
from discord_api.shards import Shards
from doctor.live.card_steps import LiveCard, build_payload, made_of, post
from doctor.live.expectations import Expected
from doctor.live.image_files import small_image
from doctor.live.press_expectations import HISTORY, judge_embed_links, judge_permissions
from doctor.live.run_state import Made, Run
from doctor.model import Finding, Level
from generations.model import Origin
from ui.interactions.origin import channel_without_history, is_bot_there, missing_permissions

PRESS_SECONDS = 120.0
LABEL = "Press me once"
NO_SESSION = "no session, so no press is heard; the bot's own log says more (discord_api/gateway keeps trying)"
PRESS, NO_FILES_PRESS = "button: press", "no files: press"


async def try_presses(run: Run, channel: ChannelFacts, without_files_id: int | None, shards: Shards | None) -> None:
    """Hold a session, and have a button pressed in *channel*, then in the channel *without_files_id* unless None."""
    async with run.client.listening(channel.guild_id, shards) as fault:
        if fault:
            run.report.note(Finding("gateway", Level.WARN, f"Discord said instead: {fault}", NO_SESSION))
            return
        run.report.note(Finding("gateway", Level.OK, "as expected: a session without intents"))
        await _try_button(run, channel)
        if without_files_id is not None:
            await _try_without_files(run, without_files_id)


async def _try_button(run: Run, channel: ChannelFacts) -> None:
    """Post a button, wait for a press, judge its permissions, and answer it as the bot does."""
    press = await _wait_for_press(run, channel, PRESS)
    if press is None:
        return
    await _defer(run, channel, press, Expected.DEFERRED)
    _judge_event(run, press)
    await _try_token(run, channel, press)


async def _try_without_files(run: Run, channel_id: int) -> None:
    """Answer a press with pictures where the bot may post, but not attach files."""
    found = await run.client.find_channel(channel_id)
    run.judge(Expected.NO_FILES_CHANNEL, found.answer)
    channel = found.value
    if channel is None:
        return
    if not run.client.hears(channel.guild_id):
        text = "not tried: another shard has that server, so the press would not be heard"
        run.report.note(Finding(NO_FILES_PRESS, Level.WARN, text, "name a channel of the same server as for --live"))
        return
    press = await _wait_for_press(run, channel, NO_FILES_PRESS)
    if press is None:
        return
    await _defer(run, channel, press, Expected.NO_FILES_DEFERRED)
    if press.may_attach:
        text = f"not tried: app_permissions {press.permissions} have Attach Files there"
        advice = "deny Attach Files to the bot's role in that channel"
        run.report.note(Finding(Expected.NO_FILES_UPLOAD.value.step, Level.WARN, text, advice))
        return
    card = _card_of(run, channel, press)
    posted = await _fill_response(run, card, press, Expected.NO_FILES_UPLOAD)
    if posted is not None:
        await _edit_by_token(card, posted, Expected.NO_FILES_EDIT)


async def _wait_for_press(run: Run, channel: ChannelFacts, step: str) -> Press | None:
    custom_id = f"{PRESS_PREFIX}{run.rng.getrandbits(64):x}"
    generation = run.generation(None, channel.id, channel.guild_id)
    payload = build_payload(generation, {}, buttons=lambda _: run.client.press_button(custom_id, LABEL))
    posted = await post(run, channel, payload, None)
    if posted is None:
        run.report.note(Finding(step, Level.WARN, "not tried: the button can't be posted"))
        return None
    link = message_link(channel.guild_id, channel.id, posted.id)
    run.report.tell(f"Press the button within {PRESS_SECONDS:.0f} s: {link}")
    press = await run.client.expect_press(PRESS_SECONDS)
    if press is None:
        run.report.note(Finding(step, Level.WARN, "nobody pressed it", "run this again, or leave this step out"))
        return None
    run.report.hide(press.token)
    run.report.note(Finding(step, Level.OK, "as expected: the event came by the gateway"))
    permissions = f"app_permissions {press.permissions}, attachment_size_limit {press.attachment_size_limit}"
    run.report.add(f"The event of the press in channel {channel.id}", permissions)
    return press


async def _defer(run: Run, channel: ChannelFacts, press: Press, expected: Expected) -> None:
    """Answer with "thinking…", which is a message: it is noted also where Discord does not say whether it stands."""

    def register(tried: Tried[int]) -> None:
        status = tried.answer.status
        if status is None or status < 300 or status >= 500:
            run.made.append(Made(channel.id, tried.value or 0, press.token))

    tried = await run.client.defer(press, register)
    run.judge(expected, tried.answer)


def _judge_event(run: Run, press: Press) -> None:
    """Compare app_permissions, as the bot reads them, with what it has just done in the channel."""
    lacking = missing_permissions(press.interaction, private=False)
    if channel_without_history(press.interaction) is not None:
        lacking.append(HISTORY)
    is_here = is_bot_there(press.interaction)
    found = judge_permissions(
        press.permissions, lacking, is_bot_there=is_here, of_commands_alone=press.is_of_commands_alone
    )
    run.report.note(found)
    if run.addresses_taken is not None:
        run.report.note(judge_embed_links(is_held=press.may_embed, addresses_taken=run.addresses_taken))


async def _try_token(run: Run, channel: ChannelFacts, press: Press) -> None:
    """Put a card with a picture into the deferred response, edit it with either token, and send follow-ups."""
    card = _card_of(run, channel, press)
    posted = await _fill_response(run, card, press, Expected.DEFERRED_UPLOAD)
    if posted is not None:
        await _edit_by_token(card, posted, Expected.TOKEN_EDIT)
        _, tried = await card.edit()
        run.judge(Expected.BOT_EDIT, tried.answer)
    follow_up = made_of(run.generation(card.generation.origin, channel.id, channel.guild_id))
    payload = build_payload(follow_up, {0: small_image(2)})
    await run.make(lambda: run.places.follow_up(payload, plain=False), Expected.FOLLOW_UP, press.token)
    await run.make(lambda: run.client.whisper(press, "doctor --live"), Expected.WHISPER, press.token)


def _card_of(run: Run, channel: ChannelFacts, press: Press) -> LiveCard:
    """Return the card of two images that the response to *press* becomes."""
    origin = Origin(
        *(press.id, run.application_id, press.user_id, channel.id, channel.guild_id, press.token),
        attachment_size_limit=press.attachment_size_limit,
    )
    generation = run.generation(origin, channel.id, channel.guild_id, count=2)
    return LiveCard(run, replace(generation, id=press.id))


async def _fill_response(run: Run, card: LiveCard, press: Press, expected: Expected) -> SentMessage | None:
    """Edit the deferred response into a card with one picture; without it where that is refused."""
    done = made_of(card.generation).images[0]
    card.generation = replace(card.generation, images=(done, *card.generation.images[1:]))
    for uploads in ({0: small_image(0)}, {}):
        payload = build_payload(card.generation, uploads)
        files = payload.files()
        tried = await run.client.edit_response(press, payload.view(), files)
        if uploads:
            run.judge(expected, tried.answer)
        if tried.value is not None:
            card.state.message_id = tried.value.id
            card.state.note_uploads(payload, tried.value)
            return tried.value
    return None


async def _edit_by_token(card: LiveCard, posted: SentMessage, expected: Expected) -> None:
    """Edit the response by the token, with a second picture."""
    card.generation = replace(card.generation, message_id=posted.id)
    _, tried = await card.edit(1, by_token=True)
    card.run.judge(expected, tried.answer)
