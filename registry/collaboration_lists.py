"""Collaborations from a CSV file, line by line: rejects stand beside the good rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from registry.collaborating import CollaborationWish, Ground, Written, wish
from registry.collaboration_values import BadCollaboration
from registry.csv_lines import ListError, fields_of, header_of, numbered_lines, records
from registry.registration import BadRegistration, Reject, RejectReason

COLUMNS = tuple(field.name for field in fields(Written))
NEEDED = ("show", "partner", "type")
_AS_SAID = "inserted"

Read = tuple[int, CollaborationWish, list[str]]  # (line, wish, what the writer should know of it)


def read_collaborations(path: Path, ground: Ground, tenant: str = "") -> Iterator[Read | Reject]:
    """The rows of a CSV file whose header names COLUMNS, in any order; NEEDED must be there.

    Separated by comma, semicolon or tab, UTF-8; other columns are passed over. What `earshot collaboration
    list` wrote can be read: there `starts` is t0, and what was said of it stands in `inserted`. `tenant`
    stands in for an empty one. Raises ListError and OSError.
    """
    numbered = records(numbered_lines(path))
    header = next(numbered, None)
    if header is None:
        raise ListError(f"{path.name} is empty")
    delimiter, names = header_of(path, header[1], COLUMNS, NEEDED)
    at = {name: names.index(name) for name in COLUMNS if name in names}
    if _AS_SAID in names:
        at["starts"] = names.index(_AS_SAID)
    for line, record in numbered:
        try:
            row = fields_of(record, delimiter)
            if not any(map(str.strip, row)):
                continue
            if len(row) > len(names):
                raise BadRegistration(RejectReason.BAD_LINE, "more fields than columns")
            said = {name: row[index] for name, index in at.items() if index < len(row) and row[index].strip()}
            needed = dict.fromkeys(NEEDED, "")
            made, notes = wish(Written(**{**needed, "tenant": tenant, **said}), ground)
            yield line, made, notes
        except BadCollaboration as error:
            yield Reject(path.name, line, error.problem, str(error))
        except BadRegistration as error:
            yield Reject(path.name, line, error.reason, str(error))
