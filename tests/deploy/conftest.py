"""The image, built once for the tests of a process."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import pytest

from tests.deploy.dockerfile import ROOT, Layers, can_carry_out, carry_out


@pytest.fixture
def needs_root() -> None:
    if not can_carry_out():
        pytest.skip("the steps of the Dockerfile need Linux and root, who may make mounts")


@pytest.fixture(scope="package")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Layers]:
    """What the Dockerfile makes, with a read-only root."""
    if not can_carry_out():
        pytest.skip("the steps of the Dockerfile need Linux and root, who may make mounts")
    folder = tmp_path_factory.mktemp("image")
    parts = re.split(r"^FROM \S+(?: AS (\w+))?\n", (ROOT / "Dockerfile").read_text("utf-8"), flags=re.MULTILINE)
    with contextlib.ExitStack() as stack:
        stages: dict[str, Layers] = {}
        for name, text in zip(parts[1::2], parts[2::2], strict=True):
            stages[name or "last"] = stack.enter_context(Layers(folder / (name or "last")))
            carry_out(text, ROOT, stages, stages[name or "last"])
        stages["last"].make_read_only()
        yield stages["last"]
