"""The catalogue of shows and episodes from CSV files: what requests are matched to."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import xxhash

from ingest.lake import Lake, write_parquet
from ingest.logs.prefixes import PrefixRules
from ingest.logs.urls import canonical_urls
from ingest.schema import EPISODES, conform

NEEDED = ("episode_id", "show_id", "enclosure_url")
SIZES = ("file_bytes", "duration_s", "id3_bytes")

Row = dict[str, object]


class CatalogError(ValueError):
    """A catalogue that cannot be used; the message names file, line and reason."""


def read_episodes(path: Path, prefixes: PrefixRules | None = None) -> pl.DataFrame:
    """One CSV → EPISODES, in the order of the file.

    Columns: episode_id, show_id, enclosure_url; optional file_bytes, duration_s, id3_bytes, show_title,
    episode_title, published_at (ISO 8601; without a zone: UTC). Raises CatalogError and OSError.
    """
    numbered = list(_rows(path))
    urls = pl.Series([row["enclosure_url"] for _, row in numbered], dtype=pl.String)
    frame = pl.DataFrame([row for _, row in numbered], schema_overrides=_TYPES, infer_schema_length=None)
    if not numbered:
        return pl.DataFrame(schema=EPISODES)
    canonical = canonical_urls(urls, prefixes or PrefixRules.built_in())
    frame = frame.with_columns(canonical["enclosure_url"], canonical["enclosure_key"])
    claimed: dict[str, tuple[int, object, object]] = {}
    for (line, row), url in zip(numbered, frame["enclosure_url"], strict=True):
        other_line, *other = claimed.setdefault(url, (line, row["show_id"], row["episode_id"]))
        if other != [row["show_id"], row["episode_id"]]:
            raise CatalogError(
                f"{path.name}, line {line}: episode {row['episode_id']!r} has the enclosure of episode "
                f"{other[1]!r} (line {other_line}): {url}"
            )
        if other_line != line:
            raise CatalogError(f"{path.name}, line {line}: the same as line {other_line}: {url}")
    return conform(frame, EPISODES).collect()


_TYPES = {name: dtype for name, dtype in EPISODES.items() if name not in ("enclosure_key",)}


def _rows(path: Path) -> Iterator[tuple[int, Row]]:
    """(line number, row) of each episode, checked value by value."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CatalogError(f"{path.name}: not UTF-8: {error.reason} at byte {error.start}") from error
    reader = csv.DictReader(text.splitlines(keepends=True), strict=True)
    missing = [name for name in NEEDED if name not in (reader.fieldnames or [])]
    if missing:
        raise CatalogError(
            f"{path.name}, line 1: column {missing[0]!r} is missing; there are {reader.fieldnames or 'none'}"
        )
    try:
        for values in reader:
            line = reader.line_num
            yield line, _checked(values, f"{path.name}, line {line}")
    except csv.Error as error:
        raise CatalogError(f"{path.name}, line {reader.line_num}: not CSV: {error}") from error


def _checked(values: dict[str | None, str | list[str] | None], where: str) -> Row:
    if None in values:
        raise CatalogError(f"{where}: more fields than columns")
    text = {name: value.strip() for name, value in values.items() if name and isinstance(value, str)}
    for name in NEEDED:
        if not text.get(name):
            raise CatalogError(f"{where}: {name} is empty")
    show_id, episode_id = text["show_id"], text["episode_id"]
    duration = _number(text, "duration_s", where)
    if duration == 0:
        raise CatalogError(f"{where}: duration_s is 0; leave it empty when it is unknown")
    return {
        "show_id": show_id,
        "show_title": text.get("show_title") or None,
        "episode_id": episode_id,
        "episode_title": text.get("episode_title") or None,
        "published_us": _instant_us(text.get("published_at"), where),
        "enclosure_url": text["enclosure_url"],
        "episode_key": episode_key(show_id, episode_id),
        "file_bytes": _whole(text, "file_bytes", where),
        "duration_s": duration,
        "id3_bytes": _whole(text, "id3_bytes", where),
    }


def _number(text: dict[str, str], name: str, where: str) -> float | None:
    value = text.get(name)
    if not value:
        return None
    try:
        number = float(value)
    except ValueError:
        raise CatalogError(f"{where}: {name} is not a number: {value!r}") from None
    if not 0 <= number < 2**53:
        raise CatalogError(f"{where}: {name} is {'negative' if number < 0 else 'impossible'}: {value!r}")
    return number


def _whole(text: dict[str, str], name: str, where: str) -> int | None:
    number = _number(text, name, where)
    if number is not None and number != int(number):
        raise CatalogError(f"{where}: {name} is not a whole number: {text[name]!r}")
    return None if number is None else int(number)


def _instant_us(value: str | None, where: str) -> int | None:
    if not value:
        return None
    try:
        instant = datetime.fromisoformat(value)
    except ValueError:
        raise CatalogError(f"{where}: published_at is no ISO 8601 time: {value!r}") from None
    instant = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
    since = instant - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def episode_key(show_id: str, episode_id: str) -> int:
    """xxh3(show_id ‖ 0x1f ‖ episode_id) as a signed 64-bit integer."""
    key = xxhash.xxh3_64_intdigest(f"{show_id}\x1f{episode_id}".encode())
    return key - 2**64 if key >= 2**63 else key


def merge(catalogues: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Several frames of EPISODES as one, whatever their order.

    An enclosure URL belongs to one episode. Where files disagree the row published latest wins, then the one
    that knows most, then the greatest by value: so a corrected file wins over the one it corrects.
    """
    frames = list(catalogues)
    if not frames:
        return pl.DataFrame(schema=EPISODES)
    known = pl.sum_horizontal(pl.col(name).is_not_null().cast(pl.Int32) for name in EPISODES)
    order = ["published_us", "known", *(name for name in EPISODES if name != "published_us")]
    return (
        pl.concat(frames)
        .with_columns(known=known)
        .sort(order, descending=True, nulls_last=True)
        .unique("enclosure_key", keep="first", maintain_order=True)
        .drop("known")
        .sort("show_id", "episode_id", "enclosure_url")
    )


def take_in_catalog(paths: Sequence[Path], lake: Lake, prefixes: PrefixRules | None = None) -> pl.DataFrame:
    """Merge CSV files into the lake's catalogue, which they replace; returns it. Raises CatalogError."""
    rules = prefixes or PrefixRules.built_in()
    episodes = merge(read_episodes(path, rules) for path in paths)
    write_parquet(episodes, lake.episodes_path)
    return episodes
