"""The figures of each collaboration: a frame in, a frame out (attribution/solve.py)."""

from attribution.relations import frame
from attribution.solve import solve


def model(dbt, session):
    return solve(
        rates=frame(dbt.ref("int_cohort_rates")),
        totals=frame(dbt.ref("int_cohort_totals")),
        overlaps=frame(dbt.ref("int_overlaps")),
        targets=frame(dbt.ref("int_collaborations")),
        linkability=frame(dbt.ref("int_linkability")),
    ).lifts
