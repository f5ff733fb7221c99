"""The event catalogue: of each type its meaning, an example and its JSON Schema, all from `messages`.

`python -m serving.webhooks.catalogue` writes it into docs/webhooks.md; with the name of a type it prints that
type's schema.
"""

from __future__ import annotations

import argparse
import inspect
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from ingest.feeds.diff import MINOR, MINOR_BESIDE, VOLATILE
from ingest.feeds.schema import EPISODE_CONTENT, PODCAST_CONTENT, ChangeType
from ingest.feeds.urls import derived_guid, podcast_key
from ingest.schema import Schema
from registry.delivery_log import BATCH
from serving.webhooks import messages
from serving.webhooks.payload import MESSAGE, Event, body, notice_body

DOCS = Path(__file__).parents[2] / "docs" / "webhooks.md"
BEGIN, END = "<!-- catalogue: python -m serving.webhooks.catalogue -->", "<!-- /catalogue -->"

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_AT_US = 1_796_049_600_000_000  # of the examples in the docs: 2026-11-30 14:40 UTC
_KINDS = {
    "String": "text",
    "Boolean": "true or false",
    "Int64": "integer",
    "Float64": "number",
    "List(String)": "list of texts",
    "List(Int64)": "list of integers",
}
# Fields of changes that are not what a feed says of itself.
_OTHER_FIELDS = {
    "feed_url": ("`podcast.moved`", "text", "where the feed is fetched"),
    "tier": ("`podcast.gone`, `podcast.recovered`", "text", "how often it is polled (docs/feeds.md)"),
    "live_item": ("`podcast.live`", "text", "the live item's status"),
    "removed_us": (
        "`episode.removed`, `episode.updated`",
        "integer",
        "when it was taken out; null again when it came back",
    ),
}


def types() -> dict[str, type[BaseModel]]:
    """All that an endpoint may be sent: type → model, in the order of the catalogue."""
    models = get_args(get_args(messages.Message)[0])
    return {get_args(model.model_fields["type"].annotation)[0]: model for model in models}


def schema(type: str) -> dict[str, Any]:
    """The JSON Schema (2020-12) of one type's body. Raises ValueError for an unknown one."""
    return {"$schema": _DIALECT, **_model(type).model_json_schema()}


def whole_schema() -> dict[str, Any]:
    """One JSON Schema of all bodies; each type is one of its `$defs`."""
    return {"$schema": _DIALECT, **MESSAGE.json_schema()}


def example(type: str, now_us: int) -> bytes:
    """A body of that type as it is sent, of a podcast that is none. Raises ValueError for an unknown type."""
    if type == BATCH:
        told = (ChangeType.EPISODE_CREATED, ChangeType.PODCAST_UPDATED)
        events = [_event(change, number, now_us) for number, change in enumerate(told, start=12)]
        return body(events, (), is_batch=True)
    if type in _NOTICES:
        return notice_body(type, _NOTICES[type], now_us)
    return body([_event(_change(type), 12, now_us)], (), is_batch=False)


def markdown() -> str:
    """The catalogue as it stands in docs/webhooks.md."""
    parts = []
    for type, model in types().items():
        pretty = json.dumps(json.loads(example(type, _AT_US)), indent=2, ensure_ascii=False)
        parts.append(f"#### `{type}`\n\n{inspect.getdoc(model)}\n\n```json\n{pretty}\n```")
    parts.append(_FIELDS_INTRO + "\n\n" + "\n".join(_field_rows()))
    schema_json = json.dumps(whole_schema(), indent=1, ensure_ascii=False)
    parts.append(_SCHEMA_INTRO.format(schema=schema_json))
    return "\n\n".join(parts)


def documented(text: str, catalogue: str) -> str:
    """`text` with `catalogue` as its marked part. Raises ValueError: the marks are missing."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the marks {BEGIN} and {END} are missing")
    return f"{before}{BEGIN}\n\n{catalogue}\n\n{END}{after}"


_FIELDS_INTRO = """### Fields of changes

What `changes` can name. A *minor* field is recorded and told beside others, but is no event of its own unless
a subscription's `fields` asks for it. Fields that end in `_us` are microseconds since 1970, UTC. `images`,
`transcripts`, `alternate_enclosures` and `podcast_tags` are texts that hold JSON."""

_SCHEMA_INTRO = """### JSON Schema

`python -m serving.webhooks.catalogue episode.created` prints the schema of one type. This is the one of all
types; each is one of its `$defs`.

<details><summary>JSON Schema of all types</summary>

```json
{schema}
```

</details>"""


def _field_rows() -> list[str]:
    rows = ["| field | of | value | minor |", "|---|---|---|---|"]
    for name, (of, kind, about) in _OTHER_FIELDS.items():
        rows.append(f"| `{name}` | {of} | {kind}: {about} | |")
    for of, fields in (("podcast", PODCAST_CONTENT), ("episode", EPISODE_CONTENT)):
        rows += [
            f"| `{name}` | {of} | {_KINDS[str(kind)]} | {_minor(name, fields)} |"
            for name, kind in fields.items()
            if fields is EPISODE_CONTENT or name not in VOLATILE
        ]
    return rows


def _minor(name: str, fields: Schema) -> str:
    if name in MINOR:
        return "minor"
    beside = MINOR_BESIDE.get(name)
    return f"minor while `{beside}` is the same" if beside in fields else ""


def _model(type: str) -> type[BaseModel]:
    try:
        return types()[type]
    except KeyError:
        raise ValueError(f"{type!r} is no type; known are {', '.join(types())}") from None


def _change(type: str) -> ChangeType:
    _model(type)
    return ChangeType(type)


_PUBLISHED_US = _AT_US - 600_000_000
_FEED = "https://feeds.example.com/show.xml"
_PODCAST = {"guid": derived_guid(_FEED), "feed_url": _FEED, "title": "The Example Show"}
_EPISODE = {
    "key": "-8302958432958204930",
    "guid": "show-0042",
    "title": "42: Answers",
    "enclosure_url": "https://media.example.com/show/42.mp3",
    "published": messages.timestamp(_PUBLISHED_US),
}
# field, old, new
_CHANGES: Mapping[ChangeType, tuple[tuple[str, object, object], ...]] = {
    ChangeType.PODCAST_UPDATED: (("title", "The Sample Show", "The Example Show"),),
    ChangeType.PODCAST_MOVED: (("feed_url", "https://old.example.com/show.xml", _FEED),),
    ChangeType.PODCAST_GONE: (("tier", "regular", "gone"),),
    ChangeType.PODCAST_RECOVERED: (("tier", "dead", "active"),),
    ChangeType.PODCAST_LIVE: (("live_item", "pending", "live"),),
    ChangeType.EPISODE_CREATED: (
        ("duration_s", None, 3590.0),
        ("enclosure_url", None, "https://media.example.com/show/42.mp3"),
        ("guid", None, "show-0042"),
        ("published_us", None, _PUBLISHED_US),
        ("title", None, "42: Answers"),
    ),
    ChangeType.EPISODE_UPDATED: (("duration_s", 3590.0, 3600.0),),
    ChangeType.EPISODE_REMOVED: (("removed_us", None, _AT_US),),
}
_NOTICES: Mapping[str, Mapping[str, object]] = {
    "webhook.challenge": {"challenge": "sHLBJ0cUy1pAqZt4zqIhk2E5mWc0PZkN"},
    "webhook.test": {"message": "A test of your endpoint: nothing happened."},
    "subscription.disabled": {
        "subscription": 7,
        "url": "https://hooks.example.com/earshot",
        "reason": "it answered 410 Gone",
    },
}


def _event(change: ChangeType, sequence: int, now_us: int) -> Event:
    data = {
        "podcast": _PODCAST,
        "episode": _EPISODE if change.startswith("episode.") else None,
        "changes": [{"field": name, "old": old, "new": new} for name, old, new in _CHANGES[change]],
    }
    return Event(podcast_key(_FEED), sequence, change, now_us, data)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m serving.webhooks.catalogue", description=__doc__)
    parser.add_argument("type", nargs="?", choices=list(types()), help="print the JSON Schema of this type")
    type = parser.parse_args(arguments).type
    if type is None:
        DOCS.write_text(documented(DOCS.read_text("utf-8"), markdown()), "utf-8")
    else:
        sys.stdout.write(json.dumps(schema(type), indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
