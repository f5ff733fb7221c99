"""The gross marts against counting by hand, on random histories and on a lake."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import duckdb
import polars as pl
import pytest

from ingest.feeds.schema import COLLABORATIONS
from ingest.lake import Lake, write_parquet
from ingest.schema import conform
from tests.attribution.gross_by_hand import (
    RULES,
    WINDOWS,
    Gross,
    Sources,
    counted,
    gross_by_hand,
    new_times,
    real,
    sources_by_hand,
)
from tests.attribution.gross_histories import (
    Collaboration,
    Device,
    Download,
    History,
    Span,
    random_history,
    write,
)
from tests.dbt.feed_lakes import registered, set_registered
from tests.dbt.lakes import DAY_US, START_US, Row, add_file, dbt, set_catalog
from tests.dbt.show_lakes import show_catalog, show_requests

MARTS = ("fct_attribution_gross", "fct_new_listener_sources")


class Built(NamedTuple):
    """A history and what dbt made of it."""

    history: History
    gross: Gross
    sources: Sources


def build(history: History, folder: Path) -> Built:
    warehouse = folder / "warehouse.duckdb"
    write(history, warehouse)
    dbt(Lake(folder / "lake"), warehouse, "calendar", "run", "--select", *MARTS)
    return Built(history, *figures(warehouse))


def figures(warehouse: Path) -> tuple[Gross, Sources]:
    with duckdb.connect(str(warehouse), read_only=True) as con:
        gross = con.execute(
            "select collaboration_id, rule, window_days, new_listeners, touches"
            " from marts.fct_attribution_gross"
        ).fetchall()
        sources = con.execute(
            "select show_id, week, source, collaboration_id, listeners, is_complete"
            " from marts.fct_new_listener_sources"
        ).fetchall()
    by_rule, by_week = {row[:3]: row[3:] for row in gross}, {row[:4]: row[4:] for row in sources}
    assert (len(by_rule), len(by_week)) == (len(gross), len(sources))
    return by_rule, by_week


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(random_history(Random(7), worlds=150), tmp_path_factory.mktemp("gross"))


def assert_same(found: Gross, expected: Gross) -> None:
    assert found.keys() == expected.keys()
    for key, wanted in expected.items():
        assert found[key] == pytest.approx(wanted, abs=1e-9), key


def test_every_rule_credits_as_by_hand(built: Built) -> None:
    expected = gross_by_hand(built.history)
    assert_same(built.gross, expected)
    # The histories are rich enough: credit is shared, and the rules differ.
    credited_by = {rule: [e[0] for key, e in expected.items() if key[1] == rule] for rule in RULES}
    assert sum(credited % 1 > 0 for credited in credited_by["linear"]) > 50
    assert sum(a != b for a, b in zip(*(credited_by[rule] for rule in RULES[:2]), strict=True)) > 50


def test_all_rules_credit_each_new_listener_once(built: Built) -> None:
    for days in WINDOWS:
        sums = [
            sum(credited for key, (credited, _) in built.gross.items() if key[1:] == (rule, days))
            for rule in RULES
        ]
        assert sums == pytest.approx([sums[0]] * len(RULES), abs=1e-9)
    shows = {one.show_id for one in real(built.history)}
    new = sum(
        len(new_times(downloads, show)) for downloads in counted(built.history).values() for show in shows
    )
    assert sums[0] <= new


def test_a_longer_window_never_credits_fewer_in_all(built: Built) -> None:
    sums = [
        sum(credited for key, (credited, _) in built.gross.items() if key[1:] == ("linear", days))
        for days in WINDOWS
    ]
    assert sums == sorted(sums)


def test_sources_of_first_ever_listeners_are_told_as_by_hand(built: Built) -> None:
    expected = sources_by_hand(built.history)
    assert built.sources == expected
    assert {key[2] for key in expected} == {"collaboration", "organic", "unknown"}
    assert {is_complete for _, is_complete in expected.values()} == {True, False}


def test_the_order_of_rows_changes_no_figure(built: Built, tmp_path: Path) -> None:
    history = built.history
    reversed_rows = History(*(list(reversed(rows)) for rows in vars(history).values()))
    again = build(reversed_rows, tmp_path)
    assert again.gross == built.gross and again.sources == built.sources


# Shows a and b of show_lakes are podcasts 1 and 2. guid-3 and guid-5 of b come out an hour and 20 days after
# START_US, guid-2 of a on the 9th day.
IN_THE_REGISTRY: list[Row] = [
    {"podcast_key": 1, "partner_key": 2, "partner_guid": "guid-3", "starts_us": START_US + DAY_US},
    {"podcast_key": 1, "partner_key": 2, "partner_guid": "guid-5", "starts_us": START_US + 20 * DAY_US},
    {"podcast_key": 1, "partner_key": 2, "starts_us": START_US + 70 * DAY_US},
    {"podcast_key": 1, "partner_key": 2, "partner_guid": "not known", "starts_us": START_US + 30 * DAY_US},
    {"podcast_key": 2, "partner_key": 1, "partner_guid": "guid-2", "starts_us": START_US + 45 * DAY_US},
]


def test_a_lake_with_collaborations_gives_what_its_downloads_say(tmp_path: Path) -> None:
    lake, warehouse = Lake(tmp_path / "lake"), tmp_path / "warehouse.duckdb"
    set_catalog(lake, show_catalog())
    set_registered(lake, [registered(key, "customer", show_id=show) for key, show in ((1, "a"), (2, "b"))])
    told = [
        {**row, "type": "other", "tenant": "us", "state": "active", "created_us": 0, "collaboration_id": n}
        for n, row in enumerate(IN_THE_REGISTRY, 1)
    ]
    write_parquet(conform(pl.DataFrame(told), COLLABORATIONS).collect(), lake.collaborations_path)
    add_file(lake, "all", show_requests(Random(5), 1_500, days=120, listeners=150))
    dbt(lake, warehouse, "calendar", "run", "--select", *(f"+{mart}" for mart in MARTS))

    with duckdb.connect(str(warehouse), read_only=True) as con:

        def read(row: type[Any], table: str, where: str = "true") -> list[Any]:
            columns = ", ".join(row._fields)
            return [row(*r) for r in con.execute(f"select {columns} from {table} where {where}").fetchall()]

        collaborations = read(Collaboration, "intermediate.int_collaborations", "not is_placebo")
        devices = read(Device, "intermediate.int_device_keys")
        of_spans = read(Span, "intermediate.int_show_spans")
        of_listeners = read(Download, "marts.fct_downloads")
        of_devices = con.execute(
            "select '', device_key, show_id, episode_key, started_us, 1"
            " from intermediate.int_device_downloads left join intermediate.int_show_keys using (show_key)"
        ).fetchall()
    assert len(collaborations) == len(IN_THE_REGISTRY)
    gross, sources = figures(warehouse)
    expected = gross_by_hand(History(collaborations, of_listeners))
    assert_same(gross, expected)
    assert [one for one in range(1, 6) if expected[one, "linear", 60][0] > 0] == [1, 2, 3, 5]
    by_devices = History(collaborations, [Download(*row) for row in of_devices], devices, of_spans)
    assert sources == sources_by_hand(by_devices)
    assert {key[2] for key in sources} == {"collaboration", "organic", "unknown"}
