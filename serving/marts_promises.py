"""Whether a contract breaks what the page before promised: then the mart's version must rise."""

from __future__ import annotations

import re
from collections.abc import Iterator

from serving.contract import Contract, MartContract

_MART = re.compile(r"^### (\w+)\n(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
_GRAIN = re.compile(r"^Grain: (.+?)\. (.+?)\. Version (\d+)\.", re.MULTILINE)
_COLUMN = re.compile(r"^\| `(\w+)`( †)? \| (.+?) \| (yes|) \|", re.MULTILINE)
_SHARED = "Shared"


def broken_promises(former_page: str, contract: Contract) -> list[str]:
    """What readers of `former_page` (a docs/marts.md) lose by `contract` and no version tells."""
    return [
        loss for name, part in _MART.findall(former_page) for loss in _losses(name, part, contract.get(name))
    ]


def _losses(name: str, part: str, mart: MartContract | None) -> Iterator[str]:
    told = _GRAIN.search(part)
    if told is None:  # no page of ours
        return
    grain, who, version = tuple(re.findall(r"`(\w+)`", told[1])), told[2], int(told[3])
    if mart is None:
        yield f"{name} is gone: keep it, or take it out of docs/marts.md by hand, in a commit that says why"
        return
    if mart.version > version:
        return
    raise_it = f"raise `version` in {name}.yml above {version}, or leave it as it was"
    if mart.version < version:
        yield f"the version of {name} fell from {version} to {mart.version}: {raise_it}"
    if mart.grain != grain:
        yield f"the grain of {name} was {', '.join(grain)}: {raise_it}"
    now = {column.name: column for column in mart.columns}
    shared = {column.name for column in mart.shared_columns}
    for column, mark, kind, null in _COLUMN.findall(part):
        if column not in now:
            yield f"{name} has no {column} any more: {raise_it}"
        elif now[column].type != kind:
            yield f"{name}.{column} was {kind}: {raise_it}"
        elif now[column].is_nullable and not null:
            yield f"{name}.{column} had no nulls: {raise_it}"
        elif who == _SHARED and not mark and column not in shared:
            yield f"{name}.{column} was shared: {raise_it}"
