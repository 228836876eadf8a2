"""All text of one message stays within Discord's limit in UTF-8 bytes, for any prompt."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credits.model import Balance, Entry, EntryKind
from generations.history import Page
from generations.model import CardLink, Ending, Estimate, Generation, Image, Line, Origin, Progress, Request, State
from generations.privacy import Holdings, Tally
from generations.service import Statement
from qwen.images import DownloadedImage
from qwen.models import OutputFormat
from reports.model import Decided, Decision, Reason, Report, ReportFile
from ui.delivery.payload import KeptAttachment, Payload
from ui.interactions.buttons import card_buttons
from ui.interactions.history import PostButton, TurnButton
from ui.interactions.report_decisions import report_buttons
from ui.texts.escaping import ALT_TEXT_MAX, units
from ui.texts.text_budget import SHORT_BYTES_MAX, TEXT_BYTES_MAX, image_descriptions, thumbnail_description, utf8_bytes
from ui.views.cards import plain_text
from ui.views.cards_credits import build_credits
from ui.views.cards_details import build_details
from ui.views.cards_history import build_history
from ui.views.cards_privacy import build_holdings
from ui.views.cards_reports import build_opened, build_report

ID = 2**63 - 1
ORIGIN = Origin(ID, 5, ID, ID, ID, "token", 10 << 20)
WIDE = ["灯台と嵐の海" * 334, "👩‍👩‍👧‍👦" * 285, "🦊" * 2000, "ü" * 2000, "*" * 2000, "Z" + "\u0301" * 1999]
prompts = st.sampled_from(WIDE) | st.text(
    st.characters(codec="utf-8", min_codepoint=0x3041, max_codepoint=0x1FAFF), min_size=1, max_size=2000
)


def all_text(part: Any) -> int:
    """Count the UTF-8 bytes of every text display, description, label and placeholder, at any depth."""
    if isinstance(part, list | tuple):
        return sum(map(all_text, part))
    if not isinstance(part, dict):
        return 0
    own = [part[key] for key in ("content", "description", "label", "placeholder") if isinstance(part.get(key), str)]
    return utf8_bytes(*own) + all_text([value for value in part.values() if isinstance(value, dict | list | tuple)])


def card_of(prompt: str, state: State, *, linked: bool = False, brief: bool = False) -> Payload:
    """Return the card with the most text: four images, three of them already on it."""
    facts: dict[str, Any] = {
        "ending": Ending.DEADLINE,
        "submitted_at_ms": 1,
        "ready_at_ms": 2,
        "image_url": "https://x",
    }
    endings = [Ending.DECLINED, Ending.PROMPT_REFUSED, Ending.SERVICE_FAILED, Ending.DEADLINE]
    images = tuple(
        Image(ID, position, 2**31 - 1, state, **facts | {"ending": endings[position], "ending_detail": prompt[:300]})
        for position in range(4)
    )
    made = Generation(ID, Request(prompt, format=OutputFormat.PNG, count=4), ORIGIN, 1, images, message_id=ID)
    progress = Progress(Line(3, 0, 3, 1, 40), Estimate(0, 0.5, (12, 18), None))
    urls = {position: "https://x.example/" + "画" * 200 + "a" * 400 for position in range(4)} if linked else {}
    uploads = {} if linked else {position: DownloadedImage(b"x", OutputFormat.PNG, 1, 1) for position in (0, 3)}
    kept = {} if linked else {position: KeptAttachment(ID, f"a-{position}.png") for position in (1, 2)}
    return Payload(made, progress, card_buttons, uploads, kept, urls, last_word=True, brief=brief)


def sent_text(payload: Payload) -> int:
    """Count the text of one request: components and descriptions of files."""
    return all_text(payload.view().to_components()) + utf8_bytes(*(file.description or "" for file in payload.files()))


@settings(deadline=None)
@given(prompts, st.sampled_from(State), st.booleans())
def test_a_card_and_the_files_sent_with_it_stay_within_the_budget(prompt: str, state: State, linked: bool) -> None:
    assert sent_text(card_of(prompt, state, linked=linked)) <= TEXT_BYTES_MAX


@settings(deadline=None)
@given(prompts)
def test_a_brief_card_has_a_fraction_of_the_budget(prompt: str) -> None:
    assert sent_text(card_of(prompt, State.DELIVERED, brief=True)) <= TEXT_BYTES_MAX / 3


@settings(deadline=None)
@given(prompts)
def test_a_plain_message_and_its_files_stay_within_the_budget(prompt: str) -> None:
    payload = card_of(prompt, State.DELIVERED)
    content = plain_text(payload.generation, {}, payload.names())
    described = [file.description or "" for file in payload.files(beside=content)]
    assert utf8_bytes(content, *described) <= TEXT_BYTES_MAX


@settings(deadline=None)
@given(prompts)
def test_details_stay_within_the_budget_in_each_message_and_leave_nothing_out(prompt: str) -> None:
    views = build_details(card_of(prompt, State.DELIVERED).generation, Balance(77, 35, 5, 50, 1))
    assert all(all_text(view.to_components()) <= TEXT_BYTES_MAX for view in views)
    assert len(views) <= 5  # the follow-ups that a user-installed app may send


@settings(deadline=None, max_examples=40)
@given(st.lists(prompts, min_size=5, max_size=5))
def test_a_page_of_history_with_ten_thumbnails_stays_within_the_budget(five: list[str]) -> None:
    image = Image(ID, 0, 2**31 - 1, State.UNDELIVERED)
    made = tuple(
        Generation(ID - number, Request(prompt, count=4), ORIGIN, 2**41, (image,) * 4, message_id=ID)
        for number, prompt in enumerate(five)
    )
    rows = [[TurnButton("older", ID, "x")], [PostButton(ID, number) for number in range(5)]]
    found = {generation.id: ["https://cdn.example.com/a.png"] * 4 for generation in made}
    view = build_history(Page(made, ID, ID, five[0][:60]), rows, thumbnails=found)
    assert all_text(view.to_components()) <= TEXT_BYTES_MAX


@given(prompts)
def test_credits_with_ten_long_reasons_stay_within_the_budget(reason: str) -> None:
    entry = Entry("grant:x", 1, EntryKind.GRANT, 10, 0, None, reason, 0)
    statement = Statement(Balance(1, 35, 5, 50, None), 1, tuple((entry, CardLink(ID, ID, ID)) for _ in range(10)))
    assert all_text(build_credits(statement).to_components()) <= TEXT_BYTES_MAX


@settings(deadline=None)
@given(prompts, st.integers(1, 4), st.integers(4 * SHORT_BYTES_MAX, TEXT_BYTES_MAX))
def test_descriptions_share_the_budget_and_every_image_has_one(prompt: str, count: int, room: int) -> None:
    told = image_descriptions(prompt, range(count), count, room)
    assert list(told) == list(range(count))
    assert utf8_bytes(*told.values()) <= room
    assert all(0 < units(text) <= ALT_TEXT_MAX for text in told.values())


def test_of_four_images_the_first_has_the_whole_prompt_and_the_others_their_number() -> None:
    prompt = "灯台と嵐の海" * 60
    told = image_descriptions(prompt, (1, 2, 3), 4, 3000)
    assert told[1] == f"AI-generated image: {prompt}"
    assert told[2].startswith("AI-generated image 3 of 4: 灯台と") and told[2].endswith("…")
    assert told[3].startswith("AI-generated image 4 of 4: 灯台と") and utf8_bytes(told[3]) <= SHORT_BYTES_MAX


def test_a_single_image_is_not_numbered() -> None:
    assert image_descriptions("a lighthouse", (0,), 1, 100) == {0: "AI-generated image: a lighthouse"}


@pytest.mark.parametrize("prompt", WIDE, ids=lambda prompt: ascii(prompt[:6]))
def test_a_thumbnails_description_is_short_and_begins_with_its_number(prompt: str) -> None:
    told = thumbnail_description(5, prompt)
    assert told.startswith("5. ") and utf8_bytes(told) <= SHORT_BYTES_MAX


def test_the_privacy_page_stays_within_the_budget() -> None:
    view = build_holdings(
        Holdings(Tally(10**9, 10**9, 10**9), 10**9, 10**9, 10**9, 10**9, None, 3650), "https://example.com/" + "x" * 280
    )
    assert all_text(view.to_components()) <= TEXT_BYTES_MAX


@pytest.mark.parametrize("prompt", WIDE, ids=lambda prompt: ascii(prompt[:6]))
def test_a_report_and_what_open_shows_stay_within_the_budget(prompt: str) -> None:
    images = tuple(Image(ID, position, 1, State.DELIVERED) for position in range(4))
    made = Generation(ID, Request(prompt, count=4), ORIGIN, 1, images, message_id=ID)
    decisions = tuple(Decided(each, scope, ID, 1) for each in Decision for scope in (0, ID))
    report = Report(ID, ID, ID, ID, ID, Reason.REAL_PERSON, prompt[:500], 1)
    told = build_report(ReportFile(report, made, decisions), 7, report_buttons)
    for view in (told, build_opened(made, ["https://x"] * 4, 4)):
        text = "".join(part["content"] for part in view.to_components()[0]["components"] if "content" in part)
        assert all_text(view.to_components()) <= TEXT_BYTES_MAX and units(text) <= 4000
