"""What dbt made and would make again, kept for whoever runs it: files that only their owner can have written.

Not in the data folder: what they hold is run as it is, and a backup may come from elsewhere.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import xxhash

_DIGEST_BYTES = 16


def cache_home() -> Path:
    """Where what can be made again is kept for whoever runs this."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "earshot"


def read_kept(file: Path) -> bytes | None:
    """Nothing, unless the file is whole, our own, and nobody else may write to it."""
    with contextlib.suppress(OSError), file.open("rb") as opened:
        about = os.fstat(opened.fileno())
        if about.st_uid == os.geteuid() and not about.st_mode & 0o022:
            digest, content = opened.read(_DIGEST_BYTES), opened.read()
            if digest == xxhash.xxh3_128_digest(content):
                return content
    return None


def write_kept(file: Path, content: bytes) -> None:
    """Atomically; where nothing can be kept, it is made each time."""
    unfinished = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            unfinished.touch(mode=0o600, exist_ok=False)
            unfinished.write_bytes(xxhash.xxh3_128_digest(content) + content)
            unfinished.replace(file)
        finally:
            unfinished.unlink(missing_ok=True)
