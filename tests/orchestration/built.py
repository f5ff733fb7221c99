"""A batch's build in Dagster, as tests of what stops one start it."""

from __future__ import annotations

import dagster as dg

from orchestration.assets.marts import NEW_ONLY, build_config, dbt_models, published_marts
from orchestration.marts_location import defs


def build_new(instance: dg.DagsterInstance, raise_on_error: bool = True) -> dg.ExecuteInProcessResult:
    """Build and publish the marts of what is new."""
    return dg.materialize(
        [dbt_models, published_marts],
        instance=instance,
        resources=defs.resources,
        selection=dg.AssetSelection.assets(*NEW_ONLY),
        run_config=build_config(is_whole=False),
        raise_on_error=raise_on_error,
    )


def why_it_failed(done: dg.ExecuteInProcessResult) -> str:
    """The message of its one failed step."""
    (failure,) = done.get_step_failure_events()
    error = failure.step_failure_data.error
    assert not done.success and error is not None
    return error.message
