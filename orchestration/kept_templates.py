"""dbt's templates as code, kept from build to build.

† 0.2 of 5.5 CPU-s of the downloads mart: Jinja makes the same code of the same macros each time.
"""

from __future__ import annotations

import contextlib
import importlib.util
import marshal
import os
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from types import CodeType
from typing import Any

import xxhash

MOST = 4000  # beyond it, what a build did not use goes
_DIGEST_BYTES = 16


def cache_home() -> Path:
    """Where what can be made again is kept for whoever runs this."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "earshot"


def keep_templates(folder: Path) -> Callable[[], None]:
    """From now on dbt's Jinja takes code from `folder`; call what is returned to keep what it had to make.

    Not in the data folder: it is run as it is, and a backup may come from elsewhere.
    """
    from dbt_common.clients.jinja import MACRO_DEBUGGING, MacroFuzzEnvironment

    if MACRO_DEBUGGING:  # wants to see it made
        return lambda: None
    made_by = f"{importlib.util.MAGIC_NUMBER.hex()} {version('jinja2')} {version('dbt-common')}"
    file = folder / f"templates-{xxhash.xxh3_64_hexdigest(made_by.encode())}"
    known, used = _read(file), dict[str, CodeType]()
    make = MacroFuzzEnvironment.compile

    def take_or_make(self: Any, source: Any, *given: Any, **named: Any) -> Any:
        if given or named or not isinstance(source, str):
            return make(self, source, *given, **named)
        key = f"{type(self).__name__} {xxhash.xxh3_128_hexdigest(source.encode())}"
        used[key] = used.get(key) or known.get(key) or make(self, source)
        return used[key]

    def save() -> None:
        if not used.keys() <= known.keys():
            kept = known | used
            _write(file, kept if len(kept) <= MOST else used)

    MacroFuzzEnvironment.compile = take_or_make  # type: ignore[method-assign]
    return save


def _read(file: Path) -> dict[str, CodeType]:
    """Nothing, unless the file is whole, our own, and nobody else may write to it."""
    with contextlib.suppress(OSError), file.open("rb") as opened:
        about = os.fstat(opened.fileno())
        if about.st_uid == os.geteuid() and not about.st_mode & 0o022:
            digest, code = opened.read(_DIGEST_BYTES), opened.read()
            if digest == xxhash.xxh3_128_digest(code):
                found: dict[str, CodeType] = marshal.loads(code)
                return found
    return {}


def _write(file: Path, kept: dict[str, CodeType]) -> None:
    code = marshal.dumps(kept)
    unfinished = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    with contextlib.suppress(OSError):  # where nothing can be kept, it is made each time
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            unfinished.touch(mode=0o600, exist_ok=False)
            unfinished.write_bytes(xxhash.xxh3_128_digest(code) + code)
            unfinished.replace(file)
        finally:
            unfinished.unlink(missing_ok=True)
