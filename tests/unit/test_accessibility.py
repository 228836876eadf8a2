"""Cards and files for people who use a screen reader, see no colours, or use another operating system."""

from __future__ import annotations

import itertools
import re
import unicodedata

import discord
import pytest
from hypothesis import given
from hypothesis import strategies as st

from generations.model import MADE, RETURNED, Ending, Estimate, Generation, Line, Progress, State
from images.reencoded_image import ReencodedImage
from qwen.models import SEED_MAX, OutputFormat
from tests.unit.test_cards import NOW_MS, READY, card, generation, image, lines, parts
from ui.texts import admin as texts_admin
from ui.texts import buttons as texts_buttons
from ui.texts import card as texts
from ui.texts import help as texts_help
from ui.texts import history as texts_history
from ui.texts import places as texts_places
from ui.texts import privacy as texts_privacy
from ui.texts import settings as texts_settings
from ui.views.cards import plain_text
from ui.views.file_names import Reencoding, file_name, reencoding_in

LINE = Progress(line=Line(3, 1, 3, 2, 40))
SIGNS = "▰▱✓▸"  # beside words that say the same
STEPS = Progress(estimate=Estimate(NOW_MS, None, None, None), shows_steps=True)
HALF = Progress(estimate=Estimate(NOW_MS, 0.5, (12, 18), NOW_MS))


def every_state() -> dict[str, tuple[Generation, Progress, dict[int, str]]]:
    """Return one card for each state and ending."""
    cards: dict[str, tuple[Generation, Progress, dict[int, str]]] = {
        "waiting": (generation(image(State.REQUESTED)), LINE, {}),
        "being sent": (generation(image(State.SUBMITTING)), Progress(), {}),
        "being made": (generation(image(State.RUNNING)), HALF, {}),
        "being sent, by steps": (generation(image(State.SUBMITTING)), STEPS, {}),
        "being made, by steps": (generation(image(State.RUNNING)), STEPS, {}),
        "being posted, by steps": (generation(image(State.SUCCEEDED, **READY)), STEPS, {}),
        "being posted": (generation(image(State.SUCCEEDED, **READY)), Progress(), {}),
        "ready": (generation(image(State.DELIVERED, **READY)), Progress(), {0: "attachment://a-42.png"}),
        "kept": (generation(image(State.UNDELIVERED, **READY)), Progress(), {}),
    }
    for ending in Ending:
        state = State.CANCELLED if ending is Ending.CANCELLED else State.FAILED
        cards[f"ended: {ending}"] = (generation(image(state, ending=ending, ending_detail="a reason")), Progress(), {})
    return cards


def words(made: Generation, progress: Progress, attached: dict[int, str]) -> str:
    return "\n".join(lines(card(made, progress, attached=attached)))


# ---- colour and emoji -----------------------------------------------------------------------------------------------


def test_no_two_states_differ_by_colour_or_emoji_alone() -> None:
    """The text of a card differs between any two states."""
    said = {name: re.sub(r"[^\w ]", "", words(*made)) for name, made in every_state().items()}
    for one, other in itertools.combinations(said, 2):
        assert said[one] != said[other], (one, other)


@pytest.mark.parametrize("name", every_state())
def test_no_card_needs_an_emoji(name: str) -> None:
    made, progress, attached = every_state()[name]
    for part in parts(card(made, progress, attached=attached)):
        assert "emoji" not in part or part["emoji"] is None
        assert part["type"] != discord.ComponentType.button.value or re.search(r"\w", part["label"])
    assert not [c for c in words(made, progress, attached) if unicodedata.category(c) == "So" and c not in SIGNS]


def test_the_words_beside_the_bar_hold_all_that_it_shows() -> None:
    """Screen readers spell emoji out or skip them."""
    (painting,) = [line for line in lines(card(*every_state()["being made"][:2])) if "Painting" in line]
    plain = painting.translate({ord("▰"): None, ord("▱"): None}).strip()
    assert re.fullmatch(r"Painting · usually 12–18 s · ready <t:\d+:R>", plain)


def test_without_its_signs_a_card_with_steps_says_in_words_what_is_past_and_what_comes() -> None:
    names = [f"being {name}, by steps" for name in ("sent", "made", "posted")]
    said = [words(*every_state()[name]).translate({ord(sign): None for sign in SIGNS}) for name in names]
    assert "Sending… · then painting" in said[0]
    assert re.search(r"Taken +Painting · begun <t:\d+:R> · then fetching · then posting", said[1])
    assert re.search(r"Taken +Painted +Fetched +Posting", said[2])


def test_no_sentence_of_the_bot_holds_an_emoji_or_shouts() -> None:
    everything = (
        texts,
        texts_admin,
        texts_buttons,
        texts_help,
        texts_history,
        texts_places,
        texts_privacy,
        texts_settings,
    )
    for module in everything:
        for name, value in vars(module).items():
            if name.isupper() and isinstance(value, str):
                signs = [c for c in value if unicodedata.category(c) == "So" and c not in SIGNS]
                assert not signs, (module.__name__, name)
                assert "!" not in value, (module.__name__, name)
                assert not re.search(r"<a?:\w+:\d+>", value), (module.__name__, name)


# ---- order and alt text ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", every_state())
def test_a_card_lists_request_then_result_then_small_print(name: str) -> None:
    told = lines(card(every_state()[name][0], every_state()[name][1], attached=every_state()[name][2], last_word=True))
    assert told[0] == "**a lighthouse in a storm**"
    small = [line.startswith("-# ") for line in told]
    assert small == sorted(small), "small print comes last"
    assert told[-1].startswith("-# 1024×1536")


@pytest.mark.parametrize("name", every_state())
def test_a_card_has_images_first_then_text_then_buttons(name: str) -> None:
    made, progress, attached = every_state()[name]
    (container,) = card(made, progress, attached=attached).to_components()
    kinds = [part["type"] for part in container["components"]]
    gallery, text, row = (
        discord.ComponentType.media_gallery.value,
        discord.ComponentType.text_display.value,
        discord.ComponentType.action_row.value,
    )
    order = {gallery: 0, text: 1, row: 2}
    assert kinds == sorted(kinds, key=order.__getitem__)


@given(st.text(min_size=1, max_size=2000).filter(str.strip), st.integers(1, 4))
def test_every_image_has_a_description(prompt: str, count: int) -> None:
    images = (image(State.DELIVERED, position, **READY) for position in range(count))
    attached = {position: f"attachment://{position}.png" for position in range(count)}
    for part in parts(card(generation(*images, prompt=prompt), attached=attached)):
        if part["type"] == discord.ComponentType.media_gallery.value:
            assert all(1 <= len(item["description"]) <= 1024 for item in part["items"])


def test_times_are_discord_timestamps() -> None:
    told = words(*every_state()["being made"])
    assert "<t:" in told and "UTC" not in told


# ---- what this issue adds to cards ----------------------------------------------------------------------------------


def reencoded(count: int) -> dict[int, str]:
    return {position: f"attachment://a-{42 + position}-1040x1560-768x1152.webp" for position in range(count)}


def test_a_card_says_which_of_its_images_were_made_smaller() -> None:
    images = [image(State.DELIVERED, position, **READY) for position in range(3)]
    attached = reencoded(2) | {2: "attachment://a-44.png"}
    told = lines(card(generation(*images), attached=attached))
    assert "-# Images 1 and 2: Re-encoded to fit: webp, 1040×1560 → 768×1152" in told


def test_where_only_the_format_changed_it_names_one_size() -> None:
    told = lines(card(generation(image(State.DELIVERED, **READY)), attached={0: "attachment://a-42-1024x1536.jpg"}))
    assert "-# Re-encoded to fit: jpeg, 1024×1536" in told


@pytest.mark.parametrize("linked", range(5))
def test_the_longest_card_and_the_longest_message_keep_to_discords_limits(linked: int) -> None:
    images = [image(State.SUCCEEDED, position, SEED_MAX - 10, **READY) for position in range(4)]
    made = generation(*images, prompt="[*" * 1000)
    names = {p: f"{'x' * 40}-{SEED_MAX - 10 + p}-6553{p}x6553{p}-16000x16000.webp" for p in range(linked, 4)}
    urls = {p: f"https://x.example/{p}" + "y" * 570 for p in range(linked)}
    attached = {p: f"attachment://{name}" for p, name in names.items()}
    told = lines(card(made, attached=attached, linked=urls, last_word=True))
    assert sum(len(line) + 1 for line in told) <= 4000
    assert len(plain_text(made, urls, names)) <= 2000


# ---- file names -----------------------------------------------------------------------------------------------------

RESERVED = re.compile(r"(?i)^(con|prn|aux|nul|com\d|lpt\d|clock\$)(\.|$)")  # on Windows, with any ending


ODD_PROMPTS = ["CON", "nul", "../../x", "a.exe", "-rf", ".", "aux.png", "~", "42-768x1152.webp", "42-1x1-768x1152.webp"]
AFTER = st.integers(1, 16_383)
BEFORE = st.tuples(st.integers(1, 65_535), st.integers(1, 65_535))  # a quarter of each side may have 16,383 pixels
SMALLER = st.builds(ReencodedImage, st.just(b""), st.sampled_from(list(OutputFormat)), AFTER, AFTER, BEFORE)


@given(
    prompt=st.one_of(st.text(min_size=1, max_size=300), st.sampled_from(ODD_PROMPTS)),
    seed=st.integers(0, SEED_MAX),
    spoiler=st.booleans(),
    smaller=st.one_of(st.none(), SMALLER),
)
def test_file_names_are_safe_on_every_system(
    prompt: str, seed: int, spoiler: bool, smaller: ReencodedImage | None
) -> None:
    made = generation(image(State.DELIVERED, seed=seed, **READY), prompt=prompt or "x", spoiler=spoiler)
    name = file_name(made, made.images[0], smaller)
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*\.(jpg|png|webp)", name)
    assert not RESERVED.match(name) and len(name) <= 80
    assert name.count(".") == 1, "no second ending"


@given(st.integers(0, SEED_MAX), AFTER, AFTER, BEFORE, st.booleans(), st.text(max_size=50))
def test_the_reencoding_is_read_from_a_file_name(
    seed: int, width: int, height: int, before: tuple[int, int], format_only: bool, prompt: str
) -> None:
    made = generation(image(State.DELIVERED, seed=seed, **READY), prompt=prompt or "x")
    after = (width, height)
    smaller = ReencodedImage(b"", OutputFormat.WEBP, width, height, after if format_only else before)
    found = reencoding_in(file_name(made, made.images[0], smaller), seed)
    assert found == Reencoding(OutputFormat.WEBP, after if format_only else before, after)
    assert reencoding_in(file_name(made, made.images[0]), seed) is None


def test_the_files_of_one_card_have_different_names() -> None:
    made = generation(*(image(State.DELIVERED, position, **READY) for position in range(4)), prompt="x" * 300)
    assert len({file_name(made, one) for one in made.images}) == 4


def test_the_cases_cover_every_state() -> None:
    """every_state() has every state and ending."""
    shown = {one.state for made, _, _ in every_state().values() for one in made.images}
    assert shown >= MADE | {State.REQUESTED, State.SUBMITTING, State.RUNNING}
    assert shown & RETURNED
