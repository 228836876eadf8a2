"""Run a Python program that ends when its parent process ends: `exit_with_parent.py PARENT_PID ARGUMENT…`.

On Linux the kernel kills the program when the parent ends, however that happens (prctl(2), PR_SET_PDEATHSIG; it
survives execve). Elsewhere the program ends only when the sandbox stops it. Run with -I -S, to start quickly. It is a
program of its own, because code between fork and exec is not safe in a process with threads.
"""

from __future__ import annotations

import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent_pid: int, arguments: list[str]) -> None:
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:
        sys.exit("The sandbox has ended; the bot is not started.")
    os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606 - no shell wanted


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
