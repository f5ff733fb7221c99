"""The terms that the number is made of and those that stand beside it, as data; none of them rounded."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum


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
    needs_logs_from: date | None  # where there is no history: from then on they would make one


@dataclass(frozen=True)
class Variance:
    """se² by where it comes from, in new listeners²."""

    chance: float  # that of x: whose listening fell among the exposed
    theta: float
    pool: float  # of r1
    siblings: float  # of what they brought; 0 without any
    linkability: float  # of λ; 0 where it is assumed

    @property
    def total(self) -> float:
        return self.chance + self.theta + self.pool + self.siblings + self.linkability


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
    variance: Variance | None  # of what se² is made; None: the marts do not say it
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
    gross: float | None  # what the rule (last touch, 30 d) credits the other with


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

    cost: float  # of one recorded twice, of all its records
    currency: str
    per_new_listener: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Retained:
    """Of its own part of the excess, how many downloaded that many episodes of A within 28 d."""

    episodes: int
    listeners: float
    share: float  # of all who came beyond the organic ones


@dataclass(frozen=True)
class Gross:
    """What a rule of credit says; not incremental."""

    rule: str
    window_days: int
    new_listeners: float
    touches: int | None  # distinct listeners exposed


@dataclass(frozen=True)
class Difference:
    """Why the gross figure (last touch, 30 d) is another: it is the sum of the other five."""

    gross: float
    incremental: float
    organic: float  # would have come anyway, of all reached
    of_siblings: float
    to_siblings: float  # heard this one too, but the rule credits another one; at least so many, below 0
    rest: float  # mostly false new: listeners of A before whose address or agent changed
    organic_share: float | None  # of the converts
