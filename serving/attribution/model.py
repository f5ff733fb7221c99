"""All that is told of a collaboration's effect, as data: each number once, none of them rounded."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from registry.collaboration_days import EXPOSURE_DAYS
from serving.attribution.terms import (
    Calculation,
    Cost,
    Difference,
    Estimate,
    Flag,
    Gross,
    Holdout,
    Overlap,
    Placebo,
    Retained,
    Stratum,
)


class State(StrEnum):
    """How far it is; the column `state` of fct_collaboration_lift."""

    PLANNED = "planned"
    NO_DATA = "no_data"
    PROVISIONAL = "provisional"
    FINAL = "final"


class Verdict(StrEnum):
    """What the number says."""

    NOTHING_YET = "nothing_yet"  # planned
    NO_DATA = "no_data"
    INSUFFICIENT = "insufficient"  # no number, only an upper bound
    CANNOT_TELL = "cannot_tell"  # the interval contains 0
    GAIN = "gain"  # the interval lies above 0
    LOSS = "loss"  # below


@dataclass(frozen=True)
class Collaboration:
    """Who, with whom, when. Times are UTC without zone, as in the marts."""

    collaboration_id: int
    tenant: str
    type: str
    show_id: str | None  # A, which was to grow
    show_title: str | None
    partner_show_id: str | None  # B
    partner_show_title: str | None
    episode_key: int | None  # of B's; None: all of B for a time
    episode_id: str | None
    episode_title: str | None
    starts_at: datetime
    exposure_ends_at: datetime  # exclusive
    final_at: datetime
    cost: float | None
    currency: str | None

    @property
    def show(self) -> str:
        return self.show_title or self.show_id or "the show"

    @property
    def partner(self) -> str:
        return self.partner_show_title or self.partner_show_id or "the partner"

    @property
    def exposure(self) -> str:
        """What was heard, in the middle of a sentence: there is not always one episode."""
        return f"an episode of {self.partner}" if self.episode_id is None else "the episode"

    @property
    def is_cut(self) -> bool:
        """Whether it is measured for all the days that one is: then it may have gone on for longer."""
        return self.exposure_ends_at - self.starts_at >= timedelta(days=EXPOSURE_DAYS)


@dataclass(frozen=True)
class Shortage:
    """What there was too little of to make a number."""

    reach: int
    exposed: int  # n
    converted: int  # x
    organic: float  # O
    pool_keys: int  # others at the same time
    has_look_back: bool = True  # the logs of A reach back far enough to tell who is new


@dataclass(frozen=True)
class Together:
    """One exposure that was recorded more than once: what all of these brought, each in equal parts."""

    others: tuple[int, ...]  # collaboration_ids, without this one
    estimate: Estimate
    forecast: Estimate | None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What is told of the effect."""

    state: State
    verdict: Verdict
    estimate: Estimate | None  # so far; final once final. Of one recorded twice its equal part
    forecast: Estimate | None  # of the final number; None once final
    at_most: float | None  # where insufficient: there are fewer
    shortage: Shortage | None  # where insufficient
    together: Together | None  # where it was recorded twice

    @property
    def shown(self) -> Estimate | None:
        """The number that people are told: that of all records of one exposure."""
        return self.together.estimate if self.together else self.estimate

    @property
    def shown_forecast(self) -> Estimate | None:
        return self.together.forecast if self.together else self.forecast


@dataclass(frozen=True, kw_only=True)
class Explanation(Answer):
    """The whole answer to `earshot attribution explain`."""

    collaboration: Collaboration
    notices: tuple[str, ...]  # what the registry says by now and the marts do not know
    headline: tuple[str, ...]  # sentences
    as_of: datetime | None  # of the newest event
    version: int  # of the marts
    made_at: str
    model_version: str | None
    genre: str | None  # of show A; None: listeners were matched by activity alone
    calculation: Calculation | None  # None: nothing was measured
    strata: tuple[Stratum, ...]
    placebo: Placebo | None
    siblings: int
    overlap_share: float | None
    overlaps: tuple[Overlap, ...]
    holdout: Holdout | None
    flags: tuple[Flag, ...]
    cost: Cost | None
    retained: tuple[Retained, ...]  # none where the interval reaches 0: it would be a share of nothing
    gross: tuple[Gross, ...]
    difference: Difference | None


@dataclass(frozen=True, kw_only=True)
class Listed(Answer):
    """One collaboration in short."""

    collaboration_id: int
    show_id: str | None
    show: str
    partner: str
    type: str
    starts_at: datetime
    final_at: datetime
    is_void: bool  # by now, in the registry; the marts do not know it yet
    cost: float | None
    currency: str | None
    flags: tuple[str, ...]
