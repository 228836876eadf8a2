"""/settings: every list; values are kept over restarts; always private."""

from __future__ import annotations

from typing import Any

from people.model import Language, Ping, Preferences
from qwen.models import OutputFormat, Size
from tests.cogs.scene import Scene, private_words, words
from tests.cogs.test_buttons import newest
from tests.cogs.test_forms import chosen, unchanged
from tests.cogs.test_history import plain
from ui.interactions.preferences import PreferenceList
from ui.views.cards_settings import build_settings


async def opened(scene: Scene) -> Any:
    result = await scene.alice.slash(scene.channel, "settings")
    assert result.response is not None and result.response.ephemeral
    return result


def picked(message: Any) -> dict[str, str]:
    """Return the value that each list marks as picked."""
    (container,) = plain(message)
    lists = [row["components"][0] for row in container["components"] if row["type"] == 1]
    return {one["custom_id"]: option["value"] for one in lists for option in one["options"] if option.get("default")}


async def test_without_preferences_the_defaults_are_marked(scene: Scene) -> None:
    shown = (await opened(scene)).response
    assert "Your settings" in words(shown) and "What you type there wins" in words(shown)
    assert picked(shown) == {
        "settings:size": "1024*1024",
        "settings:format": "jpeg",
        "settings:private": "no",
        "settings:ping": "slow",
        "settings:language": "discord",
    }


async def test_a_picked_value_is_saved_marked_and_kept_over_a_restart(scene: Scene) -> None:
    result = await opened(scene)
    picks = {"size": "768*1024", "format": "webp", "private": "yes", "ping": "always", "language": "en"}
    for name, value in picks.items():
        await scene.restart()
        pressed = await scene.alice.select(result.response, [value], custom_id=f"settings:{name}")
        assert pressed.followups == []
    assert picked(result.response) == {f"settings:{name}": value for name, value in picks.items()}
    assert await scene.services.people.defaults_for(scene.alice.id) == Preferences(
        Size.PORTRAIT_SMALL, OutputFormat.WEBP, True, Ping.ALWAYS, Language.ENGLISH
    )
    assert await scene.services.people.defaults_for(scene.bob.id) == Preferences()


async def test_it_works_in_the_bots_dm(scene: Scene) -> None:
    carol = scene.env.create_user("carol")
    result = await carol.slash("settings")
    await carol.select(result.response, ["never"], custom_id="settings:ping")
    assert (await scene.services.people.defaults_for(carol.id)).ping is Ping.NEVER


async def test_settings_work_for_a_user_install(scene: Scene) -> None:
    scene.completer.user_install = True
    result = await opened(scene)
    await scene.alice.select(result.response, ["png"], custom_id="settings:format")
    assert picked(result.response)["settings:format"] == "png"


async def test_a_value_that_is_not_in_the_list_changes_nothing(scene: Scene) -> None:
    result = await opened(scene)
    for value in ("4096*4096", "", "x" * 100, "\ud800"):
        scene.completer.change = lambda payload, value=value: payload["data"].update(values=[value])
        refused = await scene.alice.select(result.response, ["768*1024"], custom_id="settings:size")
        assert "not on the list" in private_words(refused), value
    assert await scene.services.people.defaults_for(scene.alice.id) == Preferences()


async def test_a_slow_database_is_waited_for(scene: Scene) -> None:
    result = await opened(scene)
    scene.database.delays = [1.2]
    await scene.alice.select(result.response, ["png"], custom_id="settings:format")
    await scene.env.advance_time(2)
    assert picked(result.response)["settings:format"] == "png"


async def test_after_a_database_fault_the_person_is_told_and_nothing_is_changed(scene: Scene) -> None:
    result = await opened(scene)
    scene.database.failures = 1
    refused = await scene.alice.select(result.response, ["png"], custom_id="settings:format")
    assert "failed" in private_words(refused)
    assert picked(result.response)["settings:format"] == "jpeg"


def test_the_view_stays_within_discords_limits() -> None:
    view = build_settings(Preferences(), PreferenceList)
    assert view.content_length() <= 4000 and view.total_children_count <= 40
    assert all(item.is_persistent() for item in view.walk_children() if item.is_dispatchable())


# ---- as the defaults of /imagine ---------------------------------------------------------------------------------


async def choose(scene: Scene, **picks: Any) -> None:
    await scene.services.people.change(scene.alice.id, **picks)


async def test_left_out_options_come_from_the_preferences_and_given_ones_win(scene: Scene) -> None:
    await choose(scene, size=Size.PORTRAIT, format=OutputFormat.WEBP, private=True)
    result = await scene.imagine()
    assert result.response is not None and result.response.ephemeral
    request = (await scene.only_generation()).request
    assert (request.size, request.format, request.private) == (Size.PORTRAIT, OutputFormat.WEBP, True)
    result = await scene.imagine(size="1024*1024", format="jpeg", private=False)
    assert result.response is not None and not result.response.ephemeral
    request = (await scene.only_generation()).request
    assert (request.size, request.format, request.private) == (Size.SQUARE, OutputFormat.JPEG, False)


async def test_preferences_apply_to_their_person_alone(scene: Scene) -> None:
    await choose(scene, private=True)
    result = await scene.bob.slash(scene.channel, "imagine", prompt="for all to see")
    assert result.response is not None and not result.response.ephemeral


async def test_where_preferences_load_too_slowly_imagine_is_refused_and_not_public(scene: Scene) -> None:
    await choose(scene, private=True)
    scene.database.delays = [1.6]
    result = await scene.imagine()
    await scene.env.advance_time(2)
    assert "slow just now" in private_words(result) and scene.posts() == []
    assert (await scene.balance(scene.alice)).available == 50


async def test_where_preferences_can_not_be_loaded_nothing_is_charged(scene: Scene) -> None:
    scene.database.failures = 1
    assert "Nothing was charged." in private_words(await scene.imagine())
    assert (await scene.balance(scene.alice)).held == 0


async def test_the_form_of_imagine_this_starts_with_the_preferences(scene: Scene) -> None:
    await choose(scene, size=Size.PORTRAIT, format=OutputFormat.PNG, private=True)
    message = await scene.bob.send(scene.channel, "a fox in the snow")
    shown = await scene.alice.context_menu(scene.channel, "Imagine this", message)
    assert (chosen(shown.modal, "size"), chosen(shown.modal, "format")) == (["1024*1536"], ["png"])
    made = await scene.alice.submit_modal(shown, unchanged())
    assert made.response is not None and made.response.ephemeral
    assert (await newest(scene)).request.private
