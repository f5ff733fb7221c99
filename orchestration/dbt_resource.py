"""`DbtCliResource` without what we do not use, and with our environment."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib.metadata import version as installed_version
from typing import Any

from dagster_dbt import DbtCliResource
from packaging.version import Version

from orchestration.dbt_args import lean_executable


class LeanDbt(DbtCliResource):
    """Calls dbt and nothing else.

    The stock resource runs `dbt --version` and builds a dbt adapter in the run's own process before every
    call, for row counts that we read ourselves; the adapter would also keep the warehouse open, and nobody
    else could then write or publish it.
    """

    def __init__(self, **given: Any) -> None:
        super().__init__(**given | {"dbt_executable": lean_executable() or given["dbt_executable"]})

    @cached_property
    def _cli_version(self) -> Version:
        return Version(installed_version("dbt-core"))

    def _initialize_dbt_core_adapter(self, args: Any) -> Any:
        return None


@contextlib.contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """`values` in the environment while dbt is started, which takes them from there."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
