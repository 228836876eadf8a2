"""A local Discord: REST, gateway, CDN and people, on one aiohttp application.

Imports neither the product nor discord.py.
"""

from __future__ import annotations

from sandbox.local_discord.faults import Faults
from sandbox.local_discord.people.actor import Actor
from sandbox.local_discord.recording import RecordedRequest, Violation
from sandbox.local_discord.server import LocalDiscord

__all__ = ["Actor", "Faults", "LocalDiscord", "RecordedRequest", "Violation"]
