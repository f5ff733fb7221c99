"""How dbt's models look as assets: keys and groups as in the warehouse, sources as our own assets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, DbtProject

from orchestration import explained
from orchestration.constants import OWNERS, PODCAST_FEEDS, REQUESTS, RESTATED_DAYS, TRACKED_PODCASTS

# Tables of the lake that an asset of another name writes beside its own.
_WRITTEN_BY = {
    "networks": REQUESTS,
    "rules": REQUESTS,
    "app_devices": REQUESTS,  # the empty table: nothing takes in yet what apps tell of plays
    "insertions": REQUESTS,  # the empty table: nothing takes in yet what insertion servers log
    "restated": RESTATED_DAYS,
    "restatements": RESTATED_DAYS,
    "restatements_told": RESTATED_DAYS,  # by what publishes, which comes after the model that reads it
    "podcasts": PODCAST_FEEDS,
    "podcast_episodes": PODCAST_FEEDS,
    "feed_items": PODCAST_FEEDS,
    "feed_state": PODCAST_FEEDS,
    "changes": PODCAST_FEEDS,
    "registered": TRACKED_PODCASTS,
}


class WarehouseTranslator(DagsterDbtTranslator):
    """`marts/fct_downloads` for a model, `requests` for the source `lake.requests`."""

    def __init__(self) -> None:
        super().__init__(
            DagsterDbtTranslatorSettings(
                enable_source_tests_as_checks=False,
                enable_duplicate_source_asset_keys=True,  # one asset may write several tables
            )
        )

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        if dbt_resource_props["resource_type"] == "source":
            # What ingest writes: the same asset, so that the graph joins up over the two code locations.
            name = dbt_resource_props["name"]
            return dg.AssetKey(_WRITTEN_BY.get(name, name))
        return dg.AssetKey([dbt_resource_props["schema"], dbt_resource_props["name"]])

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        """The subject: `meta.dagster.group`, else the mart's folder."""
        if dbt_resource_props["resource_type"] == "source":
            return None  # ingest says
        return super().get_group_name(dbt_resource_props) or str(dbt_resource_props["fqn"][-2])

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> Sequence[str]:
        """`meta.dagster.owners` of the model or its folder, else the data team."""
        return super().get_owners(dbt_resource_props) or OWNERS

    def get_description(self, dbt_resource_props: Mapping[str, Any]) -> str:
        """The model's own words and the rules its `meta.rules` names; its SQL is a click away in the
        repository and would drown them here.
        """
        described = dbt_resource_props.get("description")
        words = described or f"dbt {dbt_resource_props['resource_type']} {dbt_resource_props['name']}"
        return explained.asset(words, (dbt_resource_props.get("meta") or {}).get("rules") or ())

    def get_asset_check_spec(
        self,
        asset_spec: dg.AssetSpec,
        manifest: Mapping[str, Any],
        unique_id: str,
        project: DbtProject | None,
    ) -> dg.AssetCheckSpec | None:
        spec = super().get_asset_check_spec(asset_spec, manifest, unique_id, project)
        return spec and spec._replace(description=explained.dbt_check(manifest["nodes"][unique_id]))
