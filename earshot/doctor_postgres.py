"""What `earshot doctor` says of the marts in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

from earshot.finding import Finding, Verdict
from ingest.settings import Settings

_WHAT = "marts in PostgreSQL"


def in_postgres(settings: Settings) -> Iterator[Finding]:
    """Whether it has the published version; nothing where none is set."""
    from earshot.published import NothingPublished, current
    from serving.postgres import MartsDatabaseError, marts_database, version_there
    from serving.versions import TO_PUBLISH

    database = marts_database(settings)
    if database is None:
        return
    try:
        there = version_there(database)
        published = current(settings).version
    except MartsDatabaseError as error:
        yield Finding(_WHAT, str(error), Verdict.WRONG, "mend it, then run `earshot marts load`")
    except NothingPublished:
        yield Finding(_WHAT, "no marts are published yet", Verdict.ODD, TO_PUBLISH)
    else:
        found = f"version {there}" if there else "none"
        if there == published:
            yield Finding(_WHAT, found)
        else:
            told = f"{found}, but version {published} is published"
            yield Finding(_WHAT, told, Verdict.WRONG, "run `earshot marts load`: it does it, or says why not")
