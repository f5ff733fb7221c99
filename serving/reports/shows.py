"""Which shows a published version has, who sees them, and one show as a thing to ask of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from ingest.schema import SourceClass
from ingest.settings import Window
from serving.reports.asking import Asks, BadQuestion, Basis
from serving.reports.rules import DOWNLOADS, REQUESTED, Rule

Row = dict[str, Any]

SILENT = timedelta(days=7)  # so long without a download, and it is said

# A show that the catalogue has lost keeps its figures.
_SHOWS = """
    with seen as (
        select show_id, source_class, cast(sum(downloads) as bigint) as downloads,
            min(date) as first_date, max(date) as last_date
        from fct_show_daily
        where show_id is not null
        group by show_id, source_class
    )
    select coalesce(s.show_id, seen.show_id) as show_id, s.show_title, coalesce(s.episodes, 0) as episodes,
        s.first_published_at, s.last_published_at, seen.source_class, seen.downloads, seen.first_date,
        seen.last_date
    from dim_shows as s
    full join seen on s.show_id = seen.show_id
    order by all
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one source class has seen of a show."""

    downloads: int
    first: date
    last: date


@dataclass(frozen=True, slots=True)
class Show:
    """One show. seen: by source class."""

    show_id: str
    title: str | None
    episodes: int
    first_published_at: datetime | None
    last_published_at: datetime | None
    seen: Mapping[SourceClass, Seen] = field(default_factory=dict)

    @property
    def main_class(self) -> SourceClass:
        """The one to count where none is asked for: server logs, which see bytes, where there are any."""
        return next(iter(self.seen)) if len(self.seen) == 1 else SourceClass.SERVER_LOG

    @property
    def about(self) -> Row:
        return {
            "show_id": self.show_id,
            "show_title": self.title,
            "episodes": self.episodes,
            "first_published_at": self.first_published_at,
            "last_published_at": self.last_published_at,
            "main_source_class": self.main_class if self.seen else None,
            "source_classes": [
                {"source_class": name, "downloads": one.downloads, "from": one.first, "to": one.last}
                for name, one in self.seen.items()
            ],
        }


@dataclass(frozen=True, slots=True)
class Shows:
    """All shows of a version by id, and between which dates each source class has data."""

    by_id: Mapping[str, Show]
    ends: Mapping[SourceClass, tuple[date, date]]

    @classmethod
    def load(cls, asks: Asks) -> Shows:
        """One query; to be kept for as long as the version is read."""
        found: dict[str, Show] = {}
        ends: dict[SourceClass, tuple[date, date]] = {}
        for row in asks.rows(_SHOWS, {}):
            show = found.get(row["show_id"])
            if show is None:
                show = found[row["show_id"]] = Show(
                    row["show_id"],
                    row["show_title"],
                    row["episodes"],
                    row["first_published_at"],
                    row["last_published_at"],
                    {},
                )
            if row["source_class"] is not None:
                name = SourceClass(row["source_class"])
                seen = Seen(row["downloads"], row["first_date"], row["last_date"])
                assert isinstance(show.seen, dict)
                show.seen[name] = seen
                first, last = ends.get(name, (seen.first, seen.last))
                ends[name] = min(first, seen.first), max(last, seen.last)
        return cls(found, ends)

    def get(self, show_id: str) -> Show | None:
        return self.by_id.get(show_id)


@dataclass(frozen=True, slots=True)
class Scope:
    """One show, counted under one source class and one window rule."""

    show: Show
    source_class: SourceClass
    window: Window
    basis: Basis
    # The show's first date and the class's last: a day without downloads is whole. None: no data.
    ends: tuple[date, date] | None
    outside: bool = False  # the reader does not own the show

    @classmethod
    def of(
        cls,
        shows: Shows,
        show: Show,
        basis: Basis,
        source_class: SourceClass | None = None,
        window: Window | None = None,
        outside: bool = False,
    ) -> Scope:
        chosen = source_class or show.main_class
        ends, seen = shows.ends.get(chosen), show.seen.get(chosen)
        if ends and seen:
            ends = seen.first, ends[1]
        return cls(show, chosen, window or basis.window, basis, ends, outside)

    @property
    def measure(self) -> str:
        """The column that counts downloads."""
        return "downloads" if self.window is self.basis.window else f"downloads_{self.window}"

    @property
    def params(self) -> Row:
        return {"show": self.show.show_id, "class": str(self.source_class)}

    @property
    def rule(self) -> Rule:
        return REQUESTED if self.source_class is SourceClass.PREFIX else DOWNLOADS

    def about(self, rule: Rule, **more: object) -> Row:
        """What is said beside every figure of a show."""
        return {
            "show_id": self.show.show_id,
            "show_title": self.show.title,
            "source_class": self.source_class,
            "window": self.window,
            "time_zone": self.basis.time_zone,
            "rule": rule.about,
            "version": self.basis.version,
            "made_at": self.basis.made_at,
            **more,
            "notes": [
                *self._notes(),
                *self._edges(more.get("from"), more.get("to")),
                *_texts(more.get("notes")),
            ],
        }

    def _edges(self, first: object, last: object) -> list[str]:
        """Where the show's own data begin or end within the dates."""
        seen, notes = self.show.seen.get(self.source_class), []
        if seen is None or self.ends is None:
            return []
        if isinstance(first, date) and first < seen.first:
            notes.append(f"the data of this show begin on {seen.first}: of days before nothing is known")
        if self.ends[1] - seen.last > SILENT and not (isinstance(last, date) and last <= seen.last):
            notes.append(
                f"last download seen on {seen.last}, though the data reach to {self.ends[1]}: nobody "
                "listened since, or the source stopped"
            )
        return notes

    def _notes(self) -> list[str]:
        others = [str(name) for name in self.show.seen if name is not self.source_class]
        if self.source_class not in self.show.seen:
            there = f"; there are some of {others[0]}" if others else ""
            return [f"{self.source_class} has seen nothing of this show{there}"]
        if not others:
            return []
        return [f"counted is {self.source_class}; {others[0]} sees the same listening again: never sum them"]

    def check_outside(
        self, time_zone: str | None = None, episode: object | None = None, what: str = "figures"
    ) -> None:
        """Raises BadQuestion where somebody who does not own the show would get sums to subtract (0028)."""
        if not self.outside:
            return
        if self.window is not self.basis.window:
            raise BadQuestion(
                "window", f"a show that is not yours is told by its published window, {self.basis.window}"
            )
        if time_zone not in (None, self.basis.time_zone):
            raise BadQuestion(
                "time_zone", f"a show that is not yours is told in {self.basis.time_zone}: leave it out"
            )
        if episode is not None:
            raise BadQuestion(
                "episode_id",
                f"{what} of one episode over time are told to its owner alone: "
                "GET /v1/shows/{show_id}/episodes has its downloads so far",
            )

    def only_published(self, what: str) -> None:
        """Raises BadQuestion: `what` exists under the published rule only."""
        if self.window is not self.basis.window:
            raise BadQuestion(
                "window", f"{what} are counted under the published rule only, which is {self.basis.window}"
            )


def _texts(notes: object) -> list[str]:
    return [str(note) for note in notes] if isinstance(notes, list | tuple) else []
