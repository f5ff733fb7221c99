"""A server of a made-up world as a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

_PATIENCE_S = 5.0  # for its end


@contextmanager
def started(module: str, *arguments: str) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """`python -m module`, once it has said `port N`: the port and the process, until the block ends.

    Raises RuntimeError where it does not start.
    """
    command: Sequence[str] = [sys.executable, "-m", module, *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        word, _, number = process.stdout.readline().partition(" ")
        if word != "port":
            raise RuntimeError(f"{module} did not start: it ended with {process.wait()}")
        yield int(number), process
    finally:
        process.terminate()
        try:
            process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
