"""What dbt has parsed, as objects, kept from build to build.

† 0.15 of 4.4 CPU-s of the downloads mart: dbt has code written that reads its own file of what it parsed.
"""

from __future__ import annotations

import contextlib
import pickle
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import xxhash

from orchestration.kept_files import keep_last, read_kept, write_kept

MOST = 4  # projects, or variables, in turn: of each some megabytes
_PACKAGES = ("dbt-core", "dbt-common", "dbt-adapters", "dbt-semantic-interfaces", "mashumaro")
_OF_THE_PROCESS = "_lock"


def keep_manifests(folder: Path) -> None:
    """From now on dbt takes what it reads from its file of what it parsed from `folder`, if that has it."""
    from dbt.contracts.graph.manifest import Manifest

    made_by = f"{sys.version} {[version(package) for package in _PACKAGES]}".encode()
    read = Manifest.from_msgpack

    def take_or_read(cls: type[Manifest], parsed: bytes, *given: Any, **named: Any) -> Manifest:
        file = folder / f"manifest-{xxhash.xxh3_128_hexdigest(made_by + parsed)}"
        kept = read_kept(file)
        if kept is not None:
            with contextlib.suppress(Exception):  # of other classes after all: it is read as ever
                manifest = cls()
                manifest.__dict__.update(pickle.loads(kept))
                return manifest
        manifest = read(parsed, *given, **named)
        state = {name: value for name, value in vars(manifest).items() if name != _OF_THE_PROCESS}
        write_kept(file, pickle.dumps(state, pickle.HIGHEST_PROTOCOL))
        keep_last(folder, "manifest-", MOST)
        return manifest

    Manifest.from_msgpack = classmethod(take_or_read)  # type: ignore[misc,assignment]
