"""The figures of each collaboration: a frame in, a frame out (attribution/solve.py)."""

import polars as pl

from attribution.solve import solve


def model(dbt, session):
    return solve(
        rates=pl.DataFrame(dbt.ref("int_cohort_rates")),
        totals=pl.DataFrame(dbt.ref("int_cohort_totals")),
        overlaps=pl.DataFrame(dbt.ref("int_overlaps")),
        targets=pl.DataFrame(dbt.ref("int_collaborations")),
        linkability=pl.DataFrame(dbt.ref("int_linkability")),
    ).lifts
