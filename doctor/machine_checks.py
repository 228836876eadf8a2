"""Judge the settings, the database, the disk below it and the room there. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from doctor.model import Finding, Level
from store.address import parse_database_url
from store.errors import DatabaseUnreachable
from store.hosts import lost_disk
from store.inspection import DatabaseMissing, Inspected

SETTINGS, DATABASE, MIGRATIONS, DISK, SPACE = "settings", "database", "migrations", "disk", "free space"
MIB = 1024 * 1024
SPACE_FAIL_BYTES, SPACE_WARN_BYTES = 100 * MIB, 1024 * MIB
COPIES = 3  # VACUUM needs room for two more copies of the file, and the log may grow beside it
VOLATILE = {
    "tmpfs": "in memory, and is lost at a restart of the machine",
    "ramfs": "in memory, and is lost at a restart of the machine",
    "overlay": "in a container's own layer, and is lost with the container",
    "aufs": "in a container's own layer, and is lost with the container",
}


def judge_settings(faults: Iterable[str], warnings: Iterable[str], count: int) -> list[Finding]:
    """Turn the sentences of settings.Examined into findings. *count*: how many settings there are."""
    found = [Finding(SETTINGS, Level.FAIL, fault, "Correct it in .env or in the environment.") for fault in faults]
    found += [Finding(SETTINGS, Level.WARN, each, "Correct it in .env or in the environment.") for each in warnings]
    return found or [Finding(SETTINGS, Level.OK, f"All {count} can be read, and none is unknown.")]


def judge_database(found: Inspected | DatabaseUnreachable) -> Finding:
    """Judge whether the database can be used."""
    if isinstance(found, DatabaseMissing):
        if not found.may_be_made:
            return Finding(
                DATABASE,
                Level.FAIL,
                f"{_sentence(found)} This user can't make it there.",
                "Give the bot's user the right to write to that folder, or name another file in DATABASE_URL.",
            )
        return Finding(
            DATABASE,
            Level.WARN,
            f"{_sentence(found)} The first start makes it.",
            "If the bot ran here before, DATABASE_URL names another file, or this folder is not the one it ran in.",
        )
    if isinstance(found, DatabaseUnreachable):
        return Finding(DATABASE, Level.FAIL, _sentence(found), "Check DATABASE_URL, its server and its rights.")
    if found.refused:
        return Finding(
            DATABASE,
            Level.FAIL,
            f"The user of DATABASE_URL {'; '.join(found.refused)}.",
            "Make it the owner of the tables, or name the user that owns them.",
        )
    size = f"{found.bytes / MIB:.1f} MiB"
    return Finding(DATABASE, Level.OK, f"{found.kind} {found.version}, {size}, can be read and is not damaged.")


def judge_migrations(revisions: Collection[str], newest: str, known: Collection[str]) -> Finding:
    """Compare the revisions that the database has with the *newest* of this version, and all that it *known*."""
    if set(revisions) == {newest}:
        return Finding(MIGRATIONS, Level.OK, f"The tables are those of this version (schema {newest}).")
    if not revisions:
        return Finding(
            MIGRATIONS,
            Level.WARN,
            "The database has no tables yet.",
            "Start the bot, or run `python bot.py migrate`: either makes them.",
        )
    found = ", ".join(sorted(revisions))
    if set(revisions) <= set(known):
        return Finding(
            MIGRATIONS,
            Level.WARN,
            f"The tables are of an older version (schema {found}, this one has {newest}).",
            "Back the database up, then start the bot of this version or run `python bot.py migrate`.",
        )
    return Finding(
        MIGRATIONS,
        Level.FAIL,
        f"The tables are of a newer version (schema {found}, this one has {newest}).",
        "Update the bot, or point DATABASE_URL to another database.",
    )


def judge_disk(address: str, environment: Mapping[str, str], file_system: str | None, *, allowed: bool) -> Finding:
    """Judge whether the disk of a SQLite file is kept. *file_system*: the type of that below it; None: not known.

    *allowed*: ALLOW_EPHEMERAL_DATABASE.
    """
    if parse_database_url(address).get_backend_name() != "sqlite":
        return Finding(DISK, Level.OK, "Not needed: the database is on a server.")
    if file_system in VOLATILE:
        return Finding(
            DISK,
            Level.WARN,
            f"The SQLite file is {VOLATILE[file_system]}.",
            "Put it on a volume that is kept, or name a PostgreSQL database.",
        )
    lost = lost_disk(address, environment)
    if lost is None:
        return Finding(DISK, Level.OK, "Nothing says that this machine empties its disk.")
    if allowed:
        return Finding(DISK, Level.OK, "ALLOW_EPHEMERAL_DATABASE says that the file is on a volume that is kept.")
    return Finding(DISK, Level.FAIL, lost.partition(". ")[0] + ".", lost.partition(". ")[2])


def find_file_system(folder: Path, mounts: str) -> str | None:
    """Return the type of the file system that *folder* is on. *mounts*: the text of /proc/mounts (proc(5)), "" if there
    is none."""
    path, best, kind = str(folder), "", None
    for line in mounts.splitlines():
        fields = line.split()
        if len(fields) < 3:
            continue
        mount = fields[1].encode("latin-1", "replace").decode("unicode_escape")  # a space is \040
        inside = path == mount or path.startswith(mount.rstrip("/") + "/")
        if inside and len(mount) >= len(best):
            best, kind = mount, fields[2]
    return kind


def judge_space(free_bytes: int | None, database_bytes: int) -> Finding:
    """Judge the room on the disk of a SQLite file of *database_bytes*. None: the database is on a server."""
    if free_bytes is None:
        return Finding(SPACE, Level.OK, "Not needed: the database is on a server.")
    text = f"{free_bytes / MIB:,.0f} MiB are free where the SQLite file is"
    if free_bytes < SPACE_FAIL_BYTES:
        return Finding(SPACE, Level.FAIL, f"Only {text}.", "Make room: nothing can be stored once the disk is full.")
    if free_bytes < max(SPACE_WARN_BYTES, COPIES * database_bytes):
        return Finding(SPACE, Level.WARN, f"Only {text}.", "Make room before the disk is full.")
    return Finding(SPACE, Level.OK, f"{text}.")


def _sentence(error: DatabaseUnreachable) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."
