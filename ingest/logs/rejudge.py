"""REQUESTS judged again under other lists, without the address: from the evidence that was kept with them.

Anew: agent_type, app, device, device_category, os, referrer_app and the operator's lists of keys. As they
were: what needs the address (in_datacenter, is_excluded_address, country, asn, network_kind), the whole
referrer (is_bogus_referrer, referrer_match) or the URL as logged (enclosure_url). Those are judged anew from
the landing file only: restate.py.
"""

from __future__ import annotations

from datetime import date

import polars as pl

from ingest.logs.judge import exclusion_reason, referrer_app
from ingest.logs.known_agents import KnownAgents
from ingest.logs.rules import Rules
from ingest.schema import REQUESTS, SourceClass, conform


def rejudge(
    requests: pl.DataFrame, rules: Rules, intake_day: date, known: KnownAgents | None = None
) -> pl.DataFrame:
    """REQUESTS → REQUESTS in the same order, judged by `rules`.

    intake_day: of their file's first intake, on which entries of dated lists must act. known: agents judged
    by these rules so far.
    """
    known = known or KnownAgents(rules.agents)
    agents = known.of_stored(requests["agent"])
    by_key = rules.listed_by_key(intake_day)
    reason = pl.lit(None, pl.String)
    for source_class in SourceClass:
        is_class = pl.col("source_class") == source_class.value
        reason = pl.when(is_class).then(exclusion_reason(source_class, by_key)).otherwise(reason)
    judged = (
        requests.drop(set(agents.columns) & set(REQUESTS) - {"agent"})
        .join(agents, on="agent", how="left", maintain_order="left")
        .with_columns(agent_type=pl.col("agent_type").fill_null("none"))
        .with_columns(referrer_app=referrer_app(), exclusion_reason=reason)
        .with_columns(rules_version=pl.lit(rules.version))
    )
    return conform(judged.select(name for name in judged.columns if name in REQUESTS), REQUESTS).collect()
