"""GoAccess: `with_goaccess.py NEEDED_CSV BOTS_TXT LOG...` prints its nearest thing to downloads.

That is the visitors (address, agent, day) of each media file, crawlers ignored; of its panels only the two
that tell them are on. BOTS_TXT is not used: its own list takes Overcast and PodcastAddict for crawlers.

Leaves out: bytes altogether (a probe is a download), our bots (it has its own, which drop whole apps), and
what the plain loop leaves out.
"""

import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path

FORMAT = [
    r"--log-format=%d\t%t\t%^\t%b\t%h\t%m\t%v\t%U\t%s\t%R\t%u\t%^",
    "--date-format=%Y-%m-%d",
    "--time-format=%H:%M:%S",
]
PANELS_OFF = [
    "VISITORS", "NOT_FOUND", "HOSTS", "OS", "BROWSERS", "VISIT_TIMES", "VIRTUAL_HOSTS", "REFERRERS",
    "REFERRING_SITES", "KEYPHRASES", "STATUS_CODES", "REMOTE_USER", "CACHE_STATUS", "GEO_LOCATION",
    "MIME_TYPE", "TLS_TYPE",
]  # fmt: skip
STATUS_OFF = (0, 301, 304, 403, 404, 416, 500)
ALL = 1_000_000_000


def main(needed_csv: str, bots_txt: str, *logs: str) -> None:
    with Path(needed_csv).open(newline="") as rows:
        known = {path for path, _ in csv.reader(rows)}
    with tempfile.TemporaryDirectory() as room:
        report = Path(room) / "report.json"
        unpacked = subprocess.Popen(["gzip", "-dc", *logs], stdout=subprocess.PIPE)
        subprocess.run(
            [
                "goaccess", "-", *FORMAT, "--no-global-config", "--no-progress", "--ignore-crawlers",
                f"--max-items={ALL}", *(f"--ignore-panel={panel}" for panel in PANELS_OFF),
                *(f"--ignore-status={status}" for status in STATUS_OFF), f"--output={report}",
            ],
            stdin=unpacked.stdout, stdout=subprocess.DEVNULL, check=True,
        )  # fmt: skip
        if unpacked.wait():
            raise SystemExit("gzip failed")
        panels = json.loads(report.read_bytes())
    files = [*panels["requests"]["data"], *panels["static_requests"]["data"]]
    print(
        sum(
            file["visitors"]["count"]
            for file in files
            if file["method"] == "GET" and (file["data"] in known or file["data"].endswith((".mp3", ".m4a")))
        )
    )


main(*sys.argv[1:])
