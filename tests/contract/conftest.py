"""Fixtures of the contract suite: every test here runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import pytest

from store.database import Database
from tests.contract.world import World, make_world


@pytest.fixture
def world(database: Database) -> World:
    return make_world(database)
