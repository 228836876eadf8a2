"""Who may import whom: the arrows of the house point downwards only."""

from __future__ import annotations

from functools import cache

import pytest

from tests.architecture.laws import modules, product

# From the ground up. A module stands on the floor of the longest name here that it is or lies in.
FLOORS = (
    # Pure: values, errors, rules, what the image API says.
    ("backoff", "setting_parsers", "settings", "observability.health", "observability.metrics",
     "observability.redaction", "observability.repeats", "credits.model", "credits.errors",
     "credits.allowance", "generations.model", "generations.circuit", "generations.errors", "generations.prices",
     "generations.poll_schedule", "generations.delivery_result", "generations.search_words",
     "generations.worker.throttle", "generations.worker.progress", "web.limits", "people.model", "processes.model",
     "qwen.models", "qwen.errors", "qwen.protocol", "qwen.answers", "qwen.refusals", "qwen.cleaning",
     "qwen.retry_after", "qwen.addresses", "qwen.public_url", "qwen.service_url", "qwen.image_header",
     "qwen.challenges", "images.shrinking", "limits.words", "limits.model", "limits.errors", "limits.check",
     "reports.model", "reports.errors", "doctor.model",
     "images.provenance", "images.reencoded_image", "discord_api.command_permissions", "discord_api.links",
     "discord_api.guild_removals", "discord_api.shards", "discord_api.snowflakes", "store.address", "store.errors",
     "store.hosts", "charts.usage_report", "charts.labels", "version"),
    # One I/O library a module.
    ("observability", "store", "qwen", "images", "charts", "credits", "limits", "people", "processes",
     "generations.clock", "generations.records", "reports"),
    ("generations", "reports.service", "services.resources"),
    ("generations.worker",),
    ("discord_api",),
    ("ui.texts", "services.use_cases"),
    ("ui.views",),
    ("ui.delivery",),
    ("ui",),
    ("cogs", "doctor", "web", "services", "command_line", "policies"),
    ("bot",),
)  # fmt: skip


@cache
def floor_of(name: str) -> int:
    """The floor of the longest entry of FLOORS that *name* is or lies in."""
    entries = [(entry, floor) for floor, listed in enumerate(FLOORS) for entry in listed]
    matching = [(len(entry), floor) for entry, floor in entries if name == entry or name.startswith(f"{entry}.")]
    assert matching, f"{name} stands on no floor: give it one in FLOORS"
    return max(matching)[1]


def test_a_module_imports_only_its_own_floor_and_those_below() -> None:
    names = {other.name for other in product()}
    for module in product():
        for imported in module.imports & names:
            assert floor_of(imported) <= floor_of(module.name), f"{module.name} reaches up to {imported}"


def test_nothing_imports_the_composition_root() -> None:
    assert [module.name for module in modules() if module.uses("bot")] == []


def test_the_store_imports_nothing_else_of_ours() -> None:
    rooms = {module.room for module in modules()} - {"store"}
    for module in modules():
        if module.room == "store":
            guilty = {name for name in module.imports if name.split(".")[0] in rooms}
            assert not guilty, f"{module.name} imports {guilty}: a feature owns its tables, the store owns none of them"


def test_the_stand_ins_import_nothing_of_the_product() -> None:
    rooms = {module.room for module in product()}
    for module in modules():
        if module.room == "sandbox":
            guilty = {name for name in module.imports if name.split(".")[0] in rooms}
            assert not guilty, f"{module.name} imports {guilty}: both sides would share one misunderstanding"


def test_no_import_goes_round_in_a_circle() -> None:
    names = {module.name for module in modules()}
    graph = {module.name: (module.imports & names) - {module.name} for module in modules()}
    done: set[str] = set()

    def walk(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path, name))
        if name not in done:
            for following in graph[name]:
                walk(following, (*path, name))
            done.add(name)

    for name in graph:
        walk(name, ())


LIBRARIES = {
    "discord": ("cogs", "ui", "discord_api", "bot"),
    "aiohttp": ("qwen", "bot", "web", "sandbox", "scripts", "discord_api.call_tracing"),
    "prometheus_client": ("observability.prometheus",),
    "sqlalchemy": (
        "store",
        "generations.records",
        *("credits.ledger", "credits.records", "credits.accounts", "credits.check", "credits.tables"),
        *("people.records", "people.tables"),
        *("processes.records", "processes.tables"),
        "charts.records",
        *("limits.records", "limits.tables", "limits.usage", "limits.audit", "limits.outbox_records"),
        *("reports.records", "reports.tables"),
    ),
    "alembic": ("store",),
    "PIL": ("sandbox", "images"),
    "matplotlib": ("charts.plot",),
    "re2": ("limits.words",),
}


@pytest.mark.parametrize("library", LIBRARIES)
def test_each_library_stays_in_its_rooms(library: str) -> None:
    rooms = LIBRARIES[library]
    for module in modules():
        if module.uses(library):
            assert any(module.name == room or module.name.startswith(f"{room}.") for room in rooms), (
                f"{module.name} imports {library}, which belongs to {', '.join(rooms)}"
            )
