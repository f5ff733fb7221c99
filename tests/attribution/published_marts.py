"""Published marts of seven collaborations, whose numbers can be worked out by hand.

1  final. n = 2,530 + 540 + 100 = 3,170, x = 20 + 30 + 40 = 90.
   r1: the pool has 990 + 1,990 + 20 = 3,000 keys and 3 + 19 + 8 = 30 converts, p = 0.01. With 10 more at p
   3.1 / 1,000 = 0.0031, 19.1 / 2,000 = 0.00955, 8.1 / 30 = 0.27.
   Expected 2,530 × 0.0031 + 540 × 0.00955 + 100 × 0.27 = 7.843 + 5.157 + 27 = 40.
   θ: m = 4, xb = 12 where 10 were expected: (12 + 6) / (10 + 6) = 18 / 16 = 1.125.
   O = 1.125 × 40 = 45, E = 90 − 45 = 45.
   N (1 − q) = 6,974 × 0.8 = 5,579.2; 45 × 5,579.2 / 3,170 = 79.2; / 0.88 = 90.
   2 × 1.1 × 12.5 = 27.5: 62.5 to 117.5. 180 EUR / 90 = 2 EUR.
   Held out were 317, of whom 4 took it up, as 40 of 3,170: 50 × 5,579.2 / 3,170 / 0.88 = 100; 1.645 × 1.1 ×
   5,579.2 / 0.88 × √(0.0284 × 0.9716 / 3,170 + 0.0126 × 0.9874 / 317) = 79.5: 20.5 to 179.5.
   Gross 300 = 90 + 45 × 5,579.2 / 3,170 / 0.88 (90) + 120.
2  provisional, sibling of 3. x = 16; half of 1,000 followed: 500 × 0.01 = 5.
   θ = (6 + 6) / (4 + 6) = 1.2, O = 6, E = 10, of which 2 are the sibling's.
   8 × 2,000 × 0.9 / 1,000 = 14.4; / 0.9 = 16.
   1.645 × 4 = 6.58: 9.42 to 22.58. Half has come: forecast 32. 100 × 0.02 = 2 is what 3 brought of it.
3  final, no effect: x = 12, expected 2,500 × 0.004 = 10, θ = 1 for want of history, E = 2, 20 × 0.02 = 0.4
   the sibling's.
   1.6 × 5,000 × 0.88 / 2,500 = 2.816; / 0.88 = 3.2. 2 × 1.1 × 8 = 17.6: −14.4 to 20.8.
4  insufficient: 150 exposed.  5  planned.  6  no_data.
7  final, below 0: x = 30, expected 4,000 × 0.0125 = 50, θ = 1, E = −20; 1 × −20 × 4,000 / 4,000; / 1 = −20.
   1.5 × 10 = 15: −35 to −5.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from serving.publish import publish

Row = dict[str, Any]

STARTS = datetime(2026, 6, 1, 6)
AS_OF = datetime(2026, 9, 1, 12)
HOSTILE = "[red]Evil|`x`\x1b[2J <b>*&amp;*</b>\nnext"
GENRES, ALL = ("0", "1–3", "4+"), ("0–3", "4–9", "10+")

_TEXTS = (
    "tenant show_id show_title partner_show_id partner_show_title episode_id episode_title type state "
    "currency theta_source linkability_source genre model_version"
)
_TIMES = "starts_at exposure_ends_at final_at as_of"
_WHOLE = (
    "collaboration_id episode_key reach exposed converted placebo_episodes placebo_converts pool_keys "
    "history_keys k_triples siblings holdout_keys holdout_converted"
)
_FLAGS = "is_insufficient is_calibrated has_pre_trend has_concurrent_spike is_split"
_FLOATS = (
    "known_share organic new_listeners new_listeners_low new_listeners_high forecast forecast_low "
    "forecast_high at_most conversion_rate lift retained_2 retained_4 cost cost_per_new_listener "
    "cost_per_new_listener_low cost_per_new_listener_high theta theta_se linkability linkability_se k "
    "placebo_expected rate se widening overlap_share gross_last_touch gross_first_touch gross_linear "
    "gross_time_decay holdout_new_listeners holdout_low holdout_high holdout_se"
)
LIFT: dict[str, Any] = {
    **dict.fromkeys(_TEXTS.split(), pl.String),
    **dict.fromkeys(_TIMES.split(), pl.Datetime("us")),
    **dict.fromkeys(_WHOLE.split(), pl.Int64),
    **dict.fromkeys(_FLAGS.split(), pl.Boolean),
    **dict.fromkeys(_FLOATS.split(), pl.Float64),
}
COHORTS: dict[str, Any] = {
    **dict.fromkeys(("collaboration_id", "stratum", "keys", "converts"), pl.Int64),
    **dict.fromkeys(("cohort", "genre_downloads", "all_downloads"), pl.String),
    "followed": pl.Float64,
}
OVERLAPS: dict[str, Any] = {
    "collaboration_id": pl.Int64,
    "other_collaboration_id": pl.Int64,
    "common_keys": pl.Int64,
    "converted_by_other": pl.Float64,
    "other_partner_show_title": pl.String,
    "other_starts_at": pl.Datetime("us"),
}
GROSS: dict[str, Any] = {
    "collaboration_id": pl.Int64,
    "rule": pl.String,
    "window_days": pl.Int64,
    "new_listeners": pl.Float64,
    "touches": pl.Int64,
}


def lift(collaboration_id: int, state: str, starts_at: datetime = STARTS, **more: Any) -> Row:
    ends_at = starts_at + timedelta(days=14)
    return {
        "collaboration_id": collaboration_id,
        "tenant": "default",
        "show_id": "show-a",
        "show_title": "Garden Talk",
        "partner_show_id": f"show-b{collaboration_id}",
        "partner_show_title": f"Partner {collaboration_id}",
        "episode_key": -(2**60) - collaboration_id,
        "episode_id": f"e{collaboration_id}",
        "episode_title": f"Episode {collaboration_id}",
        "type": "guest_swap",
        "starts_at": starts_at,
        "exposure_ends_at": ends_at,
        "final_at": ends_at + timedelta(days=30),
        "as_of": AS_OF,
        "state": state,
        "siblings": 0,
        "is_insufficient": False,
        "is_calibrated": True,
        "has_pre_trend": False,
        "has_concurrent_spike": False,
        "is_split": False,
        "widening": 1.1,
        "linkability": 0.88,
        "linkability_source": "assumed",
        "k": 2.0,
        "k_triples": 120,
        "theta": 1.0,
        "theta_source": "none",
        "placebo_episodes": 0,
        "model_version": "pace-3",
        **more,
    }


def number(value: float, low: float, high: float, name: str = "new_listeners") -> Row:
    return {name: value, f"{name}_low": low, f"{name}_high": high}


def cohort(
    collaboration_id: int, cohort: str, stratum: int, keys: int, converts: int = 0, **more: Any
) -> Row:
    return {
        "collaboration_id": collaboration_id,
        "cohort": cohort,
        "stratum": stratum,
        "genre_downloads": GENRES[stratum // 3],
        "all_downloads": ALL[stratum % 3],
        "keys": keys,
        "followed": float(keys),
        "converts": converts,
        **more,
    }


LIFTS = [
    lift(
        1,
        "final",
        reach=6974,
        exposed=3170,
        known_share=0.2,
        converted=90,
        organic=45.0,
        **number(90.0, 62.5, 117.5),
        **number(90.0, 62.5, 117.5, "forecast"),
        conversion_rate=90 / 5579.2,
        lift=1.0,
        retained_2=31.5,
        retained_4=18.0,
        cost=180.0,
        currency="EUR",
        **number(2.0, 180 / 117.5, 180 / 62.5, "cost_per_new_listener"),
        genre="Leisure",
        theta=1.125,
        theta_se=0.27,
        theta_source="history",
        placebo_episodes=4,
        placebo_converts=12,
        placebo_expected=10.0,
        pool_keys=3_000,
        history_keys=2_980,
        se=12.5,
        holdout_keys=317,
        holdout_converted=4,
        holdout_new_listeners=100.0,
        holdout_low=20.5,
        holdout_high=179.5,
        holdout_se=43.93,
        gross_last_touch=300.0,
        gross_first_touch=290.0,
        gross_linear=295.5,
        gross_time_decay=297.0,
    ),
    lift(
        2,
        "provisional",
        datetime(2026, 8, 10),
        reach=2000,
        exposed=1000,
        known_share=0.1,
        converted=16,
        organic=6.0,
        **number(16.0, 9.42, 22.58),
        **number(32.0, 18.0, 46.0, "forecast"),
        theta=1.2,
        theta_se=0.3,
        theta_source="history",
        placebo_episodes=2,
        placebo_converts=6,
        placebo_expected=4.0,
        rate=0.02,
        se=4.0,
        widening=1.0,
        linkability=0.9,
        linkability_se=0.02,
        linkability_source="app_devices",
        k=1.645,
        siblings=1,
        overlap_share=0.15,
        has_pre_trend=True,
        gross_last_touch=20.0,
    ),
    lift(
        3,
        "final",
        datetime(2026, 7, 10),
        reach=5000,
        exposed=2500,
        known_share=0.12,
        converted=12,
        organic=10.0,
        **number(3.2, -14.4, 20.8),
        **number(3.2, -14.4, 20.8, "forecast"),
        cost=100.0,
        currency="USD",
        cost_per_new_listener=31.25,
        cost_per_new_listener_low=100 / 20.8,
        rate=0.02,
        se=8.0,
        siblings=1,
        overlap_share=0.05,
        is_calibrated=False,
        gross_last_touch=40.0,
    ),
    lift(
        4,
        "final",
        datetime(2026, 5, 1),
        show_title=HOSTILE,
        show_id="evil",
        episode_title=HOSTILE,
        reach=400,
        exposed=150,
        known_share=0.25,
        converted=3,
        organic=1.5,
        **number(3.8, -1.0, 8.6),
        is_insufficient=True,
        at_most=9.0,
        cost=50.0,
        currency="EUR",
        gross_last_touch=11.0,
    ),
    lift(5, "planned", datetime(2026, 11, 1)),
    lift(6, "no_data", partner_show_title=None, partner_show_id="show-b6"),
    lift(
        7,
        "final",
        datetime(2026, 4, 1),
        reach=4000,
        exposed=4000,
        known_share=0.0,
        converted=30,
        organic=50.0,
        **number(-20.0, -35.0, -5.0),
        se=10.0,
        widening=1.0,
        linkability=1.0,
        linkability_se=0.01,
        linkability_source="app_devices",
        k=1.5,
        gross_last_touch=12.0,
    ),
]
COHORT_ROWS = [
    cohort(1, "exposed", 0, 2530, 20),
    cohort(1, "exposed", 4, 540, 30),
    cohort(1, "exposed", 8, 100, 40),
    cohort(1, "contemporaneous", 0, 990, 3),
    cohort(1, "contemporaneous", 4, 1990, 19),
    cohort(1, "contemporaneous", 8, 20, 8),
    cohort(1, "history", 0, 970, 3),
    cohort(1, "history", 4, 1990, 19),
    cohort(1, "history", 8, 20, 8),
    cohort(1, "placebo", 0, 400, 12),
    cohort(2, "exposed", 4, 1000, 16, followed=500.0),
    cohort(2, "contemporaneous", 4, 20_000, 100, followed=10_000.0),
    cohort(2, "history", 4, 20_000, 200),
    cohort(2, "placebo", 4, 300, 6),
    cohort(3, "exposed", 0, 2500, 12),
    cohort(3, "contemporaneous", 0, 30_000, 120),
    cohort(4, "exposed", 0, 150, 3),
    cohort(4, "contemporaneous", 0, 30_000, 300),
    cohort(7, "exposed", 0, 4000, 30),
    cohort(7, "contemporaneous", 0, 30_000, 375),
]
OVERLAP_ROWS = [
    (2, 3, 150, 100.0, "Partner 3", datetime(2026, 7, 10)),
    (3, 2, 125, 20.0, None, datetime(2026, 8, 10)),
]
GROSS_ROWS = [
    (1, rule, days, credited - 50.0 * step, 5200)
    for step, days in enumerate((60, 30, 14, 7))
    for rule, credited in (
        ("last_touch", 350.0),
        ("first_touch", 340.0),
        ("linear", 345.5),
        ("time_decay", 347.0),
    )
]
POOLED: dict[str, Any] = {
    "show_id": pl.String,
    **dict.fromkeys(("collaborations", "provisional", "insufficient"), pl.Int64),
    **dict.fromkeys(("new_listeners", "new_listeners_low", "new_listeners_high", "cost"), pl.Float64),
    "currency": pl.String,
    **dict.fromkeys(("cost_per_new_listener", "gross_last_touch"), pl.Float64),
}
POOLED_ROWS = [  # show A with its partner 1; with all of a type or month, one of them provisional
    ("show-a", 1, 0, 0, 90.0, 62.5, 117.5, 180.0, "EUR", 2.0, 300.0),
    ("show-a", 4, 1, 0, 89.2, 50.0, 128.4, None, None, None, 372.0),
]


def pooled(column: str, *values: object) -> pl.DataFrame:
    """A mart of collaborations together by show and `column`: POOLED_ROWS, one for each value."""
    rows = [(*row, value) for row, value in zip(POOLED_ROWS, values, strict=False)]
    dtype = pl.Date if isinstance(values[0], date) else pl.String
    return pl.DataFrame(rows, POOLED | {column: dtype}, orient="row")


def published(data: Path, without: str = "", lifts: list[Row] | None = None) -> None:
    """Publish them as the platform does, below data/published; `without`: a mart or mart.column."""
    frames = {
        "fct_collaboration_lift": pl.DataFrame(LIFTS if lifts is None else lifts, LIFT),
        "fct_collaboration_cohorts": pl.DataFrame(COHORT_ROWS, COHORTS),
        "fct_collaboration_overlaps": pl.DataFrame(OVERLAP_ROWS, OVERLAPS, orient="row"),
        "fct_attribution_gross": pl.DataFrame(GROSS_ROWS, GROSS, orient="row"),
        "fct_partner_lift": pooled("partner_show_id", "show-b1", "show-b2"),
        "fct_show_lift_by_type": pooled("type", "host_read", "guest_swap"),
        "fct_show_lift_monthly": pooled("month", date(2026, 6, 1), date(2026, 7, 1)),
        "dim_shows": pl.DataFrame({"show_id": ["show-a"]}),
    }
    data.mkdir(parents=True, exist_ok=True)
    warehouse = data / "warehouse.duckdb"
    with duckdb.connect(str(warehouse)) as con:
        con.execute("create schema marts")
        for mart, frame in frames.items():
            if mart == without:
                continue
            kept = frame.drop([name for name in frame.columns if f"{mart}.{name}" == without])
            kept.write_parquet(rows := data / f"{mart}.parquet")
            con.execute(f"create table marts.{mart} as select * from read_parquet('{rows}')")
            rows.unlink()
    publish(warehouse, data / "published", keep=1, window="calendar")
    warehouse.unlink()  # nothing may look into it
