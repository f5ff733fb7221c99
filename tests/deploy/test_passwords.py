"""Passwords in addresses of databases that cannot be right: no message repeats any part of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ADDRESSES = (
    "postgresql//u:PLANTED@host/x",
    "postgresql://u:PLANTED@127.0.0.1:1/x",
    "postgresql://u:PLANTED@127.0.0.1:notaport/x",
    "postgresql://u:PLAN@TED@[::1/x",
    "postgresql://u:PLAN@TED@127.0.0.1:1/x",
    "mysql://u:PLANTED@h/x",
    "postgresql://h/x?password=PLANTED",
)


@pytest.mark.parametrize("setting", ["EARSHOT_REGISTRY", "EARSHOT_MARTS_DB"])
@pytest.mark.parametrize("address", ADDRESSES)
def test_no_part_of_a_password_is_repeated(tmp_path: Path, setting: str, address: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "earshot.cli", "doctor"],
        env={**os.environ, "EARSHOT_DATA": str(tmp_path / "data"), setting: address},
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    assert said and "Traceback" not in said
    assert not [part for part in ("PLAN", "TED@", "@TED") if part in said.replace("PLANNED", "")], said
