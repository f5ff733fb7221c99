"""Root runs no command in another account's data folder: the services could not write what it makes."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from ingest.owner import name_of

# What root may run there: it leaves nothing of root's in it, refuses by itself, or never goes there.
FOR_ROOT = (
    "alerts",
    "backup",
    "count",
    "demo",
    "doctor",
    "edge",
    "home",
    "init",
    "marts document",
    "methodology",
    "new-secret",
    "restore",
)


class NotTheOwner(RuntimeError):
    """The command was not run; the message says as whom to run it."""


def refuse_root(data: Path, typed: str) -> None:
    """Raises NotTheOwner where root would work in a data folder of another; typed: the command's name."""
    if os.geteuid() != 0 or not data.exists() or not (owner := data.stat().st_uid):
        return
    name = name_of(owner)
    raise NotTheOwner(
        f"the data folder {data.resolve()} belongs to {name}, whose services could not write what root makes"
        f" in it: run this as {name}: {_as(owner, name)} earshot {typed} …"
    )


def is_for_root(words: list[str]) -> bool:
    """Whether root may run it everywhere; words: the command and what follows."""
    return "--help" in words or words[0] in FOR_ROOT or " ".join(words[:2]) in FOR_ROOT


def _as(uid: int, name: str) -> str:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return f"setpriv --reuid {uid} --clear-groups --"
    return f"runuser -u {name} --"
