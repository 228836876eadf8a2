"""Uploads, galleries and the CDN: attachments, media of components, signed addresses."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.discord_bench import Act, Bench, Reply, png

MIB = 1024 * 1024


def card(*urls: str, alt: str = "alt") -> dict[str, Any]:
    items = [{"media": {"url": url}, "description": alt} for url in urls]
    return {"flags": 1 << 15, "components": [{"type": 17, "components": [{"type": 12, "items": items}]}]}


def media_of(reply: Reply) -> list[dict[str, Any]]:
    return [item["media"] for item in reply.body["components"][0]["components"][0]["items"]]


@pytest.fixture
async def act(bench: Bench) -> Act:
    deferred = await bench.paint()
    await deferred.callback({"type": 5})
    return deferred


async def fetch(bench: Bench, url: str) -> tuple[int, bytes, str]:
    async with bench.http.get(url) as response:
        return response.status, await response.read(), response.headers["Content-Type"]


async def test_an_upload_in_a_gallery_is_not_listed_as_an_attachment(bench: Bench, act: Act) -> None:
    body = card("attachment://castle.png") | {"attachments": [{"id": 0, "filename": "castle.png", "description": "a"}]}
    reply = await act.edit(body, files=[("castle.png", png(64, 96))])
    (media,) = media_of(reply)
    assert reply.body["attachments"] == [] and reply.body["flags"] == 1 << 15
    assert (media["width"], media["height"], media["content_type"]) == (64, 96, "image/png")
    assert media["attachment_id"] in media["url"] and media["proxy_url"]
    assert await fetch(bench, media["url"]) == (200, png(64, 96), "image/png")


async def test_a_changed_or_expired_address_is_404(bench: Bench, act: Act) -> None:
    (media,) = media_of(await act.edit(card("attachment://a.png"), files=[("a.png", png())]))
    url = media["url"]
    for wrong in (
        url.replace("hm=", "hm=0"),
        url.replace("ex=", "ex=f"),
        url.split("?")[0],
        url.replace("a.png", "b.png"),
    ):
        assert (await fetch(bench, wrong))[0] == 404, wrong
    bench.clock.advance(24 * 3600 + 1)
    assert (await fetch(bench, url))[0] == 404
    fresh = bench.actor("mira").messages("gallery")[0]["components"][0]["components"][0]["items"][0]["media"]["url"]
    assert (await fetch(bench, fresh))[0] == 200


async def test_an_edit_keeps_the_listed_attachments_adds_uploads_and_removes_the_rest(bench: Bench, act: Act) -> None:
    first = await act.edit(card("attachment://a.png"), files=[("a.png", png(1, 1))])
    kept = media_of(first)[0]["attachment_id"]
    body = card("attachment://a.png", "attachment://b.png")
    body |= {"attachments": [{"id": kept, "filename": "a.png"}, {"id": "0"}]}
    second = await act.edit(body, files=[("b.png", png(2, 2))])
    assert [media["width"] for media in media_of(second)] == [1, 2]
    assert media_of(second)[0]["attachment_id"] == kept
    again = await act.edit(
        card(media_of(second)[1]["url"]) | {"attachments": [{"id": media_of(second)[1]["attachment_id"]}]}
    )
    assert [media["width"] for media in media_of(again)] == [2], "an address of one's own file names the file"
    assert (await fetch(bench, media_of(second)[0]["url"]))[0] == 404, "the dropped file is gone"


async def test_a_gallery_cannot_name_a_missing_or_removed_attachment(act: Act) -> None:
    code = "UNFURLED_MEDIA_ITEM_REFERENCED_ATTACHMENT_NOT_FOUND"
    missing = await act.edit(card("attachment://none.png"))
    assert missing.code == 50035 and missing.error_codes() == {code}
    await act.edit(card("attachment://a.png"), files=[("a.png", png())])
    assert (await act.edit({"attachments": []})).error_codes() == {code}
    assert (await act.edit(card("ftp://x/a.png"))).error_codes() == {"URL_TYPE_INVALID_SCHEME"}


async def test_a_gallery_can_name_a_kept_attachment_only_if_the_request_lists_its_file_name(act: Act) -> None:
    code = "UNFURLED_MEDIA_ITEM_REFERENCED_ATTACHMENT_NOT_FOUND"
    (media,) = media_of(await act.edit(card("attachment://a.png"), files=[("a.png", png())]))
    kept = {"id": media["attachment_id"]}
    by_id = await act.edit(card("attachment://a.png") | {"attachments": [kept]})
    assert (by_id.status, by_id.code, by_id.error_codes()) == (400, 50035, {code})
    unlisted = await act.edit(card("attachment://a.png"))
    assert (unlisted.status, unlisted.error_codes()) == (400, {code})
    listed = await act.edit(card("attachment://a.png") | {"attachments": [kept | {"filename": "a.png"}]})
    assert media_of(listed)[0]["attachment_id"] == media["attachment_id"]


async def test_text_above_the_byte_limit_is_a_500_and_changes_nothing(bench: Bench, act: Act) -> None:
    def described(alt: str) -> dict[str, Any]:
        return card("attachment://a.png", "attachment://b.png", alt=alt)

    files = [("a.png", png()), ("b.png", png())]
    assert (await act.edit(described("x" * 1024), files=files)).status == 200
    long = described("灯" * 1024) | {"attachments": []}
    long["components"][0]["components"].append({"type": 10, "content": "灯" * 1400})
    reply = await act.edit(long, files=files)
    assert (reply.status, reply.code) == (500, 0)
    assert [violation.where.split()[0] for violation in bench.discord.violations] == ["PATCH"]
    assert len(bench.actor("mira").messages("gallery")[0]["components"][0]["components"]) == 1


async def test_a_declared_attachment_without_its_file_is_50146(act: Act) -> None:
    reply = await act.edit({"content": "x", "attachments": [{"id": 3, "filename": "a.png"}]})
    assert (reply.status, reply.code) == (400, 50146)


async def test_ten_mebibytes_fit_and_one_byte_more_is_413(bench: Bench, act: Act) -> None:
    empty = len(png(padding=1)) - 1
    fits = await act.edit({"content": "x"}, files=[("a.png", png(padding=10 * MIB - empty))])
    assert fits.status == 200 and fits.body["attachments"][0]["size"] == 10 * MIB
    over = await act.edit({"content": "x"}, files=[("a.png", png(padding=10 * MIB - empty + 1))])
    assert (over.status, over.code) == (413, 40005)
    assert bench.discord.violations == [], "a file that is too large may happen to a correct bot"


async def test_an_interactions_attachment_size_limit_is_applied_to_its_uploads(bench: Bench) -> None:
    bench.discord.set_attachment_size_limit(1000)
    act = await bench.paint()
    assert bench.actor("mira").interaction(act.id).attachment_size_limit == 1000
    reply = await act.callback({"type": 4, "data": {"content": "x"}}, files=[("a.bin", b"x" * 1001)])
    assert (reply.status, reply.code) == (413, 40005)


async def test_a_request_over_25_mebibytes_is_413(act: Act) -> None:
    files = [(f"{number}.bin", b"x" * (9 * MIB)) for number in range(3)]
    reply = await act.edit({"content": "x"}, files=files)
    assert (reply.status, reply.code) == (413, 40005)


async def test_eleven_files_are_too_many(act: Act) -> None:
    reply = await act.edit({"content": "x"}, files=[(f"{number}.txt", b"x") for number in range(11)])
    assert reply.code == 50035


async def test_a_file_component_has_name_and_size_and_ephemeral_files_have_their_own_folder(bench: Bench) -> None:
    act = await bench.paint()
    parts = [{"type": 13, "file": {"url": "attachment://data.json"}}]
    body = {"type": 4, "data": {"flags": (1 << 15) | 64, "components": parts}}
    reply = await act.callback(body, files=[("data.json", b"{}")])
    shown = reply.body["resource"]["message"]["components"][0]
    assert (shown["name"], shown["size"]) == ("data.json", 2)
    assert "/cdn/ephemeral-attachments/" in shown["file"]["url"]
    assert (await fetch(bench, shown["file"]["url"]))[:2] == (200, b"{}")


async def test_legacy_messages_list_their_attachments_with_alt_text_and_spoiler(bench: Bench, act: Act) -> None:
    body = {"content": "x", "attachments": [{"id": 0, "filename": "SPOILER_a.png", "description": "alt"}]}
    reply = await act.edit(body, files=[("whatever.png", png(5, 6))])
    (attachment,) = reply.body["attachments"]
    assert (attachment["filename"], attachment["description"], attachment["flags"]) == ("SPOILER_a.png", "alt", 8)
    assert (attachment["width"], attachment["height"]) == (5, 6)
    long = {"content": "x", "attachments": [{"id": 0, "description": "x" * 1025}]}
    assert (await act.edit(long, files=[("a.png", png())])).code == 50035


async def test_an_unknown_part_of_a_multipart_form_is_refused(bench: Bench, act: Act) -> None:
    raw = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\nx\r\n--b--\r\n'
    reply = await act.webhook(
        "PATCH", "/messages/@original", raw=raw, headers={"Content-Type": "multipart/form-data; boundary=b"}
    )
    assert reply.code == 50035 and len(bench.discord.violations) == 1


async def test_an_embed_shows_its_upload(bench: Bench, act: Act) -> None:
    body = {"embeds": [{"title": "t", "image": {"url": "attachment://a.png"}}]}
    reply = await act.edit(body, files=[("a.png", png(4, 5))])
    assert reply.body["attachments"] == [] and reply.body["embeds"][0]["image"]["width"] == 4
    assert (await fetch(bench, reply.body["embeds"][0]["image"]["url"]))[0] == 200
