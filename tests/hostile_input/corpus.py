"""Hostile strings, and a hypothesis strategy for more of them."""

from __future__ import annotations

from hypothesis import strategies as st

FAMILY = "👨‍👩‍👧‍👦"

STRINGS = (
    "\x00",
    "a\x00b",
    "\ud800",
    "half \udfff a character",
    "\ud83d\ude00",  # a surrogate pair, which Python keeps as two code points
    "\uffff\ufffe\ufdd0",
    "\u202ereversed\u202c",
    "\u200b\u200d\ufeff",
    "\x1b[2J\x1b]0;title\x07\x9b31m",
    "line\r\n2026-01-01 00:00:00,000 ERROR   qwen_imagine: forged",
    "\u2028forged\u2029\x85",
    "%s %d %(x)s {0} {x!r} %n",
    "'; DROP TABLE generations; --",
    "' OR '1'='1",
    "\\' \\\" \\",
    ":param $1 ? %% pg_sleep(1)",
    "{{7*7}} ${jndi:ldap://x} <script>alert(1)</script>",
    "@everyone @here <@1> <@&1> <#1> </x:1> <id:guide>",
    "@\u200beveryone @\u2060here",
    "[free](https://evil.example) <https://evil.example> discord.gg/evil",
    "``` ` ~~ ** __ || > # -# - 1. ||||",
    "**" * 500,
    "<@1>" * 400,
    "\n" * 2000,
    " " * 1999 + "x",
    "x" * 2000,
    "\\" * 2000,
    "ﷺ" * 2000,  # one very wide character
    FAMILY * 285,
    "e" + "\u0301" * 1999,
    "𒐫𒈙⸻꧅" * 500,
    "\U0010ffff" * 2000,
    "../../../etc/passwd",
    "CON.png",
    "٣٤٥",
    "NaN",
    "null",
    "0x10",
    "1e309",
    "-0",
    "True",
    '{"prompt": "x", "callback_url": "https://evil.example"}',
    "-1",
    "İıſKfi",
    "ｆｕｌｌ　ｗｉｄｔｈ",
)

# Any text that a JSON parser can return, lone surrogates included.
ANY_TEXT = st.one_of(
    st.sampled_from(STRINGS),
    st.text(st.characters(), max_size=200),
    st.lists(st.sampled_from([*STRINGS[:24], "a", " ", "😀"]), max_size=6).map("".join),
)

# Values of wrong types for a string or a number.
ODD_VALUES: tuple[object, ...] = (
    None,
    True,
    0,
    -1,
    2**31,
    2**63,
    2**64,
    -(2**63) - 1,
    10**400,
    1.5,
    float("inf"),
    float("nan"),
    [],
    {},
    [[]],
    {"a": {"b": []}},
    "",
    *STRINGS[:6],
)
