"""What the published marts say of a collaboration, gathered; nothing is estimated here.

What is derived are the terms between the marts' figures (a product, a difference, a sum of the cohort table),
so that the page can be calculated again line by line.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from serving.attribution.beside import cost_of, difference_of, gross_of, holdout_of, retained_of
from serving.attribution.counts import calculation_of, overlap_of, placebo_of, strata_of
from serving.attribution.flags import flags_of
from serving.attribution.headline import headline
from serving.attribution.marts import Rows
from serving.attribution.model import Collaboration, Explanation, Listed
from serving.attribution.told import MEASURED, answer_of, are_near, twins_of

Row = dict[str, Any]


def explanation_of(rows: Rows, version: int, made_at: str, notices: tuple[str, ...] = ()) -> Explanation:
    """The rows of one collaboration, as an answer.

    version, made_at: of the marts. notices: what the registry says by now.
    """
    lift = rows.lift
    collaboration = collaboration_of(lift)
    told = answer_of(lift, rows.of_show)
    is_measured = told.state in MEASURED
    strata = strata_of(rows.cohorts) if is_measured else ()
    overlaps = tuple(
        overlap_of(row, {other["collaboration_id"]: other for other in rows.of_show}) for row in rows.overlaps
    )
    has_counts = is_measured and lift["theta"] is not None and lift["linkability"] is not None
    calculation = calculation_of(lift, rows.cohorts, strata, told.estimate) if has_counts else None
    near = [other for other in rows.of_show if are_near(lift, other)]
    return Explanation(
        **vars(told),
        collaboration=collaboration,
        notices=notices,
        headline=headline(collaboration, told, lift["as_of"]),
        as_of=lift["as_of"],
        version=version,
        made_at=made_at,
        genre=lift["genre"],
        model_version=None if lift["model_version"] is None else str(lift["model_version"]),
        calculation=calculation,
        strata=strata,
        placebo=placebo_of(lift, near) if has_counts else None,
        siblings=lift["siblings"] or 0,
        overlap_share=lift["overlap_share"],
        overlaps=overlaps,
        holdout=holdout_of(lift),
        flags=flags_of(lift, near),
        cost=cost_of(lift, twins_of(lift, rows.of_show), told) if is_measured else None,
        retained=retained_of(lift, told, calculation) if calculation else (),
        gross=gross_of(rows) if is_measured else (),
        difference=difference_of(lift, calculation, overlaps),
    )


def collaboration_of(lift: Row) -> Collaboration:
    """Who, with whom, when."""
    return Collaboration(**{name: lift[name] for name in Collaboration.__annotations__})


def listed_of(lift: Row, split: Sequence[Row], void: Collection[int] = ()) -> Listed:
    """A row of fct_collaboration_lift in short. split: those of its show that are `is_split`."""
    of = collaboration_of(lift)
    return Listed(
        **vars(answer_of(lift, split)),
        collaboration_id=of.collaboration_id,
        show_id=of.show_id,
        show=of.show,
        partner=of.partner,
        type=of.type,
        starts_at=of.starts_at,
        final_at=of.final_at,
        is_void=of.collaboration_id in void,
        cost=of.cost,
        currency=of.currency,
        flags=tuple(flag.name for flag in flags_of(lift)),
    )
