"""The payload of a card: kept attachments and new files."""

from __future__ import annotations

from ui.delivery.payload import KeptAttachment


def test_a_kept_attachment_is_listed_with_its_id_and_file_name() -> None:
    assert KeptAttachment(7, "a-castle-42.png").to_dict() == {"id": "7", "filename": "a-castle-42.png"}
