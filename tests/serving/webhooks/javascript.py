"""Runs the JavaScript receiver's library, where node and its packages are installed."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent / "js"
_REASON = (
    "node is not installed"
    if shutil.which("node") is None
    else f"the npm packages are not installed: npm ci --prefix {FOLDER}"
)
needs_node = pytest.mark.skipif(
    shutil.which("node") is None or not (FOLDER / "node_modules").is_dir(), reason=_REASON
)


def run(*arguments: str, given: str = "") -> str:
    """What node says of a script. Raises CalledProcessError."""
    done = subprocess.run(
        ["node", *arguments], cwd=FOLDER, input=given, capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout


def verified(messages: Sequence[tuple[str, Mapping[str, str], bytes]]) -> list[dict[str, Any]]:
    """(secret, headers, body) → {"payload"} or {"error"}, as npm's standardwebhooks finds."""
    lines = [
        json.dumps({"secret": secret, "headers": dict(headers), "body": body.decode()})
        for secret, headers, body in messages
    ]
    said = run("verify.mjs", given="\n".join(lines)).removesuffix("\n")
    return [json.loads(line) for line in said.split("\n")]  # U+2028 in a text ends no line
