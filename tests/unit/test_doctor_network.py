"""What the doctor says of the image API's key, of PUBLIC_URL and of the policy links."""

from __future__ import annotations

import pytest

from doctor.model import Level
from doctor.network_checks import (
    Listener,
    PublicAnswer,
    judge_key,
    judge_link,
    judge_listener,
    judge_loopback,
    judge_public_url,
)
from qwen.errors import (
    AccountEmpty,
    KeyRefused,
    OutcomeUnknown,
    PromptRefused,
    QwenError,
    RateLimited,
    ServiceUnavailable,
    TaskNotFound,
)
from qwen.pages import Unreached
from qwen.protocol import HttpAnswer

PROOF = b"proof"
NOT_STORED = {"Cache-Control": "no-store"}
OF_A_BOT = HttpAnswer(404, NOT_STORED, b"")
LOST = Unreached("no connection can be made")


@pytest.mark.parametrize(
    ("outcome", "level", "words"),
    [
        (TaskNotFound(http_status=404, code=404), Level.OK, "accepts it"),
        (KeyRefused(http_status=401, code=401), Level.FAIL, "refuses QWEN_API_KEY"),
        (AccountEmpty(http_status=402, code=402), Level.FAIL, "no credits left"),
        (RateLimited(http_status=429), Level.WARN, "slow down"),
        (PromptRefused(http_status=400, code=400), Level.WARN, "refused this request"),
        (ServiceUnavailable(http_status=400, code=400), Level.WARN, "does not refuse the key"),
        (ServiceUnavailable(http_status=500, code=500), Level.FAIL, "HTTP 500"),
        (ServiceUnavailable("it was turned away", http_status=403), Level.FAIL, "HTTP 403"),
        (ServiceUnavailable("ClientConnectorDNSError"), Level.FAIL, "ClientConnectorDNSError"),
        (OutcomeUnknown(), Level.FAIL, "may or may not"),
        (None, Level.WARN, "where none exists"),
    ],
)
def test_each_answer_about_a_task_that_does_not_exist_is_judged(
    outcome: QwenError | None, level: Level, words: str
) -> None:
    found = judge_key(outcome)
    assert found.level is level and words in found.text


def test_a_fault_of_the_service_is_waited_for_and_any_other_is_looked_for_here() -> None:
    assert judge_key(ServiceUnavailable(http_status=502)).advice == "Wait and run this again."
    assert "QWEN_API_URL" in judge_key(ServiceUnavailable(http_status=404)).advice


@pytest.mark.parametrize(
    ("callback", "health", "listener"),
    [
        (OF_A_BOT, None, Listener.BOT),
        (OF_A_BOT, HttpAnswer(200, {}, b"well\n"), Listener.BOT),
        (OF_A_BOT, HttpAnswer(503, {}, b"the worker's loop or the database is stuck\n"), Listener.STUCK),
        (HttpAnswer(503, {}, b"no healthy upstream"), HttpAnswer(503, {}, b"no healthy upstream"), Listener.OTHER),
        (HttpAnswer(200, {}, b"<h1>nginx</h1>"), None, Listener.OTHER),
        (LOST, None, Listener.OTHER),
    ],
)
def test_who_has_taken_the_port_is_told_by_its_answers(
    callback: HttpAnswer | Unreached, health: HttpAnswer | None, listener: Listener
) -> None:
    assert judge_listener(callback, health) is listener


@pytest.mark.parametrize(
    ("found", "several", "levels", "words"),
    [
        (PublicAnswer(Listener.DOCTOR, HttpAnswer(200, {}, PROOF), PROOF), False, [Level.OK], "will listen"),
        (PublicAnswer(Listener.DOCTOR, HttpAnswer(200, {}, b"welcome"), PROOF), False, [Level.FAIL], "HTTP 200"),
        (PublicAnswer(Listener.DOCTOR, OF_A_BOT, PROOF), False, [Level.FAIL], "something else (HTTP 404)"),
        (PublicAnswer(Listener.DOCTOR, OF_A_BOT, PROOF), True, [Level.OK], "another process"),
        (PublicAnswer(Listener.BOT, OF_A_BOT, PROOF), False, [Level.OK], "which runs here"),
        (PublicAnswer(Listener.BOT, HttpAnswer(404, {}, b"Not Found"), PROOF), True, [Level.FAIL], "HTTP 404"),
        (PublicAnswer(Listener.BOT, HttpAnswer(200, {}, PROOF), PROOF), True, [Level.FAIL], "HTTP 200"),
        (
            PublicAnswer(Listener.BOT, HttpAnswer(404, NOT_STORED, b"x"), PROOF),
            True,
            [Level.FAIL],
            "",
        ),
        (PublicAnswer(Listener.DOCTOR, LOST, PROOF), False, [Level.FAIL], "no connection can be made"),
        (PublicAnswer(Listener.STUCK, OF_A_BOT, PROOF), False, [Level.WARN, Level.OK], "its worker"),
        (PublicAnswer(Listener.OTHER, OF_A_BOT, PROOF), False, [Level.FAIL], "Another program has taken PORT 8080"),
        (PublicAnswer(Listener.NOBODY, None, PROOF), False, [Level.FAIL], "can't listen on PORT 8080"),
    ],
)
def test_public_url_is_right_only_if_the_bot_answers_there(
    found: PublicAnswer, several: bool, levels: list[Level], words: str
) -> None:
    judged = judge_public_url(found, 8080, others_may_answer=several)
    assert [finding.level for finding in judged] == levels
    assert words in judged[0].text


def test_an_address_of_this_machine_is_a_failure_unless_the_image_api_is_here_too() -> None:
    api = "https://qwen-image-2512.org/api"
    for public_url in ("http://127.0.0.1:8080", "http://localhost"):
        found = judge_loopback(public_url, api)
        assert found is not None and found.level is Level.FAIL
        assert judge_loopback(public_url, "http://127.0.0.1:8025/image-api/api") is None
    assert judge_loopback("https://imagine.example.com", api) is None


@pytest.mark.parametrize(
    ("answer", "level", "words"),
    [
        (HttpAnswer(200, {}, b"x"), Level.OK, "can be opened"),
        (HttpAnswer(404, {}, b"x"), Level.FAIL, "leads to no page (HTTP 404)"),
        (HttpAnswer(410, {}, b"x"), Level.FAIL, "HTTP 410"),
        (HttpAnswer(403, {}, b"x"), Level.WARN, "HTTP 403"),
        (HttpAnswer(503, {}, b"x"), Level.WARN, "HTTP 503"),
        (Unreached("its certificate is not valid"), Level.FAIL, "certificate"),
        (None, Level.WARN, "is not set"),
    ],
)
def test_a_policy_that_people_can_not_open_is_found(
    answer: HttpAnswer | Unreached | None, level: Level, words: str
) -> None:
    (found,) = judge_link("TERMS_URL", answer)
    assert found.level is level and words in found.text and found.text.startswith("TERMS_URL")


def test_a_support_page_is_not_asked_for() -> None:
    assert judge_link("SUPPORT_URL", None) == []
