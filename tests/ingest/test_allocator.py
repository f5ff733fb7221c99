"""Polars' allocator keeps what is freed, whoever started the process; what an operator set stays."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

NAME = "_RJEM_MALLOC_CONF"
POLARS_OWN = subprocess.run(
    [sys.executable, "-c", f"import polars, os; print(os.environ['{NAME}'])"],
    env={name: value for name, value in os.environ.items() if name != NAME},
    capture_output=True, text=True, check=True,
).stdout.strip()  # fmt: skip


@pytest.mark.parametrize(
    "given, kept", [(None, True), (POLARS_OWN, True), ("narenas:1", False)], ids=["none", "polars", "ours"]
)
def test_memory_is_kept_unless_somebody_wants_it_otherwise(given: str | None, kept: bool) -> None:
    env = {name: value for name, value in os.environ.items() if name != NAME}
    done = subprocess.run(
        [sys.executable, "-c", f"import ingest, os; print(os.environ['{NAME}'])"],
        env=env | ({NAME: given} if given else {}),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ("dirty_decay_ms:-1" in done.stdout) is kept and (kept or done.stdout.strip() == given)
