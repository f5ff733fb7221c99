"""How answers of the registry look: lists of podcasts, and all of one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from earshot.podcast_status import PodcastStatus
from earshot.show import plain
from registry.podcasts import Podcast

LISTED = (
    "podcast_key", "feed_url", "state", "reason", "tenants", "labels", "since",
    "show_id", "podcast_guid", "itunes_id", "podcastindex_id", "original_url",
)  # fmt: skip


def print_podcasts(podcasts: Iterable[Podcast], titles: Mapping[int, str]) -> None:
    """A table for people; keys as they are typed, without thousands separators.

    titles: podcast_key → what its feed calls it, above its URL.
    """
    table = Table(box=None, padding=(0, 1, 0, 0))
    for column in ("podcast_key", "show", "state", "tracked by", "since"):
        table.add_column(column, overflow="fold", no_wrap=column in ("podcast_key", "since"))
    for podcast in podcasts:
        by = ", ".join(
            f"{each.tenant} ({', '.join(each.labels)})".removesuffix(" ()") for each in podcast.trackings
        )
        state = f"{podcast.state}: {podcast.reason}" if podcast.reason else podcast.state
        title = titles.get(podcast.podcast_key)
        show = podcast.feed_url if title is None else f"{' '.join(title.split())}\n{podcast.feed_url}"
        row = (podcast.podcast_key, show, state, by or "-", _day(podcast))
        table.add_row(*map(plain, row))
    Console().print(table)


def _day(podcast: Podcast) -> str:
    return datetime.fromtimestamp(podcast.since_us // 1_000_000, UTC).date().isoformat()


def listed(podcast: Podcast, join: Callable[[Iterable[str]], Any]) -> dict[str, Any]:
    """A row of the listing; `join` puts tenants and labels together."""
    labels = sorted({label for each in podcast.trackings for label in each.labels})
    known = asdict(podcast) | {
        "tenants": join(each.tenant for each in podcast.trackings),
        "labels": join(labels),
        "since": _day(podcast),
    }
    return {name: known[name] for name in LISTED}


def print_json(rows: Iterable[dict[str, Any]]) -> None:
    """A list, written as it comes."""
    between = "[\n"
    for row in rows:
        print(f"{between}{json.dumps(row, ensure_ascii=False)}", end="")
        between = ",\n"
    print("[]" if between == "[\n" else "\n]")


def print_status(each: PodcastStatus) -> None:
    """The explanation, then what is known, a line each."""
    table = Table(show_header=False, box=None)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    values = asdict(each)
    explanation = values.pop("explanation")
    for name, value in values.items():
        text = "\n".join(value) if isinstance(value, tuple) else value
        if text not in (None, "") and not (name == "original_url" and value == each.feed_url):
            table.add_row(plain(name.replace("_", " ")), plain(text))
    console = Console()
    console.print(plain(explanation), style="bold", soft_wrap=True)
    console.print(table)
