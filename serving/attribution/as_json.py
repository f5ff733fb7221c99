"""The answers of `earshot attribution` as JSON."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, datetime
from typing import Any

from serving.attribution.model import Answer, Explanation

Row = dict[str, Any]


def as_json(answer: Answer) -> Row:
    """All of it. The episode's key is a text: JavaScript's and jq's numbers end at 53 bits."""
    found: Row = _plain(asdict(answer))
    if isinstance(answer, Explanation) and (key := answer.collaboration.episode_key) is not None:
        found["collaboration"]["episode_key"] = str(key)
    return found


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {name: _plain(of) for name, of in value.items()}
        case list() | tuple():
            return [_plain(of) for of in value]
        case datetime():
            return value.isoformat(timespec="seconds") + "Z"
        case date():
            return value.isoformat()
    return value
