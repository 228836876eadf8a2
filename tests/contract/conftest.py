"""Fixtures of the contract suite: every test here runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import pytest

from store.database import Database
from tests.contract.harness import Harness, make_harness


@pytest.fixture
def harness(database: Database) -> Harness:
    return make_harness(database)
