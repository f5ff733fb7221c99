"""What the sensors need to know about runs."""

from __future__ import annotations

import dagster as dg

# Queued or in progress: asking again would only pile up.
UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]

# Runs a sensor asks for are asked for again by that sensor; the retry daemon is for all other runs.
NO_AUTOMATIC_RETRY = {"dagster/max_retries": "0"}
