"""What a process of ours asks of Python: to look for garbage seldom, and to end once its work is done."""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import signal
import sys
import threading
from collections.abc import Iterator


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
def ended_in_order() -> Iterator[None]:
    """Meanwhile SIGTERM and SIGHUP end this process as Ctrl-C does, so that what lies aside is removed."""
    if threading.current_thread() is not threading.main_thread():  # who may not ask for signals
        yield
        return

    def end(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    asked = [each for each in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(each) is signal.SIG_DFL]
    try:
        for each in asked:
            signal.signal(each, end)
        yield
    finally:
        for each in asked:
            signal.signal(each, signal.SIG_DFL)
