"""Every format's golden file: about a dozen lines beside the RAW frame they must become.

The same thirteen events in each, in order: a whole file; two ranges, the second left early; a probe; HEAD;
304; a path and an agent that are not ASCII; a torn line; a slow download; one through a proxy; one the
listener left before an answer, without agent; a status that is no number; a range left early. Only the first
has a referrer.

By hand: noon in the files is 1790683200 = 2026-09-29 12:00:00 UTC (date -u -d @1790683200). Formats that log
the end give, for the third event, 1790683206.000 − 0.750 s = 12:00:05.250. CloudFront v1 knows whole seconds:
the second event ends at 12:00:04.500, is logged as 12:00:04, and 12:00:04 − 1.500 s = 12:00:02.500. Bunny
does not tell what to subtract: its third event is at 12:00:06.000.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest

from ingest.logs.formats import FORMATS, detect
from ingest.logs.formats.base import Format, Parsed
from ingest.schema import RAW

GOLDEN = Path(__file__).parent / "golden"
FILES = ["cloudfront", "cloudfront_v2", "fastly", "cloudflare", "akamai", "bunny", "nginx", "caddy", "prefix"]
JSON_FILES = [name for name in FILES if name not in ("cloudfront", "bunny")]


def log_of(name: str) -> bytes:
    return (GOLDEN / f"{name}.log").read_bytes()


def format_of(name: str) -> Format:
    return FORMATS[name.removesuffix("_v2")]


def expected_of(name: str) -> dict[str, Any]:
    expected: dict[str, Any] = json.loads((GOLDEN / f"{name}.expected.json").read_text())
    return expected


def told(parsed: Parsed) -> list[dict[str, Any]]:
    """The RAW frame as the expected file writes it: instants as text, what is null left out."""
    assert parsed.requests.schema == RAW
    rows = []
    for row in parsed.requests.to_dicts():
        us = row.pop("started_us")
        started = datetime(1970, 1, 1) + timedelta(microseconds=us)
        assert us % 1000 == 0
        at = started.isoformat(timespec="milliseconds") + "Z"
        rows.append({"started_at": at} | {key: value for key, value in row.items() if value is not None})
    return rows


@pytest.mark.parametrize("name", FILES)
def test_the_golden_file_becomes_the_frame_beside_it(name: str) -> None:
    expected = expected_of(name)
    parsed = format_of(name).parse(log_of(name), 1, ())
    rows = told(parsed)
    for row in rows:  # a line without an id is told by its hash
        assert ("request_id" in row) != (row.pop("line_hash", None) is not None)
    assert rows == expected["requests"]
    assert [
        {"line_number": number, "reason": reason.split(": unexpected")[0].split(" at ")[0]}
        for number, reason in parsed.rejects.select("line_number", "reason").rows()
    ] == expected["rejects"]
    assert parsed.directives == expected["directives"]
    assert parsed.lines == log_of(name).count(b"\n")


@pytest.mark.parametrize("name", FILES)
def test_each_golden_file_is_taken_for_its_own_format_and_no_other(name: str) -> None:
    assert [other for other, known in FORMATS.items() if known.sniff(log_of(name))] == [format_of(name).NAME]
    assert detect(log_of(name)) is format_of(name)


def rewritten(name: str, change: Any) -> bytes:
    """The golden file with each JSON object that can be read changed."""
    lines = []
    for line in log_of(name).decode("utf-8", "surrogateescape").splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            lines.append(line)
            continue
        lines.append(json.dumps(change(value), ensure_ascii=False))
    return ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape")


@pytest.mark.parametrize("name", JSON_FILES)
def test_the_order_of_keys_and_unknown_ones_change_nothing(name: str) -> None:
    rng = Random(name)

    def shuffled(value: dict[str, Any]) -> dict[str, Any]:
        extra = {"status_text": "OK", "tags": ["a", {"b": None}], "edge": {"name": "x", "n": 1}, "0": None}
        items = list((value | extra).items())
        rng.shuffle(items)
        return dict(items)

    changed = rewritten(name, shuffled)
    assert [other for other, known in FORMATS.items() if known.sniff(changed)] == [format_of(name).NAME]
    straight, again = (format_of(name).parse(body, 1, ()) for body in (log_of(name), changed))
    assert again.requests.drop("line_hash").equals(straight.requests.drop("line_hash"))
    assert again.rejects["line_number"].to_list() == straight.rejects["line_number"].to_list()


@pytest.mark.parametrize("name", FILES)
def test_a_golden_file_cut_anywhere_between_lines_gives_the_same_rows(name: str) -> None:
    lines = log_of(name).splitlines(keepends=True)
    whole = format_of(name).parse(log_of(name), 1, ())
    for cut in range(3, len(lines)):
        first = format_of(name).parse(b"".join(lines[:cut]), 1, ())
        rest = format_of(name).parse(b"".join(lines[cut:]), cut + 1, first.header)
        assert pl.concat([first.requests, rest.requests]).equals(whole.requests)
        assert first.rejects.height + rest.rejects.height == whole.rejects.height
