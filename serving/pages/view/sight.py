"""Who looks at what: a show under one source class, the days of a page, and what of it is told."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode

from ingest.schema import SourceClass
from ingest.settings import Window
from serving.reports.asking import Asks, Basis, Query
from serving.reports.periods import By, end_of, start_of
from serving.reports.shows import Scope, Shows
from serving.reports.suppression import FLAG

Row = dict[str, Any]

FEW = "few"  # what stands in place of a figure that strangers may not read
SPANS = (28, 90, 365)  # days that a page may show
SPAN = 90  # unless others are asked for
SUBJECTS = ("downloads", "audience", "pacing", "collaborations")


def ask(asks: Asks, sql: str, given: Row) -> list[Row]:
    """The rows of a query of ours; of the values it gets those it names."""
    return Query.of(sql, given).rows(asks)


@dataclass(frozen=True)
class Sight:
    """One look at a show: which figures, of which days, for whom."""

    scope: Scope
    first: date
    last: date  # the last date that is over
    subjects: frozenset[str] = frozenset(SUBJECTS)
    asked_days: int = SPAN  # more than those shown where the data begin later

    @property
    def show_id(self) -> str:
        return self.scope.show.show_id

    @property
    def is_owner(self) -> bool:
        return not self.scope.outside

    @property
    def classes(self) -> list[SourceClass]:
        """Those that have seen something of the show."""
        return sorted(self.scope.show.seen)

    @property
    def began(self) -> date:
        """The first date on which something of the show was counted."""
        return self.scope.show.seen[self.scope.source_class].first

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    @property
    def before(self) -> Sight:
        """As many days before."""
        return replace(self, first=self.first - timedelta(self.days), last=self.first - timedelta(1))

    @property
    def is_published(self) -> bool:
        """Counted under the published window."""
        return self.scope.window is self.scope.basis.window

    @property
    def published(self) -> Sight:
        """The same under the published window: listeners and paces are counted under no other."""
        return replace(self, scope=replace(self.scope, window=self.scope.basis.window))

    def address(self, path: str, **changed: object) -> str:
        """A page looked at in the same way, but for `changed`; what goes without saying is left out."""
        default = {
            "days": SPAN,
            "page": 1,
            "source_class": self.scope.show.main_class,
            "window": self.scope.basis.window,
        }
        here = {"source_class": self.scope.source_class, "window": self.scope.window, **changed}
        told = {name: str(value) for name, value in here.items() if value != default.get(name)}
        return f"{path}?{urlencode(told)}" if told else path

    @property
    def params(self) -> Row:
        return {**self.scope.params, "first": self.first, "last": self.last}


def days_of(sight: Sight) -> tuple[date, date]:
    """Of what breakdowns are told: for strangers of whole weeks (decision 0028)."""
    if sight.is_owner:
        return sight.first, sight.last
    return start_of(sight.first, By.WEEK), end_of(sight.last, By.WEEK)


def tells(row: Row | None) -> bool:
    """Whether a row of a report has its figures: strangers see none of few listeners."""
    return row is not None and not row.get(FLAG)


def sight(
    shows: Shows,
    basis: Basis,
    show_id: str,
    days: int,
    source_class: SourceClass | None,
    window: Window | None,
    outside: bool,
    subjects: frozenset[str],
) -> Sight | None:
    """The look that was asked for; None where nothing was ever counted of the show.

    The days end with the last that is over, and begin no earlier than the data of the show. Strangers are
    told the published window alone: the difference of two may be few (decision 0028).
    """
    show = shows.get(show_id)
    if show is None or not show.seen:
        return None
    chosen = source_class if source_class and source_class in show.seen else show.main_class
    scope = Scope.of(shows, show, basis, chosen, None if outside else window, outside)
    assert scope.ends is not None  # the class has seen this show
    began = show.seen[chosen].first
    last = max(scope.ends[1] - timedelta(1), began)
    first = max(last - timedelta(days - 1), began)
    return Sight(scope, first, last, subjects, days)
