"""Bring the tables to the newest revision, with Alembic, inside a transaction that is open already.

Both databases roll back changes of tables, so a migration that fails leaves nothing behind. Alembic is imported only
where the tables are not at the newest revision: it takes a quarter of a second and 15 MB.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from store.errors import SchemaTooNew

MIGRATIONS = Path(__file__).parent / "migrations"
NEWEST_REVISION = "0002"  # of the files in migrations/versions; a test compares


def upgrade(connection: Connection) -> None:
    """Run every migration that the database has not seen. Raises SchemaTooNew."""
    if read_revisions(connection) != {NEWEST_REVISION}:
        _migrate(connection)


def read_revisions(connection: Connection) -> set[str]:
    """Return what Alembic has noted in its table; empty: nothing yet."""
    if not inspect(connection).has_table("alembic_version"):
        return set()
    return set(connection.scalars(text("SELECT version_num FROM alembic_version")))


def _migrate(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    unknown = read_revisions(connection) - known
    if unknown:
        raise SchemaTooNew(
            f"the database is of a newer version of this bot (schema {', '.join(sorted(unknown))}): "
            "update the bot, or point DATABASE_URL to another database"
        )
    command.upgrade(config, "head")
