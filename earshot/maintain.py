"""`earshot maintain`: remove what is too old to keep, merge the lake's small files."""

from __future__ import annotations

from rich.console import Console

from earshot.commands import Output
from ingest.settings import Settings


def maintain(output: Output = "table") -> None:
    """Keep a long history cheap: remove requests past EARSHOT_KEEP_DAYS, merge the lake's small files."""
    from dataclasses import asdict

    from earshot.explain.answer import existing_lake
    from earshot.show import count_progress, print_rows, say
    from ingest.lake import utc_now_us
    from orchestration.maintaining import maintain as keep_small

    settings, screen = Settings.from_env(), Console(stderr=True)
    lake = existing_lake(settings)
    with count_progress(screen) as progress:
        done = keep_small(settings, lake, utc_now_us(), progress)
    rows = [asdict(each) | {"day": each.day.isoformat()} for each in done.compacted]
    columns = ["day", "source", "rows", "files_before", "files_after"]
    sizes = [] if output == "table" else ["bytes_before", "bytes_after"]  # a terminal is no wider
    if rows or output != "table":
        print_rows(rows, columns + sizes, output, "Merged")
    say(
        screen,
        "merged",
        f"{sum(each.files_before for each in done.compacted):,} files into "
        f"{sum(each.files_after for each in done.compacted):,}, "
        f"{sum(each.bytes_before for each in done.compacted):,} bytes into "
        f"{sum(each.bytes_after for each in done.compacted):,}",
        "bold",
    )
    gone = done.expired
    if settings.keep_days or gone.rejects or done.landing:
        say(
            screen,
            "removed",
            f"{gone.requests:,} requests of {gone.days} days ({gone.bytes:,} bytes), rejects of "
            f"{gone.rejects:,} files, {done.landing:,} landing files: older than they are kept "
            f"({settings.keep_days} days, {settings.keep_rejects_days} for rejects)",
            "bold",
        )
    if done.destroyed:
        named = ", ".join(map(str, done.destroyed))
        say(screen, "destroyed", f"the keys of the listener hash of epochs {named}", "bold")
    if done.packed.bytes_after < done.packed.bytes_before:
        say(
            screen,
            "packed",
            f"the warehouse, {done.packed.bytes_before:,} bytes, into {done.packed.bytes_after:,}",
            "bold",
        )
    for note in done.notes:
        say(screen, "note", note, "yellow")
