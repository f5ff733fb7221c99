"""`python -m bench redirect` measures what it says, at a hundredth of its size."""

from __future__ import annotations

import pytest

from bench import redirect
from earshot.made_up import edge as edges


@pytest.mark.skipif(not edges.is_there(), reason="nginx is not installed")
def test_five_thousand_requests_with_ten_rotations_and_a_reload_lose_nothing() -> None:
    figures = redirect.run(5_000, 1)
    assert figures["requests"] == 5_000
    assert (figures["lines_lost"], figures["lines_twice"], figures["lines_torn"], figures["faults"]) == (
        0,
        0,
        0,
        0,
    )
    assert figures["rotations"] == 10
    assert isinstance(figures["p99_ms"], float) and figures["p99_ms"] > 0
