"""What the registry's commands are given: URLs and files, read as they go; and what of it is refused."""

from __future__ import annotations

import contextlib
import csv
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import typer
from rich.console import Console

from earshot.exit_codes import FAILED, PARTLY
from ingest.feeds.urls import without_credentials

if TYPE_CHECKING:  # imported only by the command that needs it, to start fast
    from registry.registration import Registration, Reject

SHOWN_REJECTS = 20


@dataclass
class Refused:
    """What could not be used: the first ones to show, all of them in a file where one is asked for."""

    file: TextIO | None = None
    first: list[Reject] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    files: list[str] = field(default_factory=list)  # as a whole, with the reason why

    def take(self, reject: Reject) -> None:
        reject = replace(
            reject, name=without_credentials(reject.name), detail=without_credentials(reject.detail)
        )
        self.reasons[reject.reason] += 1
        if len(self.first) < SHOWN_REJECTS:
            self.first.append(reject)
        if self.file is not None:
            csv.writer(self.file).writerow((reject.name, reject.line, reject.reason, reject.detail))

    def end(self, screen: Console, used: int) -> None:
        """Say it; ends with PARTLY or FAILED. A duplicate is no loss."""
        from earshot.show import say
        from registry.registration import RejectReason

        for reject in self.first:
            where = f"{reject.name}:{reject.line}" if reject.line else reject.name
            say(screen, where or "refused", f"{reject.reason}: {reject.detail}", "yellow")
        told = ", ".join(f"{count:,} {reason}" for reason, count in sorted(self.reasons.items()))
        if self.reasons.total() > len(self.first):
            kept = "" if self.file else "; --rejects FILE keeps all"
            say(screen, "note", f"{self.reasons.total():,} in all: {told}{kept}", "yellow")
        for message in self.files:
            say(screen, "refused", message, "red")
        del self.reasons[RejectReason.DUPLICATE]
        if self.reasons or self.files:
            raise typer.Exit(PARTLY if used else FAILED)


@contextlib.contextmanager
def told(path: Path | None) -> Iterator[Refused]:
    """Gathers what is refused, all of it as CSV at `path`."""
    if path is None:
        yield Refused()
        return
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        csv.writer(file).writerow(("name", "line", "reason", "detail"))
        yield Refused(file)


def given(
    urls: list[str] | None,
    opml: list[Path] | None,
    csv_files: list[Path] | None,
    lines: list[Path] | None,
    tenant: str,
    labels: Iterable[str],
    refused: Refused,
    is_enough: bool = False,
) -> Iterator[Registration]:
    """All that was asked for, read as it goes; what cannot be used goes to `refused`."""
    from registry.lists import read_csv, read_urls
    from registry.opml import read_opml

    sources = [
        (reader, path)
        for reader, paths in ((read_opml, opml), (read_csv, csv_files), (read_urls, lines))
        for path in paths or []
    ]
    for _, path in sources:
        if not path.is_file():
            what = "is a folder: name its files" if path.is_dir() else "no such file"
            raise typer.BadParameter(f"{what}: {path}", param_hint="FILE")
    if not (urls or sources or is_enough):
        raise typer.BadParameter("name URLs, or a file with --opml, --csv or --list", param_hint="URL")
    return _read(urls or [], sources, tenant, tuple(labels), refused)


def _meant(url: str) -> str:
    """What somebody who left the scheme out may have meant."""
    from ingest.feeds.urls import BadFeedUrl, feed_url

    try:
        return "" if ":" in url or "." not in url else f"; did you mean {feed_url(f'https://{url}')}?"
    except BadFeedUrl:
        return ""


def _read(
    urls: list[str],
    sources: list[tuple[Any, Path]],
    tenant: str,
    labels: tuple[str, ...],
    refused: Refused,
) -> Iterator[Registration]:
    from registry.csv_lines import ListError
    from registry.registration import BadRegistration, Reject, registration

    for url in urls:
        try:
            yield registration(url, tenant, labels)
        except BadRegistration as error:
            refused.take(Reject(url, 0, error.reason, f"{error}{_meant(url)}"))
    for reader, path in sources:
        try:
            for each in reader(path, tenant, labels):
                if isinstance(each, Reject):
                    refused.take(each)
                else:
                    yield each
        except ListError as error:
            refused.files.append(str(error))
