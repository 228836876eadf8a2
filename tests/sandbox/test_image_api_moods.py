"""The image API's bad days: each mood as a client meets it, lasting or only for the next few."""

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
from sandbox.image_api import CARDS, ImageApi, Mood


class Service:
    """The image API, a client of it, and a place to be called back at."""

    def __init__(self, images: ImageApi, session: aiohttp.ClientSession) -> None:
        self.images, self.session = images, session
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

    async def look(self, task_id: str) -> aiohttp.ClientResponse:
        answer = await self.session.get(
            f"{self.url}/image-api/api/status?task_id={task_id}",
            headers={"Authorization": f"Bearer {self.images.key}"},
        )
        await answer.read()
        return answer

    async def ended(self, task_id: str) -> dict:
        for _ in range(3000):
            data = (await (await self.look(task_id)).json())["data"]
            if data["status"] in {"SUCCESS", "FAILED"}:
                return data
            await asyncio.sleep(0.02)
        raise AssertionError("the task never ended")

    async def picture_url(self, mood: Mood) -> str:
        self.images.set_mood(mood, 1)
        return (await self.ended(await self.make()))["response"][0]

    async def hear(self, request: web.Request) -> web.Response:
        self.methods.append(request.method)
        self.callbacks.append(await request.json())
        return web.Response()

    async def heard(self, count: int) -> list[dict]:
        for _ in range(3000):
            if len(self.callbacks) >= count:
                break
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.15)
        return self.callbacks


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    images = ImageApi(SandboxClock(), rng=random.Random(7))
    images.seconds_per_image = (0.08, 0.1)
    app = web.Application()
    async with aiohttp.ClientSession() as session:
        made = Service(images, session)
        images.attach(app, lambda: made.url)
        app.router.add_route("*", "/heard", made.hear)
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield made
    await runner.cleanup()


def test_every_mood_has_a_card_with_label_and_help() -> None:
    assert [card.mood for card in CARDS] == list(Mood)
    assert all(card.label and card.help.endswith(".") and card.group for card in CARDS)


async def test_while_few_tasks_are_let_run_a_fourth_one_gets_429_and_polls_go_on(service: Service) -> None:
    service.images.seconds_per_image = (60.0, 60.0)
    service.images.set_mood(Mood.FEW_TASKS)
    tasks = [await service.make() for _ in range(3)]
    assert (await service.post()).status == 429
    assert (await service.look(tasks[0])).status == 200
    service.images.advance(60.0)
    assert (await service.post()).status == 200


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
async def test_a_mood_refuses_the_next_task_only_and_then_is_over(
    service: Service, mood: Mood, status: int, message: str
) -> None:
    service.images.set_mood(mood, 1)
    answer = await service.post()
    body = await answer.json()
    assert (answer.status, body["code"], body["data"]) == (status, status, None)
    assert body["message"].startswith(message)
    assert answer.headers.get("Retry-After") == ("7" if mood is Mood.BUSY_WAIT else None)
    assert len(service.images.tasks) == (1 if mood is Mood.ERROR_AFTER else 0)
    assert (service.images.mood, service.images.remaining) == (Mood.NORMAL, None)
    assert (await service.post()).status == 200


@pytest.mark.parametrize(
    ("mood", "status"),
    [(Mood.KEY_REFUSED, 401), (Mood.LOST_TASK, 404), (Mood.BUSY, 429), (Mood.BUSY_WAIT, 429), (Mood.ERROR_BEFORE, 500)],
)
async def test_a_lasting_mood_strikes_polls_at_tasks_that_exist_until_it_is_changed(
    service: Service, mood: Mood, status: int
) -> None:
    task_id = await service.make()
    service.images.set_mood(mood)
    for _ in range(3):
        answer = await service.look(task_id)
        assert (answer.status, (await answer.json())["code"]) == (status, status)
    service.images.set_mood(Mood.NORMAL)
    assert (await service.look(task_id)).status == 200


async def test_a_mood_for_the_next_requests_counts_polls_as_well(service: Service) -> None:
    task_id = await service.make()
    service.images.set_mood(Mood.GARBAGE, 2)
    answers = [await service.look(task_id) for _ in range(3)]
    assert [answer.content_type for answer in answers] == ["text/html", "text/html", "application/json"]


async def test_a_page_instead_of_json_hides_that_the_task_was_made(service: Service) -> None:
    service.images.set_mood(Mood.GARBAGE, 1)
    answer = await service.post()
    assert (answer.status, answer.content_type) == (200, "text/html")
    assert len(service.images.tasks) == 1
    assert service.images.posts[0].task_id in service.images.tasks


async def test_a_challenge_page_turns_posts_and_polls_away_and_no_task_is_made(service: Service) -> None:
    task_id = await service.make()
    service.images.set_mood(Mood.CHALLENGE, 2)
    for answer in (await service.post(), await service.look(task_id)):
        assert (answer.status, answer.content_type) == (403, "text/html")
        assert answer.headers["cf-mitigated"] == "challenge"
    assert list(service.images.tasks) == [task_id]
    assert (await service.look(task_id)).status == 200


async def test_stuck_tasks_stay_pending_and_go_on_when_the_mood_is_over(service: Service) -> None:
    service.images.set_mood(Mood.STUCK)
    task_id = await service.make()
    await asyncio.sleep(0.2)
    assert (await (await service.look(task_id)).json())["data"]["status"] == "PENDING"
    service.images.set_mood(Mood.NORMAL)
    assert (await service.ended(task_id))["status"] == "SUCCESS"


async def test_a_declined_task_fails_for_nothing_and_stays_failed(service: Service) -> None:
    service.images.set_mood(Mood.DECLINED)
    task_id = await service.make()
    data = await service.ended(task_id)
    service.images.set_mood(Mood.NORMAL)
    assert data == (await service.ended(task_id))
    assert (data["status"], data["consumed_credits"], data["response"]) == ("FAILED", 0, None)
    assert data["error_message"] == "Content policy violation detected"
    assert service.images.service.count_tasks() == {"running": 0, "done": 0, "failed": 1}


async def test_a_strange_status_is_told_twice_before_the_true_one(service: Service) -> None:
    service.images.set_mood(Mood.STRANGE_STATUS, 1)
    task_id = await service.make()
    told = [(await (await service.look(task_id)).json())["data"]["status"] for _ in range(3)]
    assert told[:2] == ["WARMING_UP", "WARMING_UP"]
    assert told[2] in {"PENDING", "IN_PROGRESS"}
    assert (await service.ended(task_id))["status"] == "SUCCESS"


@pytest.mark.parametrize(("mood", "end"), [(Mood.OTHER_WORDS, "completed"), (Mood.OTHER_WORDS_FAILED, "error")])
async def test_statuses_may_be_told_in_the_words_of_other_services(service: Service, mood: Mood, end: str) -> None:
    service.images.set_mood(mood)
    made = (await (await service.post(callback_url=f"{service.url}/heard")).json())["data"]
    assert made["status"] == "queued"
    await asyncio.sleep(0.15)
    data = (await (await service.look(made["task_id"])).json())["data"]
    assert data["status"] == end
    assert (data["response"] is None, data["error_message"] is None) == (end == "error", end == "completed")
    assert [said["data"]["status"] for said in await service.heard(1)] == [end]


async def test_a_success_may_come_with_no_url_or_with_several(service: Service) -> None:
    service.images.set_mood(Mood.NO_URL, 1)
    assert (await service.ended(await service.make()))["response"] == []
    service.images.set_mood(Mood.SEVERAL_URLS, 1)
    urls = (await service.ended(await service.make()))["response"]
    pictures = set()
    for url in urls:
        async with service.session.get(url) as answer:
            pictures.add(await answer.read())
    assert len(urls) == len(pictures) == 3


async def test_the_pace_of_new_tasks_follows_fast_and_slow(service: Service) -> None:
    def seconds(task_id: str) -> float:
        task = service.images.tasks[task_id]
        return (task.due_at_ms - task.accepted_at_ms) / 1000

    service.images.set_mood(Mood.FAST)
    assert 0.5 <= seconds(await service.make()) <= 1
    service.images.set_mood(Mood.SLOW)
    assert 50 <= seconds(await service.make()) <= 70


async def test_silence_makes_the_task_but_never_answers_and_lets_the_server_end_quickly(service: Service) -> None:
    service.images.set_mood(Mood.SILENT)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await service.post()
    assert len(service.images.tasks) == 1
    assert service.images.posts[0].status is None
    still_waiting = asyncio.create_task(service.look(next(iter(service.images.tasks))))
    await asyncio.sleep(0.1)
    before = time.monotonic()
    await service.images.close()
    with pytest.raises(aiohttp.ClientError):
        await still_waiting
    assert time.monotonic() - before < 30


async def test_the_huge_image_is_a_valid_png_of_more_than_30_mib_without_a_length(service: Service) -> None:
    async with service.session.get(await service.picture_url(Mood.HUGE_IMAGE)) as answer:
        assert (answer.status, answer.content_type, answer.content_length) == (200, "image/png", None)
        picture = await answer.read()
    assert len(picture) > 30 * 1024 * 1024
    with Image.open(io.BytesIO(picture)) as opened:
        opened.verify()
        assert opened.size == (3400, 3400)


async def test_the_huge_image_stops_when_the_client_goes_away(service: Service) -> None:
    url = await service.picture_url(Mood.HUGE_IMAGE)
    async with aiohttp.ClientSession() as other, other.get(url) as answer:
        assert (await answer.content.read(8)).startswith(b"\x89PNG")
    assert (await service.post()).status == 200


async def test_the_bomb_is_a_small_file_with_very_many_pixels(service: Service) -> None:
    async with service.session.get(await service.picture_url(Mood.BOMB)) as answer:
        picture = await answer.read()
    assert len(picture) < 1024 * 1024
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(Image.DecompressionBombError):
            Image.open(io.BytesIO(picture)).load()


async def test_text_in_the_clothes_of_an_image_has_no_magic_bytes(service: Service) -> None:
    async with service.session.get(await service.picture_url(Mood.NOT_AN_IMAGE)) as answer:
        assert answer.content_type == "image/png"
        assert (await answer.read()).startswith(b"This is not an image")


async def test_the_redirect_points_at_a_private_address(service: Service) -> None:
    url = await service.picture_url(Mood.REDIRECT)
    async with service.session.get(url, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (302, "http://[::1]:1/")


async def test_the_image_url_may_redirect_three_times_or_again_and_again(service: Service) -> None:
    async with service.session.get(await service.picture_url(Mood.REDIRECTED)) as answer:
        assert (answer.status, answer.content_type) == (200, "image/png")
        assert [hop.status for hop in answer.history] == [301, 302, 307]
        assert [str(hop.headers["Location"])[:1] for hop in answer.history] == ["/", "?", "h"]
    with pytest.raises(aiohttp.TooManyRedirects):
        await service.session.get(await service.picture_url(Mood.REDIRECT_LOOP))


async def test_the_drip_gives_a_few_bytes_at_a_time(service: Service) -> None:
    async with service.session.get(await service.picture_url(Mood.DRIP)) as answer:
        assert int(answer.headers["Content-Length"]) > 10_000
        first = await answer.content.readany()
        assert len(first) <= 20
        answer.close()


async def test_a_callback_comes_once_when_the_task_has_ended(service: Service) -> None:
    task_id = await service.make(callback_url=f"{service.url}/heard")
    heard = await service.heard(1)
    assert [(said["code"], said["data"]["task_id"], said["data"]["status"]) for said in heard] == [
        (200, task_id, "SUCCESS")
    ]
    assert heard[0]["data"]["response"][0].endswith(f"/image-api/cdn/{task_id}.png")


async def test_no_callback_comes_where_none_was_asked_for_or_where_it_is_lost(service: Service) -> None:
    await service.ended(await service.make())
    service.images.set_mood(Mood.CALLBACK_LOST, 1)
    await service.ended(await service.make(callback_url=f"{service.url}/heard"))
    await asyncio.sleep(0.2)
    assert service.callbacks == []


@pytest.mark.parametrize(
    ("mood", "statuses"),
    [
        (Mood.CALLBACK_TWICE, ["SUCCESS", "SUCCESS"]),
        (Mood.CALLBACK_EARLY, ["PENDING", "SUCCESS"]),
        (Mood.CALLBACK_FORGED, ["SUCCESS", "SUCCESS"]),
        (Mood.DECLINED, ["FAILED"]),
    ],
)
async def test_callbacks_come_twice_early_or_forged(service: Service, mood: Mood, statuses: list[str]) -> None:
    service.images.set_mood(mood, 1)
    await service.post(callback_url=f"{service.url}/heard")
    assert len(service.callbacks) == (1 if mood is Mood.CALLBACK_EARLY else 0)
    heard = await service.heard(len(statuses))
    assert [said["data"]["status"] for said in heard] == statuses
    if mood is Mood.CALLBACK_FORGED:
        assert heard[0]["data"]["response"] == ["http://127.0.0.1:1/forged.png"]


async def test_a_callback_may_run_ahead_of_the_status_by_half_a_second(service: Service) -> None:
    service.images.set_mood(Mood.CALLBACK_AHEAD, 1)
    task_id = await service.make(callback_url=f"{service.url}/heard")
    (said,) = await service.heard(1)
    assert said["data"]["status"] == "SUCCESS"
    task = service.images.tasks[task_id]
    told = [task.look(task.due_at_ms + later_ms, Mood.CALLBACK_AHEAD) for later_ms in (-1, 0, 499, 500)]
    assert told == ["IN_PROGRESS", "IN_PROGRESS", "IN_PROGRESS", "SUCCESS"]


async def test_callbacks_come_in_the_forms_of_other_services(service: Service) -> None:
    told: dict[Mood, dict] = {}
    for mood in (Mood.CALLBACK_PUT, Mood.CALLBACK_TASKID, Mood.CALLBACK_ID):
        service.callbacks.clear()
        service.images.set_mood(mood, 1)
        task_id = await service.make(callback_url=f"{service.url}/heard")
        (told[mood],) = await service.heard(1)
        assert task_id in str(told[mood])
    assert service.methods == ["PUT", "POST", "POST"]
    assert told[Mood.CALLBACK_PUT]["data"]["task_id"]
    assert told[Mood.CALLBACK_TASKID]["data"]["taskId"]
    assert "task_id" not in told[Mood.CALLBACK_TASKID]["data"]
    assert told[Mood.CALLBACK_ID]["id"]
    assert told[Mood.CALLBACK_ID]["status"] == "SUCCESS"
    assert told[Mood.CALLBACK_ID].keys().isdisjoint({"code", "data", "task_id"})


@pytest.mark.parametrize("url", ["http://192.0.2.1/x", "http://example.com/x", "https://127.0.0.1.example.com/x"])
async def test_a_callback_address_of_another_machine_is_never_called(
    service: Service, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    await service.ended(await service.make(callback_url=url))
    for _ in range(3000):
        if "never calls it" in caplog.text:
            break
        await asyncio.sleep(0.02)
    assert "never calls it" in caplog.text
    assert service.images.service.callbacks.sent == 0


async def test_a_callback_that_nobody_takes_is_dropped_with_a_line_in_the_log(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    await service.make(callback_url="http://127.0.0.1:1/heard")
    for _ in range(3000):
        if "not delivered" in caplog.text:
            break
        await asyncio.sleep(0.02)
    assert "not delivered" in caplog.text


@pytest.mark.parametrize(("mood", "count"), [("sunny", None), ("slow", 0), ("slow", -1)])
async def test_an_unknown_mood_or_count_is_refused(service: Service, mood: str, count: int | None) -> None:
    with pytest.raises(ValueError):
        service.images.set_mood(mood, count)


async def test_a_counted_task_keeps_its_mood_when_the_dial_goes_on(service: Service) -> None:
    service.images.set_mood(Mood.DECLINED, 2)
    first = await service.make()
    assert service.images.remaining == 1
    second, third = await service.make(), await service.make()
    assert [(await service.ended(task_id))["status"] for task_id in (first, second, third)] == [
        "FAILED",
        "FAILED",
        "SUCCESS",
    ]


async def test_a_mood_that_is_aimed_at_a_prompt_strikes_no_other_and_no_poll(service: Service) -> None:
    for mood in (Mood.DECLINED, Mood.ERROR_BEFORE):
        service.images.aim_mood(f"of {mood}", mood)
    other = await service.make(prompt="of nothing")
    assert (await service.look(other)).status == 200
    assert (await service.post(prompt=f"a day of {Mood.ERROR_BEFORE}")).status == 500
    assert (await service.ended(await service.make(prompt=f"a day of {Mood.DECLINED}")))["status"] == "FAILED"
    assert (await service.ended(other))["status"] == "SUCCESS"
    assert (await service.post(prompt=f"a day of {Mood.ERROR_BEFORE}")).status == 200, "it is spent"


async def test_moods_of_the_next_polls_strike_one_task_alone_one_poll_each(service: Service) -> None:
    struck, other = await service.make(), await service.make()
    service.images.tasks[struck].next_polls = [Mood.BUSY, Mood.GARBAGE]
    answers = [await service.look(task_id) for task_id in (other, struck, other, struck, struck)]
    assert [answer.status for answer in answers] == [200, 429, 200, 200, 200]
    assert [answer.content_type for answer in answers[3:]] == ["text/html", "application/json"]


async def test_time_can_be_let_pass_for_every_task_at_once(service: Service) -> None:
    service.images.set_mood(Mood.SLOW, 1)
    task_id = await service.make()
    service.images.advance(45)
    assert (await (await service.look(task_id)).json())["data"]["status"] == "IN_PROGRESS"
    service.images.advance(25)
    assert (await (await service.look(task_id)).json())["data"]["status"] == "SUCCESS"
