"""Steps with an interaction's token: somebody presses a button that this run has posted, and the bot answers."""

from __future__ import annotations

from dataclasses import replace

from discord_api.links import message_link
from discord_api.live_calls import PRESS_PREFIX, ChannelFacts, Press, SentMessage, Tried
from discord_api.shards import Shards
from doctor.live.card_steps import LiveCard, build_payload, made_of, post
from doctor.live.expectations import Expected
from doctor.live.image_files import small_image
from doctor.live.run_state import Made, Run
from doctor.model import Finding, Level
from generations.model import Origin

PRESS_SECONDS = 120.0
LABEL = "Press me once"
NO_SESSION = "no session, so no press is heard; the bot's own log says more (discord_api/gateway keeps trying)"


async def try_button(run: Run, channel: ChannelFacts, shards: Shards | None) -> None:
    """Post a button, wait for a press, and answer it as the bot does."""
    async with run.client.listening(channel.guild_id, shards) as fault:
        if fault:
            run.report.note(Finding("gateway", Level.WARN, f"Discord said instead: {fault}", NO_SESSION))
            return
        run.report.note(Finding("gateway", Level.OK, "as expected: a session without intents"))
        press = await _wait_for_press(run, channel)
        if press is None:
            return
        run.report.hide(press.token)
        permissions = f"app_permissions {press.permissions}, attachment_size_limit {press.attachment_size_limit}"
        run.report.add("The event of the press", permissions)
        await _defer(run, channel, press)
        await _try_token(run, channel, press)


async def _wait_for_press(run: Run, channel: ChannelFacts) -> Press | None:
    custom_id = f"{PRESS_PREFIX}{run.rng.getrandbits(64):x}"
    generation = run.generation(None, channel.id, channel.guild_id)
    payload = build_payload(generation, {}, buttons=lambda _: run.client.press_button(custom_id, LABEL))
    posted = await post(run, channel, payload, None)
    if posted is None:
        run.report.note(Finding("button: press", Level.WARN, "not tried: the button can't be posted"))
        return None
    link = message_link(channel.guild_id, channel.id, posted.id)
    run.report.tell(f"Press the button within {PRESS_SECONDS:.0f} s: {link}")
    press = await run.client.expect_press(PRESS_SECONDS)
    if press is None:
        run.report.note(Finding("button: press", Level.WARN, "nobody pressed it", "run this again, or add --no-button"))
        return None
    run.report.note(Finding("button: press", Level.OK, "as expected: the event came by the gateway"))
    return press


async def _defer(run: Run, channel: ChannelFacts, press: Press) -> None:
    """Answer with "thinking…", which is a message: it is noted also where Discord does not say whether it stands."""

    def register(tried: Tried[int]) -> None:
        status = tried.answer.status
        if status is None or status < 300 or status >= 500:
            run.made.append(Made(channel.id, tried.value or 0, press.token))

    tried = await run.client.defer(press, register)
    run.judge(Expected.DEFERRED, tried.answer)


async def _try_token(run: Run, channel: ChannelFacts, press: Press) -> None:
    """Put a card with a picture into the deferred response, edit it with either token, and send follow-ups."""
    origin = Origin(
        *(press.id, run.application_id, press.user_id, channel.id, channel.guild_id, press.token),
        attachment_size_limit=press.attachment_size_limit,
    )
    generation = run.generation(origin, channel.id, channel.guild_id, count=2)
    card = LiveCard(run, replace(generation, id=press.id))
    posted = await _fill_response(run, card, press)
    if posted is not None:
        card.generation = replace(card.generation, message_id=posted.id)
        _, tried = await card.edit(1, by_token=True)
        run.judge(Expected.TOKEN_EDIT, tried.answer)
        _, tried = await card.edit()
        run.judge(Expected.BOT_EDIT, tried.answer)
    follow_up = made_of(run.generation(origin, channel.id, channel.guild_id))
    payload = build_payload(follow_up, {0: small_image(2)})
    await run.make(lambda: run.places.follow_up(payload, plain=False), Expected.FOLLOW_UP, press.token)
    await run.make(lambda: run.client.whisper(press, "doctor --live"), Expected.WHISPER, press.token)


async def _fill_response(run: Run, card: LiveCard, press: Press) -> SentMessage | None:
    """Edit the deferred response into a card with one picture; without it where that is refused."""
    done = made_of(card.generation).images[0]
    card.generation = replace(card.generation, images=(done, *card.generation.images[1:]))
    for uploads in ({0: small_image(0)}, {}):
        payload = build_payload(card.generation, uploads)
        files = payload.files()
        tried = await run.client.edit_response(press, payload.view(), files)
        if uploads:
            run.judge(Expected.DEFERRED_UPLOAD, tried.answer)
        if tried.value is not None:
            card.state.message_id = tried.value.id
            card.state.note_uploads(payload, tried.value)
            return tried.value
    return None
