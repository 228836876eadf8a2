"""The image API's protocol: the requests, and the meaning of every answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen.answers import CREDITS_SANE_MAX, IMAGE_URL_MAX, TASK_ID_MAX
from qwen.errors import (
    AccountEmpty,
    EndpointRefused,
    ImageTooLarge,
    ImageUnavailable,
    KeyRefused,
    OutcomeUnknown,
    PromptRefused,
    QwenError,
    RateLimited,
    ServiceUnavailable,
    TaskNotFound,
)
from qwen.models import OutputFormat, Size, Task, TaskRequest, TaskStatus
from qwen.protocol import HttpAnswer, build_create, build_status, parse_create, parse_status_answer
from qwen.retry_after import read_retry_after

KEY = "canary-key-0123456789"
PROMPT = "a canary in a coal mine"
REQUEST = TaskRequest(PROMPT, Size.LANDSCAPE, 42, OutputFormat.WEBP)
TASK_ID = "n43abc123def456qwenimg"


def envelope(
    code: object, message: object = "success", data: object = None, *, status: int = 200, **headers: str
) -> HttpAnswer:
    body = json.dumps({"code": code, "message": message, "data": data}).encode()
    return HttpAnswer(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


def bare(status: int, body: bytes = b"<html>oops</html>", **headers: str) -> HttpAnswer:
    return HttpAnswer(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


def poll_answer(status: str, **fields: Any) -> HttpAnswer:
    data = {"task_id": TASK_ID, "status": status, "consumed_credits": 5, "error_message": None, "response": None}
    return envelope(200, data=data | fields)


# --- what is sent ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("api_url", ["https://qwen.example/api", "https://qwen.example/api/"])
def test_the_post_carries_the_key_and_all_parameters_as_the_document_names_them(api_url: str) -> None:
    sent = build_create(api_url, KEY, REQUEST)
    assert (sent.method, sent.url) == ("POST", "https://qwen.example/api/generate")
    assert sent.headers["Authorization"] == f"Bearer {KEY}"
    assert sent.headers["Content-Type"] == "application/json"
    assert json.loads(sent.body) == {"prompt": PROMPT, "size": "1536*1024", "seed": 42, "output_format": "webp"}


def test_a_callback_address_is_sent_only_when_there_is_one() -> None:
    request = TaskRequest(PROMPT, Size.SQUARE, -1, OutputFormat.JPEG, "https://bot.example/c")
    assert (
        json.loads(build_create("https://qwen.example/api", KEY, request).body)["callback_url"]
        == "https://bot.example/c"
    )


def test_the_poll_names_the_task_with_its_id_percent_encoded() -> None:
    sent = build_status("https://qwen.example/api", KEY, "a&b=c /é")
    assert (sent.method, sent.body) == ("GET", b"")
    assert sent.url == "https://qwen.example/api/status?task_id=a%26b%3Dc+%2F%C3%A9"
    assert sent.headers["Authorization"] == f"Bearer {KEY}"


def test_a_poll_without_a_task_id_is_refused() -> None:
    with pytest.raises(ValueError, match="id must not be empty"):
        build_status("https://qwen.example/api", KEY, "")


def test_requests_and_answers_show_neither_key_nor_prompt_nor_body() -> None:
    shown = repr(build_create("https://qwen.example/api", KEY, REQUEST)) + repr(bare(200, PROMPT.encode(), x=KEY))
    assert KEY not in shown
    assert "canary" not in shown


# --- answers of the document ----------------------------------------------------------------------------------------


def test_the_task_id_is_read_from_the_answer_to_the_post() -> None:
    task = parse_create(envelope(200, data={"task_id": TASK_ID, "status": "IN_PROGRESS"}))
    assert task == Task(TASK_ID, TaskStatus.IN_PROGRESS, "IN_PROGRESS", None, None, ())


def test_a_finished_task_carries_its_credits_and_all_its_addresses() -> None:
    urls = ["https://cdn.example.com/image.png", "https://cdn.example.com/other.png?sig=1"]
    task = parse_status_answer(poll_answer("SUCCESS", response=urls), TASK_ID)
    assert (task.status, task.consumed_credits, task.image_urls) == (TaskStatus.SUCCESS, 5, tuple(urls))


def test_a_failed_task_has_its_reason_in_one_line_and_its_credits() -> None:
    answer = poll_answer("FAILED", consumed_credits=0, error_message="Content policy\nviolation detected")
    task = parse_status_answer(answer, TASK_ID)
    assert (task.status, task.consumed_credits) == (TaskStatus.FAILED, 0)
    assert task.error_message == "Content policy violation detected"


@pytest.mark.parametrize(
    "response", [None, [], "", [None, 5, {"link": "x"}], {"url": ["x"]}, [" "], ["a\nb"], ["x" * 9000]]
)
def test_a_success_without_a_usable_address_is_a_task_without_addresses(response: object) -> None:
    task = parse_status_answer(poll_answer("SUCCESS", response=response), TASK_ID)
    assert (task.status, task.image_urls) == (TaskStatus.SUCCESS, ())


@pytest.mark.parametrize("status", ["SUCCESS", "completed"])
@pytest.mark.parametrize("name", ["url", "image_url", "image"])
def test_an_address_inside_an_object_is_read_too(name: str, status: str) -> None:
    url, other = "https://cdn.example.com/image.png", "https://cdn.example.com/other.png"
    for response, urls in (
        ({name: url}, (url,)),
        ([{name: url, "seed": 7}, {name: other}], (url, other)),
        ([other, {"id": 3}, {name: url}], (other, url)),
    ):
        task = parse_status_answer(poll_answer(status, response=response), TASK_ID)
        assert (task.status, task.image_urls) == (TaskStatus.SUCCESS, urls)


@pytest.mark.parametrize(
    "response", [{"images": ["https://cdn.example.com/i.png"]}, [{"link": "x"}], [["x"]], ["a\nb"]]
)
def test_an_unknown_status_with_an_unreadable_result_is_a_success_without_an_image(
    response: object,
) -> None:
    task = parse_status_answer(poll_answer("completed", response=response), TASK_ID)
    assert (task.status, task.image_urls) == (TaskStatus.SUCCESS, ())


@pytest.mark.parametrize(
    "response", [[], {}, "", " ", [None], [""], {"images": []}, {"progress": 40}, [[], {"a": None}]]
)
def test_an_unknown_status_with_an_empty_result_counts_as_running(response: object) -> None:
    assert parse_status_answer(poll_answer("processing", response=response), TASK_ID).status is TaskStatus.UNKNOWN


def test_deeply_nested_brackets_in_an_answer_raise_no_other_error() -> None:
    body = '{"code":200,"data":{"status":"odd","response":' + "[" * 900 + '"x"' + "]" * 900 + "}}"
    assert parse_status_answer(HttpAnswer(200, {}, body.encode()), TASK_ID).status is TaskStatus.SUCCESS


def test_an_unknown_status_counts_as_running_and_is_kept_as_written() -> None:
    task = parse_status_answer(poll_answer("UPSCALING"), TASK_ID)
    assert (task.status, task.status_text) == (TaskStatus.UNKNOWN, "UPSCALING")


@pytest.mark.parametrize("written", ["completed", "succeeded", "fail", "error", "done", "", None, 1, True])
def test_an_undocumented_status_is_judged_by_the_other_fields(written: Any) -> None:
    urls = ["https://cdn.example.com/image.png"]

    def judged(**fields: Any) -> TaskStatus:
        return parse_status_answer(poll_answer(written, **fields), TASK_ID).status

    assert judged(response=urls) is TaskStatus.SUCCESS
    assert judged(response=urls[0], error_message="slow") is TaskStatus.SUCCESS
    assert judged(error_message="out of memory") is TaskStatus.FAILED
    assert judged(response=[], error_message="out of memory") is TaskStatus.FAILED
    assert judged() is judged(response=[]) is judged(response={"progress": 40}) is TaskStatus.UNKNOWN
    assert judged(error_message="  ") is judged(error_message={"code": 1}) is TaskStatus.UNKNOWN


@pytest.mark.parametrize("written", ["PENDING", "IN_PROGRESS", "SUCCESS", "FAILED"])
def test_a_known_status_counts_whatever_fields_come_with_it(written: str) -> None:
    for fields in ({"response": ["https://cdn.example.com/i.png"]}, {"error_message": "trying again"}, {}):
        assert parse_status_answer(poll_answer(written, **fields), TASK_ID).status is TaskStatus(written)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (5, 5),
        (0, 0),
        (5.0, 5),
        ("5", 5),
        (-1, None),
        (True, None),
        (2.5, None),
        (None, None),
        ([], None),
        (-(10**30), None),
        ("-5", None),
        (float("inf"), None),
        (1_000_001, CREDITS_SANE_MAX),
        (10**30, CREDITS_SANE_MAX),
        (1e300, CREDITS_SANE_MAX),
        ("9" * 5000, CREDITS_SANE_MAX),
        ("0" * 5000 + "5", 5),
    ],
)
def test_credits_must_be_a_whole_number_and_are_capped(written: object, read: int | None) -> None:
    assert parse_status_answer(poll_answer("SUCCESS", consumed_credits=written), TASK_ID).consumed_credits == read


# --- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "enveloped", "without_envelope"),
    [
        (400, PromptRefused, PromptRefused),
        (401, KeyRefused, ServiceUnavailable),
        (402, AccountEmpty, ServiceUnavailable),
        (403, KeyRefused, ServiceUnavailable),
        (404, EndpointRefused, ServiceUnavailable),
        (405, EndpointRefused, ServiceUnavailable),
        (407, OutcomeUnknown, ServiceUnavailable),
        (410, EndpointRefused, ServiceUnavailable),
        (413, PromptRefused, PromptRefused),
        (422, PromptRefused, PromptRefused),
        (429, RateLimited, RateLimited),
        (451, OutcomeUnknown, ServiceUnavailable),
        (301, OutcomeUnknown, OutcomeUnknown),
        (408, OutcomeUnknown, OutcomeUnknown),
        (409, OutcomeUnknown, OutcomeUnknown),
        (500, OutcomeUnknown, OutcomeUnknown),
        (502, OutcomeUnknown, OutcomeUnknown),
        (503, OutcomeUnknown, OutcomeUnknown),
        (504, OutcomeUnknown, OutcomeUnknown),
        (1001, OutcomeUnknown, OutcomeUnknown),
    ],
)
def test_only_an_enveloped_refusal_of_the_post_speaks_of_key_account_or_path(
    number: int, enveloped: type[QwenError], without_envelope: type[QwenError]
) -> None:
    answers = [(envelope(number, "no", status=status), enveloped) for status in (200, 403, 500)]
    for answer, error in (*answers, (bare(number), without_envelope), (bare(number, b'{"error":1}'), without_envelope)):
        with pytest.raises(error) as caught:
            parse_create(answer)
        assert type(caught.value) is error
        assert caught.value.http_status == answer.status
        assert caught.value.code == (number if b'"code"' in answer.body else None)
        assert caught.value.service_message == ("no" if b'"code"' in answer.body else "")


@pytest.mark.parametrize(
    ("number", "enveloped", "without_envelope"),
    [
        (400, ServiceUnavailable, ServiceUnavailable),
        (401, KeyRefused, ServiceUnavailable),
        (402, AccountEmpty, ServiceUnavailable),
        (403, KeyRefused, ServiceUnavailable),
        (404, TaskNotFound, ServiceUnavailable),
        (410, TaskNotFound, ServiceUnavailable),
        (429, RateLimited, RateLimited),
        (302, ServiceUnavailable, ServiceUnavailable),
        (500, ServiceUnavailable, ServiceUnavailable),
        (503, ServiceUnavailable, ServiceUnavailable),
    ],
)
def test_only_an_enveloped_refusal_of_a_status_poll_speaks_of_key_account_or_task(
    number: int, enveloped: type[QwenError], without_envelope: type[QwenError]
) -> None:
    for answer, error in ((envelope(number, "no", status=200), enveloped), (bare(number), without_envelope)):
        with pytest.raises(error) as caught:
            parse_status_answer(answer, TASK_ID)
        assert type(caught.value) is error


CHALLENGES = [
    bare(403, cf_mitigated="challenge"),
    bare(429, Cf_Mitigated="challenge", Retry_After="5"),
    bare(503, cf_mitigated="challenge"),
    bare(202, X_Amzn_Waf_Action="challenge"),
    bare(405, x_amzn_waf_action="captcha"),
]


@pytest.mark.parametrize("answer", CHALLENGES, ids=lambda answer: answer.status)
def test_a_challenge_page_is_temporary_and_means_that_the_post_was_not_taken(
    answer: HttpAnswer,
) -> None:
    for parse in (lambda: parse_create(answer), lambda: parse_status_answer(answer, TASK_ID)):
        with pytest.raises(ServiceUnavailable, match="turned away in front of it"):
            parse()


def test_a_header_of_a_challenge_page_changes_nothing_about_an_enveloped_answer() -> None:
    data = {"task_id": TASK_ID, "status": "PENDING"}
    assert parse_create(envelope(200, data=data, cf_mitigated="challenge")).task_id == TASK_ID
    with pytest.raises(KeyRefused):
        parse_create(envelope(401, "no", status=401, cf_mitigated="challenge"))
    with pytest.raises(OutcomeUnknown):
        parse_create(bare(503, cf_mitigated="none"))


def test_the_envelope_decides_against_the_http_status() -> None:
    data = {"task_id": TASK_ID, "status": "PENDING"}
    assert parse_create(envelope(200, data=data, status=500)).task_id == TASK_ID
    with pytest.raises(PromptRefused):
        parse_create(envelope(400, "Bad Request: 'prompt' is required.", status=200))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"ok",
        b"<html>",
        b"[]",
        b"null",
        b'{"code":200',
        b'{"message":"x"}',
        b'{"code":true}',
        b'{"code":"x"}',
        b"[" * 200_000,
        b"\xff\xfe\x00",
    ],
)
def test_an_answer_without_the_envelope_leaves_the_post_unknown_and_a_poll_temporary(body: bytes) -> None:
    with pytest.raises(OutcomeUnknown):
        parse_create(bare(200, body))
    with pytest.raises(ServiceUnavailable):
        parse_status_answer(bare(200, body), TASK_ID)


@pytest.mark.parametrize(
    "data",
    [None, [], {}, {"task_id": None}, {"task_id": ""}, {"task_id": 7}, {"task_id": "a b"}, {"task_id": "x" * 201}],
)
def test_success_without_a_usable_task_id_leaves_the_post_unknown(data: object) -> None:
    with pytest.raises(OutcomeUnknown, match="without a task id"):
        parse_create(envelope(200, data=data))


def test_an_answer_about_another_task_is_refused() -> None:
    with pytest.raises(ServiceUnavailable, match="another task"):
        parse_status_answer(poll_answer("SUCCESS", task_id="other"), TASK_ID)


def test_an_answer_to_a_poll_without_a_task_id_is_about_the_polled_task() -> None:
    assert parse_status_answer(envelope(200, data={"status": "PENDING"}), TASK_ID).task_id == TASK_ID
    assert parse_status_answer(poll_answer("PENDING", task_id=None), TASK_ID).task_id == TASK_ID


def test_a_redirect_has_an_error_of_its_own() -> None:
    for status in (300, 399):
        with pytest.raises(OutcomeUnknown, match="it leads elsewhere"):
            parse_create(bare(status))
    with pytest.raises(ServiceUnavailable, match="its answer is not in the API's form"):
        parse_status_answer(bare(400), TASK_ID)


# --- the operator's empty account -----------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [400, 403])
@pytest.mark.parametrize(
    "message",
    [
        "Insufficient credits. Please top up.",
        "Bad Request: insufficient balance",
        "You do not have enough: not enough credits",
        "Your credits are exhausted",
        "No remaining credits",
        "Please top-up your account",
        "Payment needed. Top up to continue",
        "Bad Request: top up your balance",
    ],
)
def test_a_refusal_that_names_missing_credits_means_an_empty_account(number: int, message: str) -> None:
    with pytest.raises(AccountEmpty):
        parse_create(envelope(number, message))


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("top up my glass", "Bad Request: prompt top up my glass violates the policy"),
        ("a man with insufficient credits", 'Prompt "a man with insufficient cre..." is not allowed'),
        ("no credits", "The prompt 'no credits' is not allowed"),
        ("x" * 400 + " Insufficient\ncredits", "Not allowed in a prompt: insufficient credits"),
    ],
)
def test_a_repeated_prompt_about_credits_does_not_mean_an_empty_account(prompt: str, message: str) -> None:
    with pytest.raises(PromptRefused):
        parse_create(envelope(400, message), prompt=prompt)


@pytest.mark.parametrize(
    "message",
    [
        "Bad Request: 'prompt' is required.",
        "Invalid size",
        "Content policy violation",
        "credit card images are not allowed",
        "forbidden words: top up",
        "images with no photo credits are not allowed",
    ],
)
def test_other_refusals_refuse_the_request(message: str) -> None:
    with pytest.raises(PromptRefused) as caught:
        parse_create(envelope(400, message))
    assert caught.value.service_message == message


# --- waiting --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after": " 0.5 "}, 0.5),
        ({"Retry-After": "86400"}, 300.0),
        ({"Retry-After": "9" * 18}, 300.0),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "Sun, 22 Nov 2026 10:00:30 GMT", "Date": "Sun, 22 Nov 2026 10:00:00 GMT"}, 30.0),
        ({"Retry-After": "Sun, 22 Nov 2026 09:00:00 GMT", "Date": "Sun, 22 Nov 2026 10:00:00 GMT"}, 0.0),
        ({"Retry-After": "Sun, 22 Nov 2027 10:00:30 GMT", "Date": "Sun, 22 Nov 2026 10:00:00 GMT"}, 300.0),
        ({"Retry-After": "Sun, 22 Nov 2026 10:00:30 GMT"}, None),
        ({"Retry-After": "Sun, 99 Nov 2026 10:00:30 GMT", "Date": "Sun, 22 Nov 2026 10:00:00 GMT"}, None),
        ({}, None),
    ],
)
def test_the_wait_is_read_in_seconds_or_as_a_date_beside_the_answers_own_date(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert read_retry_after(headers) == seconds
    with pytest.raises(RateLimited) as caught:
        parse_create(HttpAnswer(429, headers, b""))
    assert caught.value.retry_after_seconds == seconds


def test_a_503_with_a_wait_is_a_rate_limit_for_a_poll_and_an_unknown_outcome_for_a_post() -> None:
    for answer in (bare(503, Retry_After="3"), envelope(503, "busy", Retry_After="3")):
        with pytest.raises(OutcomeUnknown):
            parse_create(answer)
        with pytest.raises(RateLimited):
            parse_status_answer(answer, TASK_ID)


# --- whatever comes -------------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
CODES = st.sampled_from([200, 201, 400, 401, 402, 403, 404, 429, 500, 503]) | JSON
DATA = JSON | st.fixed_dictionaries(
    {},
    optional={
        "task_id": st.just(TASK_ID) | JSON,
        "status": st.sampled_from(["PENDING", "SUCCESS", "FAILED"]) | JSON,
        "consumed_credits": JSON,
        "error_message": JSON,
        "response": JSON,
    },
)
MESSAGES = st.sampled_from([f"bad key {KEY}", f"prompt {PROMPT} refused", "see https://x.example/?sig=canary"]) | JSON
BODIES = (
    st.binary(max_size=200)
    | JSON.map(lambda value: json.dumps(value).encode())
    | st.builds(lambda c, m, d: json.dumps({"code": c, "message": m, "data": d}).encode(), CODES, MESSAGES, DATA)
)
HEADERS = st.dictionaries(
    st.sampled_from(["Retry-After", "Date", "Server"]), st.text(max_size=40) | st.integers().map(str)
)
ANSWERS = st.builds(HttpAnswer, st.integers(100, 599), HEADERS, BODIES)


@given(ANSWERS)
def test_any_answer_gives_a_task_or_a_qwen_error_without_secrets(answer: HttpAnswer) -> None:
    for parse in (
        lambda: parse_create(answer, key=KEY, prompt=PROMPT),
        lambda: parse_status_answer(answer, TASK_ID, key=KEY),
    ):
        try:
            task = parse()
        except QwenError as error:
            shown = f"{error} {error!r}"
            assert "canary" not in shown
            assert KEY not in error.service_message
            assert "sig=" not in error.service_message
            assert len(error.service_message) <= 300
        else:
            assert task.task_id
            assert KEY not in repr(task) + (task.error_message or "")


@given(ANSWERS)
def test_a_post_is_repeatable_only_where_a_proxy_refused_it(
    answer: HttpAnswer,
) -> None:
    try:
        parse_create(answer)
    except ServiceUnavailable as error:
        assert error.code is None
        assert error.http_status in (401, 402, 403, 404, 405, 407, 410, 451)
    except QwenError:
        pass


# --- what is told of an answer ---------------------------------------------------------------------------------------

UNKNOWN = "The image service may or may not have taken the request"
FOR_NOW = "The image service cannot be reached or used for now"


@pytest.mark.parametrize(
    ("answer", "of_post", "of_poll"),
    [
        (
            envelope(200, data={"status": "PENDING", "task_id": "a b"}),
            f"{UNKNOWN}: it answered success without a task id (HTTP 200, code 200)",
            f"{FOR_NOW}: it answered about another task (HTTP 200, code 200)",
        ),
        (
            envelope(200, status=207),
            f"{UNKNOWN}: it answered success without a task id (HTTP 207, code 200)",
            f"{FOR_NOW}: it answered success without the task (HTTP 207, code 200)",
        ),
        (
            envelope(300, data={"task_id": TASK_ID}),
            f"{UNKNOWN} (HTTP 200, code 300)",
            f"{FOR_NOW} (HTTP 200, code 300)",
        ),
        (
            envelope(429, status=400),
            "The image service asks to slow down (HTTP 400, code 429)",
            "The image service asks to slow down (HTTP 400, code 429)",
        ),
        *(
            (bare(status), f"{UNKNOWN}: {reason} (HTTP {status})", f"{FOR_NOW}: {reason} (HTTP {status})")
            for status, reason in (
                (299, "its answer is not in the API's form"),
                (300, "it leads elsewhere"),
                (399, "it leads elsewhere"),
                (500, "its answer is not in the API's form"),
            )
        ),
        (
            bare(403),
            f"{FOR_NOW}: the request was turned away in front of it (HTTP 403)",
            f"{FOR_NOW}: the request was turned away in front of it (HTTP 403)",
        ),
    ],
)
def test_an_error_holds_its_reason_http_status_and_code(answer: HttpAnswer, of_post: str, of_poll: str) -> None:
    with pytest.raises(QwenError) as post:
        parse_create(answer, key=KEY, prompt=PROMPT)
    with pytest.raises(QwenError) as poll:
        parse_status_answer(answer, TASK_ID, key=KEY)
    assert (str(post.value), str(poll.value)) == (of_post, of_poll)


def test_the_wait_of_a_refused_poll_is_in_its_error() -> None:
    with pytest.raises(RateLimited) as caught:
        parse_status_answer(envelope(429, "slowly", retry_after="7"), TASK_ID)
    assert (caught.value.retry_after_seconds, caught.value.service_message) == (7.0, "slowly")
    assert (caught.value.http_status, caught.value.code) == (200, 429)


@pytest.mark.parametrize("message", [f"your {KEY} is old", f"{KEY}"])
def test_the_key_is_hidden_wherever_the_service_repeats_it(message: str) -> None:
    hidden = message.replace(KEY, "(key)")
    for parse in (
        lambda answer: parse_create(answer, key=KEY),
        lambda answer: parse_status_answer(answer, "t", key=KEY),
    ):
        with pytest.raises(QwenError) as caught:
            parse(envelope(500, message))
        assert caught.value.service_message == hidden
        task = parse(envelope(200, data={"task_id": "t", "status": message, "error_message": message}))
        assert (task.status_text, task.error_message) == (hidden, hidden)


def test_prompt_and_seed_of_a_task_are_read_where_the_answer_has_them() -> None:
    def asked(request: object) -> tuple[str | None, int | None]:
        task = parse_status_answer(poll_answer("PENDING", request=request), TASK_ID)
        return task.asked_prompt, task.asked_seed

    assert asked({"prompt": "a fox", "seed": 42}) == ("a fox", 42)
    assert asked({"prompt": "a fox", "seed": "42"}) == ("a fox", 42)
    assert asked({"prompt": 5, "seed": "forty-two"}) == (None, None)
    assert asked("a fox") == asked(None) == asked({}) == (None, None)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        *(
            (999_999_999, 999_999_999),
            (-999_999_999, -999_999_999),
            (1e9, None),
            (-1e9, None),
            ("999999999", 999_999_999),
        ),
        *(("1000000000", None), (5.0, 5), (5.5, None), (True, None), (None, None)),
    ],
)
def test_a_whole_number_has_nine_digits_at_most(written: object, read: int | None) -> None:
    assert parse_status_answer(poll_answer("PENDING", request={"seed": written}), TASK_ID).asked_seed == read


def test_the_longest_id_address_and_status_are_read_whole() -> None:
    for task_id in ("x", "x" * TASK_ID_MAX):
        assert parse_create(envelope(200, data={"task_id": task_id})).task_id == task_id
    longest = "https://cdn.example.com/" + "x" * (IMAGE_URL_MAX - 24)
    task = parse_status_answer(poll_answer("SUCCESS", response=[f"{longest}x", longest]), TASK_ID)
    assert task.image_urls == (longest,)
    assert parse_status_answer(poll_answer("x" * 60), TASK_ID).status_text == "x" * 60
    assert parse_status_answer(poll_answer("x" * 61), TASK_ID).status_text == "x" * 59 + "…"


def test_leading_zeros_of_credits_are_ignored() -> None:
    assert [
        parse_status_answer(poll_answer("SUCCESS", consumed_credits=text), TASK_ID).consumed_credits
        for text in ("007", "0", "000", "0000000000005")
    ] == [7, 0, 0, 5]


def test_a_message_that_is_no_text_is_ignored() -> None:
    with pytest.raises(PromptRefused) as caught:
        parse_create(envelope(400, {"no": "text"}), key=KEY)
    assert caught.value.service_message == ""


def test_both_requests_accept_json_have_single_slashes_and_send_unicode_unescaped() -> None:
    post = build_create(
        "https://qwen.example/api/", KEY, TaskRequest("ein Füchschen", Size.SQUARE, 1, OutputFormat.PNG)
    )
    poll = build_status("https://qwen.example/api/", KEY, "t")
    assert poll.url == "https://qwen.example/api/status?task_id=t"
    assert post.headers["Accept"] == poll.headers["Accept"] == "application/json"
    assert "ein Füchschen".encode() in post.body


def test_an_error_of_an_image_says_its_reason_its_size_and_the_status() -> None:
    assert [
        str(error)
        for error in (
            ImageTooLarge(10, 20),
            ImageTooLarge(10),
            ImageUnavailable("it came too slowly", temporary=True),
            ImageUnavailable(temporary=False, http_status=404),
        )
    ] == [
        "The image is too large: 20 bytes, at most 10 bytes are taken",
        "The image is too large: at most 10 bytes are taken",
        "The image could not be fetched: it came too slowly",
        "The image could not be fetched (HTTP 404)",
    ]
