"""/privacy: what is kept, a copy of it, and its deletion after a question; always private."""

from __future__ import annotations

import json
from typing import Any

import pytest

from credits.allowance import CreditPeriod
from tests.cogs.scene import Scene, private_words, words
from tests.cogs.test_history import history, keep, make
from ui.interactions.privacy import DeletionButton
from ui.views.cards_privacy import build_confirmation


async def run(scene: Scene, name: str, person: Any = None) -> Any:
    """Return the private response; with a *person*: in their direct messages."""
    if person is not None:
        return await person.slash(f"privacy {name}")
    result = await scene.alice.slash(scene.channel, f"privacy {name}")
    assert result.response is not None and result.response.ephemeral
    return result


async def test_privacy_show_gives_what_is_kept_in_numbers(scene: Scene) -> None:
    await make(scene, count=2)
    await scene.services.people.change(scene.alice.id, private=False)
    said = words((await run(scene, "show")).response)
    assert "**1 prompt** with options" in said and "2 images made of them" in said
    assert "After 365 days the words and links go by themselves." in said
    assert "**5 entries**" in said and "**Your settings**" in said
    assert "privacy policy" not in said


@pytest.mark.scene(retention_days=0, privacy_url="https://example.com/privacy")
async def test_privacy_show_names_the_policy_and_that_nothing_goes_by_itself(scene: Scene) -> None:
    said = words((await run(scene, "show")).response)
    assert "Kept until you have it deleted." in said
    assert "[privacy policy](<https://example.com/privacy>)" in said


async def test_privacy_show_makes_no_account_for_an_unknown_person(scene: Scene) -> None:
    said = words((await run(scene, "show")).response)
    assert "**0 prompts**" in said and "No settings" in said and "**0 entries**" in said


async def test_an_export_is_a_private_file(scene: Scene) -> None:
    await make(scene, "mine, “ünï”")
    await make(scene, "not mine", scene.bob)
    result = await run(scene, "export")
    assert words(result.response) == "Everything the bot keeps of you."
    (file,) = result.response.attachments
    content = json.loads(await file.read())
    assert file.filename == "qwen-imagine.json"
    assert [one["prompt"] for one in content["generations"]] == ["mine, “ünï”"]


async def test_an_export_names_links_that_are_left_out_and_the_question_names_kept_images(
    scene: Scene,
) -> None:
    await make(scene)
    await keep(scene)
    assert "Links to images that could not be posted are left out" in words((await run(scene, "export")).response)
    assert "what they cost does not come back" in words((await run(scene, "delete")).response)


async def test_declining_the_deletion_deletes_nothing(scene: Scene) -> None:
    await make(scene)
    asked = await run(scene, "delete")
    await scene.alice.click(asked.response, label="Keep it")
    assert "Nothing was deleted" in words(asked.response)
    assert "a lighthouse" in words((await history(scene)).response)


async def test_a_deletion_removes_prompts_history_and_settings_and_leaves_the_credits(scene: Scene) -> None:
    await make(scene)
    await scene.services.people.change(scene.alice.id, private=True)
    asked = await run(scene, "delete")
    assert "Delete everything the bot keeps of you?" in words(asked.response)
    await scene.restart()
    await scene.alice.click(asked.response, label="Delete everything")
    said = words(asked.response)
    assert "Deleted: 1 prompt" in said and "45 credits" in said and "<t:" in said
    assert "No images yet" in words((await history(scene)).response)
    assert "No settings" in words((await run(scene, "show")).response)
    assert (await scene.balance(scene.alice)).available == 45
    assert await scene.ledger_is_sound()


@pytest.mark.scene(allowance=20, period=CreditPeriod.NEVER)
async def test_after_a_deletion_credits_that_are_given_once_are_kept(scene: Scene) -> None:
    await make(scene)
    asked = await run(scene, "delete")
    await scene.alice.click(asked.response, label="Delete everything")
    assert "given once here, so they stay" in words(asked.response)
    await scene.services.privacy.run_maintenance()
    assert (await scene.balance(scene.alice)).available == 15


async def test_nothing_is_deleted_while_an_image_is_being_made(scene: Scene) -> None:
    await scene.imagine()
    asked = await run(scene, "delete")
    refused = await scene.alice.click(asked.response, label="Delete everything")
    assert "1 image of yours is still under way" in private_words(refused)
    assert (await scene.balance(scene.alice)).held == 5


async def test_buttons_of_an_erased_generation_are_refused_with_a_sentence(scene: Scene) -> None:
    card = await make(scene)
    asked = await run(scene, "delete")
    await scene.alice.click(asked.response, label="Delete everything")
    for label in ("Again", "Details"):
        assert "no longer knows this image" in private_words(await scene.alice.click(card.response, label=label))
    assert (await scene.balance(scene.alice)).available == 45


async def test_it_works_in_the_bots_dm_and_for_a_user_install(scene: Scene) -> None:
    carol = scene.env.create_user("carol")
    for user_install, person in ((False, carol), (True, None)):
        scene.completer.user_install = user_install
        for name, said in (("show", "What the bot keeps"), ("export", "Everything"), ("delete", "Delete everything")):
            assert said in words((await run(scene, name, person)).response)


@pytest.mark.parametrize("name", ["show", "export"])
async def test_after_a_database_fault_the_person_is_told_privately(scene: Scene, name: str) -> None:
    scene.database.failures = 1
    assert "failed" in private_words(await scene.alice.slash(scene.channel, f"privacy {name}"))


async def test_after_a_database_fault_nothing_is_deleted(scene: Scene) -> None:
    await make(scene)
    asked = await run(scene, "delete")
    scene.database.failures = 1
    assert "failed" in private_words(await scene.alice.click(asked.response, label="Delete everything"))
    assert "a lighthouse" in words((await history(scene)).response)


def test_the_question_stays_within_discords_limits() -> None:
    view = build_confirmation([DeletionButton("delete"), DeletionButton("keep")])
    assert view.content_length() <= 4000 and view.total_children_count <= 40
