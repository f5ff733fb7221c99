"""How `earshot explain` looks: tables for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from earshot.explain.answer import Explanation
from earshot.explain.as_json import as_json
from earshot.explain.evidence import Figures, Heard
from earshot.explain.story import Seen, Story, Told, windows_under
from earshot.explain.words import at, threshold_lines, verdict, why
from earshot.show import plain
from ingest.schema import SourceClass
from ingest.settings import Window
from serving.reasons import REASONS

LISTENERS = 20  # a terminal's worth; JSON carries all


def show_explanation(explanation: Explanation, window: Window | None, output: str) -> None:
    """Print the answer on standard output; `window` chooses one rule, else all are told."""
    if output == "json":
        print(json.dumps(as_json(explanation, window), indent=2, ensure_ascii=False))
    elif explanation.stories:
        _show_stories(Console(), explanation, window)
    else:
        _show_day(Console(), explanation, window or explanation.published)


# --- the day


def _show_day(console: Console, explanation: Explanation, rule: Window) -> None:
    _show_head(console, explanation)
    if not explanation.figures:
        days = explanation.days
        there = f"; there are some from {days[0]} to {days[-1]}" if days else ", nor on any other day"
        console.print(f"No requests of this episode on {explanation.day}{there}.")
    for found in explanation.figures:
        console.print(_figures(found, rule, explanation.published), soft_wrap=True)
        console.print(_listeners(found, explanation.listeners, rule))
        console.print(_not_counted(found, explanation, rule))
    if explanation.figures:
        console.print(
            f"The {LISTENERS} with most lines are listed, --output json lists all; "
            "--listener KEY shows one request by request."
        )


def _show_head(console: Console, explanation: Explanation) -> None:
    episode = explanation.episode
    title = f"{episode.episode_title or episode.episode_id}"
    of_show = f" of {episode.show_title or episode.show_id}" if episode.show_id else " (not in the catalogue)"
    console.print(
        Text.assemble((plain(title).plain, "bold"))
        + plain(f"{of_show} on {explanation.day} ({explanation.time_zone}), episode {episode.episode_id}"),
        soft_wrap=True,
    )
    classes = {told.source_class for told in explanation.stories or explanation.figures}
    if classes != {SourceClass.PREFIX}:  # which sees no bytes
        for line in threshold_lines(explanation):
            console.print(plain(line), soft_wrap=True)


def _figures(found: Figures, rule: Window, published: Window) -> str:
    others = ", ".join(f"{other} {found.downloads[other]:,}" for other in Window if other is not rule)
    of_windows = (
        f"; {found.listeners:,} listeners, {found.requests:,} requests, {found.served_bytes:,} bytes"
        if rule is published
        else ""
    )
    return (
        f"\n{found.source_class}: {found.downloads[rule]:,} downloads under {rule}"
        f"{' (published)' if rule is published else ''}{of_windows}; as alternatives {others}"
    )


def _listeners(found: Figures, heard: Sequence[Heard], rule: Window) -> Table:
    mine = [one for one in heard if one.source_class == found.source_class]
    table = _compact(gap=1)
    table.add_column("listener", no_wrap=True)
    # Folded between words, not within one, as long as there is room for the figures.
    words = [len(word) for one in mine[:LISTENERS] for word in (one.app or "").split()]
    table.add_column("app", overflow="fold", min_width=min(max(words, default=3), 16))
    for name in ("lines", "windows", "downloads"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("do not count", no_wrap=True)
    for one in mine[:LISTENERS]:
        table.add_row(
            str(one.listener_key),
            plain(one.app or "-"),
            *(f"{n:,}" for n in (one.lines, one.windows[rule], one.downloads[rule])),
            _reasons(one.not_counted[rule]),
        )
    sums = (
        sum(one.lines for one in mine),
        sum(one.windows[rule] for one in mine),
        found.downloads[rule],
    )
    table.add_row(f"all {len(mine):,}", "", *(f"{n:,}" for n in sums), "as follows")
    return table


def _not_counted(found: Figures, explanation: Explanation, rule: Window) -> Table:
    table = _compact("\nWhy requests do not count")
    table.add_column("requests", justify="right", no_wrap=True)
    table.add_column("reason", no_wrap=True)
    table.add_column("in words")
    order = list(REASONS)
    for row in sorted(found.not_counted, key=lambda row: order.index(row["reason"])):
        if requests := row[f"requests_{rule}"]:
            reason = why(row["reason"], row["rules_version"], explanation)
            table.add_row(f"{requests:,}", plain(row["reason"]), plain(_in_words(reason)))
    return table


# --- one listener


class Files:
    """Short names for the files of a table, whose own names would not fit, and what they stand for."""

    def __init__(self) -> None:
        self._short: dict[str, str] = {}

    def short(self, told: Told) -> str:
        """Where the request's lines stand, as a:12."""
        places = (line.rpartition(":") for line in told.lines)
        return "\n".join(
            f"{self._short.setdefault(name, _letters(len(self._short)))}:{number}"
            for name, _, number in places
        )

    def show(self, console: Console) -> None:
        for name, short in self._short.items():
            console.print(plain(f"{short} = {name}"), soft_wrap=True, style="dim")


def _letters(number: int) -> str:
    """a to z, then aa, ab and so on."""
    before, last = divmod(number, 26)
    return (_letters(before - 1) if before else "") + chr(ord("a") + last)


def _show_stories(console: Console, explanation: Explanation, window: Window | None) -> None:
    _show_head(console, explanation)
    for story in explanation.stories:
        others = [key for key in story.logged_keys if key != story.listener_key]
        also = f", logged under {', '.join(map(str, others))}" if others else ""
        console.print(f"\n[bold]Listener {story.listener_key}[/] ({story.source_class}){also}")
        for who in story.agents:
            known = ", ".join(f"{name} {value}" for name, value in who.items() if value and name != "agent")
            console.print(plain(f"  {who['agent'] or '(no agent)'}") + plain(f" ({known})"), soft_wrap=True)
        windows = windows_under(story, window)
        for number, seen in enumerate(windows, 1):
            _show_window(console, explanation, seen, f"Window {number} of {len(windows)}")
        if story.excluded:
            _show_excluded(console, explanation, story)


def _show_window(console: Console, explanation: Explanation, seen: Seen, title: str) -> None:
    console.print(f"\n[bold]{title}[/] under {', '.join(seen.rules)}; counts on {seen.date}", soft_wrap=True)
    sees_bytes = seen.threshold_bytes is not None
    weighed = ["bytes served", "new", "in all"] if sees_bytes else []
    table = _compact()
    for name in ("", "start", "request", *weighed):
        table.add_column(name, justify="right" if name in weighed else "left", no_wrap=True)
    table.add_column("line", no_wrap=True)
    files, day = Files(), explanation.day
    for told in seen.told:
        started_at = at(told.started_us, explanation)
        if started_at.date() != day:
            day = started_at.date()
            table.add_row("", str(day))
        bytes_ = (_range(told), f"+{told.contributed_bytes:,}", f"{told.running_bytes:,}")
        table.add_row(
            str(told.request_number),
            _clock(started_at),
            plain(_request(told)),
            *(bytes_ if sees_bytes else ()),
            files.short(told),
        )
    if seen.requests > len(seen.told):
        table.add_row("…", f"{seen.requests - len(seen.told):,} more")
    # As wide as it is: the terminal may wrap a row, but a number cut short is misread.
    wanted = console.measure(table, options=console.options.update_width(1000)).maximum
    Console(width=wanted).print(table)
    files.show(console)
    console.print(Text(verdict(seen), style="green" if seen.is_counted else "yellow"), soft_wrap=True)


def _show_excluded(console: Console, explanation: Explanation, story: Story) -> None:
    table = _compact("\nExcluded by themselves, whatever their window")
    for name in ("start", "request", "bytes served"):
        table.add_column(name, no_wrap=True)
    table.add_column("why it does not count", overflow="fold")
    table.add_column("line", no_wrap=True)
    files = Files()
    for told in story.excluded:
        reason = why(str(told.exclusion_reason), told.rules_version, explanation)
        table.add_row(
            _clock(at(told.started_us, explanation)),
            plain(_request(told)),
            _range(told) if story.source_class == SourceClass.SERVER_LOG else "-",
            plain(f"{reason['reason']}: {_in_words(reason)}"),
            files.short(told),
        )
    console.print(table)
    files.show(console)
    if story.excluded_requests > len(story.excluded):
        console.print(f"… and {story.excluded_requests - len(story.excluded):,} more")


def _compact(title: str | None = None, gap: int = 2) -> Table:
    """A table without lines, which fits a terminal of 80 columns."""
    return Table(title=title, title_justify="left", box=None, padding=(0, gap, 0, 0))


def _in_words(reason: dict[str, Any]) -> str:
    by = f" [{reason['list']}]" if reason["list"] else ""
    return f"{reason['words']} ({reason['rule']}){by}"


def _reasons(reasons: dict[str, int]) -> str:
    return "\n".join(f"{name} {reasons[name]:,}" for name in REASONS if reasons.get(name)) or "-"


def _request(told: Told) -> str:
    again = f" (delivered {len(told.lines)} times)" if len(told.lines) > 1 else ""
    return f"{told.method or '-'} {told.status:03d}{again}"


def _range(told: Told) -> str:
    end = told.range_start + told.served_bytes - 1
    return f"{told.range_start:,}-{end:,}" if told.served_bytes else "none"


def _clock(started_at: datetime) -> str:
    return started_at.time().isoformat("milliseconds")
