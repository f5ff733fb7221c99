"""The loop one writes first: `plain_python.py NEEDED_CSV BOTS_TXT LOG...` prints the number of downloads.

Status 200 or 206, no bot, and one (address, agent, path, UTC day) whose bytes sum to a minute of the file.

Leaves out: distinct bytes (ranges asked twice count twice), copied files and lines, /64 of IPv6 addresses,
watch duplicates, two-byte probes, requests before publication, header bytes, rolling windows, rejects.
"""

import csv
import re
import sys
from collections import defaultdict
from pathlib import Path
from urllib.parse import unquote

from isal import igzip

UNKNOWN_NEEDED = 960_000  # bytes: one minute at 128 kbit/s


def main(needed_csv: str, bots_txt: str, *logs: str) -> None:
    bot = re.compile(Path(bots_txt).read_text())
    with Path(needed_csv).open(newline="") as rows:
        needed = {path.encode(): int(size) for path, size in csv.reader(rows)}
    is_bot: dict[bytes, bool] = {}
    sums: dict[tuple[bytes, ...], int] = defaultdict(int)
    for log in logs:
        with igzip.open(log) as lines:  # type: ignore[no-untyped-call]
            for line in lines:
                fields = line.split(b"\t", 11)
                if len(fields) < 12 or fields[8] not in (b"200", b"206") or fields[5] != b"GET":
                    continue
                day, agent, path = fields[0], fields[10], fields[7]
                if path not in needed and not path.endswith((b".mp3", b".m4a")):
                    continue
                if agent not in is_bot:
                    is_bot[agent] = bool(bot.search(unquote(agent.decode("latin-1"))))
                if not is_bot[agent]:
                    sums[fields[4], agent, path, day] += int(fields[3])
    print(sum(size >= needed.get(path, UNKNOWN_NEEDED) for (_, _, path, _), size in sums.items()))


main(*sys.argv[1:])
