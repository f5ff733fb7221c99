"""dbt starts before there is a lake, and works only when it is told to."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from earshot import pipeline
from earshot.pipeline import PARSED, DbtFailed, dbt_at_hand, models_done
from ingest.lake import Lake
from ingest.settings import Settings
from orchestration.dbt_args import target_dir
from orchestration.kept_files import write_kept

AS_DBT_DOES = "import sys; sys.stdin.readline() and print('worked'); sys.exit(0)"
FINDS_NO_ROOM = "print('Failed to commit: Could not write file: No space left on device'); exit(1)"
FAILS_EARLY = "import sys; print('Error: no profile'); sys.exit(2)"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "data")


def test_it_works_when_it_is_told_to(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "LEAN_DBT", (sys.executable, "-c", AS_DBT_DOES))
    said: list[str] = []
    with dbt_at_hand(settings, ["run"]) as run:
        Lake(settings.lake_dir)
        assert not said
        run(said.append)
    assert said == ["worked"]


def test_what_it_said_before_it_was_told_to_work_is_told(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "LEAN_DBT", (sys.executable, "-c", FAILS_EARLY))
    with pytest.raises(DbtFailed, match="no profile"), dbt_at_hand(settings, ["run"]) as run:
        Lake(settings.lake_dir)
        run(None)


def test_it_ends_with_who_started_it(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Were it not so, this test would not end."""
    monkeypatch.setattr(pipeline, "LEAN_DBT", (sys.executable, "-c", "import time; time.sleep(600)"))
    with pytest.raises(ValueError, match="no log"), dbt_at_hand(settings, ["run"]):
        raise ValueError("no log")


@pytest.mark.parametrize("home", ["x" * 300, "parsed"], ids=["out of reach", "anybody's"])
def test_a_home_in_which_nothing_can_be_kept_stops_no_build(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    """As somebody else's does, told by sudo; what anybody can have put there is no code of ours."""
    monkeypatch.setattr(pipeline, "LEAN_DBT", (sys.executable, "-c", AS_DBT_DOES))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / home))
    if home == "parsed":
        kept = pipeline._parse_cache(["run"])
        write_kept(kept, b"parsed")
        kept.chmod(0o666)
    with dbt_at_hand(settings, ["run"]) as run:
        Lake(settings.lake_dir)
        run(None)
    assert not (target_dir(settings) / PARSED).exists()


def test_a_full_disk_is_told_with_what_to_do(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "LEAN_DBT", (sys.executable, "-c", FINDS_NO_ROOM))
    with (
        pytest.raises(DbtFailed, match="free some space and run it again: nothing is lost"),
        dbt_at_hand(settings, ["run"]) as run,
    ):
        Lake(settings.lake_dir)
        run(None)


def test_models_are_told_as_dbt_ends_them() -> None:
    told: list[tuple[int, int]] = []
    look = models_done(lambda done, of: told.append((done, of)))
    for line in (
        "20:09:11  1 of 22 START sql view model staging.stg_lake__files [RUN]",
        "20:09:11  2 of 22 START sql table model marts.dim_rules [RUN]",
        "20:09:11  2 of 22 OK created sql table model marts.dim_rules [OK in 0.05s]",
        "20:09:11  1 of 22 ERROR creating sql view model staging.stg_lake__files [ERROR in 0.09s]",
        "20:09:11  3 of 22 SKIP relation intermediate.int_requests [SKIP]",
        "20:09:12  4 of 22 PASS not_null_dim_rules_rules_version [PASS in 0.01s]",
        "20:09:12  Done. PASS=1 WARN=0 ERROR=1 SKIP=1 NO-OP=0 TOTAL=22",
    ):
        look(line)
    assert told == [(1, 22), (2, 22), (3, 22), (4, 22)]
