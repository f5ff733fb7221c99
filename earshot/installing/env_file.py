"""The file with an installation's settings, as systemd, compose files and shells all read it."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping
from pathlib import Path

from ingest.durable import replacing
from ingest.settings import SettingError

NAME = "earshot.env"
MODE = 0o600  # it holds passwords
_SETS = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=")
_HEADER = "# Settings of Earshot (docs/operations.md). Passwords: keep mode 0600. Lines of your own stay.\n"


def write(path: Path, values: Mapping[str, str]) -> bool:
    """Put these settings into the file, leaving its other lines as they are; whether it changed.

    It never has another mode than 0600, nor another owner than before. Raises SettingError: a value that
    cannot be written so that systemd, compose and shells all read it alike.
    """
    for name, value in values.items():
        if not value.isprintable() or "'" in value or "\\" in value:
            raise SettingError(
                f"{name} holds a quote, backslash or control character: it cannot be kept in {path}"
            )
    before, owner = None, None
    with contextlib.suppress(FileNotFoundError):
        before, owner = path.read_text("utf-8"), path.stat()
    lines = (before if before is not None else _HEADER).splitlines()
    missing = dict(values)
    for number, line in enumerate(lines):
        found = _SETS.match(line)
        if found and found[1] in values:
            lines[number] = f"{found[1]}='{values[found[1]]}'"  # quoted alike for all three: & and % stay
            missing.pop(found[1], None)
    lines += [f"{name}='{value}'" for name, value in missing.items()]
    content = "\n".join(lines) + "\n"
    if content == before and owner is not None and owner.st_mode & 0o777 == MODE:
        return False
    with replacing(path) as temporary:
        temporary.touch(mode=MODE)
        temporary.chmod(MODE)
        temporary.write_text(content, "utf-8")
        if owner is not None and os.geteuid() == 0:
            os.chown(temporary, owner.st_uid, owner.st_gid)
    return True


def is_private(path: Path) -> bool:
    """Whether nobody but its owner may read or write it."""
    return not path.stat().st_mode & 0o077
