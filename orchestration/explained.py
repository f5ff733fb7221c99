"""How assets and checks are described in Dagster's UI: what it is, by which rule, what to do if it fails."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from serving.rule_numbers import sources


def asset(words: str, rules: Iterable[str] = ()) -> str:
    """An asset's description with the rules it follows (MEASUREMENT §1) and their sections."""
    ids = tuple(rules)
    return f"{words}\n\nBy the rules {sources(ids)}: docs/methodology.md." if ids else words


def check(means: str, do: str) -> str:
    """A check's description: what holds where it passes, and what to do when it does not."""
    return f"{means} If it fails: {do}"


_MEND = (
    "nothing was published, the former version stays. `earshot rebuild` makes the marts anew beside those in "
    "use; where that fails alike, the model or its input is at fault: report it with the failing rows."
)


def dbt_check(props: Mapping[str, Any]) -> str:
    """The description of a dbt test: its own words, else what its kind says of its columns."""
    own = props.get("description") or (props.get("meta") or {}).get("description")
    if own:
        return str(own)
    told = props.get("test_metadata") or {}
    given = told.get("kwargs") or {}
    column = f"`{given['column_name']}`" if given.get("column_name") else "its column"
    kinds = {
        "unique_grain": f"One row for each ({', '.join(given.get('columns') or ())}), nothing counted twice.",
        "unique": f"Each value of {column} is there once.",
        "not_null": f"{column} is never empty.",
        "accepted_values": f"{column} is one of {', '.join(map(str, given.get('values') or ()))}.",
        "relationships": f"Each {column} is one of {given.get('field')} in {given.get('to')}.",
    }
    kind = told.get("name") or ""
    return check(kinds.get(kind, f"What {props['name']} asks for holds."), _MEND)
