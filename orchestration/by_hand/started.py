"""What all jobs started by hand share: tags of the run, and a refusal that says what to do."""

from __future__ import annotations

from typing import Any

import dagster as dg

from orchestration.constants import BY_HAND_TAG

# Started by hand, so started again by hand: whoever pressed the button reads the message.
TAGS = {BY_HAND_TAG: "yes", "dagster/max_retries": "0"}


def refuse(message: str) -> dg.Failure:
    """To be raised where what was asked for cannot be done; nothing was changed."""
    return dg.Failure(f"{message}. Nothing was changed", allow_retries=False)


def refuse_run(context: dg.AssetExecutionContext, message: str) -> dg.Failure:
    """The same for a job that sensors start, too: this run of it was started by hand, so it is no alert."""
    context.instance.add_run_tags(context.run_id, {BY_HAND_TAG: "yes"})
    return refuse(message)


def preset(step: str, **config: Any) -> dict[str, Any]:
    """Run config with which the launchpad opens."""
    return {"ops": {step: {"config": config}}}


def tag_run(context: dg.OpExecutionContext, **tags: str) -> None:
    """Tags known only once the run looks: `earshot/<name>` of it."""
    context.instance.add_run_tags(context.run_id, {f"earshot/{name}": value for name, value in tags.items()})
