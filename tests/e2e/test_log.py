"""The log of the real process as JSON, and the example of docs/operating.md beside it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from sandbox.bot_process import LINE_MAX_CHARACTERS
from tests.e2e.running_bot import RunningBot, gallery, open_bot

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "operating.md"
LINE = "{time} {level:7s} {logger}: {message}"


def block(form: str) -> list[str]:
    """The lines of an example in docs/operating.md."""
    found = re.search(rf"<!-- log: {form} -->\n```\w*\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
    assert found is not None
    return found[1].splitlines()


def without_values(line: str) -> str:
    """Replace what differs from run to run: times, ids, durations and names of tasks."""
    return re.sub(r"\d+", "0", re.sub(r"task [\w-]+", "task t", re.sub(r"[\d-]+[T ][\d:.,]+Z?", "time", line)))


def objects(log: Path) -> list[dict[str, Any]]:
    """The lines of a log, which are objects all. The sandbox cuts long ones, which only libraries have."""
    lines = [line for line in log.read_text("utf-8").splitlines() if not line.startswith("[sandbox]")]
    assert {line[0] for line in lines} == {"{"}
    return [json.loads(line) for line in lines if len(line) < LINE_MAX_CHARACTERS]


async def lines_of(bot: RunningBot, log: Path, generation_id: int, last: str) -> list[dict[str, Any]]:
    """The lines with the correlation id of a generation above DEBUG, once there is one with *last*."""

    def found() -> list[dict[str, Any]] | None:
        ours = [line for line in objects(log) if line.get("correlation") == str(generation_id)]
        ours = [line for line in ours if line["level"] != "DEBUG"]
        return ours if any(last in line["message"] for line in ours) else None

    return await bot.box.discord.actor("mira").wait_for(found)


async def test_the_log_of_a_request_is_the_documents_example_as_json_and_as_text(tmp_path: Path) -> None:
    log = tmp_path / "bot.log"
    async with open_bot(tmp_path, LOG_FORMAT="json", LOG_LEVEL="DEBUG") as bot:
        asked = await bot.imagine("mira", prompt="a canary in a coal mine")
        assert len(gallery(await bot.card("mira", asked))) == 1
        lines = await lines_of(bot, log, asked, "delivered")
        await bot.box.bot.stop()
    every = objects(log)
    assert {line["logger"] for line in every} >= {"qwen_imagine", "qwen_imagine.qwen", "discord.http", "discord.client"}
    for words in ("post task ", "poll task ", "Webhook ID "):
        made = [line for line in every if words in line["message"]]
        assert made and {line.get("correlation") for line in made} == {str(asked)}, words
    assert not any("correlation" in line for line in every if line["logger"].startswith("qwen_imagine.gateway"))
    secrets = (bot.box.discord.token, bot.box.images.key, "a canary")
    assert not any(secret in str(line) for line in every for secret in secrets)

    texts = [LINE.format(**line) for line in lines]
    assert list(map(without_values, texts)) == list(map(without_values, block("text")))
    (example,) = block("json")
    assert without_values(json.dumps(lines[2])) == without_values(example)
    assert (json.loads(example)["generation"], lines[2]["image"]) == ("1512345678901234567", 0)
