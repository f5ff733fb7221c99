"""Every `EARSHOT_…` variable that something of this repository reads, and which one a wrong name may mean."""

from __future__ import annotations

import difflib

from ingest.settings import PREFIX, Settings

# Read one by one, each where it is used.
_SINGLE = {
    "API_SECRET",  # a field of ApiSettings, read also by commands
    "COUNT_APART",  # how many requests are counted in which way: for tests
    "COUNT_AT_ONCE",
    "COUNT_BEFORE_US",  # a step of `earshot rebuild`
    "DBT_PROJECT",
    "DBT_WAITS",
    "FORKS",
    "LAKE",
    "PURE",
    "WAREHOUSE",
    "WEBHOOK_SECRET",  # of `earshot subscribe`
    "WEBSUB_SECRET",  # the name that feed_sources.toml gives, by default
    # deploy/superset, which is started beside
    "BI_HOST",
    "BI_MARTS_DB",
    "BI_MEMORY",
    "BI_PICTURES",
    "BI_PORT",
    "BI_PYTHON",
    "BI_TEST_DATA",
    "BI_WORKERS",
}
_NEAR = 0.75


def known_settings() -> set[str]:
    """Their names, whole."""
    from serving.api.settings import API_PREFIX, ApiSettings
    from serving.edge.settings import EDGE_PREFIX, EdgeSettings

    models = ((PREFIX, Settings), (API_PREFIX, ApiSettings), (EDGE_PREFIX, EdgeSettings))
    # `platform` is the installation's own settings within the others.
    named = {
        prefix + name.upper() for prefix, model in models for name in model.model_fields if name != "platform"
    }
    return named | {PREFIX + name for name in _SINGLE}


def meant(name: str) -> str | None:
    """The known setting whose name is like `name`; None: none is."""
    # Without what all begin with, which would make all alike.
    known = sorted(each.removeprefix(PREFIX) for each in known_settings())
    near = difflib.get_close_matches(name.removeprefix(PREFIX), known, 1, _NEAR)
    return PREFIX + near[0] if near else None
