"""Notice files, read: podping notices and WebSub callbacks → hints, and what cannot be used with its reason.

A `.jsonl` file holds a notice, or an array of them, a line; a `.json` file one document of that kind, or
lines of them. Shapes of a notice:

- podping 1.x: {"version": "1.1", "medium": "podcast", "reason": "update", "iris": ["https://…"]},
- podping before 1.0: {"urls": ["https://…"]} and {"url": "https://…"},
- a Hive operation around one of these, as a watcher gets it from a node: ["custom_json", {"id", "json"}],
  {"type": "custom_json_operation", "value": {"id", "json"}}, or {"op": …, "timestamp", …},
- a WebSub callback: `ingest.feeds.sources.websub.envelope`.

Nothing of a WebSub body is used: it names a topic, and the topic is polled.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

import orjson

from ingest.feeds.sources.values import Hint, News, as_list, as_record
from ingest.feeds.urls import BadFeedUrl, feed_url, podcast_key

MAX_LINE_BYTES = 8 << 20  # a longer line could become gigabytes of tiny JSON values
LINES = ".jsonl"
MAX_REJECTS = 1_000  # told one by one; the rest of a file's are counted
_DETAIL_CHARS = 200
_BLANK = b" \t\r"
_STARTS, _ENDS = b"{[", b"}]"  # cheaper to see than an error of the parser
_LIVE_TEST = "pplt_"  # Hive operation ids of tests: pplt_podcast_live …
_NEWS = {"live": News.LIVE, "liveend": News.LIVE_END, "live_end": News.LIVE_END}
_NOTHING = object()


class NoticeReject(StrEnum):
    """Why (a part of) a notice file is not a hint."""

    NOT_JSON = "not_json"
    TOO_LONG = "too_long"  # a line of more than MAX_LINE_BYTES
    NOT_A_NOTICE = "not_a_notice"  # JSON of none of the shapes
    BAD_URL = "bad_url"
    NOT_SIGNED = "not_signed"  # a WebSub callback whose signature is wrong: WebSub §8 has it ignored
    LIVE_TEST = "live_test"  # podping's own tests
    # of whole files (landing.py)
    EMPTY = "empty"
    TOO_LARGE = "too_large"
    NOT_A_FILE = "not_a_file"  # a link, a pipe
    UNREADABLE = "unreadable"
    NOT_PUT_AWAY = "not_put_away"  # its hints count, but it cannot be moved to .done
    BAD_SOURCE = "bad_source"  # a folder whose name cannot name a source


@dataclass(frozen=True, slots=True)
class Reject:
    """What could not be used; `line` from 1, 0: the whole file."""

    file: str
    line: int
    reason: NoticeReject
    detail: str  # for people


@dataclass
class Notices:
    """What a file says. The same URL twice in it is two hints: whoever stores them keeps the newest."""

    hints: list[Hint] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)  # at most MAX_REJECTS
    rejected: int = 0  # all of them


@dataclass(frozen=True)
class _File:
    """Where notices come from, and when they count as noticed if they do not say."""

    source: str
    name: str
    modified_us: int
    now_us: int


def read_notices(body: bytes, source: str, name: str, modified_us: int, now_us: int) -> Notices:
    """The hints in the bytes of file `name`. Whatever stands in a line, the other lines are read as ever."""
    file, found = _File(source, name, min(modified_us, now_us), now_us), Notices()
    body = body.removeprefix(b"\xef\xbb\xbf")
    if not body.strip():
        _reject(found, file, 0, NoticeReject.EMPTY, b"")
    may_be_one = not name.lower().endswith(LINES) and len(body) <= MAX_LINE_BYTES
    if may_be_one and (whole := _json(body)) is not _NOTHING:
        _read_all(whole, file, 1, found)
        return found
    for number, line in enumerate(body.split(b"\n"), 1):
        line = line.strip(_BLANK)
        if not line:
            continue
        if len(line) > MAX_LINE_BYTES:
            _reject(found, file, number, NoticeReject.TOO_LONG, line)
        elif line[0] not in _STARTS or line[-1] not in _ENDS or (notice := _json(line)) is _NOTHING:
            _reject(found, file, number, NoticeReject.NOT_JSON, line)
        else:
            _read_all(notice, file, number, found)
    return found


def _json(text: bytes) -> object:
    try:
        return orjson.loads(text)  # bounds its depth
    except orjson.JSONDecodeError:
        return _NOTHING


def _read_all(value: object, file: _File, line: int, found: Notices) -> None:
    """A notice or an array of them."""
    for notice in value if isinstance(value, list) and not _is_operation(value) else [value]:
        _read(notice, file, line, found)


def _read(notice: object, file: _File, line: int, found: Notices) -> None:
    """Hints of one notice; each URL that cannot be used is told, the others count."""
    record, noticed = as_record(notice), None
    if "op" in record:  # a watcher's wrapping
        noticed, notice = record.get("timestamp"), record["op"]
    if (operation := _operation(notice)) is not None:
        name, text = operation
        if isinstance(name, str) and name.startswith(_LIVE_TEST):
            return _reject(found, file, line, NoticeReject.LIVE_TEST, name)
        notice = _json(text.encode("utf-8", "replace")) if isinstance(text, str) else text
        record = as_record(notice)
    if "topic" in record:
        if record.get("signature") not in (None, True):
            return _reject(found, file, line, NoticeReject.NOT_SIGNED, record["topic"])
        urls, noticed = [record["topic"]], record.get("received_at")
    else:
        urls = list(_podping_urls(record))
        noticed = noticed if noticed is not None else record.get("timestamp")
    if not urls:
        return _reject(found, file, line, NoticeReject.NOT_A_NOTICE, notice)
    news = _news(record.get("reason"))
    noticed_us = _instant_us(noticed, file)
    for url in urls:
        try:
            if not isinstance(url, str):
                raise BadFeedUrl(f"not a text: {_shown(url)}")
            normal = feed_url(url)
        except BadFeedUrl as error:
            _reject(found, file, line, NoticeReject.BAD_URL, error)
            continue
        key = _key(record.get("podcast_key")) if "topic" in record else None
        key = podcast_key(normal) if key is None else key
        found.hints.append(Hint(key, normal, file.source, noticed_us, news, file=file.name, line=line))
    return None


def _key(value: object) -> int | None:
    """A podcast_key: signed, 64 bits."""
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if -(2**63) <= value < 2**63 else None


def _news(reason: object) -> News:
    return _NEWS.get(reason[:20].lower(), News.UPDATE) if isinstance(reason, str) else News.UPDATE


def _is_operation(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and value[0] == "custom_json"


def _operation(value: object) -> tuple[object, object] | None:
    """(id, json) of a Hive custom_json operation."""
    if isinstance(value, list) and _is_operation(value):
        inner = as_record(value[1])
    elif (record := as_record(value)).get("type") == "custom_json_operation":
        inner = as_record(record.get("value"))
    else:
        return None
    return inner.get("id"), inner.get("json")


def _podping_urls(record: object) -> Iterator[object]:
    said = as_record(record)
    for key in ("iris", "urls"):
        if said.get(key):
            yield from as_list(said[key])
            return
    if "url" in said:
        yield said["url"]


def _instant_us(value: object, file: _File) -> int:
    """Epoch µs of an ISO 8601 time (without a zone: UTC, as Hive writes it) or epoch seconds, not in the
    future; else when the file was written.
    """
    try:
        if isinstance(value, str):
            at = datetime.fromisoformat(value[:40])
            value = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
        if isinstance(value, bool) or not isinstance(value, int | float):
            return file.modified_us
        at_us = int(value * 1e6)
    except (ValueError, OverflowError, OSError):
        return file.modified_us
    return at_us if 0 < at_us <= file.now_us else file.modified_us


def _reject(found: Notices, file: _File, line: int, reason: NoticeReject, what: object) -> None:
    """`what` there was, or an error that says it."""
    found.rejected += 1
    if len(found.rejects) < MAX_REJECTS:
        detail = str(what)[:_DETAIL_CHARS] if isinstance(what, BadFeedUrl) else _shown(what)
        found.rejects.append(Reject(file.name, line, reason, detail))


def _shown(value: object) -> str:
    """The start of what was there, as it may stand in a message."""
    if isinstance(value, bytes):
        return ascii(value[:_DETAIL_CHARS].decode("utf-8", "replace"))[:_DETAIL_CHARS]
    if isinstance(value, str):
        return ascii(value[:_DETAIL_CHARS])[:_DETAIL_CHARS]
    if isinstance(value, dict):
        keys = [str(key)[:40] for key, _ in zip(value, range(10), strict=False)]
        return f"an object with {keys!a}"[:_DETAIL_CHARS] if keys else "an empty object"
    return f"a {type(value).__name__}"
