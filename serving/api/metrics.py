"""What the API tells Prometheus: requests and seconds by route template, the publication, the installation.

With several workers each writes its counts to files of PROMETHEUS_MULTIPROC_DIR (set by `earshot serve`);
whichever worker is asked adds them up.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest, multiprocess
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from serving.api.marts import Marts
from serving.api.metrics_folder import FOLDER

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
NOT_MODIFIED = "(not modified)"  # answered before it was looked which route it is
NO_ROUTE = "(none)"

_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

_requests = Counter("earshot_api_requests", "Requests answered.", ["method", "route", "status"])
_seconds = Histogram(
    "earshot_api_request_seconds", "How long an answer took, in seconds.", ["route"], buckets=_BUCKETS_S
)
_KNOWN_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
# Looking a labelled child up costs several times what counting does.
_counters: dict[tuple[str, str, int], Counter] = {}
_timers: dict[str, Histogram] = {}


def count(method: str, route: str, status: int, seconds: float) -> None:
    """Count one request; `route` is a template, so there are as many as routes."""
    key = (method if method in _KNOWN_METHODS else "other", route or NO_ROUTE, status)
    counter = _counters.get(key)
    if counter is None:
        counter = _counters[key] = _requests.labels(*key)
    counter.inc()
    timer = _timers.get(key[1])
    if timer is None:
        timer = _timers[key[1]] = _seconds.labels(key[1])
    timer.observe(seconds)


def exposition(marts: Marts, platform: Collector) -> bytes:
    """All metrics in Prometheus' text format."""
    registry = CollectorRegistry()
    if os.environ.get(FOLDER):
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    else:
        registry.register(_requests)
        registry.register(_seconds)
    registry.register(_Publication(marts))
    registry.register(platform)
    return generate_latest(registry)


class _Publication(Collector):
    def __init__(self, marts: Marts) -> None:
        self._marts = marts

    def collect(self) -> Iterable[Metric]:
        edition = self._marts.current
        if edition is None:
            return
        yield GaugeMetricFamily(
            "earshot_published_version", "Number of the publication that is served.", edition.version
        )
        age = datetime.now(UTC) - datetime.fromisoformat(edition.made_at)
        yield GaugeMetricFamily(
            "earshot_published_age_seconds", "Since when it is published.", age.total_seconds()
        )
