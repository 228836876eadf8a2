"""The doctor's table: what people see of findings in a terminal and in a file."""

from __future__ import annotations

import re

from doctor.model import Finding, Level
from doctor.table import write_table
from observability.redaction import Redactor

LINK = "https://discord.com/oauth2/authorize?client_id=5&scope=bot+applications.commands&permissions=274879056896"
FINDINGS = [
    Finding("token", Level.OK, "Discord accepts it."),
    Finding("invite link", Level.OK, "It asks for:", link=LINK),
    Finding("free space", Level.WARN, "Only 200 MiB are free where the SQLite file is.", "Make room before it fills."),
    Finding("API key", Level.FAIL, "The image API refuses sk-canary.", "Create another key."),
]
PLAIN = f"""\
ok    token        Discord accepts it.
ok    invite link  It asks for:
                   {LINK}
warn  free space   Only 200 MiB are free where the SQLite file is.
                   -> Make room before it fills.
FAIL  API key      The image API refuses sk-canary.
                   -> Create another key.

1 FAIL, 1 warn, 2 ok"""


def test_a_file_gets_one_line_a_text_and_no_colour() -> None:
    assert write_table(FINDINGS) == PLAIN


def test_a_terminal_gets_lines_of_its_width_and_the_same_words_in_colour() -> None:
    written = write_table(FINDINGS, width=50)
    assert re.findall(r"\x1b\[(\d+)m(....)\x1b\[0m", written) == [
        *(("32", "ok  "), ("32", "ok  "), ("33", "warn"), ("31", "FAIL"))
    ]
    shown = re.sub(r"\x1b\[\d+m", "", written)
    assert shown.splitlines()[3:6] == [
        "warn  free space   Only 200 MiB are free where the",
        "                   SQLite file is.",
        "                   -> Make room before it fills.",
    ]
    assert LINK in shown


def test_a_very_narrow_terminal_still_gets_words_and_not_letters() -> None:
    longest = max(len(line) for line in write_table(FINDINGS[2:3], width=10).splitlines()[1:])
    assert longest <= 17 + 30


def test_texts_are_masked_and_links_are_whole() -> None:
    masked = write_table(FINDINGS, mask=Redactor(["sk-canary"]).line)
    assert "sk-canary" not in masked and "refuses (secret)." in masked
    assert LINK in masked
