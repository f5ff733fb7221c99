"""A change told in fewer bytes: long values are cut first, names of fields go last."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

# Bytes of one value, step by step; 0: null.
_VALUE_BYTES = (4000, 2000, 1000, 500, 250, 100, 0)
_CHANGES = (30, 10, 3, 0)  # then so many changes are told
_REFERENCE_BYTES = (1000, 250, 100)  # then titles, guids and URLs are short
_COALESCED = 20  # then so many sequences, the newest
_ELLIPSIS = "…"


def steps(data: dict[str, Any], link: str | None) -> Iterator[dict[str, Any]]:
    """Ever shorter forms of the `data` of a change; each says that it is one."""
    data = data | {"is_shortened": True} | ({} if link is None else {"link": link})
    for most in _VALUE_BYTES:
        yield data | {"changes": [_cut_change(change, most) for change in data["changes"]]}
    data = data | {"changes": [_cut_change(change, 0) for change in data["changes"]]}
    for number in _CHANGES:
        yield data | {"changes": data["changes"][:number]}
    data = data | {"changes": []}
    for most in _REFERENCE_BYTES:
        yield data | {
            "podcast": _cut_reference(data["podcast"], most),
            "episode": None if data["episode"] is None else _cut_reference(data["episode"], most),
            "coalesced": data["coalesced"][-_COALESCED:],
        }


def fair_share(sizes: Sequence[int], room: int) -> int:
    """The most bytes that each may have, so that all have `room`; small ones leave theirs to others."""
    left = room
    for number, size in enumerate(sorted(sizes)):
        share = left // (len(sizes) - number)
        if size > share:
            return share
        left -= size
    return room


def cut(value: Any, most: int) -> Any:
    """The value in `most` bytes of JSON: text loses its end, a list its last items, all else is null."""
    if len(orjson.dumps(value)) <= most:
        return value
    if isinstance(value, str):
        return _cut_text(value, most)
    if isinstance(value, list):
        return _cut_list(value, most)
    return None


def _cut_text(text: str, most: int) -> str | None:
    text = text[:most]  # a character is one byte at least
    ends = range(len(text) + 1)
    end = bisect_right(ends, most, key=lambda end: len(orjson.dumps(text[:end] + _ELLIPSIS))) - 1
    return text[:end] + _ELLIPSIS if end >= 0 else None


def _cut_list(values: list[Any], most: int) -> list[Any] | None:
    kept, left = [], most - len("[]")
    for value in values:
        left -= len(orjson.dumps(value)) + len(",")
        if left < 0:
            break
        kept.append(value)
    return kept or None


def _cut_change(change: dict[str, Any], most: int) -> dict[str, Any]:
    values = {name: cut(change[name], most) for name in ("old", "new")}
    is_cut = any(change[name] != value for name, value in values.items())
    return change | values | ({"is_shortened": True} if is_cut else {})


def _cut_reference(reference: dict[str, Any], most: int) -> dict[str, Any]:
    """A URL that lost its end leads nowhere: rather none."""
    return {
        name: None if name.endswith("_url") and cut(value, most) != value else cut(value, most)
        for name, value in reference.items()
    }
