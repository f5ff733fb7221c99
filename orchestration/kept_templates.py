"""dbt's templates as code, kept from build to build.

† 0.2 of 5.5 CPU-s of the downloads mart: Jinja makes the same code of the same macros each time.
"""

from __future__ import annotations

import importlib.util
import marshal
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from types import CodeType
from typing import Any

import xxhash

from orchestration.kept_files import read_kept, write_kept

MOST = 4000  # beyond it, what a build did not use goes


def keep_templates(folder: Path) -> Callable[[], None]:
    """From now on dbt's Jinja takes code from `folder`; call what is returned to keep what it had to make."""
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
            write_kept(file, marshal.dumps(kept if len(kept) <= MOST else used))

    MacroFuzzEnvironment.compile = take_or_make  # type: ignore[method-assign]
    return save


def _read(file: Path) -> dict[str, CodeType]:
    code = read_kept(file)
    found: dict[str, CodeType] = marshal.loads(code) if code else {}
    return found
