"""dbt, ready sooner: `earshot-dbt ARGUMENTS` does what `dbt ARGUMENTS` does.

† Of 5.4 CPU-s in which dbt builds one tiny model, 3 go to what no build needs.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import dataclasses
import gc
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any

from ingest.process import end_at_once
from orchestration.kept_templates import cache_home, keep_templates

_PR_SET_PDEATHSIG = 1
WAITS = "EARSHOT_DBT_WAITS"  # set: the work begins once a line comes in


def main() -> None:
    """Runs dbt on the arguments of this process and ends it as dbt would."""
    end_with_parent()
    gc.disable()  # † 0.7 CPU-s: importing makes objects by the hundred thousand, and they all stay
    _compile_when_used()
    with _methods_when_called():
        from dbt.cli.main import cli

    _trust_the_project()
    _tell_less_of_itself()
    _say_only_what_is_heard()
    if os.environ.get(WAITS):
        _wait_before_the_work()
    keep_what_is_new = keep_templates(cache_home())
    gc.freeze()
    gc.enable()
    try:
        cli()
    except SystemExit as end:
        keep_what_is_new()
        atexit.register(_close_the_warehouse)
        end_at_once(end.code)
        raise
    finally:
        gc.unfreeze()  # else DuckDB reports its objects as leaked


def end_with_parent() -> None:
    """Once it was killed nobody holds the lake still any more, and the next build wants its turn."""
    parent = os.getppid()
    with contextlib.suppress(AttributeError, OSError):  # Linux alone knows it
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(1)


def _compile_when_used() -> None:
    """† 1.1 CPU-s: dbt has code written for each of its classes, most of which no build reads or writes.

    Mashumaro's own lazy_compilation has code written that has the code written: half of that.
    """
    from mashumaro.core.meta.code.builder import CodeBuilder
    from mashumaro.mixins import dict as mixins

    def reader(cls: type, dialect: Any = None, **how: Any) -> None:
        def read(cls: type, *given: Any, **named: Any) -> Any:
            CodeBuilder(
                cls, default_dialect=dialect, allow_postponed_evaluation=False, **how
            ).add_unpack_method()
            return getattr(cls, name)(*given, **named)

        name = CodeBuilder.get_unpack_method_name((), how.get("format_name", "dict"), how.get("decoder"))
        setattr(cls, name, classmethod(read))
        setattr(cls, name.public, classmethod(read))

    def writer(cls: type, dialect: Any = None, **how: Any) -> None:
        def write(self: Any, *given: Any, **named: Any) -> Any:
            CodeBuilder(
                type(self), default_dialect=dialect, allow_postponed_evaluation=False, **how
            ).add_pack_method()
            return getattr(self, name)(*given, **named)

        name = CodeBuilder.get_pack_method_name((), how.get("format_name", "dict"), how.get("encoder"))
        setattr(cls, name, write)
        setattr(cls, name.public, write)

    used: Any = mixins
    used.compile_mixin_unpacker, used.compile_mixin_packer = reader, writer


@contextlib.contextmanager
def _methods_when_called() -> Iterator[None]:
    """† 0.15 CPU-s: the dataclasses imported meanwhile have 2,000 methods, of which a build calls 43.

    Each has code written and compiled that is to be its own, now when it is called first.
    """
    written: Any = dataclasses
    at_once = getattr(written, "_create_fn", None)
    if at_once is None:  # Python's own affair; 3.13 does it another way
        yield
        return

    def when_called(name: str, *of_what: Any, **how: Any) -> Any:
        made: list[Any] = []

        def method(*given: Any, **named: Any) -> Any:
            if not made:
                made.append(at_once(name, *of_what, **how))
            return made[0](*given, **named)

        method.__name__ = name
        return method

    written._create_fn = when_called
    try:
        yield
    finally:
        written._create_fn = at_once


def _trust_the_project() -> None:
    """† 1 CPU-s: dbt checks its project and profile against schemas it derives from its classes each time.

    They change with Earshot alone, and plain dbt checks them (dbt_manifest, the tests).
    """
    from dbt.adapters.duckdb.credentials import DuckDBCredentials
    from dbt.contracts.project import Configuration, PackageConfig, ProfileConfig, Project, ProjectFlags
    from dbt.contracts.selection import SelectorFile
    from dbt_common.contracts.constraints import ColumnLevelConstraint
    from dbt_common.dataclass_schema import dbtClassMixin

    def nothing_to_check(cls: type, data: object) -> None: ...

    for of_us in (
        Configuration,
        Project,
        ProjectFlags,
        PackageConfig,
        ProfileConfig,
        SelectorFile,
        DuckDBCredentials,
        ColumnLevelConstraint,
    ):
        own: type[dbtClassMixin] = of_us
        own.validate = classmethod(nothing_to_check)  # type: ignore[assignment]


def _tell_less_of_itself() -> None:
    """† 0.3 CPU-s: where a flag was declared, and all nodes once more, for macros (`graph`) and summed up.

    We have no such flag; `graph` is asked for where a table has foreign keys, which ours have not; and the
    summary is for whoever tunes dbt.
    """
    from dbt.compilation import Linker
    from dbt.contracts.graph.manifest import Manifest
    from dbt_common.behavior_flags import BehaviorFlagRendered

    def nowhere() -> str:
        return "Unknown"

    def nothing(self: Manifest) -> None: ...

    def no_summary(self: Linker, manifest: Manifest) -> dict[int, dict[str, Any]]:
        return {}

    own: Any = BehaviorFlagRendered
    own._default_source = staticmethod(nowhere)
    Manifest.build_flat_graph = nothing  # type: ignore[method-assign]
    Linker.get_graph_summary = no_summary  # type: ignore[method-assign]


def _say_only_what_is_heard() -> None:
    """† A tenth of each model: dbt makes a message of whatever it does, also where no log takes it.

    dbt listens itself, for warnings about flags of its own.
    """
    from dbt.tracking import track_behavior_change_warn
    from dbt_common.events.base_types import BaseEvent, EventLevel
    from dbt_common.events.event_manager import EventManager

    say = EventManager.fire_event
    debugging = (EventLevel.TEST, EventLevel.DEBUG)

    def fire_event(
        self: EventManager, e: BaseEvent, level: EventLevel | None = None, *given: Any, **named: Any
    ) -> None:
        heard = any(callback is not track_behavior_change_warn for callback in self.callbacks) or any(
            logger.level in debugging for logger in self.loggers
        )
        if heard or (level or e.level_tag()) not in debugging:
            say(self, e, level, *given, **named)

    EventManager.fire_event = fire_event  # type: ignore[method-assign]


def _close_the_warehouse() -> None:
    """Whole in one file, without a log beside it."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    if warehouse := DuckDBConnectionManager._ENV:
        warehouse.close()


def _wait_before_the_work() -> None:
    """Imports and manifest are at hand before the lake is (earshot.pipeline)."""
    from dbt.task.runnable import GraphRunnableTask

    work = GraphRunnableTask.run

    def run(self: GraphRunnableTask) -> Any:
        if not sys.stdin.readline():  # whoever started it is gone
            os._exit(1)
        return work(self)  # type: ignore[no-untyped-call]

    GraphRunnableTask.run = run  # type: ignore[method-assign]


if __name__ == "__main__":
    main()
