"""What four people do at the page: every command, button, form and place, told in steps.

Each story is a generator that yields a step's name when the step is done: a driver may keep a picture there, or kill
the bot and start it again. Nothing is carried over a step but what the person still sees.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from scripts.visitor import Visitor
from tests.journeys.members import jonas, mira
from tests.journeys.scene import Scene, Story
from tests.journeys.staff import olga, sam

STORIES: Mapping[str, Callable[[Scene, Visitor], Story]] = {"mira": mira, "jonas": jonas, "sam": sam, "olga": olga}
