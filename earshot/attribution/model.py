"""All that is told of a collaboration's effect, as data: each number once, none of them rounded."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


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


class GrossRule(StrEnum):
    """Who is credited with a new listener; the column `rule` of fct_attribution_gross."""

    LAST_TOUCH = "last_touch"
    FIRST_TOUCH = "first_touch"
    LINEAR = "linear"
    TIME_DECAY = "time_decay"


GROSS_WINDOW_DAYS = 30  # of fct_collaboration_lift's gross figures


@dataclass(frozen=True)
class Estimate:
    """A number of new listeners and its 90 % interval."""

    value: float
    low: float
    high: float

    @property
    def contains_zero(self) -> bool:
        return self.low <= 0 <= self.high


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


@dataclass(frozen=True)
class Stratum:
    """One row of the cohort table: keys alike in how much they listen, before the episode."""

    genre_downloads: str  # of show A's genre
    all_downloads: str
    exposed: int
    followed: float  # of them, in keys followed for the whole time
    converts: int
    pool_rate: float  # r1: of others, at the same time
    history_rate: float | None  # r0: of others, before; None: there were none
    expected: float  # followed × pool_rate


@dataclass(frozen=True)
class Placebo:
    """θ, and what it rests on: earlier episodes of B, without collaboration."""

    theta: float
    theta_se: float | None
    source: str
    episodes: int  # m
    converts: int  # xb, over all of them
    expected: float  # Σ nb·r0
    history_keys: int | None


@dataclass(frozen=True)
class Calculation:
    """From what was seen to the number. `own` and what follows: None where no number is published."""

    reach: int  # N
    exposed: int  # n
    known_share: float  # q, of those who would be exposed but knew A
    converted: int  # x
    base: float  # Σ of the cohort table's `expected`
    theta: float
    organic: float  # O = θ × base
    excess: float  # x − O
    of_siblings: float | None  # of the excess
    own: float | None  # excess − of_siblings
    not_known: float  # N × (1 − q)
    scaled: float | None  # own × not_known ÷ exposed
    linkability: float  # λ
    linkability_se: float | None
    linkability_source: str
    new_listeners: float | None  # scaled ÷ λ
    k: float | None
    k_triples: int | None
    widening: float  # of the interval, where λ is assumed
    se: float | None
    conversion_rate: float | None
    lift: float | None  # excess ÷ organic
    pool_keys: int | None


@dataclass(frozen=True)
class Overlap:
    """A sibling: another collaboration of A that the same listeners heard."""

    collaboration_id: int
    partner: str
    starts_at: datetime | None
    common_keys: int  # exposed of this one who heard the other, too
    converted_by_other: float  # M_ji: the same, each for the part of its effect that falls into their 30 days
    rate: float | None  # δ of the other: how many of a listener it brings
    brought: float | None  # converted_by_other × rate: what of the excess is its


@dataclass(frozen=True)
class Holdout:
    """What a randomised holdout shows, where dynamic insertion left the collaboration out for some."""

    keys: int  # like the exposed, but held out
    converted: int
    estimate: Estimate  # so far; final once final


@dataclass(frozen=True)
class Flag:
    """What makes the number weaker than it looks."""

    name: str
    meaning: str
    advice: str


@dataclass(frozen=True)
class Cost:
    """What a new listener cost; `high` is None where the interval reaches 0: no bound."""

    cost: float
    currency: str
    per_new_listener: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Retained:
    """Of the excess, how many downloaded that many episodes of A within 28 d."""

    episodes: int
    listeners: float
    share: float | None


@dataclass(frozen=True)
class Gross:
    """What a rule of credit says; not incremental."""

    rule: str
    window_days: int
    new_listeners: float
    touches: int | None  # distinct listeners exposed


@dataclass(frozen=True)
class Difference:
    """Why the gross figure (last touch, 30 d) is another: it is the sum of the other four."""

    gross: float
    incremental: float
    organic: float  # would have come anyway, of all reached
    of_siblings: float
    rest: float  # mostly false new: listeners of A before whose address or agent changed
    organic_share: float | None  # of the converts


@dataclass(frozen=True)
class Explanation:
    """The whole answer to `earshot attribution explain`."""

    collaboration: Collaboration
    state: State
    verdict: Verdict
    headline: tuple[str, ...]  # sentences
    as_of: datetime | None  # of the newest event
    version: int  # of the marts
    made_at: str
    model_version: str | None
    genre: str | None  # of show A; None: listeners were matched by activity alone
    estimate: Estimate | None  # so far; final once final
    forecast: Estimate | None  # of the final number; None once final
    at_most: float | None  # where insufficient
    calculation: Calculation | None  # None: nothing was measured
    strata: tuple[Stratum, ...]
    placebo: Placebo | None
    siblings: int
    overlap_share: float | None
    overlaps: tuple[Overlap, ...]
    holdout: Holdout | None
    flags: tuple[Flag, ...]
    cost: Cost | None
    retained: tuple[Retained, ...]
    gross: tuple[Gross, ...]
    difference: Difference | None


@dataclass(frozen=True)
class Listed:
    """One collaboration in short."""

    collaboration_id: int
    show: str
    partner: str
    type: str
    starts_at: datetime
    state: State
    verdict: Verdict
    estimate: Estimate | None
    forecast: Estimate | None
    at_most: float | None
    flags: tuple[str, ...]
