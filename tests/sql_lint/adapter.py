"""What sqlfluff sees instead of dbt's adapter: a dispatched macro is its name around its arguments."""

from __future__ import annotations

from collections.abc import Callable

# Those whose arguments are no SQL.
_SHAPES: dict[str, Callable[..., str]] = {
    "int_div": lambda left, right: f"({left} // {right})",
    "files_like": lambda pattern: "files_like()",
    "parquet_files": lambda files: "parquet_files()",
    "parsed_json": lambda column, fields, is_list: f"parsed_json({column})",
    "list_text": lambda column, separator: f"list_text({column})",
    "text_list_type": lambda: "varchar",
}


def dispatch(name: str, _package: str) -> Callable[..., str]:
    """A call that renders as valid SQL; the lint checks style, dbt checks meaning."""
    return _SHAPES.get(
        name, lambda *arguments: f"{name}({', '.join(str(argument) for argument in arguments)})"
    )
