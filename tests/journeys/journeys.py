"""What six people do at the page: every command, button, form and kind of channel, in steps.

Each journey is a generator that yields a step's name when the step is done. There the runner takes a screenshot,
and may kill the bot and start it again. A step uses nothing of an earlier one but what the page still shows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from scripts.visitor import Visitor
from tests.journeys.admin import hugo
from tests.journeys.members import ada, jonas, mira
from tests.journeys.scene import Journey, Scene
from tests.journeys.staff import olga, sam

JOURNEYS: Mapping[str, Callable[[Scene, Visitor], Journey]] = {
    "mira": mira,
    "jonas": jonas,
    "sam": sam,
    "olga": olga,
    "ada": ada,
    "hugo": hugo,
}
