"""What went wrong at PostgreSQL, in words: the reason, and what to do. No address with its password."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg2
from psycopg2 import errors


def explain(error: Exception, parameters: Mapping[str, Any]) -> str:
    """One sentence for the operator; `parameters` are those of the connection."""
    if "@" in str(parameters.get("host", "")):  # what stands before it is the end of a password
        return (
            "PostgreSQL still has the version before: the password in EARSHOT_MARTS_DB holds an @, so that "
            "its end is taken for the host. Write it as %40 there"
        )
    where = f"{parameters.get('dbname', 'the database')} at {parameters.get('host', 'this machine')}"
    said = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if isinstance(error, errors.InsufficientPrivilege):
        user = parameters.get("user", "its user")
        todo = f"let {user} make schemas there: `grant create on database … to {user}`"
    elif isinstance(error, errors.DiskFull):
        todo = "free some space there: for a while a publication needs room for a second copy"
    elif isinstance(error, errors.LockNotAvailable):
        todo = "someone holds a lock on the marts, or loads them too; the next publication tries again"
    elif isinstance(error, psycopg2.OperationalError):
        todo = "is it running, and is EARSHOT_MARTS_DB right? The next publication tries again"
    else:
        todo = "the next publication tries again; `earshot marts load` does so now"
    return f"PostgreSQL ({where}) still has the version before: {said}. {todo[0].upper()}{todo[1:]}"
