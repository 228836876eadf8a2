"""The card of a generation in each state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import discord
import pytest
from hypothesis import given
from hypothesis import strategies as st

from generations.circuit import StopReason
from generations.model import (
    HELD,
    MADE,
    RETURNED,
    Ending,
    Estimate,
    Generation,
    Image,
    Line,
    Origin,
    Progress,
    Request,
    State,
)
from qwen.models import SEED_MAX, OutputFormat, Size
from ui.interactions.buttons import card_buttons
from ui.views.cards import build_card, plain_text

NOW_MS = 1_800_000_000_000
ORIGIN = Origin(1399999999999999999, 5, 77, 88, 99, "token", 10 << 20)
NOTHING = Progress()
READY: dict[str, Any] = {"submitted_at_ms": NOW_MS, "ready_at_ms": NOW_MS + 14_000, "consumed_credits": 5}
PAINTING = Estimate(NOW_MS, 0.52, (12, 18), NOW_MS)
HOSTILE = [
    "👩‍👩‍👧‍👦" * 285,
    "\u202e" * 2000,
    "`" * 2000,
    "@everyone <@1> <@&1> " * 95,
    "[x](https://evil.example) " * 76,
    "\u200b" * 2000,
    "../../x",
    "x",
    "\n" * 2000,
    "Z" + "\u0301" * 1999,
    "\\" * 2000,
    "*" * 2000,
]


def image(state: State, position: int = 0, seed: int = 42, **facts: Any) -> Image:
    return Image(1, position, seed + position, state, **facts)


def generation(*images: Image, prompt: str = "a lighthouse in a storm", **options: Any) -> Generation:
    request = Request(prompt, Size.PORTRAIT, 42, OutputFormat.PNG, len(images), **options)
    return Generation(ORIGIN.interaction_id, request, ORIGIN, NOW_MS - 60_000, images)


def card(made: Generation, progress: Progress = NOTHING, **more: Any) -> discord.ui.LayoutView:
    return build_card(made, progress, attached=more.pop("attached", {}), **more, buttons=card_buttons)


def lines(view: discord.ui.LayoutView) -> list[str]:
    return [line for item in view.walk_children() for line in getattr(item, "content", "").splitlines()]


def buttons(view: discord.ui.LayoutView) -> list[dict[str, Any]]:
    return [part for part in parts(view) if part["type"] == discord.ComponentType.button.value]


def pressables(view: discord.ui.LayoutView) -> list[str]:
    """Return the labels of the buttons that are no links."""
    return [button["label"] for button in buttons(view) if "custom_id" in button]


def parts(view: discord.ui.LayoutView) -> Iterator[dict[str, Any]]:
    waiting: list[dict[str, Any]] = list(view.to_components())
    while waiting:
        part = waiting.pop(0)
        yield part
        waiting.extend(part.get("components", ()))


def gallery(view: discord.ui.LayoutView) -> list[dict[str, Any]]:
    return [item for part in parts(view) for item in part.get("items", ())]


def test_a_waiting_card_says_its_place_and_can_be_cancelled() -> None:
    view = card(generation(image(State.REQUESTED)), Progress(Line(3, 0, 3, 1, 40)))
    assert lines(view) == [
        "**a lighthouse in a storm**",
        "Waiting · 3rd in line · about 40 s",
        "-# 1024×1536 · seed 42 · png · 5 credits held · for <@77> · AI image · Qwen-Image-2512",
    ]
    assert [button["label"] for button in buttons(view)] == ["Cancel"]
    assert buttons(view)[0]["custom_id"] == f"imagine:cancel:{ORIGIN.interaction_id}"


@pytest.mark.parametrize(
    ("stopped", "said"),
    [
        (StopReason.ACCOUNT_EMPTY, "the bot's account at the image service is empty"),
        (StopReason.KEY_REFUSED, "the image service doesn't accept the bot's key"),
    ],
)
@pytest.mark.parametrize("line", [None, Line(3, 0, 3, 1, 40)])
def test_a_waiting_card_says_why_nothing_is_sent_and_can_be_cancelled(
    stopped: StopReason, said: str, line: Line | None
) -> None:
    view = card(generation(image(State.REQUESTED)), Progress(line, stopped=stopped))
    assert lines(view)[1] == f"Waiting · {said} · the bot's owner was told"
    assert [button["label"] for button in buttons(view)] == ["Cancel"]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (Line(1, 0, 3, 1, None), "Waiting · 1st in line"),
        (Line(12, 0, 3, 1, 200), "Waiting · 12th in line · about 3 min"),
        (Line(9, 3, 3, 2, 40), "Waiting · 3 images of yours are being made · 2nd of yours in line"),
        (Line(9, 1, 1, 1, 40), "Waiting · 1 image of yours is being made · 1st of yours in line"),
        (
            Line(9, 0, 3, 1, 40, server_running=5, server_position=2),
            "Waiting · 5 images of this server are being made · 2nd of this server in line",
        ),
    ],
)
def test_the_place_in_line_is_given_in_words(line: Line, sentence: str) -> None:
    assert lines(card(generation(image(State.REQUESTED)), Progress(line)))[1] == sentence


@pytest.mark.parametrize("state", [State.REQUESTED, State.SUBMITTING])
def test_an_image_whose_turn_it_is_is_being_sent(state: State) -> None:
    view = card(generation(image(state, admitted_at_ms=NOW_MS)), Progress(Line(3, 0, 3, 1, 40)))
    assert lines(view)[1] == "Sending…"
    assert len(buttons(view)) == (state is State.REQUESTED)


@pytest.mark.parametrize(
    ("painting", "sentence"),
    [
        (PAINTING, "▰▰▰▰▰▱▱▱▱▱  Painting · usually 12–18 s · ready <t:1800000000:R>"),
        (Estimate(NOW_MS, None, None, None),
         "✓ Taken  ▸ Painting · begun <t:1800000000:R> · then fetching · then posting"),
        (Estimate(NOW_MS, None, None, None, service_slow=True),
         "✓ Taken  ▸ Painting · begun <t:1800000000:R> · then fetching · then posting · the image service is slow"),
        (Estimate(NOW_MS, 1.0, (14, 14), NOW_MS), "▰▰▰▰▰▰▰▰▰▱  Painting · usually 14 s · ready <t:1800000000:R>"),
        (Estimate(NOW_MS, 0.95, (12, 18), NOW_MS, overdue=True), "▰▰▰▰▰▰▰▰▰▱  Painting · taking longer than usual"),
        (Estimate(NOW_MS, 0.2, (80, 200), None, service_slow=True),
         "▰▰▱▱▱▱▱▱▱▱  Painting · usually 80 s to 3 min · the image service is slow"),
        (None, "Painting"),
    ],
)  # fmt: skip
def test_a_card_in_progress_shows_only_what_is_known(painting: Estimate | None, sentence: str) -> None:
    view = card(generation(image(State.RUNNING)), Progress(None, painting))
    assert lines(view)[1] == sentence
    assert buttons(view) == []


def test_while_nothing_is_learned_each_step_is_named_and_checked_as_it_passes() -> None:
    unlearned = Progress(estimate=Estimate(NOW_MS, None, None, None), shows_steps=True)
    told = [
        lines(card(generation(image(state, admitted_at_ms=NOW_MS)), unlearned))[1]
        for state in (State.REQUESTED, State.SUBMITTING, State.RUNNING, State.SUCCEEDED)
    ]
    assert told == [
        "▸ Sending… · then painting · then fetching · then posting",
        "▸ Sending… · then painting · then fetching · then posting",
        f"✓ Taken  ▸ Painting · begun <t:{NOW_MS // 1000}:R> · then fetching · then posting",
        "✓ Taken  ✓ Painted  ✓ Fetched  ▸ Posting",
    ]


def test_a_ready_card_shows_the_image_with_the_prompt_as_its_description() -> None:
    view = card(generation(image(State.SUCCEEDED, **READY)), attached={0: "attachment://a.png"})
    assert gallery(view) == [
        {
            "media": {"url": "attachment://a.png"},
            "description": "AI-generated image: a lighthouse in a storm",
            "spoiler": False,
        }
    ]
    assert lines(view) == [
        "**a lighthouse in a storm**",
        "-# 1024×1536 · seed 42 · png · 14 s · 5 credits · for <@77> · AI image · Qwen-Image-2512",
    ]


def test_a_spoiler_image_is_marked_as_spoiler() -> None:
    view = card(generation(image(State.DELIVERED, **READY), spoiler=True), attached={0: "attachment://SPOILER_a.png"})
    assert gallery(view)[0]["spoiler"] is True


def test_a_late_image_says_that_it_is_free() -> None:
    late = image(State.SUCCEEDED, ending=Ending.DEADLINE, **READY)
    told = lines(card(generation(late), attached={0: "attachment://a.png"}))
    assert "free" in told[1]
    assert "0 credits" in told[2]


@pytest.mark.parametrize("ending", Ending)
def test_every_ending_has_its_sentence_and_says_that_the_credits_are_back(ending: Ending) -> None:
    state = State.CANCELLED if ending in (Ending.CANCELLED, Ending.NOT_ANSWERED) else State.FAILED
    told = lines(card(generation(image(state, ending=ending))))
    assert told[1].endswith(".")
    assert told[2] == "Your 5 credits were returned."
    assert told[3] == "-# 1024×1536 · seed 42 · png · for <@77> · AI image · Qwen-Image-2512"


def test_the_sentences_of_different_endings_differ() -> None:
    told = {lines(card(generation(image(State.FAILED, ending=ending))))[1] for ending in Ending}
    assert len(told) == len(Ending)


def test_a_refusal_shows_the_escaped_reason_of_the_service() -> None:
    refused = image(
        State.FAILED, ending=Ending.DECLINED, ending_detail="No **bold** words, see [x](https://a.example)."
    )
    told = lines(card(generation(refused)))[1]
    assert told.startswith(r"The image service declined this prompt: No \*\*bold\*\* words, see \[x\]\(https\:")


def test_the_services_reason_is_shown_only_for_endings_that_it_caused() -> None:
    failed = image(State.FAILED, ending=Ending.KEY_REFUSED, ending_detail="Invalid API key")
    assert "Invalid API key" not in "".join(lines(card(generation(failed))))


def test_one_card_shows_four_images_in_four_states() -> None:
    made = generation(
        image(State.DELIVERED, 0, **READY),
        image(State.RUNNING, 1),
        image(State.FAILED, 2, ending=Ending.DECLINED, ending_detail="No."),
        image(State.REQUESTED, 3),
    )
    view = card(made, Progress(Line(3, 0, 3, 1, 40), PAINTING), attached={0: "attachment://a.png"})
    assert lines(view) == [
        "**a lighthouse in a storm**",
        "1 of 4 ready",
        "Image 2: ▰▰▰▰▰▱▱▱▱▱  Painting · usually 12–18 s · ready <t:1800000000:R>",
        "Image 4: Waiting · 3rd in line · about 40 s",
        "Image 3: The image service declined this prompt: No.",
        "Your 5 credits were returned.",
        "-# 1024×1536 · seeds 42–45 · png · 5 credits · 10 more held · for <@77> · AI image · Qwen-Image-2512",
    ]
    assert [button["label"] for button in buttons(view)] == ["Cancel"]


@pytest.mark.parametrize("state", sorted(MADE))
def test_a_result_has_again_edit_details_and_delete(state: State) -> None:
    view = card(generation(image(state, **READY), image(State.FAILED, 1, ending=Ending.DECLINED)))
    assert pressables(view) == ["Again", "Edit", "Details", "Delete"]
    actions = [button["custom_id"] for button in buttons(view)]
    assert actions == [f"imagine:{action}:{ORIGIN.interaction_id}" for action in ("again", "edit", "details", "delete")]


@pytest.mark.parametrize("ending", [Ending.DECLINED, Ending.PROMPT_REFUSED])
def test_a_declined_prompt_has_edit_and_no_again(ending: Ending) -> None:
    assert pressables(card(generation(image(State.FAILED, ending=ending)))) == ["Edit"]


ENDED_OTHERWISE = [
    (State.UNKNOWN, Ending.OUTCOME_UNKNOWN),
    (State.EXPIRED, Ending.DEADLINE),
    (State.EXPIRED, Ending.LINE_DEADLINE),
    (State.EXPIRED, Ending.TASK_LOST),
    (State.CANCELLED, Ending.CANCELLED),
    *((State.FAILED, ending) for ending in (Ending.SERVICE_FAILED, Ending.KEY_REFUSED, Ending.ACCOUNT_EMPTY)),
    *((State.FAILED, ending) for ending in (Ending.NO_IMAGE, Ending.IMAGE_UNUSABLE, Ending.IMAGE_LOST)),
]


@pytest.mark.parametrize(("state", "ending"), ENDED_OTHERWISE)
def test_other_endings_without_an_image_have_again(state: State, ending: Ending) -> None:
    ended = image(state, ending=ending)
    assert pressables(card(generation(ended))) == ["Again", "Edit"]
    for refusal in (Ending.DECLINED, Ending.PROMPT_REFUSED):
        refused = image(State.FAILED, 1, ending=refusal)
        assert pressables(card(generation(ended, refused))) == ["Again", "Edit"]


@pytest.mark.parametrize(
    "message", ["'prompt' must be at most 2000 characters, got 2002.", "Bad Request: Invalid parameters."]
)
def test_a_refused_prompt_of_more_than_2000_utf16_units_shows_how_it_may_have_been_counted(message: str) -> None:
    refused = image(State.FAILED, ending=Ending.PROMPT_REFUSED, ending_detail=message)
    told = lines(card(generation(refused, prompt="🦊" * 1001)))[1]
    assert told.startswith("The image service can't make this: ")
    assert told.endswith("this prompt then has 2002 characters, and 2000 are allowed. A shorter prompt may work.")


def test_a_refusal_that_speaks_of_the_length_says_that_a_shorter_prompt_may_work() -> None:
    refused = image(State.FAILED, ending=Ending.PROMPT_REFUSED, ending_detail="The prompt is too long")
    told = lines(card(generation(refused)))[1]
    assert told == "The image service can't make this: The prompt is too long. A shorter prompt may work."


@pytest.mark.parametrize("ending", [Ending.PROMPT_REFUSED, Ending.DECLINED, Ending.OUTCOME_UNKNOWN])
def test_a_refusal_for_another_reason_says_nothing_of_the_length(ending: Ending) -> None:
    prompts = ["a fox that is too long"] if ending is Ending.PROMPT_REFUSED else ["🦊" * 1500]
    for prompt in prompts:
        refused = image(State.FAILED, ending=ending, ending_detail="Not allowed: a fox that is too long")
        assert "shorter" not in lines(card(generation(refused, prompt=prompt)))[1]


@pytest.mark.parametrize("state", [State.SUBMITTING, State.RUNNING])
def test_a_card_in_progress_has_no_result_buttons(state: State) -> None:
    assert pressables(card(generation(image(State.DELIVERED, **READY), image(state, 1)))) == []


def test_links_and_buttons_are_in_separate_rows() -> None:
    links = {position: f"https://images.example/{position}" for position in range(4)}
    view = card(generation(*(image(State.DELIVERED, position, **READY) for position in range(4))), linked=links)
    rows = [part for part in parts(view) if part["type"] == discord.ComponentType.action_row.value]
    assert [len(row["components"]) for row in rows] == [4, 4]


def test_images_with_the_same_ending_share_a_line() -> None:
    made = generation(*(image(State.CANCELLED, position, ending=Ending.CANCELLED) for position in range(4)))
    assert lines(card(made))[1:3] == ["Cancelled before it was sent.", "Your 20 credits were returned."]


def test_four_ready_images_are_in_order_in_one_gallery() -> None:
    made = generation(*(image(State.DELIVERED, position, **READY) for position in range(4)))
    view = card(made, attached={position: f"attachment://{position}.png" for position in (2, 0, 3, 1)})
    assert [item["media"]["url"] for item in gallery(view)] == [f"attachment://{position}.png" for position in range(4)]
    small_print = "-# 1024×1536 · seeds 42–45 · png · 14 s · 20 credits · for <@77> · AI image · Qwen-Image-2512"
    assert lines(view)[-1] == small_print


def test_seeds_that_wrap_around_are_listed_one_by_one() -> None:
    made = generation(image(State.RUNNING, 0, SEED_MAX), image(State.RUNNING, 1, -1))
    assert f"seeds {SEED_MAX}, 0" in lines(card(made))[-1]


@pytest.mark.parametrize(
    ("state", "sentence"),
    [(State.SUCCEEDED, "Ready, being posted"), (State.UNDELIVERED, "no place left to post it"), (State.DELIVERED, "")],
)
def test_the_card_says_where_a_paid_image_is_that_it_does_not_show(state: State, sentence: str) -> None:
    told = lines(card(generation(image(state, **READY))))
    assert sentence in told[1]
    assert len(told) == (3 if sentence else 2)


def test_a_card_links_to_the_separate_messages_of_its_images() -> None:
    addresses = ["https://discord.com/channels/1/2/3", "https://discord.com/channels/1/2/4"]
    told = lines(card(generation(image(State.DELIVERED, **READY)), elsewhere=addresses))
    assert told[1].endswith(" ".join(addresses))


def test_an_image_that_is_too_large_becomes_a_button_that_says_it_expires() -> None:
    view = card(generation(image(State.SUCCEEDED, **READY)), linked={0: "https://images.example/a.png?sig=1"})
    assert "too large" in lines(view)[1]
    assert "expires" in lines(view)[1]
    assert [(button["label"], button["url"]) for button in buttons(view) if "url" in button] == [
        ("Open the image", "https://images.example/a.png?sig=1")
    ]


def test_an_address_too_long_for_a_button_is_in_the_text() -> None:
    address = "https://images.example/" + "a" * 600
    view = card(generation(image(State.SUCCEEDED, **READY)), linked={0: address})
    assert f"<{address}>" in lines(view)
    assert not any("url" in button for button in buttons(view))


@pytest.mark.parametrize("prompt", HOSTILE, ids=lambda prompt: ascii(prompt[:6]))
@pytest.mark.parametrize("state", State)
def test_no_prompt_breaks_a_limit_or_pings(prompt: str, state: State) -> None:
    images = [image(state, position, ending_detail=prompt[:300], **READY) for position in range(4)]
    for number, ending in enumerate((Ending.DECLINED, Ending.PROMPT_REFUSED, Ending.SERVICE_FAILED, Ending.DEADLINE)):
        if state in RETURNED:
            images[number] = replace(images[number], ending=ending)
    links = {position: "https://images.example/" + "a" * 500 * position for position in range(4)}
    image_files = {position: f"attachment://{position}.png" for position in range(4)}
    for more in (
        {},
        {"attached": image_files},
        {"linked": links},
        {"elsewhere": ["https://discord.com/channels/1/2/3"] * 4},
    ):
        view = card(generation(*images, prompt=prompt), Progress(Line(3, 0, 3, 1, 40), PAINTING), **more)
        assert view.content_length() <= 4000
        assert sum(1 for _ in parts(view)) <= 40
        assert all(len(item["description"]) <= 1024 for item in gallery(view))
        text = "\n".join(lines(view))
        assert "@everyone" not in text
        assert "<@1>" not in text
        assert "https://evil" not in text
    assert len(plain_text(generation(*images, prompt=prompt), links)) <= 2000


@given(
    st.lists(st.tuples(st.sampled_from(State), st.none() | st.sampled_from(Ending)), min_size=1, max_size=4),
    st.builds(
        Estimate,
        st.just(NOW_MS),
        st.none() | st.floats(0, 2),
        st.none() | st.tuples(st.integers(1, 9), st.integers(9, 999)),
        st.none(),
    ),
)
def test_two_builds_of_the_same_card_are_equal_and_new_objects(
    states: list[tuple[State, Ending | None]], painting: Estimate
) -> None:
    made = generation(*(image(state, at, ending=ending) for at, (state, ending) in enumerate(states)))
    progress = Progress(Line(3, 0, 3, 1, 40), painting)
    first, second = card(made, progress), card(made, progress)
    assert first.to_components() == second.to_components()
    assert not {id(item) for item in first.walk_children()} & {id(item) for item in second.walk_children()}
    assert first.timeout is None


@given(st.lists(st.sampled_from(State), min_size=1, max_size=4))
def test_the_credits_on_a_card_add_up(states: list[State]) -> None:
    made = generation(*(image(state, at, consumed_credits=5) for at, state in enumerate(states)))
    told = "\n".join(lines(card(made)))
    held = 5 * sum(state in HELD for state in states)
    returned = 5 * sum(state in RETURNED for state in states)
    assert (f"{held} credits held" in told or f"{held} more held" in told) == (held > 0)
    assert (f"Your {returned} credits were returned." in told) == (returned > 0)


@given(st.lists(st.sampled_from(State), min_size=1, max_size=4))
def test_every_button_of_a_card_is_dynamic_so_that_it_works_after_a_restart(states: list[State]) -> None:
    made = generation(*(image(state, at) for at, state in enumerate(states)))
    for item in card(made).walk_children():
        assert isinstance(item, discord.ui.DynamicItem) or not item.is_dispatchable()
