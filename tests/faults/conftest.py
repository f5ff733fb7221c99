"""What the tests of faults share: each scenario is prepared once."""

from __future__ import annotations

import pytest

from tests.faults.points import POINTS
from tests.faults.undisturbed import Undisturbed, prepared


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Undisturbed]:
    """By scenario; made when first asked for."""
    root = tmp_path_factory.mktemp("undisturbed")

    class Made(dict[str, Undisturbed]):
        def __missing__(self, name: str) -> Undisturbed:
            scenario = next(one for one in POINTS if one.name == name)
            self[name] = prepared(scenario, root / name)
            return self[name]

    return Made()
