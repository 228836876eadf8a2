"""Read generations and images from the database after a run, without product code, for the invariants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from generations.model import Ending, State
from tests.simulation.fake_discord import Interaction

if TYPE_CHECKING:
    from tests.simulation.run import Run


@dataclass(frozen=True, slots=True)
class ImageRow:
    """One row of images, with its user and generation."""

    key: str  # "<number of the request>-<position>": its name in the simulated image API
    id: str
    state: State
    ending: Ending | None
    detail: str
    task_id: str | None
    due_at_ms: int | None
    user_id: int
    generation_id: int
    position: int


@dataclass(frozen=True, slots=True)
class GenerationRow:
    id: int
    message_id: int | None
    revision: int
    published_revision: int
    private: bool
    interaction: Interaction
    images: tuple[ImageRow, ...]


def read_rows(run: Run) -> list[GenerationRow]:
    found: list[GenerationRow] = []
    ask = run.environment.disk.ask
    for row in ask(
        "SELECT id, message_id, revision, published_revision, private, user_id FROM generations ORDER BY id"
    ):
        interaction = run.environment.discord.interactions[row[0]]
        rows = ask(
            "SELECT position, state, ending, ending_detail, task_id, due_at_ms FROM images"
            " WHERE generation_id = ? ORDER BY position",
            row[0],
        )
        images = tuple(
            ImageRow(
                f"{interaction.request}-{position}", f"{row[0]}-{position}", State(state), ending and Ending(ending),
                detail or "", task_id, due, row[5], row[0], position,
            )
            for position, state, ending, detail, task_id, due in rows
        )  # fmt: skip
        found.append(GenerationRow(row[0], row[1], row[2], row[3], bool(row[4]), interaction, images))
    return found
