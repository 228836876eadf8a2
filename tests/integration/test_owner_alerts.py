"""OwnerAlerts over real HTTP: sent once, to the right people, and no failure stops the bot."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from generations.ports import Operator
from tests.integration.delivery_scene import Scene, a_scene
from ui.delivery.owner_alerts import QUIET_SECONDS, RETRY_SECONDS, OwnerAlerts


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with a_scene() as made:
        yield made


def alerts(scene: Scene, *owner_ids: int) -> OwnerAlerts:
    made = OwnerAlerts(scene.client, scene.clock, owner_ids)
    operator: Operator = made
    assert operator is made
    return made


@dataclass
class Leases:
    """The leases that several processes share, each of one matter: its holder, and until when."""

    scene: Scene
    taken: dict[str, tuple[str, float]] = field(default_factory=dict[str, tuple[str, float]])

    def process(self, name: str) -> OwnerAlerts:
        async def claim(matter: str, seconds: float) -> bool:
            now = self.scene.clock.monotonic()
            holder, until = self.taken.get(matter, (name, now))
            if holder != name and until > now:
                return False
            self.taken[matter] = (name, now + seconds)
            return True

        return OwnerAlerts(self.scene.client, self.scene.clock, [41], claim)


async def test_every_owner_gets_one_message_and_the_log_one_line(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    owner_alerts = alerts(scene, 41, 43)
    for _ in range(20):
        owner_alerts.tell("key_refused", "The image service refused the API key.")
    await owner_alerts.drain()
    posted = [call for call in scene.rest.calls if call.path.endswith("/messages")]
    assert sorted(call.path for call in posted) == ["/channels/741/messages", "/channels/743/messages"]
    assert all("The image service refused the API key." in call.body["content"] for call in posted)
    assert all(call.body["allowed_mentions"] == {"parse": []} for call in posted)
    assert [record.levelno for record in caplog.records if record.name == "qwen_imagine.operator"] == [logging.ERROR]


async def test_of_several_processes_one_sends_the_message_and_each_logs_the_matter(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    leases = Leases(scene)
    for matter in ("key_refused", "account_empty"):
        for owner_alerts in map(leases.process, "abc"):
            owner_alerts.tell(matter, f"{matter}.")
            await owner_alerts.drain()
    posted = [call.body["content"] for call in scene.rest.calls if call.path.endswith("/messages")]
    assert [matter for text in posted for matter in ("key_refused", "account_empty") if matter in text] == [
        *("key_refused", "account_empty")
    ]
    assert len([record for record in caplog.records if record.name == "qwen_imagine.operator"]) == 6


async def test_an_alert_whose_process_dies_while_it_sends_is_sent_by_another_one_minutes_later(scene: Scene) -> None:
    leases = Leases(scene)
    dying, other, third = map(leases.process, "abc")
    scene.rest.fault("POST /channels/741/messages", 503, times=1)
    dying.tell("key_refused", "The key.")
    await scene.settled()
    for task in dying._telling:
        task.cancel()
    failed = len(scene.rest.calls)
    other.tell("key_refused", "The key.")
    for seconds in RETRY_SECONDS[:2]:
        await scene.settled()
        assert len(scene.rest.calls) == failed, "its first try may still be under way"
        scene.clock.advance(seconds)
    await scene.settled()
    assert scene.rest.tried()[-1] == "POST /channels/741/messages" and len(scene.rest.calls) > failed
    sent = len(scene.rest.calls)
    third.tell("key_refused", "The key.")
    for seconds in RETRY_SECONDS:
        await scene.settled()
        scene.clock.advance(seconds)
    await third.drain()
    assert len(scene.rest.calls) == sent


async def test_an_alert_is_repeated_after_six_hours_and_another_matter_is_sent_at_once(scene: Scene) -> None:
    owner_alerts = alerts(scene, 41)
    owner_alerts.tell("key_refused", "One.")
    owner_alerts.tell("account_empty", "Two.")
    scene.clock.advance(QUIET_SECONDS - 1)
    owner_alerts.tell("key_refused", "Three.")
    scene.clock.advance(1)
    owner_alerts.tell("key_refused", "Four.")
    await owner_alerts.drain()
    posted = [call.body["content"] for call in scene.rest.calls if call.path.endswith("/messages")]
    assert [word for word in ("One.", "Two.", "Three.", "Four.") if any(word in text for text in posted)] == [
        *("One.", "Two.", "Four.")
    ]


async def test_without_owner_ids_the_applications_owner_gets_the_alert(scene: Scene) -> None:
    owner_alerts = alerts(scene)
    owner_alerts.tell("account_empty", "The account is empty.")
    await owner_alerts.drain()
    assert scene.rest.calls[-1].path == "/channels/742/messages"


@pytest.mark.parametrize("fault", [{"status": 403, "code": 50007}, {"status": 500, "drop": True}])
async def test_a_failed_alert_to_one_owner_does_not_stop_the_others(
    scene: Scene, fault: dict[str, int], caplog: pytest.LogCaptureFixture
) -> None:
    scene.rest.fault("POST /channels/741/", **fault)
    owner_alerts = alerts(scene, 41, 43)
    owner_alerts.tell("account_empty", "The account is empty.")
    await owner_alerts.drain()
    assert scene.rest.calls[-1].path == "/channels/743/messages"
    assert "the owner 41 can't be told" in caplog.text


@pytest.mark.parametrize(
    "fault", [{"status": 403, "code": 40003}, {"status": 503}, {"status": 500, "drop": True}, {"status": 403}]
)
@pytest.mark.parametrize("path", ["POST /users/@me/channels", "POST /channels/741/"])
async def test_an_alert_that_fails_is_sent_once_later(scene: Scene, path: str, fault: dict[str, Any]) -> None:
    scene.rest.fault(path, **fault)
    owner_alerts = alerts(scene, 41)
    owner_alerts.tell("account_empty", "The account is empty.")
    await scene.settled()
    failed = len(scene.rest.calls)
    scene.clock.advance(RETRY_SECONDS[0] - 1)
    await scene.settled()
    assert len(scene.rest.calls) == failed
    scene.clock.advance(1)
    await scene.settled()
    scene.clock.advance(QUIET_SECONDS / 2)
    await owner_alerts.drain()
    assert scene.rest.tried()[failed - len(scene.rest.calls) :].count("POST /channels/741/messages") == 1


async def test_an_alert_that_always_fails_is_tried_a_few_times_and_then_counts_as_not_sent(scene: Scene) -> None:
    scene.rest.fault("POST", 503, times=1000)
    owner_alerts = alerts(scene, 41)
    owner_alerts.tell("account_empty", "The account is empty.")
    await scene.settled()
    for seconds in RETRY_SECONDS:
        scene.clock.advance(seconds)
        await scene.settled()
    assert len(scene.rest.tried()) == len(RETRY_SECONDS) + 1
    scene.rest.faults.clear()
    owner_alerts.tell("account_empty", "The account is empty.")
    await owner_alerts.drain()
    assert scene.rest.tried()[-1] == "POST /channels/741/messages"


async def test_an_alert_with_a_closed_client_is_logged_and_raises_nothing(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    await scene.client.close()
    owner_alerts = alerts(scene, 41)
    owner_alerts.tell("account_empty", "The account is empty.")
    await owner_alerts.drain()
    assert "the owner 41 can't be told (ClientClosed)" in caplog.text


async def test_a_stop_does_not_wait_for_a_discord_that_is_away(scene: Scene) -> None:
    scene.rest.gate.clear()
    owner_alerts = alerts(scene, 41)
    owner_alerts.tell("account_empty", "The account is empty.")
    await owner_alerts.drain(0.05)
    assert "/channels/741/messages" not in [call.path for call in scene.rest.calls]
    scene.rest.gate.set()
    await owner_alerts.drain()
    assert scene.rest.calls[-1].path == "/channels/741/messages"
