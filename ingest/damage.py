"""What a failed look tells a person: which file is damaged, where one is, and what to do. No secrets."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl

from ingest.lake import LakeDamaged, LakeFormatError
from ingest.logs.keyring import KeyRingError
from ingest.settings import SettingError

_CHARS = 400
VERIFY = "run `earshot verify`: it names every damaged file; `earshot verify --repair` mends what it can"
BACKUP = (
    "restore a backup beside (`earshot restore FROM --to ELSEWHERE --files-only`), copy the file named from"
    " there into its place, and run `earshot verify --accept FILE`"
)
_ADDRESS_OF_DATABASE = re.compile(r"\S+://\S+")


class Damaged(Exception):
    """A file cannot be read as it was written; the message names it. `advice`: what to do."""

    def __init__(self, path: Path, why: str, advice: str = VERIFY) -> None:
        super().__init__(f"{path} cannot be read ({why})")
        self.advice = advice


def reason(error: Exception) -> tuple[str, str]:
    """(why, what to do) of something that could not be looked at.

    Of an error that we do not know the text may hold anything, a password among it: its kind is told alone.
    """
    if isinstance(error, Damaged):
        return _line(str(error)), error.advice
    if isinstance(error, LakeDamaged):
        return _line(str(error)), BACKUP if error.is_in_backup_alone else VERIFY
    if isinstance(error, pl.exceptions.PolarsError):
        return f"a Parquet file is damaged ({_line(str(error).partition(chr(10))[0])})", VERIFY
    if isinstance(error, PermissionError):
        named = f"{error.filename} may not be read or written by this user" if error.filename else str(error)
        return _line(named), "give it to the user the platform runs as (chown), or run this as that user"
    if isinstance(error, SettingError | OSError | LakeFormatError | KeyRingError):
        return _line(str(error)), "mend what it names, then look again"
    return type(error).__name__, "look again; if it stays, it is a fault of ours: report it"


def _line(text: str) -> str:
    return _ADDRESS_OF_DATABASE.sub("…", " ".join(text.split()))[:_CHARS]
