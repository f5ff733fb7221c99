"""Where the `earshot` command begins, before anything of it is read in."""

from __future__ import annotations

import signal


def process() -> None:
    """The command line, with which the process ends. A Ctrl-C while it is read in shows no traceback.

    That takes 0.2 s, in which Python would name a line of a library that was being imported.
    """
    told_by_python = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if told_by_python:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from earshot import cli

    if told_by_python:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    cli.process()
