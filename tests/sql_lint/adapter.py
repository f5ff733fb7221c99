"""What sqlfluff sees instead of dbt's adapter: a dispatched macro is its name around its arguments."""

from __future__ import annotations

from collections.abc import Callable


def dispatch(name: str, _package: str) -> Callable[..., str]:
    """A call that renders as valid SQL; the lint checks style, dbt checks meaning."""
    if name == "int_div":
        return lambda left, right: f"({left} // {right})"
    return lambda *arguments: f"{name}({', '.join(str(argument) for argument in arguments)})"
