"""The marts' contract as the publisher reads it: dbt's own, to the word."""

from __future__ import annotations

import json
import re
from pathlib import Path

import duckdb
import pytest

from ingest.settings import Settings
from orchestration.dbt_manifest import ensure_manifest
from serving.contract import Audience, ContractError, project_dir, read_contract
from serving.empty_marts import write_empty_marts

# Keys of listeners and addresses, and what lets one reach a person or a private feed.
OF_THE_TEAM = re.compile(
    r"^(listener_key|address_key|enclosure_key|device_key|key_epoch|agent|owner_\w+|\w*email\w*"
    r"|feed_url|original_url|enclosure_url|registry_reason|old_value|new_value)$"
)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    """dbt's manifest of the project, parsed by dbt itself."""
    path = ensure_manifest(Settings(data=tmp_path_factory.mktemp("data")))
    told: dict[str, dict[str, object]] = json.loads(path.read_text("utf-8"))
    return told


def test_the_contract_says_what_dbts_manifest_says(manifest: dict[str, dict[str, dict[str, object]]]) -> None:
    nodes = manifest["nodes"].values()
    models = {n["name"]: n for n in nodes if n["resource_type"] == "model" and n["schema"] == "marts"}
    contract = read_contract()
    assert contract.keys() == models.keys()
    for name, mart in contract.items():
        model = models[name]
        assert model["config"]["contract"]["enforced"]
        assert mart.subject == Path(model["original_file_path"]).parent.name
        assert mart.description == model["description"]
        assert mart.audience == model["config"]["meta"]["audience"]
        told = {
            column["name"]: (
                column["data_type"],
                column["description"],
                not column["constraints"],
                column["config"]["meta"].get("audience", "shared"),
            )
            for column in model["columns"].values()
        }
        assert {c.name: (c.type, c.description, c.is_nullable, c.audience) for c in mart.columns} == told


def test_the_grain_is_the_one_dbt_tests(manifest: dict[str, dict[str, dict[str, object]]]) -> None:
    tested = {}
    for node in manifest["nodes"].values():
        test = node.get("test_metadata")
        if test and test["name"] == "unique_grain":
            tested[node["attached_node"].rsplit(".", 1)[-1]] = tuple(test["kwargs"]["columns"])
    assert {name: mart.grain for name, mart in read_contract().items()} == {
        name: grain for name, grain in tested.items() if name in read_contract()
    }


def test_no_key_of_a_listener_and_no_secret_address_is_shared() -> None:
    shared = {(m.name, c.name) for m in read_contract().values() for c in m.shared_columns}
    assert [pair for pair in sorted(shared) if OF_THE_TEAM.match(pair[1])] == []
    inside = {name for name, mart in read_contract().items() if mart.audience is Audience.TEAM}
    assert inside >= {"fct_downloads", "fct_volume_flags", "rpt_leads"}


def test_nothing_that_is_shared_tells_leads_from_customers() -> None:
    # `rpt_leads` is what is tracked and no customer's, so either of them tells it.
    shared = {(m.name, c.name) for m in read_contract().values() for c in m.shared_columns}
    assert [pair for pair in sorted(shared) if pair[1] in ("is_lead", "is_customer")] == []


def test_the_grain_of_what_is_shared_is_shared() -> None:
    for mart in read_contract().values():
        if mart.shared_columns:
            assert set(mart.grain) <= {column.name for column in mart.shared_columns}, mart.name


@pytest.mark.parametrize(
    ("instead", "reason"),
    [
        (("audience: shared", "audience: everybody"), "everybody"),
        (("columns: [show_id]", "columns: [show]"), "show, which is no column"),
        (("version: 1", "version: first"), "first"),
        (("version: 2\n", "version: [2\n"), "dim_shows.yml"),
    ],
)
def test_a_file_that_is_no_contract_is_named_with_the_reason(
    tmp_path: Path, instead: tuple[str, str], reason: str
) -> None:
    folder = tmp_path / "models" / "marts" / "downloads"
    folder.mkdir(parents=True)
    (tmp_path / "docs").symlink_to(project_dir() / "docs")
    good = (project_dir() / "models" / "marts" / "downloads" / "dim_shows.yml").read_text("utf-8")
    assert instead[0] in good
    (folder / "dim_shows.yml").write_text(good.replace(*instead))
    with pytest.raises(ContractError, match=r"models/marts/downloads/dim_shows\.yml is no contract") as told:
        read_contract(tmp_path)
    assert reason in str(told.value)


def test_the_marts_without_a_row_are_as_the_contract_says(tmp_path: Path) -> None:
    path = tmp_path / "marts.duckdb"
    for _ in range(2):
        write_empty_marts(path, read_contract())
    with duckdb.connect(str(path), read_only=True) as con:
        rows = con.execute(
            "select table_name, column_name, lower(data_type), is_nullable from duckdb_columns()"
            " where schema_name = 'marts' order by table_name, column_index"
        ).fetchall()
    assert rows == [
        (mart.name, column.name, column.type, column.is_nullable)
        for mart in sorted(read_contract().values(), key=lambda mart: mart.name)
        for column in mart.columns
    ]


def test_a_folder_without_marts_is_an_error_that_says_where_they_were_looked_for(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="EARSHOT_DBT_PROJECT"):
        read_contract(tmp_path)
