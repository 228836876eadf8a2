"""Interactions by raw REST: one answer, 3 seconds, 15 minutes, follow-ups, ephemeral messages."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.discord_bench import Act, Bench


def card(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"flags": 1 << 15, "components": [{"type": 17, "components": list(parts)}]}


def button(custom_id: str, label: str = "Again") -> dict[str, Any]:
    return {"type": 1, "components": [{"type": 2, "style": 2, "custom_id": custom_id, "label": label}]}


async def test_a_public_answer_is_seen_by_everyone_and_returned_with_its_message(bench: Bench) -> None:
    act = await bench.paint()
    reply = await act.callback({"type": 4, "data": {"content": "here"}})
    assert reply.status == 200 and reply.headers["Content-Type"] == "application/json"
    assert reply.body["interaction"]["id"] == str(act.id)
    assert reply.body["interaction"]["response_message_loading"] is False
    assert reply.body["resource"]["message"]["content"] == "here"
    assert [message["content"] for message in bench.actor("jonas").messages("gallery")] == ["here"]
    shown = bench.actor("jonas").messages("gallery")[0]
    assert shown["type"] == 20 and shown["interaction_metadata"]["user"]["username"] == "mira"


async def test_without_with_response_the_answer_has_no_body(bench: Bench) -> None:
    act = await bench.paint()
    reply = await act.callback({"type": 4, "data": {"content": "here"}}, with_response=False)
    assert (reply.status, reply.body) == (204, None)


async def test_after_three_seconds_the_interaction_is_unknown_and_the_person_sees_the_error(
    bench: Bench,
) -> None:
    act = await bench.paint()
    bench.clock.advance(3.2)
    reply = await act.callback({"type": 5})
    assert (reply.status, reply.code) == (404, 10062)
    mira = bench.actor("mira")
    assert await mira.wait_for(lambda: mira.error(act.id)) == "The application did not respond"


async def test_a_second_answer_is_refused(bench: Bench) -> None:
    act = await bench.paint()
    await act.callback({"type": 5})
    reply = await act.callback({"type": 4, "data": {"content": "again"}})
    assert (reply.status, reply.code) == (400, 40060)


async def test_a_wrong_token_finds_no_interaction(bench: Bench) -> None:
    act = await bench.paint()
    reply = await Act(bench, "mira", act.id, "forged").callback({"type": 5})
    assert (reply.status, reply.code) == (404, 10062)


async def test_the_webhook_is_unknown_before_the_answer_and_for_another_application(bench: Bench) -> None:
    act = await bench.paint()
    before = await act.follow_up({"content": "too early"})
    assert (before.status, before.code) == (404, 10015)
    await act.callback({"type": 5})
    other = await bench.rest("POST", f"/webhooks/12345/{act.token}", {"content": "x"}, bot=False)
    assert (other.status, other.code) == (404, 10015)


async def test_after_fifteen_minutes_the_token_is_invalid_and_thinking_ends(bench: Bench) -> None:
    act = await bench.paint()
    await act.callback({"type": 5})
    bench.clock.advance(15 * 60 + 1)
    for reply in (await act.edit({"content": "late"}), await act.follow_up({"content": "late"})):
        assert (reply.status, reply.code) == (401, 50027)
    mira = bench.actor("mira")
    assert await mira.wait_for(lambda: mira.error(act.id))


async def test_a_deferral_is_loading_until_the_original_is_edited(bench: Bench) -> None:
    act = await bench.paint()
    reply = await act.callback({"type": 5})
    assert reply.body["interaction"]["response_message_loading"] is True and "resource" not in reply.body
    thinking = act.seen()
    assert thinking is not None and thinking["x_sandbox"]["loading"] is True
    await act.edit({"content": "done"})
    done = act.seen()
    assert done is not None and done["content"] == "done" and done["x_sandbox"]["loading"] is False
    assert done["edited_timestamp"] is None


async def test_the_first_follow_up_after_a_deferral_edits_the_thinking_message_and_keeps_it_public(
    bench: Bench,
) -> None:
    act = await bench.paint()
    deferred = await act.callback({"type": 5})
    first = await act.follow_up({"content": "first", "flags": 64})
    assert first.body["id"] == deferred.body["interaction"]["response_message_id"]
    second = await act.follow_up({"content": "second", "flags": 64})
    assert second.body["id"] != first.body["id"]
    assert [message["content"] for message in bench.actor("jonas").messages("gallery")] == ["first"]
    assert [message["content"] for message in bench.actor("mira").messages("gallery")] == ["first", "second"]


async def test_an_ephemeral_message_is_seen_by_its_person_only_and_not_reached_by_the_bots_token(bench: Bench) -> None:
    act = await bench.paint()
    reply = await act.callback({"type": 4, "data": {"content": "only you", "flags": 64}})
    number = reply.body["resource"]["message"]["id"]
    assert reply.body["interaction"]["response_message_ephemeral"] is True
    assert bench.actor("jonas").messages("gallery") == []
    by_token = await bench.rest("PATCH", f"/channels/{bench.channel_id('gallery')}/messages/{number}", {"content": "x"})
    assert (by_token.status, by_token.code) == (404, 10008)
    assert (await act.edit({"content": "still you"})).status == 200
    assert (await act.webhook("DELETE", "/messages/@original")).status == 204
    assert bench.actor("mira").messages("gallery") == []
    assert (await act.edit({"content": "gone"})).code == 10008


async def test_a_dismissed_ephemeral_message_is_hidden_from_the_person_and_kept_for_the_bot(bench: Bench) -> None:
    act = await bench.paint()
    reply = await act.callback({"type": 4, "data": {"content": "only you", "flags": 64}})
    await bench.actor("mira").delete_message(int(reply.body["resource"]["message"]["id"]))
    assert bench.actor("mira").messages("gallery") == []
    assert (await act.edit({"content": "unseen"})).status == 200
    assert bench.actor("mira").messages("gallery") == []


@pytest.mark.parametrize("flags", [1 << 15, (1 << 6) | (1 << 15), 1 << 2])
async def test_a_deferral_allows_only_the_flag_ephemeral(bench: Bench, flags: int) -> None:
    act = await bench.paint()
    reply = await act.callback({"type": 5, "data": {"flags": flags}})
    assert (reply.status, reply.code) == (400, 50035)
    assert (await act.callback({"type": 5, "data": {"flags": 64}})).status == 200


async def test_a_button_can_be_answered_silently_in_place_or_with_a_new_message(bench: Bench) -> None:
    act = await bench.paint()
    shown = await act.callback({"type": 4, "data": card({"type": 10, "content": "a card"}, button("again"))})
    number = int(shown.body["resource"]["message"]["id"])
    jonas = bench.actor("jonas")

    silent = bench.act("jonas", await jonas.press(number, "Again"))
    reply = await silent.callback({"type": 6})
    assert reply.body["interaction"]["response_message_id"] == str(number) and "resource" not in reply.body
    assert (await silent.edit(card({"type": 10, "content": "edited"}))).body["id"] == str(number)

    await act.edit(card({"type": 10, "content": "a card"}, button("again")))
    placed = bench.act("jonas", await jonas.press(number, "again"))
    reply = await placed.callback({"type": 7, "data": card({"type": 10, "content": "updated"}, button("again"))})
    assert reply.body["resource"]["message"]["id"] == str(number)

    fresh = bench.act("jonas", await jonas.press(number, "again"))
    reply = await fresh.callback({"type": 4, "data": {"content": "new"}})
    message = reply.body["resource"]["message"]
    assert message["id"] != str(number) and message["message_reference"]["message_id"] == str(number)
    assert message["interaction_metadata"]["interacted_message_id"] == str(number)


async def test_only_components_can_update_their_message(bench: Bench) -> None:
    act = await bench.paint()
    for kind in (6, 7):
        reply = await act.callback({"type": kind})
        assert (reply.status, reply.code) == (400, 50035)


async def test_a_form_is_opened_and_submitted_and_cannot_be_answered_with_a_form(bench: Bench) -> None:
    act = await bench.paint()
    field = {"type": 4, "custom_id": "text", "style": 1, "min_length": 2, "max_length": 5}
    modal = {
        "custom_id": "form",
        "title": "Edit",
        "components": [{"type": 18, "label": "Prompt", "component": field}],
    }
    reply = await act.callback({"type": 9, "data": modal})
    assert reply.status == 200 and "response_message_id" not in reply.body["interaction"]
    mira = bench.actor("mira")
    form = mira.form(act.id)
    assert form is not None and form.title == "Edit"
    sent = bench.act("mira", await mira.submit(form, {"Prompt": "four"}))
    event = mira.interaction(sent.id).data
    assert event["components"][0]["component"] == {"type": 4, "id": 2, "custom_id": "text", "value": "four"}
    assert (await sent.callback({"type": 9, "data": modal})).code == 50035
    assert (await sent.callback({"type": 7, "data": {"content": "x"}})).code == 50035
    assert (await sent.callback({"type": 4, "data": {"content": "thanks"}})).status == 200
    assert (await act.edit({"content": "x"})).code == 10008, "a form has no original message"


async def test_a_token_reaches_only_the_messages_of_its_own_interaction(bench: Bench) -> None:
    one, two = await bench.paint(), await bench.paint("jonas")
    await one.callback({"type": 4, "data": {"content": "one"}})
    other = await two.callback({"type": 4, "data": {"content": "two"}})
    number = other.body["resource"]["message"]["id"]
    assert (await one.webhook("PATCH", f"/messages/{number}", {"content": "taken over"})).code == 10008
    assert (await two.webhook("PATCH", f"/messages/{number}", {"content": "mine"})).status == 200
    assert (await two.webhook("GET", f"/messages/{number}")).body["content"] == "mine"


async def test_a_user_installed_app_may_send_five_follow_ups(bench: Bench) -> None:
    act = await bench.paint(channel="pier")
    assert set(bench.actor("mira").interaction(act.id).owners) == {"1"}
    await act.callback({"type": 4, "data": {"content": "one"}})
    bench.clock.advance(2)
    statuses = []
    for number in range(6):
        if number == 4:
            bench.clock.advance(3)
        statuses.append(await act.follow_up({"content": str(number)}))
    assert [reply.status for reply in statuses[:5]] == [200] * 5
    assert (statuses[5].status, statuses[5].code) == (400, 40094)
    bench.clock.advance(3)
    assert (await act.edit({"content": "edits are not counted"})).status == 200


async def test_a_correct_answer_is_no_violation_and_a_wrong_body_is_recorded_as_one(bench: Bench) -> None:
    act = await bench.paint()
    await act.callback({"type": 5})
    await act.edit({"content": "fine"})
    assert bench.discord.violations == []
    reply = await act.edit({"content": "fine", "colour": "red"})
    assert (reply.status, reply.code) == (400, 50035) and reply.error_codes() == {"UNKNOWN_KEY"}
    assert len(bench.discord.violations) == 1 and "colour" in bench.discord.violations[0].what
