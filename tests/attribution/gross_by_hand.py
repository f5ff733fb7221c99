"""The gross marts by hand: rule by rule, listener by listener, download by download."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import date, timedelta

from tests.attribution.gross_histories import DAY_US, Collaboration, Download, History, day_of

RULES = ("last_touch", "first_touch", "linear", "time_decay")
WINDOWS = (7, 14, 30, 60)
Gross = dict[tuple[int, str, int], tuple[float, int]]  # (collaboration, rule, days): new listeners, touches
# (show, week, source, collaboration): listeners, is_complete
Sources = dict[tuple[str, date, str, int | None], tuple[int, bool]]


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


def gross_by_hand(history: History) -> Gross:
    """What fct_attribution_gross should hold."""
    credits: defaultdict[tuple[int, str, int], float] = defaultdict(float)
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
                        for target_id, share in credited.items():
                            credits[target_id, rule, days] += share
    return {
        (one.target_id, rule, days): (credits[one.target_id, rule, days], touches[one.target_id])
        for one in real(history)
        for rule in RULES
        for days in WINDOWS
    }


def sources_by_hand(history: History) -> Sources:
    """What fct_new_listener_sources should hold; the downloads are devices'."""
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
    return {
        key: (
            listeners,
            key[1] - timedelta(30) >= day_of(max(begun[key[0]], data_us))
            and key[1] + timedelta(6) < day_of(ended[key[0]]),
        )
        for key, listeners in found.items()
    }


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
