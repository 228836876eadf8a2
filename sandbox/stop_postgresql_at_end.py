"""Stop a PostgreSQL server at once when its sandbox has ended, however that happened: `stop_postgresql_at_end.py DATA`.

DATA is the server's data folder. The sandbox holds the other end of standard input, which the system closes with it.
A program of its own, because whoever is killed can do nothing more. Run with -I -S, to start quickly.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys

if __name__ == "__main__":
    sys.stdin.buffer.read()
    # PostgreSQL docs: Shutting Down the Server (SIGQUIT: immediate). The file is gone after a server that was stopped.
    with contextlib.suppress(OSError, ValueError), open(os.path.join(sys.argv[1], "postmaster.pid")) as noted:
        os.kill(int(noted.readline()), signal.SIGQUIT)
