"""Ids above 2^53 in what is written as JSON: as text, since JavaScript's numbers lose their last digits."""

from __future__ import annotations

import json

from sqlalchemy import update

from generations.export import build_export
from generations.model import Origin, Request, State
from generations.records.tables import generations, images
from images.image_memory import ImageMemory
from limits.model import Actor, Tier
from limits.service import Limits
from reports.model import Reason
from reports.service import Reports
from store.transactions import Transaction
from tests.contract.harness import ON_SQLITE, Harness
from tests.contract.test_history import Store
from tests.contract.test_privacy import privacy_of
from tests.json_numbers import numbers_too_large

LARGE = 1_456_074_443_980_800_001  # of the size of today's ids, and odd, so that no float holds it


@ON_SQLITE
async def test_the_export_of_a_person_has_every_id_as_text(harness: Harness) -> None:
    """Of somebody with an image beside its card, bonus by hand, a block, a report and a tier."""
    mira, guild_id = LARGE, LARGE + 2
    asked = Origin(LARGE + 4, LARGE + 6, mira, LARGE + 8, guild_id, "token", 10**7)
    limits, actor = Limits(harness.database, harness.clock), Actor(LARGE + 10, LARGE + 12, guild_id)
    await limits.set_tier(actor, Tier(guild_id, LARGE + 14, 90), "x")
    await harness.request(Request("a fox", seed=5), asked)

    def fill(tx: Transaction) -> None:
        """Give every column for an id a value, as a card that has moved and an image beside it would have."""
        tx.execute(update(generations).values(message_id=LARGE + 16, card_channel_id=LARGE + 18))
        separate = {"separate_channel_id": LARGE + 22, "separate_message_id": LARGE + 24}
        tx.execute(update(images).values(state=State.DELIVERED.value, attachment_id=LARGE + 20, **separate))
        harness.ledger.grant(tx, mira, 5, f"hand:{LARGE}", reason="x", actor_id=LARGE + 30, now_ms=harness.clock.at_ms)

    await harness.database.run(fill)
    await limits.block_here(Actor(LARGE + 10, LARGE + 26, guild_id), mira, "x", None)
    reports = Reports(harness.database, harness.clock, Store(), ImageMemory())
    await reports.file(LARGE + 28, mira, LARGE + 4, Reason.OTHER, "mine")
    files = build_export(mira, await privacy_of(harness).collect(mira), exported_at_ms=1, max_bytes=10**6)
    content = json.loads(files[0].data)
    assert all(content[part] for part in ("account", "generations", "ledger", "counters", "blocks", "reports"))
    ids = {LARGE + 2 * number for number in (*range(5), *range(8, 13), 14)}
    assert {each for each in ids if f'"{each}"' not in files[0].data.decode()} == set()
    assert list(numbers_too_large(content)) == []
