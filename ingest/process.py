"""What a process of ours asks of Python: seldom to look for garbage, to end at once, to leave nothing."""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def look_for_garbage_seldom() -> None:
    """Never among what there is, which stays. † 2 % of a count of two million lines."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def end_at_once(code: object) -> None:
    """End this process with what SystemExit was given.

    † Python takes apart one by one what has been made, 0.15 CPU-s for a million requests and 0.5 for dbt's
    manifest; the system takes it as a whole. What is registered to run at the end runs. Returns where it
    must end in Python's own way: something is at work still, the code is a message, what was said cannot be
    written.
    """
    if not isinstance(code, int | None) or threading.active_count() > 1:
        return
    atexit._run_exitfuncs()
    with contextlib.suppress(OSError, ValueError):
        for said in (sys.stdout, sys.stderr):
            if said is not None:  # closed by whoever started us: `>&-`
                said.flush()
        os._exit(code or 0)


@contextlib.contextmanager
def folder_aside(prefix: str) -> Iterator[Path]:
    """A temporary folder, which is gone at the end also where Ctrl-C, SIGTERM or SIGHUP end this process."""
    if threading.current_thread() is not threading.main_thread():  # who may not ask for signals
        with tempfile.TemporaryDirectory(prefix=prefix) as folder:
            yield Path(folder)
        return
    unasked = [each for each in _ENDS if signal.getsignal(each) is signal.SIG_DFL]
    with _asked(unasked, _end):
        aside = Path(tempfile.mkdtemp(prefix=prefix))
        try:
            yield aside
        finally:
            told: list[int] = []
            with _asked(_ENDS, lambda number, frame: told.append(number)):
                shutil.rmtree(aside, ignore_errors=True)
            if told:  # while it was removed
                signal.raise_signal(told[0])


def _end(number: int, frame: object) -> None:
    raise SystemExit(128 + number)


@contextlib.contextmanager
def _asked(signs: Sequence[signal.Signals], handler: Callable[[int, object], None]) -> Iterator[None]:
    former = {each: signal.signal(each, handler) for each in signs}
    try:
        yield
    finally:
        for each, before in former.items():
            signal.signal(each, before)
