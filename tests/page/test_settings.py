"""What a server's admins set on the page, and every field of a form: by keyboard, at a desk's and a phone's width."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from playwright.async_api import expect

from sandbox.world import Sandbox
from scripts.visitor import Visitor
from tests.page.tiny_bot import TinyBot, card, row, text, text_answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.async_api import FilePayload, Page

    from tests.page.conftest import Visit

pytestmark = pytest.mark.asyncio(loop_scope="session")

OPTIONS = [{"label": name, "value": name.lower(), "description": f"The {name}"} for name in ("One", "Two", "Three")]
FORM: dict[str, Any] = {
    "custom_id": "settings",
    "title": "Settings",
    "components": [
        {"type": 18, "label": "Roles", "description": "Who may", "component": {"type": 6, "custom_id": "roles"}},
        {"type": 18, "label": "Channels", "component": {"type": 8, "custom_id": "places", "max_values": 3}},
        {"type": 18, "label": "Rule", "component": {"type": 21, "custom_id": "rule", "options": OPTIONS}},
        {"type": 18, "label": "Days", "component": {"type": 22, "custom_id": "days", "options": OPTIONS}},
        {"type": 18, "label": "Pause", "component": {"type": 23, "custom_id": "pause", "default": True}},
    ],
}
TOO_WIDE = "it => it.scrollWidth > it.clientWidth + 1"


async def test_a_form_with_every_field_is_filled_by_keyboard_and_sends_their_values(visit: Visit, bot: TinyBot) -> None:
    bot.answer = lambda event: {"type": 9, "data": FORM} if event["type"] == 2 else text_answer("saved", private=True)
    page = await visit(width=390, height=844)
    await _command(page, "credits")
    form = page.get_by_test_id("modal")
    await expect(form.get_by_role("combobox", name="Roles")).to_be_focused()
    assert not await form.evaluate(TOO_WIDE)
    await form.get_by_role("combobox", name="Roles").select_option(label="@Painters")
    await page.get_by_test_id("modal-submit").click()
    await expect(form).to_contain_text("Choose at least 1.")
    await form.get_by_role("group", name="Channels").get_by_role("checkbox").first.focus()
    await page.keyboard.press("Space")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Space")
    await form.get_by_role("group", name="Rule").get_by_role("radio", name="One").focus()
    await page.keyboard.press("ArrowDown")
    await form.get_by_role("group", name="Days").get_by_role("checkbox", name="Three").focus()
    await page.keyboard.press("Space")
    await form.get_by_role("checkbox", name="Pause").focus()
    await page.keyboard.press("Space")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(form).to_be_hidden()
    await expect(page.get_by_test_id("message").last).to_contain_text("saved")
    fields = [part["component"] for part in bot.interactions[-1]["data"]["components"]]
    resolved = bot.interactions[-1]["data"]["resolved"]
    assert [each["name"] for each in resolved["roles"].values()] == ["Painters"]
    assert [each["name"] for each in resolved["channels"].values()] == ["gallery", "studio"]
    assert [field.get("value", field.get("values")) for field in fields[2:]] == ["two", ["three"], False]


async def test_selects_of_a_message_offer_their_kind_and_send_what_is_picked(visit: Visit, bot: TinyBot) -> None:
    selects = [
        {"type": 5, "custom_id": "who", "placeholder": "Who", "max_values": 2, "min_values": 0},
        {"type": 8, "custom_id": "where", "placeholder": "Where", "channel_types": [15]},
        {"type": 7, "custom_id": "whom", "placeholder": "Whom"},
        {"type": 3, "custom_id": "rule", "placeholder": "One", "options": [OPTIONS[0] | {"default": True}, OPTIONS[1]]},
    ]
    await bot.post("gallery", card(text("Settings"), *[row(select) for select in selects]))
    page = await visit()
    await expect(page.get_by_test_id("select-where").get_by_role("option")).to_have_text(["Where", "requests"])
    await expect(page.get_by_test_id("select-one").get_by_role("option")).to_have_text(["One", "Two"])  # one is chosen
    visitor, message = Visitor("mira", page), page.get_by_test_id("message").first
    await visitor.pick(message, "Where", "requests")
    await expect(page.get_by_test_id("message").last).to_contain_text("heard")
    assert [each["name"] for each in bot.interactions[-1]["data"]["resolved"]["channels"].values()] == ["requests"]
    await visitor.pick(message, "Whom", "@Moderators")
    await expect(page.get_by_test_id("message")).to_have_count(3)
    assert list(bot.interactions[-1]["data"]["resolved"]) == ["roles"]
    await visitor.pick(message, "Who", "sam", "Qwen Imagine")
    await expect(page.get_by_test_id("select-who")).to_contain_text("Choose up to 2.")
    await expect(page.get_by_test_id("message")).to_have_count(4)
    users = bot.interactions[-1]["data"]["resolved"]["users"]
    assert [each["username"] for each in users.values()] == ["sam", "Qwen Imagine"]


async def test_a_menu_is_opened_by_an_arrow_key_and_sends_only_what_is_chosen_in_it(visit: Visit, bot: TinyBot) -> None:
    select = {"type": 3, "custom_id": "policy", "placeholder": "Policy", "options": OPTIONS}
    await bot.post("gallery", card(row(select)))
    page = await visit()
    await page.get_by_test_id("select-policy").focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowDown", "Enter"):
        await page.keyboard.press(key)
    await expect(page.get_by_test_id("message").last).to_contain_text("heard")
    assert [event["data"]["values"] for event in bot.interactions] == [["two"]]


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
async def test_an_admin_denies_a_command_and_others_are_no_longer_offered_it(
    visit: Visit, bot: TinyBot, width: int, height: int
) -> None:
    ada, jonas = await visit("ada", width=width, height=height), await visit("jonas")
    await expect(ada.get_by_test_id("my-roles")).to_have_text("Keepers in Lighthouse")
    await expect(jonas.get_by_test_id("settings-lighthouse")).to_have_count(0)
    admin = Visitor("ada", ada)
    settings = await admin.open_settings("Lighthouse")
    await expect(settings).to_contain_text("Nothing is set")
    assert not await settings.evaluate(TOO_WIDE)
    await admin.permit("/credits", "jonas", False)
    await jonas.get_by_test_id("composer").fill("/")
    await expect(jonas.get_by_role("listbox", name="Commands").get_by_role("option")).to_have_count(1)
    await admin.permit("/credits", "jonas", True)
    await expect(jonas.get_by_role("listbox", name="Commands").get_by_role("option")).to_have_count(2)
    await admin.permit("/credits", "jonas", None)
    await expect(settings).to_contain_text("Not set")


async def test_an_admin_marks_and_makes_channels_and_removes_the_app(visit: Visit, box: Sandbox, bot: TinyBot) -> None:
    page = await visit("ada")
    await page.get_by_test_id("settings-lighthouse").click()
    await page.get_by_test_id("age-gallery").check()
    await expect(page.locator("#header")).to_contain_text("age-restricted")
    await page.get_by_test_id("channel-new-name").fill("The Attic")
    await page.keyboard.press("Enter")
    await expect(page.get_by_test_id("channel-the-attic")).to_have_count(1)
    await page.get_by_test_id("app-installed").click()
    await expect(page.get_by_test_id("app-installed")).to_have_text("Add the app to this server")
    await expect(page.get_by_role("complementary").first).to_contain_text("app not installed here")
    await page.get_by_test_id("settings-close").click()
    await expect(page.get_by_test_id("server-settings")).to_be_hidden()
    assert not box.discord.guild("Lighthouse").installed


async def test_several_commands_of_a_messages_menu_answer_privately(visit: Visit, box: Sandbox, bot: TinyBot) -> None:
    menus = [{"name": "Report this image", "type": 3}, {"name": "Save", "type": 3}]
    guild = box.discord.guild("Lighthouse").id
    path = f"/applications/{box.discord.application_id}/guilds/{guild}/commands"
    await bot.call("PUT", path, json=menus)
    bot.answer = lambda event: text_answer(f"{event['data']['name']}: thank you", private=True)
    await bot.say("gallery", "a picture")
    page = await visit()
    await page.get_by_test_id("message-menu").click()
    items = page.get_by_role("menu").get_by_role("menuitem")
    await expect(items).to_have_text(["Imagine this", "Report this image", "Save", "Copy message id"])
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    answer = page.get_by_test_id("message").last
    await expect(answer).to_contain_text("Report this image: thank you")
    await expect(answer.get_by_test_id("only-you")).to_be_visible()
    await answer.get_by_test_id("message-menu").click()
    await expect(items).to_have_text(["Dismiss", "Copy message id"])


async def test_a_visitor_fills_every_field_of_a_form(visit: Visit, bot: TinyBot) -> None:
    bot.answer = lambda event: {"type": 9, "data": FORM} if event["type"] == 2 else text_answer("saved", private=True)
    page = await visit()
    await _command(page, "credits")
    await expect(page.get_by_test_id("modal")).to_be_visible()
    fields = {"roles": "@Keepers", "places": ["#studio"], "rule": "Three", "days": ["One", "Two"], "pause": False}
    await Visitor("mira", page).submit(fields, "saved", private=True)
    sent = [part["component"] for part in bot.interactions[-1]["data"]["components"]]
    assert [field.get("value", field.get("values")) for field in sent[2:]] == ["three", ["one", "two"], False]


async def test_files_are_chosen_in_a_form_checked_and_sent(
    visit: Visit, bot: TinyBot, make_image: Callable[[int, int], bytes]
) -> None:
    field = {"type": 19, "custom_id": "files", "max_values": 2}
    parts = [{"type": 18, "label": "Sketches", "description": "One or two", "component": field}]
    asked = {"type": 9, "data": {"custom_id": "sketches", "title": "Sketches", "components": parts}}
    bot.answer = lambda event: asked if event["type"] == 2 else text_answer("saved", private=True)
    page = await visit(width=390, height=844)
    await _command(page, "credits")
    form, chosen = page.get_by_test_id("modal"), page.get_by_label("Sketches *")
    await page.get_by_test_id("modal-submit").click()
    await expect(form).to_contain_text("Choose at least 1.")
    images: list[FilePayload] = [
        {"name": f"{name}.png", "mimeType": "image/png", "buffer": make_image(4, 3)} for name in "abc"
    ]
    await chosen.set_input_files(images)
    await page.get_by_test_id("modal-submit").click()
    await expect(form).to_contain_text("Choose at most 2.")
    assert not await form.evaluate(TOO_WIDE)
    await chosen.set_input_files(images[:2])
    await page.get_by_test_id("modal-submit").click()
    await expect(page.get_by_test_id("message").last).to_contain_text("saved")
    data = bot.interactions[-1]["data"]
    sent = [data["resolved"]["attachments"][number] for number in data["components"][0]["component"]["values"]]
    assert [(each["filename"], each["width"], each["height"]) for each in sent] == [("a.png", 4, 3), ("b.png", 4, 3)]


async def _command(page: Page, name: str) -> None:
    await page.get_by_test_id("composer").fill(f"/{name}")
    await page.keyboard.press("Enter")
    await page.get_by_test_id("send").click()
