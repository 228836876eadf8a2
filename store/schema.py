"""Bring the tables to the newest revision, inside a transaction that is open already.

Both databases roll back changes of tables, so a migration that fails leaves nothing behind. An empty database gets the
tables as they are declared; an older one is migrated by Alembic, which is imported for that alone: it takes an eighth
of a second and 12 MB. So no migration may insert rows that a new database needs.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, MetaData, inspect, text

from store.errors import SchemaTooNew
from store.tables import metadata

MIGRATIONS = Path(__file__).parent / "migrations"
NEWEST_REVISION = "0008"  # of the files in migrations/versions; a test compares
NEWEST_TABLES = 29  # how many tables it has; a test compares
# As Alembic creates it (ddl/impl.py, `version_table_impl`); a test compares.
_VERSION_TABLE = """CREATE TABLE alembic_version (
    version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
)"""


def upgrade(connection: Connection, declared: MetaData = metadata) -> None:
    """Make the tables those of the newest revision. Raises SchemaTooNew.

    *declared*: the tables whose modules are imported. If some are missing, an empty database is migrated too.
    """
    found = read_revisions(connection)
    if not found and len(declared.tables) == NEWEST_TABLES:
        declared.create_all(connection, checkfirst=False)
        connection.execute(text(_VERSION_TABLE))
        connection.execute(text("INSERT INTO alembic_version VALUES (:newest)"), {"newest": NEWEST_REVISION})
    elif found != {NEWEST_REVISION}:
        migrate_to(connection, "head")


def read_revisions(connection: Connection) -> set[str]:
    """Return what Alembic has noted in its table; empty: nothing yet."""
    if not inspect(connection).has_table("alembic_version"):
        return set()
    return set(connection.scalars(text("SELECT version_num FROM alembic_version")))


def migrate_to(connection: Connection, revision: str) -> None:
    """Run the migrations up to *revision*, or to the newest: "head". Raises SchemaTooNew."""
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
    command.upgrade(config, revision)
