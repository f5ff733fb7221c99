"""What dbt made and would make again, kept for whoever runs it: files that only their owner can have written.

Not in the data folder: what they hold is run as it is, and a backup may come from elsewhere.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from pathlib import Path

import xxhash

_DIGEST_BYTES = 16
_NOWHERE = Path(os.devnull)  # below it nothing can be kept
_OTHERS_WRITE = 0o022
_UNFINISHED_S = 3600  # left by who was killed


def cache_home() -> Path:
    """Where what can be made again is kept for whoever runs this."""
    try:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:  # neither HOME nor an entry in passwd: a container's `--user 12345`
        home = _NOWHERE
    return Path(home) / "earshot"


def read_kept(file: Path) -> bytes | None:
    """Nothing, unless the file is whole, it and its folder our own, and nobody else may write to them."""
    with contextlib.suppress(OSError), file.open("rb") as opened:
        if _is_ours(os.fstat(opened.fileno())) and _is_ours(file.parent.stat()):
            digest, content = opened.read(_DIGEST_BYTES), opened.read()
            if digest == xxhash.xxh3_128_digest(content):
                return content
    return None


def write_kept(file: Path, content: bytes) -> None:
    """Atomically; where nothing can be kept, it is made each time."""
    with contextlib.suppress(OSError):
        _make_ours(file.parent)
        # A name that nobody can have foreseen, and what is written goes there whatever lies at it by then.
        descriptor, unfinished = tempfile.mkstemp(".tmp", f".{file.name}.", file.parent)
        try:
            with os.fdopen(descriptor, "wb") as opened:
                opened.write(xxhash.xxh3_128_digest(content) + content)
            Path(unfinished).replace(file)
        finally:
            Path(unfinished).unlink(missing_ok=True)


def keep_last(folder: Path, beginning: str, most: int) -> None:
    """Remove the oldest files of `folder` that begin so, but for `most`, and what was never finished."""
    with contextlib.suppress(OSError):
        kept = sorted(folder.glob(f"{beginning}*"), key=lambda file: file.stat().st_mtime_ns)
        before = time.time() - _UNFINISHED_S
        unfinished = (file for file in folder.glob(f".{beginning}*.tmp") if file.stat().st_mtime < before)
        for file in [*[file for file in kept if file.is_file()][:-most], *unfinished]:
            file.unlink(missing_ok=True)


def _is_ours(about: os.stat_result) -> bool:
    return about.st_uid == os.geteuid() and not about.st_mode & _OTHERS_WRITE


def _make_ours(folder: Path) -> None:
    """Raises PermissionError for another's folder, who could put there what he likes."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    about = folder.stat()
    if about.st_uid != os.geteuid():
        raise PermissionError(f"{folder} is not our own")
    if not _is_ours(about):  # a umask of 002, or an earlier version's
        folder.chmod(0o700)
