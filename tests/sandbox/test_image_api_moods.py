"""Each mood of the image API as a client meets it, lasting or counted."""

import asyncio
import io
import random
import time
import warnings
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from PIL import Image

from sandbox.clock import SandboxClock
from sandbox.image_api import CARDS, ImageApi, Mood, attach_image_api


class ApiClient:
    """The image API, a client of it, and a route for its callbacks."""

    def __init__(self, images: ImageApi, app: web.Application, session: aiohttp.ClientSession) -> None:
        self.images, self.app, self.session = images, app, session
        self.url = ""
        self.callbacks: list[dict] = []
        self.methods: list[str] = []

    async def post(self, **more: object) -> aiohttp.ClientResponse:
        answer = await self.session.post(
            f"{self.url}/image-api/api/generate",
            json={"prompt": "a lighthouse", "seed": 1, "output_format": "png", **more},
            headers={"Authorization": f"Bearer {self.images.key}"},
        )
        await answer.read()
        return answer

    async def make(self, **more: object) -> str:
        return (await (await self.post(**more)).json())["data"]["task_id"]

    async def poll(self, task_id: str) -> aiohttp.ClientResponse:
        answer = await self.session.get(
            f"{self.url}/image-api/api/status?task_id={task_id}",
            headers={"Authorization": f"Bearer {self.images.key}"},
        )
        await answer.read()
        return answer

    async def ended(self, task_id: str) -> dict:
        for _ in range(3000):
            data = (await (await self.poll(task_id)).json())["data"]
            if data["status"] in {"SUCCESS", "FAILED"}:
                return data
            await asyncio.sleep(0.02)
        raise AssertionError("the task never ended")

    async def image_url(self, mood: Mood) -> str:
        self.images.set_mood(mood, 1)
        return (await self.ended(await self.make()))["response"][0]

    async def receive_callback(self, request: web.Request) -> web.Response:
        self.methods.append(request.method)
        self.callbacks.append(await request.json())
        return web.Response()

    async def wait_for_callbacks(self, count: int) -> list[dict]:
        for _ in range(3000):
            if len(self.callbacks) >= count:
                break
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.15)
        return self.callbacks


@pytest.fixture
async def api() -> AsyncIterator[ApiClient]:
    images = ImageApi(SandboxClock(), rng=random.Random(7))
    images.seconds_per_image = (0.08, 0.1)
    app = web.Application()
    async with aiohttp.ClientSession() as session:
        made = ApiClient(images, app, session)
        attach_image_api(app, images, lambda: made.url)
        app.router.add_route("*", "/callback", made.receive_callback)
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield made
    await runner.cleanup()


def test_every_mood_has_a_card_with_label_and_help() -> None:
    assert [card.mood for card in CARDS] == list(Mood)
    assert all(card.label and card.help.endswith(".") and card.group for card in CARDS)


async def test_in_few_tasks_a_fourth_task_gets_429_and_polls_are_answered(api: ApiClient) -> None:
    api.images.seconds_per_image = (60.0, 60.0)
    api.images.set_mood(Mood.FEW_TASKS)
    tasks = [await api.make() for _ in range(3)]
    assert (await api.post()).status == 429
    assert (await api.poll(tasks[0])).status == 200
    api.images.advance(60.0)
    assert (await api.post()).status == 200


@pytest.mark.parametrize(
    ("mood", "status", "message"),
    [
        (Mood.BAD_REQUEST, 400, "Bad Request: "),
        (Mood.KEY_REFUSED, 401, "Unauthorized: "),
        (Mood.EMPTY_ACCOUNT, 400, "Insufficient credits. Please top up."),
        (Mood.BUSY, 429, "Too many requests"),
        (Mood.BUSY_WAIT, 429, "Too many requests"),
        (Mood.ERROR_BEFORE, 500, "Internal Server Error"),
        (Mood.ERROR_AFTER, 500, "Internal Server Error"),
    ],
)
async def test_a_counted_mood_refuses_only_the_next_task(api: ApiClient, mood: Mood, status: int, message: str) -> None:
    api.images.set_mood(mood, 1)
    answer = await api.post()
    body = await answer.json()
    assert (answer.status, body["code"], body["data"]) == (status, status, None)
    assert body["message"].startswith(message)
    assert answer.headers.get("Retry-After") == ("7" if mood is Mood.BUSY_WAIT else None)
    assert len(api.images.tasks) == (1 if mood is Mood.ERROR_AFTER else 0)
    assert (api.images.mood, api.images.remaining) == (Mood.NORMAL, None)
    assert (await api.post()).status == 200


@pytest.mark.parametrize(
    ("mood", "status"),
    [(Mood.KEY_REFUSED, 401), (Mood.LOST_TASK, 404), (Mood.BUSY, 429), (Mood.BUSY_WAIT, 429), (Mood.ERROR_BEFORE, 500)],
)
async def test_a_lasting_mood_holds_for_polls_of_old_tasks_until_it_is_changed(
    api: ApiClient, mood: Mood, status: int
) -> None:
    task_id = await api.make()
    api.images.set_mood(mood)
    for _ in range(3):
        answer = await api.poll(task_id)
        assert (answer.status, (await answer.json())["code"]) == (status, status)
    api.images.set_mood(Mood.NORMAL)
    assert (await api.poll(task_id)).status == 200


async def test_a_counted_request_mood_counts_polls_too(api: ApiClient) -> None:
    task_id = await api.make()
    api.images.set_mood(Mood.GARBAGE, 2)
    answers = [await api.poll(task_id) for _ in range(3)]
    assert [answer.content_type for answer in answers] == ["text/html", "text/html", "application/json"]


async def test_garbage_answers_with_html_and_makes_the_task(api: ApiClient) -> None:
    api.images.set_mood(Mood.GARBAGE, 1)
    answer = await api.post()
    assert (answer.status, answer.content_type) == (200, "text/html")
    assert len(api.images.tasks) == 1
    assert api.images.posts[0].task_id in api.images.tasks


async def test_a_challenge_page_refuses_posts_and_polls_and_makes_no_task(api: ApiClient) -> None:
    task_id = await api.make()
    api.images.set_mood(Mood.CHALLENGE, 2)
    for answer in (await api.post(), await api.poll(task_id)):
        assert (answer.status, answer.content_type) == (403, "text/html")
        assert answer.headers["cf-mitigated"] == "challenge"
    assert list(api.images.tasks) == [task_id]
    assert (await api.poll(task_id)).status == 200


async def test_stuck_tasks_stay_pending_until_the_mood_is_changed(api: ApiClient) -> None:
    api.images.set_mood(Mood.STUCK)
    task_id = await api.make()
    await asyncio.sleep(0.2)
    assert (await (await api.poll(task_id)).json())["data"]["status"] == "PENDING"
    api.images.set_mood(Mood.NORMAL)
    assert (await api.ended(task_id))["status"] == "SUCCESS"


async def test_a_declined_task_fails_costs_0_credits_and_stays_failed(api: ApiClient) -> None:
    api.images.set_mood(Mood.DECLINED)
    task_id = await api.make()
    data = await api.ended(task_id)
    api.images.set_mood(Mood.NORMAL)
    assert data == (await api.ended(task_id))
    assert (data["status"], data["consumed_credits"], data["response"]) == ("FAILED", 0, None)
    assert data["error_message"] == "Content policy violation detected"
    assert api.images.count_tasks() == {"running": 0, "done": 0, "failed": 1}


async def test_a_strange_status_is_answered_twice_before_the_true_one(api: ApiClient) -> None:
    api.images.set_mood(Mood.STRANGE_STATUS, 1)
    task_id = await api.make()
    told = [(await (await api.poll(task_id)).json())["data"]["status"] for _ in range(3)]
    assert told[:2] == ["WARMING_UP", "WARMING_UP"]
    assert told[2] in {"PENDING", "IN_PROGRESS"}
    assert (await api.ended(task_id))["status"] == "SUCCESS"


@pytest.mark.parametrize(("mood", "end"), [(Mood.OTHER_WORDS, "completed"), (Mood.OTHER_WORDS_FAILED, "error")])
async def test_other_words_answers_with_the_statuses_of_other_services(api: ApiClient, mood: Mood, end: str) -> None:
    api.images.set_mood(mood)
    made = (await (await api.post(callback_url=f"{api.url}/callback")).json())["data"]
    assert made["status"] == "queued"
    await asyncio.sleep(0.15)
    data = (await (await api.poll(made["task_id"])).json())["data"]
    assert data["status"] == end
    assert (data["response"] is None, data["error_message"] is None) == (end == "error", end == "completed")
    assert [said["data"]["status"] for said in await api.wait_for_callbacks(1)] == [end]


async def test_a_success_can_have_no_url_or_several(api: ApiClient) -> None:
    api.images.set_mood(Mood.NO_URL, 1)
    assert (await api.ended(await api.make()))["response"] == []
    api.images.set_mood(Mood.SEVERAL_URLS, 1)
    urls = (await api.ended(await api.make()))["response"]
    images = set()
    for url in urls:
        async with api.session.get(url) as answer:
            images.add(await answer.read())
    assert len(urls) == len(images) == 3


async def test_fast_and_slow_set_how_long_new_tasks_take(api: ApiClient) -> None:
    def seconds(task_id: str) -> float:
        task = api.images.tasks[task_id]
        return (task.due_at_ms - task.accepted_at_ms) / 1000

    api.images.set_mood(Mood.FAST)
    assert 0.5 <= seconds(await api.make()) <= 1
    api.images.set_mood(Mood.SLOW)
    assert 50 <= seconds(await api.make()) <= 70


async def test_silent_makes_the_task_never_answers_and_does_not_delay_shutdown(api: ApiClient) -> None:
    api.images.set_mood(Mood.SILENT)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await api.post()
    assert len(api.images.tasks) == 1
    assert api.images.posts[0].status is None
    still_waiting = asyncio.create_task(api.poll(next(iter(api.images.tasks))))
    await asyncio.sleep(0.1)
    before = time.monotonic()
    await api.app.shutdown()
    with pytest.raises(aiohttp.ClientError):
        await still_waiting
    assert time.monotonic() - before < 30


async def test_the_huge_image_is_a_valid_png_of_more_than_30_mib_without_a_length(api: ApiClient) -> None:
    async with api.session.get(await api.image_url(Mood.HUGE_IMAGE)) as answer:
        assert (answer.status, answer.content_type, answer.content_length) == (200, "image/png", None)
        image = await answer.read()
    assert len(image) > 30 * 1024 * 1024
    with Image.open(io.BytesIO(image)) as opened:
        opened.verify()
        assert opened.size == (3400, 3400)


async def test_the_huge_image_stops_when_the_client_disconnects(api: ApiClient) -> None:
    url = await api.image_url(Mood.HUGE_IMAGE)
    async with aiohttp.ClientSession() as other, other.get(url) as answer:
        assert (await answer.content.read(8)).startswith(b"\x89PNG")
    assert (await api.post()).status == 200


async def test_the_bomb_is_a_small_file_with_very_many_pixels(api: ApiClient) -> None:
    async with api.session.get(await api.image_url(Mood.BOMB)) as answer:
        image = await answer.read()
    assert len(image) < 1024 * 1024
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(Image.DecompressionBombError):
            Image.open(io.BytesIO(image)).load()


async def test_not_an_image_serves_text_with_an_image_content_type(api: ApiClient) -> None:
    async with api.session.get(await api.image_url(Mood.NOT_AN_IMAGE)) as answer:
        assert answer.content_type == "image/png"
        assert (await answer.read()).startswith(b"This is not an image")


async def test_redirect_names_a_private_address(api: ApiClient) -> None:
    url = await api.image_url(Mood.REDIRECT)
    async with api.session.get(url, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (302, "http://[::1]:1/")


async def test_redirected_redirects_three_times_and_redirect_loop_without_end(api: ApiClient) -> None:
    async with api.session.get(await api.image_url(Mood.REDIRECTED)) as answer:
        assert (answer.status, answer.content_type) == (200, "image/png")
        assert [hop.status for hop in answer.history] == [301, 302, 307]
        assert [str(hop.headers["Location"])[:1] for hop in answer.history] == ["/", "?", "h"]
    with pytest.raises(aiohttp.TooManyRedirects):
        await api.session.get(await api.image_url(Mood.REDIRECT_LOOP))


async def test_drip_sends_a_few_bytes_at_a_time(api: ApiClient) -> None:
    async with api.session.get(await api.image_url(Mood.DRIP)) as answer:
        assert int(answer.headers["Content-Length"]) > 10_000
        first = await answer.content.readany()
        assert len(first) <= 20
        answer.close()


async def test_a_callback_is_sent_once_when_the_task_has_ended(api: ApiClient) -> None:
    task_id = await api.make(callback_url=f"{api.url}/callback")
    heard = await api.wait_for_callbacks(1)
    assert [(said["code"], said["data"]["task_id"], said["data"]["status"]) for said in heard] == [
        (200, task_id, "SUCCESS")
    ]
    assert heard[0]["data"]["response"][0].endswith(f"/image-api/cdn/{task_id}.png")


async def test_no_callback_is_sent_without_a_callback_url_or_in_callback_lost(api: ApiClient) -> None:
    await api.ended(await api.make())
    api.images.set_mood(Mood.CALLBACK_LOST, 1)
    await api.ended(await api.make(callback_url=f"{api.url}/callback"))
    await asyncio.sleep(0.2)
    assert api.callbacks == []


@pytest.mark.parametrize(
    ("mood", "statuses"),
    [
        (Mood.CALLBACK_TWICE, ["SUCCESS", "SUCCESS"]),
        (Mood.CALLBACK_EARLY, ["PENDING", "SUCCESS"]),
        (Mood.CALLBACK_FORGED, ["SUCCESS", "SUCCESS"]),
        (Mood.DECLINED, ["FAILED"]),
    ],
)
async def test_callbacks_are_sent_twice_early_or_forged(api: ApiClient, mood: Mood, statuses: list[str]) -> None:
    api.images.set_mood(mood, 1)
    await api.post(callback_url=f"{api.url}/callback")
    assert len(api.callbacks) == (1 if mood is Mood.CALLBACK_EARLY else 0)
    heard = await api.wait_for_callbacks(len(statuses))
    assert [said["data"]["status"] for said in heard] == statuses
    if mood is Mood.CALLBACK_FORGED:
        assert heard[0]["data"]["response"] == ["http://127.0.0.1:1/forged.png"]


async def test_in_callback_ahead_the_status_tells_the_success_half_a_second_late(api: ApiClient) -> None:
    api.images.set_mood(Mood.CALLBACK_AHEAD, 1)
    task_id = await api.make(callback_url=f"{api.url}/callback")
    (said,) = await api.wait_for_callbacks(1)
    assert said["data"]["status"] == "SUCCESS"
    task = api.images.tasks[task_id]
    told = [task.poll(task.due_at_ms + later_ms, Mood.CALLBACK_AHEAD) for later_ms in (-1, 0, 499, 500)]
    assert told == ["IN_PROGRESS", "IN_PROGRESS", "IN_PROGRESS", "SUCCESS"]


async def test_callbacks_can_have_the_forms_of_other_services(api: ApiClient) -> None:
    told: dict[Mood, dict] = {}
    for mood in (Mood.CALLBACK_PUT, Mood.CALLBACK_TASKID, Mood.CALLBACK_ID):
        api.callbacks.clear()
        api.images.set_mood(mood, 1)
        task_id = await api.make(callback_url=f"{api.url}/callback")
        (told[mood],) = await api.wait_for_callbacks(1)
        assert task_id in str(told[mood])
    assert api.methods == ["PUT", "POST", "POST"]
    assert told[Mood.CALLBACK_PUT]["data"]["task_id"]
    assert told[Mood.CALLBACK_TASKID]["data"]["taskId"]
    assert "task_id" not in told[Mood.CALLBACK_TASKID]["data"]
    assert told[Mood.CALLBACK_ID]["id"]
    assert told[Mood.CALLBACK_ID]["status"] == "SUCCESS"
    assert told[Mood.CALLBACK_ID].keys().isdisjoint({"code", "data", "task_id"})


@pytest.mark.parametrize("url", ["http://192.0.2.1/x", "http://example.com/x", "https://127.0.0.1.example.com/x"])
async def test_a_callback_address_of_another_machine_is_never_called(
    api: ApiClient, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    await api.ended(await api.make(callback_url=url))
    for _ in range(3000):
        if "never calls it" in caplog.text:
            break
        await asyncio.sleep(0.02)
    assert "never calls it" in caplog.text
    assert api.images.callbacks.sent == 0


async def test_a_callback_that_fails_is_dropped_and_logged(api: ApiClient, caplog: pytest.LogCaptureFixture) -> None:
    await api.make(callback_url="http://127.0.0.1:1/callback")
    for _ in range(3000):
        if "not delivered" in caplog.text:
            break
        await asyncio.sleep(0.02)
    assert "not delivered" in caplog.text


@pytest.mark.parametrize(("mood", "count"), [("sunny", None), ("slow", 0), ("slow", -1)])
async def test_an_unknown_mood_or_count_is_refused(api: ApiClient, mood: str, count: int | None) -> None:
    with pytest.raises(ValueError):
        api.images.set_mood(mood, count)


async def test_a_counted_task_keeps_its_mood_after_the_dial_changes(api: ApiClient) -> None:
    api.images.set_mood(Mood.DECLINED, 2)
    first = await api.make()
    assert api.images.remaining == 1
    second, third = await api.make(), await api.make()
    assert [(await api.ended(task_id))["status"] for task_id in (first, second, third)] == [
        "FAILED",
        "FAILED",
        "SUCCESS",
    ]


async def test_a_mood_aimed_at_a_prompt_holds_for_no_other_prompt_and_no_poll(api: ApiClient) -> None:
    for mood in (Mood.DECLINED, Mood.ERROR_BEFORE):
        api.images.aim_mood(f"of {mood}", mood)
    other = await api.make(prompt="of nothing")
    assert (await api.poll(other)).status == 200
    assert (await api.post(prompt=f"a day of {Mood.ERROR_BEFORE}")).status == 500
    assert (await api.ended(await api.make(prompt=f"a day of {Mood.DECLINED}")))["status"] == "FAILED"
    assert (await api.ended(other))["status"] == "SUCCESS"
    assert (await api.post(prompt=f"a day of {Mood.ERROR_BEFORE}")).status == 200, "it is spent"


async def test_next_polls_sets_the_mood_of_one_poll_each_of_one_task(api: ApiClient) -> None:
    struck, other = await api.make(), await api.make()
    api.images.tasks[struck].next_polls = [Mood.BUSY, Mood.GARBAGE]
    answers = [await api.poll(task_id) for task_id in (other, struck, other, struck, struck)]
    assert [answer.status for answer in answers] == [200, 429, 200, 200, 200]
    assert [answer.content_type for answer in answers[3:]] == ["text/html", "application/json"]


async def test_advance_makes_every_task_older(api: ApiClient) -> None:
    api.images.set_mood(Mood.SLOW, 1)
    task_id = await api.make()
    api.images.advance(45)
    assert (await (await api.poll(task_id)).json())["data"]["status"] == "IN_PROGRESS"
    api.images.advance(25)
    assert (await (await api.poll(task_id)).json())["data"]["status"] == "SUCCESS"
