"""The body of a request: changes of the outbox as messages, merged, filtered, never above 20 kB."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, TypeAdapter

from ingest.feeds.schema import ChangeType
from registry.delivery_log import BATCH
from serving.webhooks import shorten
from serving.webhooks.messages import ChangeMessage, ChangesBatch, Message, Notice, timestamp

MAX_BYTES = 20_000  # UPDATES §5

_UPDATES = (ChangeType.PODCAST_UPDATED, ChangeType.EPISODE_UPDATED)
_CHANGE: TypeAdapter[ChangeMessage] = TypeAdapter(ChangeMessage)
_NOTICE: TypeAdapter[Notice] = TypeAdapter(Notice)
MESSAGE: TypeAdapter[Message] = TypeAdapter(Message)


@dataclass(frozen=True)
class Event:
    """A change that somebody is told of: a row of `registry.tables.outbox`."""

    podcast_key: int
    sequence: int
    change: str  # ingest.feeds.schema.ChangeType
    detected_us: int
    data: Mapping[str, Any]  # registry.change_data.ChangeData


def body(events: Sequence[Event], fields: Collection[str], is_batch: bool, link: str | None = None) -> bytes:
    """The JSON of a message, at most `MAX_BYTES`. `events` oldest first; of one record unless it is a batch.

    Of an update only `fields` are told, if any are given. What is too large is shortened, and says so; `link`
    is where the whole is. Raises ValueError for no events, and for a batch of more than fit even so: whoever
    composes batches keeps to less.
    """
    if not events:
        raise ValueError("a message tells of one change at least")
    if not is_batch:
        return _fitting(_merged(events, fields), MAX_BYTES, link)
    said = [_json(_CHANGE.validate_python(_merged([event], fields))) for event in events]
    envelope = {"type": BATCH, "timestamp": timestamp(events[0].detected_us)}
    rest = len(_json(ChangesBatch.model_validate(envelope | {"data": {"count": len(said), "events": []}})))
    room = MAX_BYTES - rest - (len(said) - 1)
    if sum(map(len, said)) > room:
        each = shorten.fair_share([len(one) for one in said], room)
        said = [
            one if len(one) <= each else _fitting(_merged([event], fields), each, link)
            for event, one in zip(events, said, strict=True)
        ]
        if sum(map(len, said)) > room:
            raise ValueError(f"{len(said)} changes do not fit into {MAX_BYTES:,} bytes")
    batch = envelope | {"data": {"count": len(said), "events": [_CHANGE.validate_json(one) for one in said]}}
    return _json(ChangesBatch.model_validate(batch))


def changed(events: Sequence[Event], fields: Collection[str]) -> list[dict[str, Any]]:
    """What differs after all of `events`, of one record, oldest first: `messages.Change`, sorted by field.

    The old value is that of the first event that names the field, the new one that of the last; empty: all is
    back as it was.
    """
    merged: dict[str, dict[str, Any]] = {}
    for event in events:
        for change in event.data["changes"]:
            known = merged.setdefault(change["field"], dict(change))
            known["new"] = change["new"]
            if change.get("is_shortened"):
                known["is_shortened"] = True
    is_filtered = bool(fields) and events[0].change in _UPDATES
    return [
        change
        for name, change in sorted(merged.items())
        if change["old"] != change["new"] and (not is_filtered or name in fields)
    ]


def notice_body(type: str, data: Mapping[str, Any], now_us: int) -> bytes:
    """The JSON of a notice of ours (`messages.Notice`). Raises ValueError for data of another form."""
    said = {"type": type, "timestamp": timestamp(now_us), "data": dict(data)}
    return _json(_NOTICE.validate_python(said))


def _merged(events: Sequence[Event], fields: Collection[str]) -> dict[str, Any]:
    last, changes = events[-1], changed(events, fields)
    return {
        "type": str(events[0].change),  # what was created and then updated is news, it was created
        "timestamp": timestamp(last.detected_us),
        "data": {
            "podcast": {"key": str(last.podcast_key), **last.data["podcast"]},
            "episode": last.data["episode"],
            "sequence": last.sequence,
            "coalesced": [event.sequence for event in events[:-1]],
            "changes": changes,
            "is_shortened": any(change.get("is_shortened") for change in changes),
        },
    }


def _fitting(message: dict[str, Any], most: int, link: str | None) -> bytes:
    """The JSON in `most` bytes, or as near as it gets."""
    said = _json(_CHANGE.validate_python(message))
    for data in shorten.steps(message["data"], link):
        if len(said) <= most:
            break
        said = _json(_CHANGE.validate_python(message | {"data": data}))
    return said


def _json(message: BaseModel) -> bytes:
    return message.model_dump_json(exclude_unset=True).encode()
