"""The version of this bot (semver, in the form of PEP 440)."""

from __future__ import annotations

VERSION = "1.0.0"
