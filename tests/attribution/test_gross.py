"""The gross marts against counting by hand, listener by listener, download by download."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import NamedTuple

import duckdb
import pytest

from ingest.lake import Lake
from tests.attribution.gross_histories import (
    DAY_US,
    Collaboration,
    Download,
    History,
    day_of,
    random_history,
    write,
)
from tests.dbt.lakes import dbt

RULES = ("last_touch", "first_touch", "linear", "time_decay")
WINDOWS = (7, 14, 30, 60)


class Built(NamedTuple):
    """A history and what dbt made of it."""

    history: History
    gross: dict[
        tuple[int, str, int], tuple[float, int]
    ]  # (collaboration, rule, days): new listeners, touches
    sources: dict[tuple[str, date, str, int | None], tuple[int, bool]]  # listeners, is_complete


def build(history: History, folder: Path) -> Built:
    warehouse = folder / "warehouse.duckdb"
    write(history, warehouse)
    lake = Lake(folder / "lake")
    dbt(lake, warehouse, "calendar", "run", "--select", "fct_attribution_gross", "fct_new_listener_sources")
    with duckdb.connect(str(warehouse), read_only=True) as con:
        gross = con.execute(
            "select collaboration_id, rule, window_days, new_listeners, touches from marts.fct_attribution_gross"
        ).fetchall()
        sources = con.execute(
            "select show_id, week, source, collaboration_id, listeners, is_complete"
            " from marts.fct_new_listener_sources"
        ).fetchall()
    by_rule, by_week = {row[:3]: row[3:] for row in gross}, {row[:4]: row[4:] for row in sources}
    assert (len(by_rule), len(by_week)) == (len(gross), len(sources))
    return Built(history, by_rule, by_week)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(random_history(Random(7), worlds=150), tmp_path_factory.mktemp("gross"))


def real(history: History) -> list[Collaboration]:
    return [one for one in history.collaborations if not one.is_placebo]


def counted(history: History) -> dict[int, list[Download]]:
    """The downloads under the published rule, by listener."""
    found = defaultdict(list)
    for download in history.downloads:
        if download.downloads:
            found[download.listener_key].append(download)
    return found


def new_times(downloads: Iterable[Download], show_id: str) -> list[int]:
    """When a listener is new to a show: nothing of it in the 60 days before."""
    times = {d.first_request_us for d in downloads if d.show_id == show_id}
    return sorted(t for t in times if not any(t - 60 * DAY_US <= former < t for former in times))


def shares(touched: dict[int, list[int]], new_us: int) -> dict[str, dict[int, float]]:
    """Rule, collaboration: its share of a new listener, by the times it was touched in the window."""
    last = max(touched, key=lambda one: (max(touched[one]), one))
    first = min(touched, key=lambda one: (min(touched[one]), one))
    weights = {one: 0.5 ** ((new_us - max(times)) / (7 * DAY_US)) for one, times in touched.items()}
    return {
        "last_touch": {last: 1.0},
        "first_touch": {first: 1.0},
        "linear": {one: 1 / len(touched) for one in touched},
        "time_decay": {one: weight / sum(weights.values()) for one, weight in weights.items()},
    }


def by_hand(history: History) -> dict[tuple[int, str, int], tuple[float, int]]:
    """What fct_attribution_gross should hold."""
    credits: Counter[tuple[int, str, int]] = Counter()
    touches: Counter[int] = Counter()
    of_show = defaultdict(list)
    for one in real(history):
        of_show[one.show_id].append(one)
    for downloads in counted(history).values():
        for show_id, collaborations in of_show.items():
            times = {
                one.target_id: [d.first_request_us for d in downloads if one.exposes(d)]
                for one in collaborations
            }
            touches.update(one for one, touched in times.items() if touched)
            for new_us in new_times(downloads, show_id):
                for days in WINDOWS:
                    start_us = new_us - days * DAY_US
                    near = {one: [t for t in ts if start_us <= t < new_us] for one, ts in times.items()}
                    near = {one: touched for one, touched in near.items() if touched}
                    for rule, credited in shares(near, new_us).items() if near else ():
                        for one, share in credited.items():
                            credits[one, rule, days] += share  # type: ignore[assignment]
    return {
        (one.target_id, rule, days): (credits[one.target_id, rule, days], touches[one.target_id])
        for one in real(history)
        for rule in RULES
        for days in WINDOWS
    }


def test_every_rule_credits_as_by_hand(built: Built) -> None:
    expected = by_hand(built.history)
    assert built.gross.keys() == expected.keys()
    for key, (credited, touches) in expected.items():
        assert built.gross[key] == (pytest.approx(credited, abs=1e-9), touches), key
    # The histories are rich enough: credit is shared, and the rules differ.
    credited_by = {rule: [e[0] for key, e in expected.items() if key[1] == rule] for rule in RULES}
    assert sum(credited % 1 > 0 for credited in credited_by["linear"]) > 50
    assert sum(a != b for a, b in zip(*(credited_by[rule] for rule in RULES[:2]), strict=True)) > 50


def test_all_rules_credit_each_new_listener_once(built: Built) -> None:
    for days in WINDOWS:
        sums = [
            sum(credited for key, (credited, _) in built.gross.items() if key[1:] == (rule, days))
            for rule in RULES
        ]
        assert sums == pytest.approx([sums[0]] * len(RULES), abs=1e-9)
    shows = {one.show_id for one in real(built.history)}
    new = sum(
        len(new_times(downloads, show)) for downloads in counted(built.history).values() for show in shows
    )
    assert sums[0] <= new


def test_a_longer_window_never_credits_fewer_in_all(built: Built) -> None:
    sums = [
        sum(credited for key, (credited, _) in built.gross.items() if key[1:] == ("linear", days))
        for days in WINDOWS
    ]
    assert sums == sorted(sums)


def test_sources_of_first_ever_listeners_are_told_as_by_hand(built: Built) -> None:
    history = built.history
    begun = {
        show: min(s.first_event_us for s in history.spans if s.show_id == show) for show in spans(history)
    }
    ended = {
        show: max(s.last_event_us for s in history.spans if s.show_id == show) for show in spans(history)
    }
    devices = {device.device_key: device for device in history.devices}
    data_us = min(device.first_us for device in history.devices)
    downloads_of = device_downloads(history)
    found: Counter[tuple[str, date, str, int | None]] = Counter()
    for show in {one.show_id for one in real(history)}:
        for key, downloads in downloads_of.items():
            times = [d.first_request_us for d in downloads if d.show_id == show]
            if not times:
                continue
            first_us = min(times)
            exposures = [
                (d.first_request_us, one.target_id)
                for one in real(history)
                if one.show_id == show
                for d in downloads
                if one.exposes(d) and first_us - 30 * DAY_US <= d.first_request_us < first_us
            ]
            source, collaboration = "organic", None
            if devices[key].is_shared or first_us - devices[key].first_us < 28 * DAY_US:
                source = "unknown"
            elif exposures:
                source, collaboration = "collaboration", max(exposures)[1]
            day = day_of(first_us)
            found[show, day - timedelta(day.weekday()), source, collaboration] += 1
    expected = {
        key: (
            listeners,
            key[1] - timedelta(30) >= day_of(max(begun[key[0]], data_us))
            and key[1] + timedelta(6) < day_of(ended[key[0]]),
        )
        for key, listeners in found.items()
    }
    assert built.sources == expected
    assert {key[2] for key in expected} == {"collaboration", "organic", "unknown"}
    assert {is_complete for _, is_complete in expected.values()} == {True, False}


def spans(history: History) -> set[str]:
    return {span.show_id for span in history.spans}


def device_downloads(history: History) -> dict[int, list[Download]]:
    """One a device, episode and date: the first, whichever class saw it."""
    found = defaultdict(list)
    for key, downloads in counted(history).items():
        firsts: dict[tuple[int, date], Download] = {}
        for d in sorted(downloads, key=lambda d: d.first_request_us):
            firsts.setdefault((d.episode_key, day_of(d.first_request_us)), d)
        found[key] = list(firsts.values())
    return found


def test_the_order_of_rows_changes_no_figure(built: Built, tmp_path: Path) -> None:
    history = built.history
    reversed_rows = History(*(list(reversed(rows)) for rows in vars(history).values()))
    again = build(reversed_rows, tmp_path)
    assert again.gross == built.gross and again.sources == built.sources
