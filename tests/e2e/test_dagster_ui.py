"""Dagster's UI over real servers: jobs started from the launchpad, and what people see in a browser."""

from __future__ import annotations

import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from tests.e2e import planted
from tests.e2e.dagster_house import SECRET, DagsterHouse, dagster_house, log_lines

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = next((path for name in ("chromium", "chromium-browser") if (path := shutil.which(name))), None)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DagsterHouse]:
    with pytest.MonkeyPatch.context() as patched:
        for name, secret in planted.ENVIRONMENT.items():
            patched.setenv(name, secret)
        yield from _started(tmp_path_factory)


def _started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DagsterHouse]:
    with dagster_house(tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("endpoints")) as started:
        yield started


@pytest.fixture
def page(house: DagsterHouse) -> Iterator[Page]:
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(60_000)
        yield page
        browser.close()


def test_the_launchpad_takes_in_what_has_landed(house: DagsterHouse) -> None:
    described, preset = house.preset("take_in_now")
    assert "have landed" in described and "source: ''" in preset
    late = datetime.now(UTC) - timedelta(days=1)
    (house.settings.landing_dir / "office").mkdir()
    (house.settings.landing_dir / "office" / "late.json").write_text(log_lines(7, late, first=100))
    run = house.launch("take_in_now", preset)
    assert run["status"] == "SUCCESS", run["said"]
    assert run["tags"]["earshot/by_hand"] == "yes" and run["tags"]["earshot/source"] == "all"
    wrong = house.launch("take_in_now", {"ops": {"take_in_files": {"config": {"source": "nosuch"}}}})
    assert wrong["status"] == "FAILURE" and "no file of source 'nosuch' has landed" in wrong["said"]


def test_the_launchpad_restates_a_day_and_rebuilds_a_month(house: DagsterHouse) -> None:
    from ingest.lake import Lake

    house.until(lambda: True if Lake(house.settings.lake_dir).ledger().height >= 3 else None)
    yesterday = (datetime.now(UTC) - timedelta(days=1)).date()
    house.until(lambda: True if house.runs_of("marts") else None)  # that of the intake
    before = house.runs_of("marts")
    run = house.launch("restate", house.preset("restate")[1])
    assert run["status"] == "SUCCESS", run["said"]
    assert run["tags"]["earshot/days"] == yesterday.isoformat()
    assert house.partitions("restated_days", run["id"]) == {yesterday.isoformat()}
    (follows,) = house.until(lambda: house.runs_of("marts") - before or None)
    assert yesterday.isoformat() in house.run(follows)["tags"]["earshot/days"]
    config = {"ops": {"judge_month_again": {"config": {"month": f"{yesterday:%Y-%m}"}}}}
    run = house.launch("rebuild_a_month", config)
    assert run["status"] == "SUCCESS", run["said"]
    assert yesterday.isoformat() in house.partitions("restated_days", run["id"])
    assert house.launch("rebuild_a_month", house.preset("rebuild_a_month")[1])["status"] == "SUCCESS"
    wrong = house.launch("restate", {"ops": {"judge_days_again": {"config": {"first_day": "1.9.2026"}}}})
    assert "a day is YYYY-MM-DD or yesterday, not '1.9.2026'" in wrong["said"]


def test_the_launchpad_refreshes_a_podcast_and_replays_its_webhook(house: DagsterHouse) -> None:
    house.until(lambda: True if house.feed.polls else None)  # the first sweep learns of it
    house.feed.title = "Tea at one"
    polls = house.feed.polls
    config = {"ops": {"poll_podcast": {"config": {"podcast": house.feed.url}}}}
    run = house.launch("refresh_a_podcast", config)
    assert run["status"] == "SUCCESS", run["said"]
    house.until(lambda: True if house.feed.polls > polls else None)
    nobody = house.launch("refresh_a_podcast", house.preset("refresh_a_podcast")[1])
    assert nobody["status"] == "FAILURE" and "name the podcast" in nobody["said"]

    def told() -> list[str] | None:
        ids = [each.message_id for each in house.messages() if each.type == "podcast.updated"]
        return ids or None

    first = house.until(told)[0]
    config = {
        "ops": {"queue_again": {"config": {"subscription": 1, "failed_within_h": 0.0, "made_within_h": 1.0}}}
    }
    run = house.launch("replay_webhooks", config)
    assert run["status"] == "SUCCESS" and int(run["tags"]["earshot/messages"]) >= 1, run["said"]
    house.until(lambda: True if (told() or []).count(first) == 2 else None)
    assert house.launch("replay_webhooks", house.preset("replay_webhooks")[1])["status"] == "SUCCESS"


def test_the_graph_shows_the_subjects(house: DagsterHouse, page: Page) -> None:
    page.goto(f"{house.address}/asset-groups")
    for subject in ("downloads", "audience", "attribution", "catalog", "quality", "feeds", "webhooks"):
        page.get_by_text(subject, exact=True).first.wait_for()


def test_an_asset_tells_its_rule_and_shows_what_came_in(house: DagsterHouse, page: Page) -> None:
    page.goto(f"{house.address}/assets/marts/fct_downloads?view=overview")
    page.get_by_text("R22, R23, R24 (IAB 2.3 §5.5.1)").first.wait_for()
    page.goto(f"{house.address}/assets/requests?view=overview")
    page.get_by_text("One row a logged request, cleaned").first.wait_for()
    house.until(lambda: page.locator("img[src^='data:image/svg']").count() or (page.reload() and None))


def test_a_failed_check_says_what_it_means_and_what_to_do(house: DagsterHouse, page: Page) -> None:
    page.goto(f"{house.address}/assets/files?view=checks")
    page.get_by_text("nothing_held_back").first.click()
    page.get_by_text(re.compile("deliver each named file mended under the same name")).first.wait_for()
    page.get_by_text(re.compile("edge/damaged.json does not count")).first.wait_for()


def test_jobs_are_found_by_what_one_wants_to_do(house: DagsterHouse, page: Page) -> None:
    page.goto(f"{house.address}/jobs")
    for job in ("take_in_now", "rebuild_a_month", "restate", "refresh_a_podcast", "replay_webhooks"):
        page.get_by_text(job, exact=True).first.wait_for()


def test_a_picture_on_another_page_launches_no_run(house: DagsterHouse) -> None:
    asked = f"{house.address}/graphql?query=mutation%20%7B%20setNuxSeen%20%7D"
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(asked, timeout=60)


def test_no_secret_stands_in_logs_events_metadata_or_arguments(house: DagsterHouse) -> None:
    """After publications, alerts and directories that failed at servers which want these secrets."""
    house.until(lambda: True if "postgres_is_current" in house.checks_told("published_marts") else None)
    house.until(lambda: True if (house.settings.data / "alerts" / "state.json").exists() else None)
    assert planted.found_in_arguments(house.pid, [*planted.ALL, SECRET]) == []
    assert planted.found_in_files(house.settings.data, planted.ALL, but=()) == []
    # Of an endpoint the registry alone knows the secret, and only its owner can read it.
    holds_it = {name for name, _ in planted.found_in_files(house.settings.data, [SECRET])}
    assert holds_it and all(name.startswith("registry.db") for name in holds_it)
    keys = [path.read_bytes() for path in (house.settings.data / "keys").glob("*.key")]
    assert keys
    written = [key.strip().decode("latin-1") for key in keys]
    assert {name.split("/")[0] for name, _ in planted.found_in_files(house.settings.data, written)} == {
        "keys"
    }
