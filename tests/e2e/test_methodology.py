"""The methodology statement says what is in force, and the one in docs/ is what default settings give."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import duckdb
import pytest

from earshot.methodology import statement
from earshot.pipeline import run_dbt
from ingest.lake import Lake
from ingest.logs.rules import Rules
from ingest.schema import Exclusion
from ingest.settings import Settings, Window
from serving.methodology.statement import as_page
from serving.publish import publish
from serving.reasons import OF_REQUESTS, REASONS
from tests.dbt.lakes import add_file, catalog, random_requests, set_catalog

DOCS = Path(__file__).parents[2] / "docs" / "methodology.md"


def table(text: str, heading: str) -> list[list[str]]:
    """The rows of the first table after a heading, without its own."""
    lines = text.split(f"\n## {heading}")[1].splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("|---"))
    rows = []
    for line in lines[start + 1 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return rows


def test_r34_the_statement_in_docs_is_that_of_default_settings(tmp_path: Path) -> None:
    text = statement(Settings(data=tmp_path / "nowhere"))
    assert DOCS.read_text() == text, "docs/methodology.md is out of date: run `make docs`"
    assert list(tmp_path.iterdir()) == []  # printing it makes nothing


def test_every_reason_is_disclosed_in_the_order_in_which_the_first_wins(tmp_path: Path) -> None:
    assert list(OF_REQUESTS) == list(Exclusion)
    rows = table(statement(Settings(data=tmp_path)), "Which requests count")
    assert [name.strip("`") for name, _, _ in rows] == list(REASONS)
    assert [name.strip("`") for name, _, _ in rows[: len(Exclusion)]] == list(Exclusion)


def test_it_names_what_was_set(tmp_path: Path) -> None:
    (tmp_path / "sources.toml").write_text(
        '[edge]\nformat = "nginx"\ntrusted_proxies = 2\n[pull]\nformat = "bunny"\n[odd]\ncomparable = false\n'
    )
    settings = Settings(
        data=tmp_path,
        window=Window.LAST_TOUCH,
        time_zone="America/New_York",
        publisher_contact="counts@example.com",
        flag_mads=7.5,
        reconciliation_tolerance=0.125,
    )
    text = statement(settings)
    for said in (
        "`last_touch` (`EARSHOT_WINDOW`)",
        "00:00 America/New_York",
        "counts@example.com",
        "7.5 scaled",
        "Within 12.5 %",
        "none published yet",
    ):
        assert said in text
    sources = {row[0]: row[1:] for row in table(text, "One listener")}
    assert sources["edge"] == ["server_log", "nginx", "whole", "2", "UTC"]
    assert sources["pull"][2] == sources["odd"][2] == "cut short: not comparable"
    assert sources["odd"][:2] == ["told by its files", "told by its files"]


def test_lists_are_named_with_version_and_origin(tmp_path: Path) -> None:
    folder = tmp_path / "lists"
    folder.mkdir()
    (folder / "bogus_referrers.txt").write_text("spam.example\nmore.example\n")
    settings = Settings(data=tmp_path, reference_dir=folder)
    rows = {row[0]: row for row in table(statement(settings), "Lists in force")}
    rules = Rules.load(settings)
    assert {name: row[2].strip("`") for name, row in rows.items()} == rules.versions
    assert all(row[1] for row in rows.values())  # each says what it is
    assert rows["bogus_referrers"][3] == "2" and str(folder) not in rows["bogus_referrers"][4]
    assert rows["datacenters"][2] == "`none`"
    assert rules.version in statement(settings)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A data folder whose marts rest on evidence and estimates, with one figure restated."""
    settings = Settings(data=tmp_path_factory.mktemp("data"))
    lake = Lake(settings.lake_dir)
    set_catalog(lake, catalog())
    add_file(lake, "file", random_requests(random.Random(2), 300))
    run_dbt(settings, ["run"])
    with duckdb.connect(str(settings.warehouse)) as con:
        figures = [f"{when}_{rule}" for when in ("former", "restated") for rule in ("published", *Window)]
        for show, former, restated in (("a", 1000, 900), ("b", 500, 600)):
            con.execute(
                "insert into marts.fct_restatements by name"
                " select timestamp '2026-10-01 12:00' as restated_at,"
                " date '2026-09-01' as first_day, date '2026-09-30' as last_day,"
                " '0123456789ab' as rules_version, date '2026-09-02' as date, 'server_log' as source_class,"
                f" ? as show_id, null as reason, {', '.join(f'? as {figure}' for figure in figures)}",
                [show, *[former] * 4, *[restated] * 4],
            )
    publish(settings.warehouse, settings.published_dir, keep=1, window="calendar")
    return settings


def test_every_reason_in_the_marts_has_words(published: Settings) -> None:
    with duckdb.connect(str(published.warehouse), read_only=True) as con:
        reasons = {
            name for (name,) in con.execute("select reason from marts.fct_exclusions_daily").fetchall()
        }
    assert {"bot", "before_publication", "below_threshold", "duplicate", "redelivered_line"} <= reasons
    assert reasons <= set(REASONS)


def test_the_share_of_estimates_is_that_of_the_published_downloads(published: Settings) -> None:
    with duckdb.connect(str(published.warehouse), read_only=True) as con:
        [(downloads, episode, show)] = con.execute(
            "select count(*), avg((threshold_source = 'episode')::int), avg((threshold_source = 'show')::int)"
            " from marts.fct_downloads where downloads = 1 and source_class = 'server_log'"
        ).fetchall()
    text = statement(published)
    after = "## Estimates" + text.split("All but `episode` are estimates.")[1]
    [prefix, server_log] = table("\n" + after, "Estimates")
    assert 0 < episode < 1 and 0 < show < 1
    assert server_log[:3] == ["server_log", f"{downloads:,}", f"{episode * 100:.1f} %"]
    assert server_log[4] == f"{show * 100:.1f} %" and server_log[6] == f"{(1 - episode) * 100:.1f} %"
    assert prefix[6] == "none: no bytes seen"
    assert "version 1 of " in text and "dates 2026-09-0" in text


def test_past_restatements_are_listed_with_former_and_new_figures(published: Settings) -> None:
    assert table(statement(published), "Restating") == [
        [
            "2026-10-01 12:00 UTC",
            "2026-09-01 to 2026-09-30",
            "`0123456789ab`",
            "server_log",
            "1,500",
            "1,500",
        ]
    ]


def test_marts_counted_under_another_window_than_the_setting_are_told_apart(published: Settings) -> None:
    text = statement(published.model_copy(update={"window": Window.FIRST_TOUCH}))
    assert "counted under `calendar` until the next build" in text


def test_the_page_needs_nothing_else_and_runs_nothing(tmp_path: Path) -> None:
    hostile = '<script>alert(1)</script> | [x](javascript:alert(2)) <img src="https://evil.example/x">'
    page = as_page(statement(Settings(data=tmp_path, publisher_contact=hostile)))
    assert page.startswith("<!doctype html>") and page.count("<table>") == 5
    found: list[tuple[str, str, str]] = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attributes: found.extend(  # type: ignore[method-assign]
        (tag, name, value or "") for name, value in attributes or [("", "")]
    )
    parser.feed(page)
    tags = {tag for tag, _, _ in found}
    assert {"h2", "td", "code"} <= tags and not tags & {"script", "img", "link", "iframe"}
    assert not {name for _, name, _ in found} & {"src", "onerror", "onload"}
    links = {value for _, name, value in found if name == "href"}
    assert links and links <= {f"#{value}" for _, name, value in found if name == "id"}


def test_as_it_is_typed(tmp_path: Path) -> None:
    def methodology(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "earshot.cli", "methodology", *arguments],
            capture_output=True,
            text=True,
            env={**os.environ, "EARSHOT_DATA": str(tmp_path / "nowhere")},
            check=False,
        )

    assert methodology().stdout.strip() == DOCS.read_text().strip()
    page = tmp_path / "page.html"
    assert methodology("--format", "html", "--output", str(page)).returncode == 0
    assert page.read_text().strip() == methodology("--format", "html").stdout.strip()
    wrong = methodology("--format", "pdf")
    assert wrong.returncode == 2 and "html" in wrong.stderr
    nowhere = methodology("--output", str(tmp_path / "no" / "such" / "folder.md"))
    assert nowhere.returncode == 1 and "folder.md" in nowhere.stderr and "Traceback" not in nowhere.stderr
