"""Budgets: both limits hold in every window, over restarts and processes, and whatever the file holds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.feeds.sources.budget import DAY_US, HOUR_US, MINUTE_US, Budget, Limits
from ingest.web import retry_after_s
from tests.ingest.feeds.sources.server import NOW_US

START_US = NOW_US // HOUR_US * HOUR_US


def budget(tmp_path: Path, per_minute: int = 3, per_day: int = 5, name: str = "apple") -> Budget:
    return Budget(tmp_path / "budgets.json", name, Limits(per_minute, per_day))


def test_calls_a_minute_and_a_day_are_counted_over_restarts(tmp_path: Path) -> None:
    at = START_US
    assert [budget(tmp_path).take(at + second * 1_000_000) for second in (0, 1, 2)] == [None] * 3
    assert budget(tmp_path).take(at + 3_000_000) == at + MINUTE_US
    assert budget(tmp_path).free_at_us(at + 3_000_000) == at + MINUTE_US
    assert budget(tmp_path).take(at + MINUTE_US) is None
    assert budget(tmp_path).take(at + MINUTE_US + 1_000_000) is None
    # Five in a day: the hour of the first has to be a whole day ago.
    assert budget(tmp_path).take(at + 2 * HOUR_US) == at + HOUR_US + DAY_US
    assert budget(tmp_path).take(at + HOUR_US + DAY_US - 1) is not None
    assert budget(tmp_path).take(at + HOUR_US + DAY_US) is None


def test_every_source_has_a_budget_of_its_own(tmp_path: Path) -> None:
    assert [budget(tmp_path, 1, name="a").take(START_US), budget(tmp_path, 1, name="b").take(START_US)] == [
        None
    ] * 2
    assert budget(tmp_path, 1, name="a").take(START_US) is not None


@given(
    gaps=st.lists(st.integers(0, 3 * HOUR_US), min_size=1, max_size=60),
    per_minute=st.integers(1, 4),
    per_day=st.integers(1, 12),
)
def test_no_window_holds_more_calls_than_allowed(
    tmp_path_factory: pytest.TempPathFactory, gaps: list[int], per_minute: int, per_day: int
) -> None:
    path = tmp_path_factory.mktemp("budget")
    now_us, calls = START_US, []
    for gap in gaps:
        now_us += gap if gap % 3 else gap % MINUTE_US
        free_at = budget(path, per_minute, per_day).take(now_us)
        if free_at is None:
            calls.append(now_us)
        else:
            assert free_at > now_us
            assert budget(path, per_minute, per_day).free_at_us(free_at) == free_at
    for first in calls:
        assert sum(first <= at < first + MINUTE_US for at in calls) <= per_minute
        assert sum(first <= at < first + DAY_US for at in calls) <= per_day


def test_processes_share_a_budget(tmp_path: Path) -> None:
    work = (
        "import sys\n"
        "from pathlib import Path\n"
        "from ingest.feeds.sources.budget import Budget, Limits\n"
        "budget = Budget(Path(sys.argv[1]), 'apple', Limits(25, 1000))\n"
        f"print(sum(budget.take({START_US}) is None for _ in range(20)))\n"
    )
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", work, str(tmp_path / "budgets.json")], stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    assert sum(int(worker.communicate()[0]) for worker in workers) == 25


def test_a_pause_is_honoured_and_grows_while_nothing_is_said(tmp_path: Path) -> None:
    source = budget(tmp_path, 100, 1000)
    assert source.pause(START_US, 90) == START_US + 90_000_000
    assert source.take(START_US + 89_000_000) == START_US + 90_000_000
    assert source.take(START_US + 90_000_000) is None
    at = START_US + HOUR_US
    assert [(source.pause(at + n * 2 * HOUR_US, None) - at) // 1_000_000 - n * 7200 for n in range(8)] == [
        120,
        240,
        480,
        960,
        1920,
        3600,
        3600,
        3600,
    ]
    assert budget(tmp_path, name="other").take(START_US) is None


def test_a_clock_that_was_set_back_does_not_lock_a_source_out(tmp_path: Path) -> None:
    source = budget(tmp_path, 1, 1000)
    assert source.take(START_US + 30 * DAY_US) is None
    assert source.take(START_US) == START_US + MINUTE_US
    assert source.take(START_US + MINUTE_US) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b'{"apple": 7}',
        b'{"apple": {"minute": 7}}',
        b'{"apple": {"minute": [], "hours": []}}',
    ],
)
def test_a_file_that_is_not_understood_never_counts_as_nothing_spent(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "budgets.json").write_bytes(content)
    assert budget(tmp_path).take(START_US) == START_US + MINUTE_US
    assert budget(tmp_path, name="other").take(START_US + 1) == START_US + MINUTE_US
    assert budget(tmp_path).take(START_US + MINUTE_US) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120),
        (" 0 ", 0),
        ("9" * 100, 86_400),
        ("Thu, 28 May 2026 20:27:40 GMT", 60),
        ("Thu, 28 May 2020 20:27:40 GMT", 0),
        ("Thu, 28 May 9999 20:27:40 GMT", 86_400),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("²", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str | None, seconds: int | None) -> None:
    assert retry_after_s(text, NOW_US) == seconds


@given(st.text(max_size=120))
def test_no_retry_after_raises(text: str) -> None:
    found = retry_after_s(text, NOW_US)
    assert found is None or 0 <= found <= 86_400
