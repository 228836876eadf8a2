"""Prometheus' own tool, for what Prometheus will read."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest


def promtool_faults(*words: str, given: str = "") -> str:
    """Run promtool with these *words* and *given* as its input. Return what it says if it finds a fault, else "".

    Without promtool the test is skipped, and fails where CI is set.
    """
    promtool = shutil.which("promtool")
    if promtool is None:
        if os.environ.get("CI"):
            pytest.fail("promtool is missing: apt install prometheus")
        pytest.skip("without promtool (sudo apt install prometheus)")
    ended = subprocess.run([promtool, *words], input=given, capture_output=True, text=True, check=False)
    return ended.stdout + ended.stderr if ended.returncode else ""
