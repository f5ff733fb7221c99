"""Which installation a data folder is: a random id made once, so that two of them never share a database.

No backup takes it: what was restored is another installation than the one that may still run.
"""

from __future__ import annotations

import contextlib
import os
import re
import uuid
from pathlib import Path

from ingest.durable import replacing

FILE = "installation.id"
PATTERN = r"[0-9a-f]{32}"


class AnotherInstallation(RuntimeError):
    """A database is another installation's; the message says what to do."""

    def __init__(self, where: str, owner: str) -> None:
        super().__init__(
            f"{where} belongs to another installation ({owner[:8]}…): each would run the other's runs, and"
            " take nothing in. `earshot init --postgres URL` with a new database for this one; or, if that"
            " installation is gone for good, `earshot init --take-over`"
        )


def known(data: Path) -> str | None:
    """The id; None: it has none yet, or holds no id of ours."""
    with contextlib.suppress(FileNotFoundError, UnicodeDecodeError):
        found = (data / FILE).read_text("ascii").strip()
        return found if re.fullmatch(PATTERN, found) else None
    return None


def identity(data: Path) -> str:
    """The id, made where there is none; of several that make it at once all get the same. Raises OSError."""
    if found := known(data):
        return found
    path = data / FILE
    data.mkdir(parents=True, exist_ok=True)
    made = path.with_name(f".{FILE}.{os.getpid()}.{uuid.uuid4().hex}.new")
    with replacing(made) as temporary:
        temporary.write_text(f"{uuid.uuid4().hex}\n", "ascii")
    try:
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(made)  # unlike a rename, leaves what another made meanwhile
    finally:
        made.unlink(missing_ok=True)
    found = known(data)
    if found is None:
        raise OSError(f"{path} holds no id of an installation: remove it, and run this again")
    return found
