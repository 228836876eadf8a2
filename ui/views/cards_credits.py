"""Build the view of /credits: the balance and the last entries. Pure; must not know the database."""

from __future__ import annotations

from discord import ui

from credits.ledger import TIER
from credits.model import Balance, Entry, EntryKind
from discord_api.links import message_link
from generations.prices import price_of
from generations.service import Statement
from ui.texts import card as texts
from ui.texts.escaping import escape
from ui.views.text_view import BLUE

REASON_MAX = 60
_REASONS = {
    EntryKind.HOLD: "held for an image",
    EntryKind.SETTLE: "image made, paid from what was held",
    EntryKind.RELEASE: "returned",
    EntryKind.REFUND: "refunded",
}


def build_credits(statement: Statement) -> ui.LayoutView:
    """Build the view. It has no buttons, and with ten entries far less than 4000 characters."""
    container: ui.Container[ui.LayoutView] = ui.Container(accent_colour=BLUE)
    container.add_item(ui.TextDisplay("\n".join(_balance_lines(statement.balance, statement.held_images))))
    container.add_item(ui.Separator())
    lines = [_entry_line(entry, link) for entry, link in statement.entries]
    container.add_item(ui.TextDisplay("\n".join(lines) or texts.NO_ENTRIES))
    return ui.LayoutView(timeout=None).add_item(container)


def _balance_lines(balance: Balance, held_images: int) -> list[str]:
    lines = balance_lines(balance)
    if balance.held:
        lines.append(texts.held_text(balance.held, held_images))
    lines.append(texts.refill_text(balance.allowance, balance.refills_at_ms))
    return lines


def balance_lines(balance: Balance) -> list[str]:
    """Build the lines about what is available: the allowance, and bonus apart from it."""
    lines = [
        texts.balance_text(
            available=balance.available - balance.bonus,
            bonus=balance.bonus,
            allowance=balance.allowance,
            price=price_of(1),
        )
    ]
    if balance.bonus:
        lines.append(texts.bonus_text(balance.bonus))
    return lines


def _entry_line(entry: Entry, link: tuple[int | None, int, int] | None) -> str:
    return texts.entry_text(
        amount=entry.available_delta,
        reason=_reason(entry),
        card_url=message_link(*link) if link is not None else None,
        at_ms=entry.created_at_ms,
    )


def _reason(entry: Entry) -> str:
    if entry.kind is EntryKind.TAKE and entry.reason == TIER and entry.actor_id is None:
        return texts.LOWERED
    return _REASONS.get(entry.kind) or escape(entry.reason, REASON_MAX)
