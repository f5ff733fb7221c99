"""`python -m bench NAME`: the one way to a figure."""

from __future__ import annotations

import argparse
import importlib
import sys

from bench.measure import CommandFailed
from bench.report import finish

BENCHES = {
    "logs": "CloudFront gz and JSON gz to the downloads mart",
    "transports": "CPU of a conditional GET by HTTP client",
    "peers": "the same files through other tools",
    "incremental": "head batches and a late file on a growing history",
    "count": "`earshot count` as a user types it",
    "bloat": "the size of the warehouse file over many small batches",
    "freshness": "from a landed file to the published mart, Dagster running",
    "feeds": "a timed sweep of due feeds out of a million registered",
    "registry": "a million registrations from CSV, SQLite and PostgreSQL",
    "webhooks": "changes to endpoints, good and bad, while the sender is killed",
    "attribution": "what collaborations brought, against the truth of simulated worlds",
    "attribution_days": "what one more day of requests costs attribution",
    "api": "mixed requests to `earshot serve` through publications",
    "redirect": "the prefix on nginx, through rotations and a reload",
    "plots": "draws docs/performance-*.svg and docs/attribution.svg from the results kept of the others",
}

_OPTIONS = {
    "api": ("shows", "days", "publications"),
    "redirect": ("buffered",),
    "webhooks": ("endpoints", "kills", "registry"),
    "attribution_days": ("people", "shows", "collaborations", "seed"),
    "attribution": ("worlds", "people", "shows", "collaborations", "seed", "permute_genres"),
}
_REPEATS = 3  # where a bench has no REPEATS of its own


def main() -> None:
    """Runs one bench. Each module has `run(rows, repeats, …its own options) -> figures`."""
    benches = "\n".join(f"  {name:16} {what}" for name, what in BENCHES.items())
    parser = argparse.ArgumentParser(
        "python -m bench",
        description=f"{__doc__}\n\n{benches}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", choices=BENCHES, metavar="NAME")
    parser.add_argument(
        "--rows",
        "--changes",
        type=_at_least_one,
        help="log lines, feeds, changes to measure with (each bench has its own default)",
    )
    parser.add_argument(
        "--repeats",
        type=_at_least_one,
        help=f"medians are of so many ({_REPEATS}; of webhooks, api and redirect 1)",
    )
    parser.add_argument("--json", action="store_true", help="the line of JSON alone: no table, no progress")
    own = parser.add_argument_group("of webhooks alone")
    own.add_argument("--endpoints", type=_at_least_one, help="how many (50)")
    own.add_argument("--kills", type=int, help="of the sender (5)")
    own.add_argument("--registry", help="sqlite (default), postgresql (one of our own), or a database URL")
    own = parser.add_argument_group("of attribution and attribution_days alone")
    own.add_argument("--worlds", type=_at_least_one, help="how many (8); of attribution")
    own.add_argument("--people", type=_at_least_one, help="of a world (200,000; 245,000)")
    own.add_argument("--shows", type=_at_least_one, help="of a world (60; 1,200; of api, too: 12,000)")
    own.add_argument("--collaborations", type=_at_least_one, help="of a world (26; 165)")
    own.add_argument("--seed", type=int, help="of the first world")
    own.add_argument(
        "--permute-genres", action="store_true", default=None, help="and once more with permuted genres"
    )
    own = parser.add_argument_group("of api alone")
    own.add_argument("--days", type=_at_least_one, help="of its world (365)")
    own.add_argument("--publications", type=int, help="while it is asked (10)")
    own = parser.add_argument_group("of redirect alone")
    own.add_argument("--buffered", action="store_true", default=None, help="nginx's log in 64 kB a worker")
    asked = parser.parse_args()
    given = {name for names in _OPTIONS.values() for name in names if getattr(asked, name) is not None}
    if strange := sorted(given.difference(_OPTIONS.get(asked.name, ()))):
        parser.error(f"{asked.name} knows no --{strange[0].replace('_', '-')}")
    options = {name: getattr(asked, name) for name in given}
    if asked.json:
        from bench.report import console

        console.quiet = True
    try:
        bench = importlib.import_module(f"bench.{asked.name}")
        repeats = asked.repeats or getattr(bench, "REPEATS", _REPEATS)
        figures = bench.run(asked.rows, repeats, **options)
    except CommandFailed as error:
        sys.exit(f"bench {asked.name}: {error}")
    finish(asked.name, figures)


def _at_least_one(typed: str) -> int:
    """A size as typed. None may be 0: the bench's own default would be measured, unasked."""
    if not typed.isdecimal() or int(typed) < 1:
        raise argparse.ArgumentTypeError(f"{typed!r} is not a whole number of at least 1")
    return int(typed)


if __name__ == "__main__":
    main()
