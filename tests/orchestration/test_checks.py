"""What must hold after an intake."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import polars as pl

from ingest.schema import FILES, conform
from orchestration import checks

NOW_US = int(datetime(2026, 6, 30, 12, tzinfo=UTC).timestamp() * 1e6)
HOUR_US = 3_600_000_000


def files(*rows: dict[str, Any]) -> pl.DataFrame:
    usual = {
        "source": "cdn",
        "file_name": "a.gz",
        "status": "taken",
        "lines": 10,
        "requests": 9,
        "rejects": 1,
        "is_truncated": False,
        "first_us": NOW_US - HOUR_US,
        "last_us": NOW_US,
        "taken_in_us": NOW_US,
    }
    return conform(
        pl.DataFrame([{**usual, **row} for row in rows], infer_schema_length=None), FILES
    ).collect()


def test_a_file_whose_lines_are_all_accounted_for_passes() -> None:
    assert checks.lines_accounted_for(files({})).passed


def test_a_lost_line_is_told_with_the_file_and_the_counts() -> None:
    verdict = checks.lines_accounted_for(files({}, {"file_name": "b.gz", "lines": 11}))
    assert not verdict.passed
    assert verdict.failing["file_name"].to_list() == ["b.gz"]
    assert "cdn/b.gz" in verdict.message
    assert "11 lines, 9 requests, 1 rejects" in verdict.message


def test_a_file_refused_as_a_whole_has_no_lines_to_account_for() -> None:
    refused = files({"status": "rejected", "lines": 0, "requests": 0, "rejects": 1})
    assert checks.lines_accounted_for(refused).passed


def test_times_before_podcasts_or_far_in_the_future_fail() -> None:
    old = files({"first_us": int(datetime(2009, 12, 31, tzinfo=UTC).timestamp() * 1e6)})
    assert not checks.times_in_reason(old, NOW_US, max_future_h=48).passed
    early = files({"last_us": NOW_US + 49 * HOUR_US})
    assert not checks.times_in_reason(early, NOW_US, max_future_h=48).passed
    assert checks.times_in_reason(files({"last_us": NOW_US + 47 * HOUR_US}), NOW_US, max_future_h=48).passed


def test_a_file_without_any_request_has_no_times_to_judge() -> None:
    assert checks.times_in_reason(files({"first_us": None, "last_us": None}), NOW_US, 48).passed


def test_a_held_file_fails_the_reject_share_and_says_what_to_do() -> None:
    held = files({"status": "held", "requests": 4, "rejects": 6, "reason": "60 % rejects"})
    verdict = checks.reject_share(held, max_share=0.5)
    assert not verdict.passed
    assert "cdn/a.gz has more than 50% rejects and is held back" in verdict.message
    assert "60 % rejects" in verdict.message


def test_a_file_the_intake_let_through_passes_the_reject_share() -> None:
    assert checks.reject_share(files({"requests": 4, "rejects": 6}), max_share=0.5).passed


def test_refused_and_cut_off_files_are_told() -> None:
    verdict = checks.files_readable(
        files({}, {"file_name": "b.gz", "status": "rejected", "reason": "empty"}, {"is_truncated": True})
    )
    assert verdict.failing.height == 2
    assert "empty" in verdict.message


def test_a_long_list_of_files_is_cut() -> None:
    verdict = checks.lines_accounted_for(files(*({"file_name": f"{n}.gz", "lines": 99} for n in range(30))))
    assert verdict.message.endswith("and 10 more")


def history(requests_by_day: list[int]) -> pl.DataFrame:
    """One file a day; day 0 is the last 24 h."""
    return files(
        *(
            {
                "file_name": f"{day}.gz",
                "requests": requests,
                "taken_in_us": NOW_US - day * checks.DAY_US - HOUR_US,
            }
            for day, requests in enumerate(requests_by_day)
        )
    )


def test_a_source_without_history_passes_and_says_so() -> None:
    verdict = checks.volume_drift(history([100, 100, 100]), ["cdn"], NOW_US)
    assert verdict.passed
    assert verdict.message.startswith("no history yet (3 days are needed)")


def test_less_than_half_the_usual_is_drift() -> None:
    # median of 100, 110, 90 = 100; 49 < 100 / 2
    verdict = checks.volume_drift(history([49, 100, 110, 90]), ["cdn"], NOW_US)
    assert not verdict.passed
    assert verdict.message.startswith("cdn: 49 requests, usually 100")


def test_more_than_twice_the_usual_is_drift() -> None:
    assert not checks.volume_drift(history([201, 100, 110, 90]), ["cdn"], NOW_US).passed
    assert checks.volume_drift(history([199, 100, 110, 90]), ["cdn"], NOW_US).passed


def test_only_the_sources_of_this_run_are_compared() -> None:
    assert checks.volume_drift(history([1, 100, 110, 90]), ["other"], NOW_US).passed


def test_a_held_file_is_told_until_it_is_delivered_mended() -> None:
    held = {"status": "held", "taken_in_us": NOW_US - HOUR_US, "reason": "too many rejects"}
    assert (
        "cdn/a.gz does not count"
        in checks.nothing_held_back(files(held, {"file_name": "b.gz"}), NOW_US).message
    )
    assert checks.nothing_held_back(files(held, {"file_id": "mended"}), NOW_US).passed


def test_an_old_problem_is_let_go() -> None:
    old = files({"status": "rejected", "taken_in_us": NOW_US - 31 * checks.DAY_US})
    assert checks.nothing_held_back(old, NOW_US).passed
