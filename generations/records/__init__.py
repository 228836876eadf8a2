"""All SQL about generations and images. Each function takes the open transaction first; knows no credits, no Discord.

Whoever changes something locks the generation's row before its images, and the ledger's account after both; who hands
out turns locks the line before all of them. Kept in this order, two transactions never wait for each other.

rows       rows <-> the frozen dataclasses of generations.model
cards      insert, load, and what is known of the card on Discord
claims     whose work a generation is: lease and fence
moves      an image's way from state to state
line       whose turn it is
circuit    whether images are made at all
callbacks  what the image service calls back on
search     a person's prompts by words, and the index of those
"""

from __future__ import annotations

from generations.records.callbacks import (
    Callback,
    bring_forward,
    drop_claim,
    expect_callback,
    find_callback,
    forget_callbacks,
    load_callback,
    note_callback,
)
from generations.records.cards import (
    begin_follow_up,
    confirm_card,
    decide_ping,
    earlier_requests_at_ms,
    find_by_message,
    find_by_separate,
    forget_card,
    insert,
    links,
    load,
    load_locked,
    load_several,
    make_due,
    mark_published,
    set_removed,
    set_token_only,
    wipe_tokens,
)
from generations.records.circuit import read_circuit, save_circuit
from generations.records.claims import claim_due, load_late, release_claim, release_locked, release_published, renew
from generations.records.line import (
    LINE,
    REFRESH_MS,
    REFRESHED_AT_ONCE,
    Demand,
    DueWork,
    Waiting,
    admit,
    held_count,
    held_image_ids,
    in_flight_count,
    is_one_unsent,
    load_demand,
    load_due_work,
    load_line,
    lock_line,
    next_refresh_ms,
    oldest_due_ms,
    places_in,
    running_count,
    take_line_refresh,
)
from generations.records.moves import ImageChanges, adopt_task, assume_posted, move, update_image
from generations.records.rows import lock_generation, read_generation, with_images

__all__ = [
    "LINE",
    "REFRESHED_AT_ONCE",
    "REFRESH_MS",
    "Callback",
    "Demand",
    "DueWork",
    "ImageChanges",
    "Waiting",
    "admit",
    "adopt_task",
    "assume_posted",
    "begin_follow_up",
    "bring_forward",
    "claim_due",
    "confirm_card",
    "decide_ping",
    "drop_claim",
    "earlier_requests_at_ms",
    "expect_callback",
    "find_by_message",
    "find_by_separate",
    "find_callback",
    "forget_callbacks",
    "forget_card",
    "held_count",
    "held_image_ids",
    "in_flight_count",
    "insert",
    "is_one_unsent",
    "links",
    "load",
    "load_callback",
    "load_demand",
    "load_due_work",
    "load_late",
    "load_line",
    "load_locked",
    "load_several",
    "lock_generation",
    "lock_line",
    "make_due",
    "mark_published",
    "move",
    "next_refresh_ms",
    "note_callback",
    "oldest_due_ms",
    "places_in",
    "read_circuit",
    "read_generation",
    "release_claim",
    "release_locked",
    "release_published",
    "renew",
    "running_count",
    "save_circuit",
    "set_removed",
    "set_token_only",
    "take_line_refresh",
    "update_image",
    "wipe_tokens",
    "with_images",
]
