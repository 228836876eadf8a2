"""A local Discord: REST, gateway, CDN and people, on one aiohttp application.

Imports neither the product nor discord.py.
"""

from __future__ import annotations

from sandbox.local_discord.faults import Faults
from sandbox.local_discord.people.actor import Actor
from sandbox.local_discord.recording import RecordedRequest, Violation
from sandbox.local_discord.server import LocalDiscord
from sandbox.local_discord.state.model import Lie

__all__ = ["Actor", "Faults", "Lie", "LocalDiscord", "RecordedRequest", "Violation"]
