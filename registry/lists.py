"""Podcasts to register from a CSV file or a plain list, line by line: rejects stand beside the good rows."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from operator import itemgetter
from pathlib import Path

from registry.csv_lines import ListError, fields_of, header_of, numbered_lines, records
from registry.registration import (
    DEFAULT_TENANT,
    BadRegistration,
    Registration,
    Reject,
    RejectReason,
    Repeats,
    registration,
)

# As `earshot list` writes them: what it wrote can be registered elsewhere.
_ALIASES = {"feed_url": "url", "podcast_guid": "guid"}
COLUMNS = ("url", "tenant", "labels", "show_id", "itunes_id", "podcastindex_id", "guid", "since")

_BETWEEN_LABELS = re.compile(r"[|;,\s]+")


def read_csv(
    path: Path, tenant: str = DEFAULT_TENANT, labels: Collection[str] = ()
) -> Iterator[Registration | Reject]:
    """The rows of a CSV file whose header names COLUMNS, in any order; only `url` must be there.

    Separated by comma, semicolon or tab, UTF-8; other columns are passed over. Labels are separated by |, ;
    or space and come on top of `labels`; `tenant` stands in for an empty one. Raises ListError and OSError.
    """
    numbered = records(numbered_lines(path))
    header = next(numbered, None)
    if header is None:
        raise ListError(f"{path.name} is empty")
    delimiter, names = header_of(path, header[1], COLUMNS, ("url",), _ALIASES)
    # A column that is not there is read from a last field, which is always empty.
    pick = itemgetter(*(names.index(name) if name in names else len(names) for name in COLUMNS))
    given, repeats = tuple(labels), Repeats()
    for line, record in numbered:
        try:
            fields = fields_of(record, delimiter)
            if not fields:
                continue
            if len(fields) > len(names):
                raise BadRegistration(RejectReason.BAD_LINE, "more fields than columns")
            fields += [""] * (len(names) + 1 - len(fields))
            url, of_tenant, own, show_id, itunes_id, podcastindex_id, guid, since = pick(fields)
            wish = registration(
                url,
                of_tenant.strip() or tenant,
                (*given, *filter(None, _BETWEEN_LABELS.split(own))) if own else given,
                guid=guid.strip(),
                itunes_id=itunes_id.strip(),
                podcastindex_id=podcastindex_id.strip(),
                show_id=show_id.strip(),
                since=since.strip(),
            )
            repeats.refuse(wish)
            yield wish
        except BadRegistration as error:
            yield Reject(path.name, line, error.reason, str(error))


def read_urls(
    path: Path, tenant: str = DEFAULT_TENANT, labels: Collection[str] = ()
) -> Iterator[Registration | Reject]:
    """One URL a line; blank lines and those that begin with # are passed over. Raises OSError."""
    given, repeats = tuple(labels), Repeats()
    for line, text in numbered_lines(path):
        try:
            if isinstance(text, BadRegistration):
                raise text
            if (url := text.strip()) and not url.startswith("#"):
                wish = registration(url, tenant, given)
                repeats.refuse(wish)
                yield wish
        except BadRegistration as error:
            yield Reject(path.name, line, error.reason, str(error))
