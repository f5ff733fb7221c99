"""The demo's half year of shows that appear in others: what attribution needs of it, and its truth."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from earshot.made_up.collaborations import PLANNED, SOURCE, History, begin_ms, build, make_shows, write
from earshot.made_up.world_traffic import DAY, day_start_ms

START, DAYS = date(2026, 9, 1), 3


@pytest.fixture(scope="module")
def history() -> History:
    return build(START, DAYS)


def test_it_is_the_same_each_time(history: History, tmp_path: Path) -> None:
    again = build(START, DAYS)
    contents = []
    for made in (history, again):
        write(made, tmp_path)
        contents.append({path.name: path.read_bytes() for path in (tmp_path / SOURCE).iterdir()})
    assert contents[0] == contents[1]
    assert again.collaborations == history.collaborations


def test_every_line_is_a_download_under_every_window(history: History) -> None:
    keys = {(each.ip, each.agent, each.target.episode_id) for each in history.requests}
    assert len(keys) == len(history.requests)
    assert all(each.start_ms >= each.target.published_ms for each in history.requests)
    assert all(each.body == each.target.file_bytes for each in history.requests)


def test_attribution_sees_all_of_its_history_and_of_its_follow_up(history: History) -> None:
    first, last = history.requests[0].start_ms, history.requests[-1].start_ms
    shows = make_shows(START, DAYS)
    for planned in PLANNED:
        aired = shows[planned.partner][::-1][planned.number].published_ms
        assert first <= aired - 140 * DAY and aired + 44 * DAY <= last
    assert begin_ms(START, DAYS) <= first and last >= day_start_ms(START) + DAYS * DAY


def test_a_collaboration_without_effect_brings_nobody_and_a_strong_one_more_than_a_weak(
    history: History,
) -> None:
    strong, weak, none = (each.caused for each in history.collaborations)
    assert strong > weak > none == 0
