"""nginx's error log without addresses: its lines go on, masked, in a log of our own."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ingest.logs.rejects import ADDRESS_LIKE, MASK

NAME, MASKED = "error.log", "error.masked.log"
_KEPT_BYTES = 1 << 20  # of the masked one, before it begins anew
_ADDRESS = re.compile(ADDRESS_LIKE)


def mask_errors(folder: Path) -> int:
    """Move what `folder`/error.log has to error.masked.log, addresses masked; bytes moved. Raises OSError.

    nginx appends, so its file can be emptied under it. Where a line comes between, the next minute does it.
    """
    log, masked = folder / NAME, folder / MASKED
    try:
        content = log.read_bytes()
    except FileNotFoundError:
        return 0
    if not content or log.stat().st_size != len(content):
        return 0
    os.truncate(log, 0)
    text = _ADDRESS.sub(MASK, content.decode("utf-8", "backslashreplace"))
    if masked.exists() and masked.stat().st_size > _KEPT_BYTES:
        masked.replace(masked.with_name(f"{MASKED}.old"))
    with os.fdopen(os.open(masked, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640), "w") as out:
        out.write(text)
    return len(content)
