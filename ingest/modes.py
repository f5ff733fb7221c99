"""Who on this machine may read what Earshot writes: owner and group; all, what is published for all.

The lake, the warehouse and Dagster's records hold keyed hashes of listeners: no other account's business.
What is secret (keys, the registry's file, the API's secret) is made with mode 0600 where it is written.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

OTHERS = 0o007


def keep_from_others() -> None:
    """Files of this process and of those it starts are nothing to other accounts, whatever the umask was."""
    os.umask(os.umask(0o077) | 0o027)


def open_to_all(folder: Path, files: Collection[str]) -> None:
    """Of the version in `folder`, let all accounts find and read `files` (or folders of files), no others.

    They still must get to `folder`: `chmod o+x` of the data folder is the operator's word. What is not named
    is closed to them.
    """
    for path in [folder, *folder.rglob("*")]:
        mode = path.stat().st_mode & 0o777
        name = str(path.relative_to(folder))
        if path.is_dir():
            path.chmod(mode | 0o055)
        elif name in files or str(path.parent.relative_to(folder)) in files:
            path.chmod(mode | 0o044)
        else:
            path.chmod(mode & ~OTHERS)
