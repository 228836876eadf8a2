"""Prompts are escaped before they are shown."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ui.texts.escaping import ALT_TEXT_MAX, FILE_STEM_MAX, NO_VISIBLE_TEXT, alt_text, escape, file_stem

LIMIT = 300
FAMILY = "👨‍👩‍👧‍👦"
# All of Discord's Markdown, joined in any order.
PIECES = st.sampled_from(
    [
        *(
            "*",
            "**",
            "_",
            "__",
            "~~",
            "`",
            "```",
            "||",
            "\\",
            "> ",
            ">>> ",
            "# ",
            "-# ",
            "- ",
            "1. ",
            "[x](",
            ")",
            "<@1>",
        ),
        *(
            "<@!1>",
            "<@&1>",
            "<#1>",
            "<t:1:R>",
            "<:a:1>",
            "</x:1>",
            "<id:guide>",
            "@everyone",
            "@here",
            "https://a.example",
        ),
        *(
            "discord.gg/abc",
            "<https://a.example>",
            "\n",
            "\u202e",
            "\u200b",
            "\u200d",
            "\ufeff",
            "é",
            "字",
            "👍🏽",
            FAMILY,
            " ",
        ),
        *(
            "\u0301",
            "\u3164",
            "\ufe0f",
            "\U0001f3f4",
            "\U000e0067",
            "\U0001f1e9",
            "\U0001f1ea",
            "word",
            "\x00",
            "\u2800",
        ),
    ]
)
HOSTILE = st.one_of(st.text(max_size=400), st.lists(PIECES, max_size=60).map("".join))


def units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def rendered(shown: str) -> str:
    """Return what a reader sees of escaped text; assert that it has no unescaped Markdown."""
    parts = re.findall(r"\\[^0-9A-Za-z\s]|[^\\]", shown, re.DOTALL)
    assert "".join(parts) == shown, "a backslash that escapes nothing"
    assert not any(part in "*_~|`<>[]()@:/#" for part in parts), "Markdown that is not escaped"
    return "".join(part[-1] for part in parts)


@given(HOSTILE, st.integers(20, 400))
def test_any_prompt_becomes_one_escaped_visible_line_within_the_limit(text: str, limit: int) -> None:
    shown = escape(text, limit)
    assert 0 < units(shown) <= limit
    if shown != NO_VISIBLE_TEXT:
        rendered(shown)
    assert shown.strip() == shown
    assert not any(unicodedata.category(character) in ("Cc", "Cs", "Co", "Zl", "Zp") for character in shown)
    hidden = {character for character in shown if unicodedata.category(character) == "Cf"}
    assert all(character == "\u200d" or "\U000e0020" <= character <= "\U000e007f" for character in hidden)


@given(HOSTILE)
def test_no_prompt_can_ping_link_or_start_a_block(text: str) -> None:
    shown = escape(text, LIMIT)
    assert not re.search(r"@everyone|@here|(?<!\\)<|https?://|\]\(|discord\.gg/", shown)
    assert not re.match(r"[-+>#]|\d+\.", shown)


@given(HOSTILE)
@example("🌀\u200d`")  # a backtick is a modifier symbol to Unicode, as skin tones are
def test_joiners_stay_only_inside_emoji(text: str) -> None:
    for left, right in re.findall("(.)\u200d(.?)", escape(text, LIMIT), re.DOTALL):
        assert unicodedata.category(right or "x") == "So" or is_skin_tone(right)
        assert unicodedata.category(left) in ("So", "Mn") or is_skin_tone(left)


def is_skin_tone(character: str) -> bool:
    return "\U0001f3fb" <= character <= "\U0001f3ff"


@given(HOSTILE)
def test_the_alt_text_is_one_plain_line_within_discords_limit(text: str) -> None:
    description = alt_text(text * 10)
    assert 0 < units(description) <= ALT_TEXT_MAX
    assert "\n" not in description
    assert "\u202e" not in description


@given(HOSTILE, st.integers(0, 2_147_483_647))
def test_a_file_stem_is_short_ascii_and_ends_with_the_seed(text: str, seed: int) -> None:
    stem = file_stem(text, seed)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", stem)
    assert len(stem) <= FILE_STEM_MAX
    assert stem.endswith(f"-{seed}")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a lighthouse in a storm, oil on canvas", "a lighthouse in a storm, oil on canvas"),
        ("**bold** and _it_", r"\*\*bold\*\* and \_it\_"),
        ("[free](https://a.example)", r"\[free\]\(https\:\/\/a.example\)"),
        ("hi @everyone <@1>", r"hi ＠everyone \<\@1\>"),
        ("@\u200beveryone", "＠everyone"),
        ("-# small", r"\-\# small"),
        ("1. list", r"1\. list"),
        ("10 – a score", "10 – a score"),
        ("one\n\ntwo\tthree", "one two three"),
        ("\u202egnp.exe", "gnp.exe"),
        ("a\u200bb\ufeffc", "abc"),
        ("../../x", r"..\/..\/x"),
        ("x", "x"),
        ("ends with a backslash \\", r"ends with a backslash \\"),
        ("Z" + "\u0301" * 50 + "algo", "Z" + "\u0301" * 4 + "algo"),
        ("หนึ่ง नमस्ते", "หนึ่ง नमस्ते"),
        (f"{FAMILY} 👍🏽 🇩🇪 ❤️‍🔥", f"{FAMILY} 👍🏽 🇩🇪 ❤️‍🔥"),
        ("🏴\U000e0067\U000e0062\U000e007f flag", "🏴\U000e0067\U000e0062\U000e007f flag"),
        ("a\U000e0067\U000e0062b", "ab"),
        ("\u0301orphan", "orphan"),
    ],
)
def test_a_prompt_is_rendered_exactly_as_typed(text: str, shown: str) -> None:
    assert escape(text, LIMIT) == shown


@pytest.mark.parametrize("text", ["", "\n\n\n", " \t ", "\u200b\u200d\u2060", "\u3164\u2800", "\u202e", "\u0301"])
def test_a_prompt_of_invisible_characters_says_so(text: str) -> None:
    assert escape(text, LIMIT) == NO_VISIBLE_TEXT
    assert alt_text(text) == NO_VISIBLE_TEXT


def test_two_thousand_emoji_are_cut_between_emoji() -> None:
    shown = escape(FAMILY * 285, LIMIT)
    assert shown.endswith("…")
    assert set(shown.removesuffix("…").split(FAMILY)) == {""}


@given(st.integers(10, 60))
def test_a_cut_never_leaves_half_an_escape(limit: int) -> None:
    shown = escape("*" * 100, limit)
    assert rendered(shown) == "*" * ((limit - 1) // 2) + "…"


@pytest.mark.parametrize(
    ("prompt", "stem"),
    [
        ("A lighthouse in a storm, oil on canvas", "a-lighthouse-in-a-storm-oil-on-canvas-42"),
        ("../../etc/passwd", "etc-passwd-42"),
        ("con", "con-42"),
        ("灯台", "image-42"),
        ("Crème brûlée", "creme-brulee-42"),
        ("x" * 100, "x" * 37 + "-42"),
    ],
)
def test_a_file_is_named_after_the_first_words_and_the_seed(prompt: str, stem: str) -> None:
    assert file_stem(prompt, 42) == stem
