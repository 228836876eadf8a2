"""The pure parts of `doctor --live`: its arguments, what it expects, and its pictures."""

from __future__ import annotations

import importlib
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from discord import ui

from bot import EXTENSIONS
from discord_api.live_calls import PRESS_PREFIX, Answer
from doctor.live.arguments import BadArguments, LiveOptions, parse_arguments
from doctor.live.card_steps import LONG_DESCRIPTION, LONG_LABELS, LONG_TEXT, MENUS
from doctor.live.expectations import Expected, judge, judge_created, judge_ids
from doctor.live.image_expectations import Course, cost_of, judge_course
from doctor.live.image_files import NINE_MIB, large_image, small_image
from doctor.live.press_expectations import judge_permissions
from doctor.live.report import Report
from doctor.model import Finding, Level
from qwen.image_header import read_image_header
from qwen.images import DownloadedImage
from qwen.models import OutputFormat, Size, TaskRequest
from ui.delivery.fitting import DEFAULT_LIMIT
from ui.texts.text_budget import TEXT_BYTES_MAX

CHANNEL = 1191168918421504000


def test_a_channel_alone_buys_nothing_and_asks_for_a_press() -> None:
    assert parse_arguments(["--live", str(CHANNEL)]) == LiveOptions(CHANNEL, with_button=True, buy=False)


def test_every_option_is_read() -> None:
    words = f"--live {CHANNEL} --private-thread 7 --without-bot 8 --no-button --buy-one --yes --report out.md"
    assert parse_arguments(words.split()) == LiveOptions(CHANNEL, 7, None, 8, False, True, True, Path("out.md"))
    assert parse_arguments(["--live", "1", "--without-files", "9"]) == LiveOptions(1, without_files_id=9)


@pytest.mark.parametrize(
    "words",
    [
        "--live",
        "--live x",
        "--live 0",
        "--live 9223372036854775808",
        "--live 1 --by",
        "--live 1 --without-bot x",
        "--live 1 --without-files 2 --no-button",
    ],
)
def test_other_arguments_are_refused_with_the_usage(words: str) -> None:
    with pytest.raises(BadArguments, match=r"^usage: python bot\.py doctor --live CHANNEL_ID"):
        parse_arguments(words.split())


@pytest.mark.parametrize("expected", Expected)
def test_the_expected_answer_is_ok_and_any_other_one_says_what_takes_care_of_it(expected: Expected) -> None:
    wanted = expected.value
    words = f'{{"code": {wanted.code}, "message": "x"}}'
    finding = judge(expected, Answer(wanted.status or 200, words))
    assert (finding.check, finding.level) == (wanted.step, Level.OK)
    other = judge(expected, Answer(418, '{"code": 7, "message": "I am a teapot"}'))
    assert other.text.endswith('HTTP 418: {"code": 7, "message": "I am a teapot"}')
    assert other.advice == wanted.otherwise
    assert other.level is (Level.OK if wanted.status is None else wanted.level)


def test_the_status_alone_is_not_enough_where_a_code_is_expected() -> None:
    assert judge(Expected.ID_ALONE, Answer(400, '{"code": 50006}')).level is Level.WARN
    assert judge(Expected.PRIVATE_THREAD, Answer(403, "<html>")).level is Level.WARN
    assert judge(Expected.CARD, Answer(None, "TimeoutError")).text == "Discord said instead: nothing (TimeoutError)"


def test_a_command_with_other_installs_or_contexts_is_a_warning() -> None:
    assert judge_created("both", "both").level is Level.OK
    found = judge_created("one", "both")
    assert found.text == "Discord said instead: one"
    assert found.level is Level.WARN and "developer portal" in found.advice


@pytest.mark.parametrize(
    ("lacking", "is_bot_there", "said", "advice"),
    [
        ([], True, "as expected: 99, with all that the bot needs here", ""),
        (["Attach Files"], True, "app_permissions 99, without Attach Files", "refuses /imagine here"),
        (["Read Message History"], True, "without Read Message History", "/history shows no pictures"),
        (["Connect", "Read Message History"], True, "without Connect, Read Message History", "refuses /imagine here"),
        (
            [],
            False,
            "app_permissions 99: by them the bot is not here",
            "takes the bot for absent",
        ),
    ],
)
def test_permissions_of_a_press_are_judged_by_what_the_bot_needs(
    lacking: list[str], is_bot_there: bool, said: str, advice: str
) -> None:
    found = judge_permissions(99, lacking, is_bot_there=is_bot_there, of_commands_alone=False)
    assert said in found.text and advice in found.advice
    assert found.level is (Level.WARN if lacking or not is_bot_there else Level.OK)
    if lacking == ["Read Message History"]:
        assert "/imagine" not in found.advice


def test_ids_that_are_missing_are_a_warning() -> None:
    assert judge_ids(True, Answer(200)).level is Level.OK
    assert judge_ids(False, Answer(200)).level is Level.WARN


def test_the_long_texts_have_the_bytes_that_their_steps_name_and_the_bot_sends_less() -> None:
    text, descriptions = len(LONG_TEXT.encode()), 4 * len(LONG_DESCRIPTION.encode())
    assert f"{text:,} bytes" in Expected.TEXT.value.step
    assert f"{descriptions:,} bytes" in Expected.GALLERY_TEXT.value.step
    assert f"{descriptions:,} bytes" in Expected.FILE_TEXT.value.step
    labels = MENUS * sum(len(label.encode()) for label in LONG_LABELS)
    assert f"{labels:,} bytes" in Expected.MENU_TEXT.value.step
    assert min(text, descriptions, labels) > 10_170 > TEXT_BYTES_MAX
    assert len(LONG_TEXT) <= 4000 and len(LONG_DESCRIPTION) <= 1024
    assert len(LONG_LABELS) <= 25 and max(map(len, LONG_LABELS)) <= 100


def test_the_pictures_are_whole_images_and_the_large_one_fits_below_discords_limit() -> None:
    large = large_image(random.Random(1))
    assert NINE_MIB <= len(large.data) < DEFAULT_LIMIT
    for picture in (large, *(small_image(number) for number in range(4))):
        header = read_image_header(picture.data)
        assert (header.format, header.width, header.height) == (picture.format, picture.width, picture.height)
    assert len({small_image(number).data for number in range(4)}) == 4


def dynamic_items(kind: type[Any] = ui.DynamicItem) -> Iterator[type[Any]]:
    for each in kind.__subclasses__():
        yield each
        yield from dynamic_items(each)


def test_no_button_of_the_bot_answers_a_press_of_the_doctors() -> None:
    for name in EXTENSIONS:
        importlib.import_module(name)
    templates = [item.__discord_ui_compiled_template__ for item in dynamic_items()]
    assert any(template.fullmatch("imagine:again:1") for template in templates)
    assert [template for template in templates if template.match(f"{PRESS_PREFIX}0a1b")] == []


PLAIN = Course(TaskRequest("x", Size.SQUARE, 42, OutputFormat.PNG), [(0.1, "PENDING"), (5.0, "SUCCESS")])
MADE: dict[str, Any] = {
    "ready_after": 5.0,
    "consumed_credits": 5,
    "urls": 1,
    "hosts": ["cdn.example"],
    "image": DownloadedImage(b"", OutputFormat.PNG, 1024, 1024),
}


def test_an_image_as_the_document_says_is_ok() -> None:
    assert judge_course(replace(PLAIN, **MADE)) == Finding(PLAIN.name, Level.OK, "as expected: ready after 5.0 s")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"consumed_credits": 0}, "consumed_credits 0, not 5"),
        ({"urls": 2}, "2 addresses"),
        ({"image": DownloadedImage(b"", OutputFormat.PNG, 1024, 768)}, "1024x768 pixels"),
        ({"image": DownloadedImage(b"", OutputFormat.JPEG, 1024, 1024)}, "it is a jpeg"),
        ({"hosts": ["a.example", "b.example"]}, "redirects: a.example to b.example"),
        ({"statuses": [(0.1, "WARMING_UP"), (5.0, "SUCCESS")]}, "the status WARMING_UP"),
        ({"request": TaskRequest("x", Size.SQUARE, 42, OutputFormat.PNG, "https://x.example/c")}, "no callback came"),
    ],
)
def test_what_an_image_has_otherwise_is_a_warning_that_says_it(change: dict[str, Any], said: str) -> None:
    finding = judge_course(replace(PLAIN, **{**MADE, **change}))
    assert finding.level is Level.WARN and said in finding.text and finding.advice


def test_no_image_is_a_failure() -> None:
    assert judge_course(replace(PLAIN, fault="the key was refused")).level is Level.FAIL


def test_images_cost_five_credits_each_and_twice_as_much_with_callbacks() -> None:
    assert (cost_of(with_callback=False), cost_of(with_callback=True)) == (25, 50)


def test_a_secret_that_comes_later_is_masked_from_then_on_and_in_the_whole_file() -> None:
    said: list[str] = []
    report = Report((), said.append)
    report.hide("odd&secret/value")
    report.note(Finding("step", Level.WARN, 'HTTP 400: {"message": "odd&secret/value"}', "odd&secret/value"))
    report.keep("fact", "odd%26secret%2Fvalue", "x" * 3995 + " odd&secret/value " + "y" * 9000)
    assert "secret/value" not in "".join(said) + report.markdown() and "secret%2F" not in report.markdown()


def test_what_others_wrote_cannot_end_the_code_of_a_report() -> None:
    said: list[str] = []
    report = Report(("sk-secret-key",), said.append)
    report.note(Finding("step", Level.WARN, 'HTTP 400: "```\n# heading"', "look at sk-secret-key"))
    report.add("fact", "first\n# second\n```", "\u202ethird sk-secret-key")
    text = report.markdown()
    headings = [line for line in text.splitlines() if line and not line.startswith("    ")]
    assert headings[0] == "# doctor --live" and headings[2:] == ["## Findings", "## Facts", "### fact"]
    assert "secret-key" not in text + "".join(said)
    assert "\u202e" not in text and all("\n" not in line for line in said)
