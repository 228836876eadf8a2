"""The newest revision that the bot knows without Alembic."""

from __future__ import annotations

from alembic.script import ScriptDirectory

from store.schema import MIGRATIONS, NEWEST_REVISION


def test_the_newest_revision_is_that_of_the_last_migration() -> None:
    assert ScriptDirectory(str(MIGRATIONS)).get_current_head() == NEWEST_REVISION
