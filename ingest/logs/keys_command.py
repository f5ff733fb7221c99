"""One answer of EARSHOT_KEYS_COMMAND: bounded in time and size."""

from __future__ import annotations

import contextlib
import os
import selectors
import shlex
import signal
import subprocess
import time

MOST_BYTES = 4096  # of what it prints: a secret has 64


class CommandFailed(Exception):
    """It gave no answer; the message says why, without a word of what it printed."""


def ask(command: str, epoch: int, within_s: float) -> tuple[int, bytes]:
    """(exit code, what it printed). Raises CommandFailed; then nothing of it runs on."""
    try:
        process = subprocess.Popen(
            [*shlex.split(command), str(epoch)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # so that its children can be ended with it
        )
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "its quotes do not match"
        raise CommandFailed(f"cannot be run: {reason}") from None
    try:
        printed = _read(process, time.monotonic() + within_s, within_s)
    except BaseException:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.wait()
        raise
    finally:
        if process.stdout is not None:
            process.stdout.close()
    return process.returncode, printed


def _read(process: subprocess.Popen[bytes], until_s: float, within_s: float) -> bytes:
    assert process.stdout is not None
    late = CommandFailed(f"gave no answer within {within_s:g} s: run it by hand")
    printed = b""
    with selectors.DefaultSelector() as ready:
        ready.register(process.stdout, selectors.EVENT_READ)
        while True:
            if not ready.select(max(0.0, until_s - time.monotonic())):
                raise late
            more = os.read(process.stdout.fileno(), MOST_BYTES)
            if not more:
                break
            printed += more
            if len(printed) > MOST_BYTES:
                raise CommandFailed("printed something else than 64 lower-case hex digits")
    try:
        process.wait(max(0.1, until_s - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise late from None
    return printed
