"""PACE (ATTRIBUTION §2, 4–11) written out in NumPy: the oracle of the dbt models.

Straight from the text, one function a step, nothing shared with the models. Windows of index events are
half-open: [start, end).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from tests.attribution.event_log import DAY, STRATA, Array, Cohort, EventLog, cohort

Z90 = 1.645  # a 90 % interval of a normal deviate
WIDER = 1.1  # an interval whose λ is only assumed
SPIKE, SPIKE_ERRORS = 2.0, 3.0
TRIPLES = 120


@dataclass(frozen=True)
class Collaboration:
    """Show A promoted in an episode of show B from t0 (the log's time) on."""

    number: int
    show: int
    partner: int
    episode: int
    t0: int

    def is_sibling(self, other: Collaboration, log: EventLog) -> bool:
        """Whether both may have brought the same listeners of A; a collaboration is its own sibling."""
        s = log.settings
        return self.show == other.show and abs(self.t0 - other.t0) <= s.exposure + s.follow_up


@dataclass(frozen=True)
class Linkability:
    """λ: the share of new listeners whose new show is seen under the key that was exposed."""

    value: float = 0.88
    se: float = 0.0
    is_assumed: bool = True


@dataclass(frozen=True)
class Measured:
    """Steps 4–7 of one collaboration; arrays are by stratum."""

    collaboration: Collaboration
    reached: int  # N: keys that downloaded the episode, tenured or not, and downloads at shared addresses
    exposed: Cohort
    pool: Cohort  # other keys at the same time
    placebos: dict[int, tuple[Cohort, Cohort]]  # by episode: its own, and other keys in the same days
    placebo_episodes: int  # m
    placebo_converts: int  # xb
    placebo_expected: float  # Σ nb·r0
    placebo_keys: int  # ub
    theta: float
    theta_own_error: float  # relative, for its converts and the prior
    theta_beside_error: float  # for the rates beside
    first: int  # the t0 before which the history lies
    has_history: bool

    @property
    def converted(self) -> int:
        return int(self.exposed.converted.sum())

    @property
    def organic(self) -> float:
        """Who would have come by now without it."""
        return self.theta * float(self.exposed.person_time @ _rates([self.pool]))

    @property
    def excess(self) -> float:
        return self.converted - self.organic

    @property
    def theta_error(self) -> float:
        return (self.theta_own_error**2 + self.theta_beside_error**2) ** 0.5

    @property
    def theta_se(self) -> float:
        return self.theta * self.theta_error if self.has_history else 0.0

    @property
    def pool_se(self) -> float:
        """Of the organic ones, for what is not known of others' rates."""
        return self.theta * _error_beside(self.exposed, self.pool)

    @property
    def z(self) -> float:
        of_organic = (self.organic * self.theta_error) ** 2 + self.pool_se**2
        return self.excess / (max(self.converted, 1) + of_organic) ** 0.5


def _rates(cohorts: Sequence[Cohort], prior: float = 10.0) -> Array:
    """Converts a follow-up by stratum, of all cohorts together, drawn to the pooled rate."""
    converts = sum((one.converts for one in cohorts), np.zeros(STRATA))
    person_time = sum((one.person_time for one in cohorts), np.zeros(STRATA))
    pooled = converts.sum() / max(1e-9, person_time.sum())
    return (converts + prior * pooled) / (person_time + prior)


def _error_beside(of: Cohort, others: Cohort) -> float:
    """Standard error of how many of `of` are to be expected by the others' rates; of no convert as of one."""
    converts = int(others.converted.sum())
    if converts:
        return float(of.person_time @ _rates([others])) / converts**0.5
    person_time = float(others.person_time.sum())
    return float(of.person_time.sum()) / person_time if person_time else 0.0


def _relative_variance(weights: Array, cohorts: Sequence[Cohort], prior: float = 10.0) -> float:
    """Of the rates so weighted, their converts being Poisson counts."""
    rates, person_time = _rates(cohorts), sum((one.person_time for one in cohorts), np.zeros(STRATA))
    expected = float(weights @ rates)
    return float((weights**2) @ (rates / (person_time + prior))) / expected**2 if expected else 0.0


def measure(
    log: EventLog, airings: pl.DataFrame, this: Collaboration, siblings: Sequence[Collaboration]
) -> Measured:
    """Steps 4–7. `airings`: episode, show, at. `siblings`: all of A's, of which the near count."""
    s = log.settings
    near = [one for one in siblings if one.is_sibling(this, log)] or [this]
    t_first = min(one.t0 for one in near)
    final = this.t0 + s.exposure + s.follow_up
    heard = log.heard(this.episode, this.t0)
    exposed = cohort(log, heard, this.show, final)
    is_clean = log.is_clean(heard, final)

    reached = np.concatenate([log.heard(one.episode, one.t0) for one in near])
    touched = np.zeros(log.key_address.max() + 1, bool)
    touched[log.key_address[log.key[reached]]] = True
    # A number below 0 is that of a placebo triple.
    window = _of_others(log, this, this.t0, s.placebo_panel_bits if this.number < 0 else s.panel_bits)
    untouched = window[~touched[log.key_address[log.key[window]]]]
    pool = cohort(log, untouched, this.show, final)

    aired = airings.filter(
        (pl.col("show") == this.partner)
        & ~pl.col("episode").is_in([one.episode for one in siblings])
        & pl.col("at").is_between(t_first - s.history_from, t_first - s.placebo_until, closed="left")
    )
    placebos, expected, of_expected = {}, 0.0, 0.0
    for episode, at in aired.select("episode", "at").iter_rows():
        beside = _of_others(log, this, at, s.history_panel_bits)
        own, other = (cohort(log, rows, this.show, final) for rows in (log.heard(episode, at), beside))
        placebos[episode] = own, other
        expected += float(own.person_time @ _rates([other]))
        of_expected += _error_beside(own, other)
    m, a = len(placebos), s.prior
    has_history = m > 0 and t_first - s.history_from - s.look_back >= log.start
    taken = [own.key[own.converted] for own, beside in placebos.values() if beside.person_time.sum()]
    converts = sum(len(keys) for keys in taken)
    keys = len(np.unique(np.concatenate(taken))) if taken else 0
    theta, own_error, beside_error = 1.0, a**-0.5, 0.0
    if has_history:
        episodes = m if s.is_prior_of_mean else 1
        theta = (converts / episodes + a) / (expected / episodes + a)
        own_error, beside_error = (keys + a) ** -0.5, of_expected / (expected + a)
    return Measured(
        collaboration=this,
        reached=len(log.first_of_each(heard[is_clean])) + int((~is_clean).sum()),
        exposed=exposed,
        pool=pool,
        placebos=placebos,
        placebo_expected=expected,
        placebo_episodes=m,
        placebo_converts=converts,
        placebo_keys=keys,
        theta=theta,
        theta_own_error=own_error,
        theta_beside_error=beside_error,
        first=t_first,
        has_history=has_history,
    )


def _of_others(log: EventLog, this: Collaboration, start: int, bits: int) -> Array:
    """The panel's tenured rows in the exposure window from `start`, of shows that are neither A nor B."""
    rows = log.tenured_between(start, start + log.settings.exposure)
    rows = rows[log.in_panel(bits)[log.key[rows]]]
    show = log.show[rows]
    final = this.t0 + log.settings.exposure + log.settings.follow_up
    return rows[(show != this.show) & (show != this.partner) & log.is_clean(rows, final)]


def response(log: EventLog, after: Array) -> Array:
    """G: which share of those a collaboration will bring has come so long after the exposure."""
    return np.where(after > 0, 1 - np.exp(-np.maximum(after, 0) / log.settings.response), 0.0)


def mean_response(log: EventLog, exposed: Cohort) -> float:
    """Which share of those it will bring from the cohort has come by now; of nobody, as in the end."""
    if not len(exposed.at):
        return float(response(log, np.array(log.settings.follow_up)))
    seen = np.minimum(log.settings.follow_up, log.as_of - exposed.at)
    return float(response(log, seen).mean())


def overlap(log: EventLog, group: Sequence[Measured]) -> Array:
    """Step 8 for the collaborations of one A, as of now.

    M[j, i]: how many of cohort j collaboration i could convert.
    """
    s = log.settings
    matrix = np.zeros((len(group), len(group)))
    for i, other in enumerate(group):
        c = other.collaboration
        heard = log.first_of_each(log.heard(c.episode, c.t0))
        keys, at = log.key[heard], log.at[heard]
        for j, this in enumerate(group):
            if i == j:
                possible = len(this.exposed.key) * mean_response(log, this.exposed)
                matrix[j, j] = possible if possible > 0 else 1.0
            elif len(keys) and this.collaboration.is_sibling(c, log):
                spot = np.minimum(np.searchsorted(keys, this.exposed.key), len(keys) - 1)
                both = keys[spot] == this.exposed.key
                since = this.exposed.at[both] - at[spot[both]]
                seen = np.minimum(s.follow_up, log.as_of - this.exposed.at[both])
                gained = response(log, since + seen) - response(log, since)
                matrix[j, i] = np.maximum(gained, 0).sum()
    return matrix


def heard_both(log: EventLog, group: Sequence[Measured]) -> Array:
    """[j, i]: how many of cohort j were reached by i, in whatever way."""
    every = (one.collaboration for one in group)
    reached = [np.unique(log.key[log.heard(one.episode, one.t0)]) for one in every]
    return np.array([[np.isin(one.exposed.key, keys).sum() for keys in reached] for one in group])


def covariances(log: EventLog, group: Sequence[Measured]) -> tuple[Array, Array]:
    """Of the converts of one A's collaborations, and of who of them would have come anyway.

    Two have a convert in common who is in both cohorts, or both pools, and takes up A in both follow-ups; and
    θ is one number as far as it is of the same episodes, or of the same B where nothing is known of it; the
    rates beside the episodes are those of one time.
    """
    size, s = len(group), log.settings
    long = s.follow_up + s.history_from - s.placebo_until
    both = heard_both(log, group)
    alike, near, same, before = (np.eye(size) for _ in range(4))
    for j, this in enumerate(group):
        for i, other in enumerate(group):
            if i == j:
                continue
            one, two = this.collaboration, other.collaboration
            near[j, i] = max(0.0, 1 - abs(one.t0 - two.t0) / s.follow_up)
            before[j, i] = max(0.0, 1 - abs(this.first - other.first) / long)
            if len(this.exposed.key) and len(other.exposed.key):
                most = (len(this.exposed.key) * len(other.exposed.key)) ** 0.5
                alike[j, i] = min(1.0, min(both[j, i], both[i, j]) / most) * near[j, i]
            mine, theirs = (_share_of_episodes(each) for each in (this, other))
            if mine or theirs:
                same[j, i] = sum((mine[e] * theirs[e]) ** 0.5 for e in mine.keys() & theirs.keys())
            else:
                same[j, i] = float(one.partner == two.partner)
    alike = _possible(alike)
    errors = np.array([max(one.converted, 1) for one in group]) ** 0.5 / np.diag(alike) ** 0.5
    pool = np.array([one.pool_se for one in group])
    own = np.array([one.organic * one.theta_own_error for one in group])
    beside = np.array([one.organic * one.theta_beside_error for one in group])
    parts = ((pool, near), (own, same), (beside, before))
    of_organic = sum((np.outer(of, of) * share for of, share in parts), np.zeros((size, size)))
    return np.outer(errors, errors) * alike, of_organic


def _possible(matrix: Array) -> Array:
    """Without negative eigenvalues."""
    values, vectors = np.linalg.eigh(matrix)
    return vectors @ np.diag(np.maximum(values, 0)) @ vectors.T


def _share_of_episodes(one: Measured) -> dict[int, float]:
    """What each placebo episode has of the person-time; empty where they are not used."""
    time = {episode: float(own.person_time.sum()) for episode, (own, _) in one.placebos.items()}
    total = sum(time.values())
    return {episode: of / total for episode, of in time.items() if of} if one.has_history else {}


def calibration(zs: Array) -> float:
    """Step 10: k, from the |z| of placebo triples."""
    return max(Z90, float(np.quantile(np.abs(zs), 0.9))) if len(zs) else Z90


def placebo_triples(
    log: EventLog,
    airings: pl.DataFrame,
    taken: Sequence[Collaboration],
    triples: int = TRIPLES,
    seed: int = 1,
) -> list[Collaboration]:
    """(A, B′, e′) without any collaboration of A near, at times for which history and follow-up exist."""
    s = log.settings
    rng = np.random.default_rng(seed)
    earliest = log.start + s.history_from + s.look_back
    latest = log.as_of - s.exposure - s.follow_up
    usable = airings.filter(pl.col("at").is_between(earliest, latest))
    rows = usable.select("episode", "show", "at").rows()
    found: list[Collaboration] = []
    for _ in range(triples * 20):
        if len(found) >= triples or not rows:
            break
        episode, partner, at = rows[rng.integers(len(rows))]
        show = int(rng.integers(len(log.genres)))
        this = Collaboration(-1 - len(found), show, partner, episode, at)
        reach = s.history_from + s.exposure
        clear = all(one.show != show or abs(one.t0 - at) > reach for one in taken)
        if show != partner and clear:
            found.append(this)
    return found


def estimates(
    log: EventLog,
    airings: pl.DataFrame,
    collaborations: Sequence[Collaboration],
    k: float,
    linkability: Linkability = Linkability(),
) -> pl.DataFrame:
    """Steps 4–11, one row a collaboration, in the order given.

    Of those who came by now. Columns: collaboration, reached, exposed, known_share, converted, organic,
    placebo_episodes (m), placebo_converts (xb), placebo_expected (Σ nb·r0), theta, tau, matched (the plain
    matched control: θ = 1, no overlap), se, low, high, and the flags insufficient, pre_trend,
    concurrent_spike, has_history.
    """
    rows = {}
    for show in sorted({one.show for one in collaborations}):
        siblings = [one for one in collaborations if one.show == show]
        group = [measure(log, airings, one, siblings) for one in siblings]
        delta = np.linalg.inv(overlap(log, group)) @ np.array([one.excess for one in group])
        variance = np.diag(joint_variance(log, group, linkability))
        for one, rate, var in zip(group, delta, variance, strict=True):
            rows[one.collaboration.number] = _row(log, one, float(rate), float(var), k, linkability)
    return pl.DataFrame([rows[one.number] for one in collaborations])


def joint_variance(log: EventLog, group: Sequence[Measured], link: Linkability = Linkability()) -> Array:
    """Of what one A's collaborations brought, without λ's error: of the count of those who came."""
    spread = np.diag([_scale(log, one, link) for one in group]) @ np.linalg.inv(overlap(log, group))
    of_converts, of_organic = covariances(log, group)
    brought = spread @ np.array([one.excess for one in group])
    of_chance, organic = spread @ of_converts @ spread.T, spread @ of_organic @ spread.T
    surely = brought - Z90 * np.sqrt(np.diag(of_chance + organic))
    return _possible(of_chance - np.diag(np.maximum(surely, 0))) + organic


def _scale(log: EventLog, one: Measured, link: Linkability) -> float:
    """New listeners a unit of δ."""
    people = one.reached * (1 - one.exposed.known_share) / link.value
    return mean_response(log, one.exposed) * people


def _row(
    log: EventLog, one: Measured, rate: float, variance: float, k: float, link: Linkability
) -> dict[str, object]:
    s = log.settings
    share = one.exposed.known_share
    compared = min(len(one.exposed.key), len(one.pool.key))
    tau = rate * _scale(log, one, link)
    se = (variance + (tau * link.se / link.value) ** 2) ** 0.5
    half = k * se * (WIDER if link.is_assumed else 1.0)
    exposed = len(one.exposed.key)
    pools = ([one.pool], [beside for _, beside in one.placebos.values()])
    now, then = (float(one.exposed.person_time @ _rates(pool)) for pool in pools)
    of_chance = [_relative_variance(one.exposed.person_time, pool) for pool in pools]
    if not then and (before := sum(float(beside.person_time.sum()) for beside in pools[1])):
        # None seen before: as if one had been.
        time = one.exposed.person_time
        person_time = sum((beside.person_time for beside in pools[1]), np.zeros(STRATA))
        then = float(time.sum()) / before
        of_chance[1] = float(time**2 @ (1 / before / (person_time + 10.0))) / then**2
    errors = SPIKE_ERRORS * sum(of_chance) ** 0.5
    return {
        "collaboration": one.collaboration.number,
        "reached": one.reached,
        "exposed": exposed,
        "known_share": share,
        "converted": one.converted,
        "organic": one.organic,
        "placebo_episodes": one.placebo_episodes,
        "placebo_converts": one.placebo_converts,
        "placebo_expected": one.placebo_expected,
        "theta": one.theta,
        "tau": tau,
        "matched": (one.converted - now) / max(1, exposed) * one.reached * (1 - share) / link.value,
        "se": se,
        "low": tau - half,
        "high": tau + half,
        "insufficient": compared < s.least_exposed or one.converted + one.organic < s.least_events,
        "pre_trend": one.has_history and abs(one.theta - 1) > 3 * one.theta_se,
        "concurrent_spike": bool(then and now / then > SPIKE and np.log(now / then) > errors),
        "has_history": one.has_history,
    }


def last_touch(events: pl.DataFrame, collaborations: pl.DataFrame, days: int = 30) -> pl.DataFrame:
    """The industry's figure: collaboration, credited.

    Key: address and raw agent. New: no download of A by it for 60 days. All the credit goes to the last
    collaboration of A that it downloaded within `days` before. Frames as of bench.attribution_world.World.
    """
    key = ["address_key", "agent"]
    us = DAY * 1_000
    grown = events.filter(pl.col("show").is_in(collaborations["show"].unique().implode()))
    new = (
        grown.sort("started_us")
        .with_columns(before=pl.col("started_us").shift().over(*key, "show"))
        .filter(pl.col("before").is_null() | (pl.col("started_us") - pl.col("before") > 60 * us))
        .select(*key, "show", pl.col("started_us").alias("new_us"))
    )
    wanted = collaborations.select("collaboration", "show", "episode", pl.col("started_us").alias("t0_us"))
    touches = events.select(*key, "episode", pl.col("started_us").alias("touch_us")).join(
        wanted, on="episode"
    )
    touches = touches.filter(
        (pl.col("touch_us") >= pl.col("t0_us")) & (pl.col("touch_us") < pl.col("t0_us") + 14 * us)
    )
    credited = (
        new.join(touches, on=[*key, "show"])
        .filter(
            (pl.col("touch_us") < pl.col("new_us")) & (pl.col("new_us") - pl.col("touch_us") <= days * us)
        )
        .sort("touch_us")
        .group_by(*key, "show", "new_us")
        .agg(pl.col("collaboration").last())
        .group_by("collaboration")
        .agg(credited=pl.len())
    )
    return collaborations.select("collaboration").join(credited, on="collaboration", how="left").fill_null(0)
