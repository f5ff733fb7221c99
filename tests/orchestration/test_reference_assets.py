"""The reference lists as an asset: what a run says when lists are new, refused, out of reach or expired."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
import polars as pl
import pytest

from ingest.logs.keyring import LISTS_EPOCH, KeyRing
from ingest.logs.rules import Rules
from ingest.reference.store import Checked, ListStore
from orchestration.assets.reference import lists_job, lists_schedule, reference_lists
from tests.ingest.list_server import ListServer, serving
from tests.orchestration.conftest import House

Resources = dict[str, object]


@pytest.fixture
def server() -> Iterator[ListServer]:
    with serving() as found:
        yield found


def set_up(house: House, server: ListServer | None) -> None:
    """Data centres from `server`; nothing else is asked for, since the tests have no network."""
    off = "".join(f"[{name}]\nuse = false\n" for name in ("agents", "prefixes"))
    url = server.url if server else "http://127.0.0.1:9"
    (house.settings.data / "reference.toml").write_text(f'{off}[datacenters]\nurl = "{url}/dc"\n')


def run(instance: dg.DagsterInstance, resources: Resources) -> dg.ExecuteInProcessResult:
    return dg.materialize([reference_lists], instance=instance, resources=resources)


def metadata(result: dg.ExecuteInProcessResult, asset: str = "reference_lists") -> dict[str, object]:
    for event in result.get_asset_materialization_events():
        if event.asset_key == dg.AssetKey(asset):
            return {name: value.value for name, value in event.materialization.metadata.items()}
    raise AssertionError(f"{asset} was not materialised")


def failed(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {check.check_name: check for check in result.get_asset_check_evaluations() if not check.passed}


def test_a_run_fetches_the_lists_and_shows_what_is_in_use(
    house: House, instance: dg.DagsterInstance, resources: Resources, server: ListServer
) -> None:
    set_up(house, server)
    server.put("/dc", "198.51.100.0/24\n203.0.113.0/24\n")
    result = run(instance, resources)
    assert result.success and failed(result) == {}
    assert len(result.get_asset_check_evaluations()) == 3
    shown = metadata(result)
    assert (shown["updated"], shown["refused"]) == (1, 0)
    assert shown["rules_version"] == Rules.load(house.settings).version
    version = ListStore.of(house.settings).current("datacenters")
    assert f"| datacenters | {version} | 2 | {server.url}/dc |" in str(shown["lists"])
    assert metadata(run(instance, resources))["unchanged"] == 1


def test_a_refused_list_fails_its_check_and_the_last_good_one_stays(
    house: House, instance: dg.DagsterInstance, resources: Resources, server: ListServer
) -> None:
    set_up(house, server)
    server.put("/dc", "198.51.100.0/24\n203.0.113.0/24\n")
    run(instance, resources)
    before = Rules.load(house.settings).version
    server.put("/dc", "<html>Sign in</html>")
    result = run(instance, resources)
    assert result.success
    check = failed(result)["lists_valid"]
    assert check.severity is dg.AssetCheckSeverity.ERROR
    assert "a web page" in str(check.description) and "stays in use" in str(check.description)
    assert Rules.load(house.settings).version == before


def test_without_a_network_a_run_succeeds_with_a_warning(
    house: House, instance: dg.DagsterInstance, resources: Resources
) -> None:
    set_up(house, None)
    result = run(instance, resources)
    assert result.success
    assert {name: check.severity for name, check in failed(result).items()} == {
        "lists_fresh": dg.AssetCheckSeverity.WARN
    }
    assert metadata(result)["unreachable"] == 1


def test_a_list_is_called_old_only_after_its_days(
    house: House, instance: dg.DagsterInstance, resources: Resources, server: ListServer
) -> None:
    set_up(house, server)
    server.put("/dc", "198.51.100.0/24\n")
    run(instance, resources)
    server.put("/dc", "", status=503)
    assert "lists_fresh" not in failed(run(instance, resources))
    store = ListStore.of(house.settings)
    long_ago = int((datetime.now(UTC) - timedelta(days=8)).timestamp() * 1e6)
    store.note("datacenters", Checked(long_ago, "updated", None, long_ago))
    check = failed(run(instance, resources))["lists_fresh"]
    assert "datacenters was last confirmed 8 days ago (max_age_days = 7)" in str(check.description)


def test_r12_expired_inclusions_are_listed_without_their_addresses(
    house: House, instance: dg.DagsterInstance, resources: Resources, server: ListServer
) -> None:
    set_up(house, server)
    server.put("/dc", "198.51.100.0/24\n")
    today = datetime.now(UTC).date()
    old = today - timedelta(days=91)
    lines = [
        f"203.0.113.7,,{old},dormitory at 203.0.113.7",
        f"198.51.100.9,,{today},office",
        "key:7,,2026-01-01",
    ]
    (house.settings.data / "included_addresses.csv").write_text("\n".join(lines))
    result = run(instance, resources)
    check = failed(result)["inclusions_validated"]
    assert check.severity is dg.AssetCheckSeverity.WARN
    assert "2 of 3 included addresses no longer act (lines 1, 3)" in str(check.description)
    table = str(check.metadata["failing"].value)
    assert f"| 1 | {old} | {old + timedelta(days=90)} | dormitory at \\<address\\> |" in table
    told = str(result.get_asset_materialization_events()) + str(result.get_asset_check_evaluations())
    assert "203.0.113.7" not in told and "198.51.100.9" not in told
    keyed = pl.read_parquet(house.lake.address_lists_path)
    assert keyed.filter(pl.col("expires_on") < today)["list"].unique().to_list() == ["included_addresses"]
    # No secret is made for a list's sake but today's, and tomorrow's where an epoch begins.
    made = [each.epoch for each in KeyRing.of(house.settings).epochs() if each.epoch != LISTS_EPOCH]
    assert metadata(result, "address_lists")["dagster/row_count"] == keyed.height == 1 + 2 * len(made)
    assert len(made) in (1, 2)


def test_the_lists_are_looked_for_once_a_day() -> None:
    from orchestration.ingest_location import defs

    repository = defs.get_repository_def()
    assert repository.get_schedule_def(lists_schedule.name).cron_schedule == "17 4 * * *"
    assert lists_schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    assert repository.get_job(lists_job.name)
