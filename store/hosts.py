"""Tell from documented environment variables whether the host of this process empties its disk at a restart.

Pure, but for the current folder, from which a relative path counts.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Mapping

from store.address import parse_database_url

# Host -> variables of which it sets at least one in every process.
# Heroku: devcenter.heroku.com/articles/dynos, "Local environment variables".
# Railway: docs.railway.com/variables/reference, "Railway-provided variables".
# Render: render.com/docs/environment-variables, "All runtimes".
# Fly: fly.io/docs/machines/runtime-environment, "Environment variables".
# Cloud Run: docs.cloud.google.com/run/docs/container-contract, "Environment variables" of services, jobs, worker pools.
HOSTS: Mapping[str, tuple[str, ...]] = {
    "Heroku": ("DYNO",),
    "Railway": ("RAILWAY_ENVIRONMENT_ID", "RAILWAY_SERVICE_ID"),
    "Render": ("RENDER",),
    "Fly": ("FLY_APP_NAME", "FLY_MACHINE_ID", "FLY_ALLOC_ID"),
    "Cloud Run": ("K_SERVICE", "CLOUD_RUN_JOB", "CLOUD_RUN_WORKER_POOL"),
}
# Set where a volume is mounted (the same page of Railway). Other hosts tell a process nothing of its volumes.
VOLUME_VARIABLES = ("RAILWAY_VOLUME_MOUNT_PATH",)


def lost_disk(address: str, environment: Mapping[str, str]) -> str | None:
    """Return a sentence when *address* is a SQLite file on a disk that its host empties; None when nothing says so."""
    url = parse_database_url(address)
    if url.get_backend_name() != "sqlite":
        return None
    host = next((name for name, variables in HOSTS.items() if any(environment.get(key) for key in variables)), None)
    if host is None or any(_is_inside(str(url.database), environment.get(key, "")) for key in VOLUME_VARIABLES):
        return None
    return (
        f"DATABASE_URL is a SQLite file, and {host} empties a disk at every restart: credits and images in the making "
        "would be lost. Name a PostgreSQL database, or, where the file is on a volume that is kept, set "
        "ALLOW_EPHEMERAL_DATABASE=yes."
    )


def _is_inside(file: str, folder: str) -> bool:
    """Whether *file* is in *folder*, without following links. Both are POSIX paths: these hosts run Linux."""
    if not folder:
        return False
    folder, file = posixpath.normpath(folder), posixpath.normpath(posixpath.join(os.getcwd(), file))
    return file.startswith(folder.rstrip("/") + "/")
