"""What a process of ours asks of Python: to look for garbage seldom, and to end once its work is done."""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import sys
import threading


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
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code or 0)
