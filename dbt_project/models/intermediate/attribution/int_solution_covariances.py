"""How the figures of collaborations vary together: the same solve again, which costs less than keeping it."""

import polars as pl

from attribution.solve import solve


def model(dbt, session):
    return solve(
        rates=pl.DataFrame(dbt.ref("int_cohort_rates")),
        totals=pl.DataFrame(dbt.ref("int_cohort_totals")),
        overlaps=pl.DataFrame(dbt.ref("int_overlaps")),
        targets=pl.DataFrame(dbt.ref("int_collaborations")),
        linkability=pl.DataFrame(dbt.ref("int_linkability")),
    ).covariances
