"""The command before it has read itself in."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

ENTRY = "from earshot.entry import process; process()"


def test_interrupted_while_it_is_read_in_it_ends_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    ended = _run(PYTHONPATH=str(tmp_path))
    assert (ended.returncode, ended.stderr) == (-signal.SIGINT, "")


def test_an_interruption_later_is_the_commands_own() -> None:
    ended = _run("import signal, earshot.cli as cli; cli.main = lambda: signal.raise_signal(signal.SIGINT)")
    assert ended.stderr.rstrip().endswith("KeyboardInterrupt")


def test_where_interruptions_are_ignored_they_stay_so() -> None:
    ended = _run(
        "import signal, earshot.cli as cli; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "cli.main = lambda: print(signal.raise_signal(signal.SIGINT), 'went on')"
    )
    assert (ended.returncode, ended.stdout) == (0, "None went on\n")


def _run(first: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", f"{first}\n{ENTRY}"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
