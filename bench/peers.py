"""The same files through other tools: what Earshot costs beside them, and how far off the truth they are.

Each is a process of its own (`bench/peer_scripts/`); its script tells what it leaves out. All but GoAccess
get the bytes each file needs and our bot patterns ready made, which Earshot works out by itself.
"""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from ast import get_docstring, parse
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from bench.files import Files, world
from bench.measure import Cost, measured, median, python
from bench.report import Figures, cache, say, show
from earshot.made_up.world import SERVER_LOG, WorldSpec
from earshot.made_up.world_formats import source_name
from earshot.pipeline import reading
from ingest.reference.lists import built_in

ROWS = 500_000
FORMAT = "cloudfront"
SCRIPTS = Path(__file__).parent / "peer_scripts"
EARSHOT, CLEANING = "Earshot", "Earshot, cleaning alone"
LEAVES_OUT = {EARSHOT: "nothing: the count is the truth", CLEANING: "counting"}
GENERIC_BOT = "(?i:bot|crawler|spider)"
NO_AGENT = "^-?$"


class Absent(Exception):
    """A peer that cannot be had on this machine; the message says why."""


@dataclass(frozen=True)
class Peer:
    """A tool and what runs it."""

    script: str
    version: Callable[[], str]  # raises Absent
    package: str | None = None  # installed into a virtual environment of its own

    def ready(self) -> tuple[str, list[str]]:
        """Its version and the command but for arguments. Raises Absent."""
        interpreter = _venv(self.package) if self.package else sys.executable
        return self.version(), [str(interpreter), str(SCRIPTS / self.script)]

    def leaves_out(self) -> str:
        """As its docstring says."""
        doc = get_docstring(parse((SCRIPTS / self.script).read_text())) or ""
        return " ".join(doc.partition("Leaves out: ")[2].split()).rstrip(".")


def _goaccess() -> str:
    if not shutil.which("goaccess"):
        raise Absent("goaccess is not installed (apt-get install goaccess)")
    said = subprocess.run(["goaccess", "--version"], capture_output=True, text=True, check=True).stdout
    return said.split()[2].rstrip(".")


PANDAS, CHDB = "pandas==3.1.1", "chdb==4.4.0"
PEERS = {
    "GoAccess": Peer("with_goaccess.py", _goaccess),
    "plain Python": Peer("plain_python.py", lambda: sys.version.split()[0]),
    "pandas": Peer("with_pandas.py", lambda: PANDAS.partition("==")[2], PANDAS),
    "DuckDB SQL": Peer("with_duckdb.py", lambda: version("duckdb")),
    "chDB SQL": Peer("with_chdb.py", lambda: CHDB.partition("==")[2], CHDB),
}


def run(rows: int | None, repeats: int) -> Figures:
    """Figures of each by name; `ratio`: Earshot's lines per CPU second (cleaning, counting) to its."""
    rows = rows or ROWS
    files = world(WorldSpec(days=1, lines=rows, formats=(FORMAT,), prefix=False))
    lines, truth = files.lines(source_name(FORMAT)), sum(files.downloads(SERVER_LOG).values())
    versions, commands, absent = _prepared()
    costs: dict[str, list[Cost]] = {name: [] for name in (EARSHOT, CLEANING, *commands)}
    downloads: dict[str, int] = {}
    with tempfile.TemporaryDirectory(prefix="earshot-bench-") as room:
        given = _ready_made(files, Path(room))
        for n in range(repeats):
            names = [EARSHOT, *commands]
            for name in names if n % 2 == 0 else reversed(names):
                if name == EARSHOT:
                    clean, count, downloads[name] = _earshot(files, Path(room) / "data")
                    costs[CLEANING].append(clean)
                    cost = clean + count
                else:
                    cost, said = measured([*commands[name], *given, *map(str, files.of(source_name(FORMAT)))])
                    downloads[name] = int(said)
                costs[name].append(cost)
                say(f"{name} {n + 1}/{repeats}: {cost.cpu_s:.1f} cpu-s, {cost.wall_s:.1f} s")
    assert downloads[EARSHOT] == truth, f"{downloads[EARSHOT]} downloads are not the truth, {truth}"
    # A process starts with the resident memory of the one that started it: less than ours cannot be seen.
    floor_mb = measured(["true"])[0].peak_mb
    medians = {name: median(each) for name, each in costs.items()}
    peers: dict[str, Figures] = {}
    for name, cost in medians.items():
        peers[name] = {
            "krows_per_cpu_s": round(lines / cost.cpu_s / 1e3, 1),
            "ratio": round(cost.cpu_s / medians[EARSHOT].cpu_s, 2),
            "cpu_s": round(cost.cpu_s, 2),
            "wall_s": round(cost.wall_s, 2),
            "peak_mb": round(cost.peak_mb),
            "peak_is_floor": cost.peak_mb <= floor_mb,
            "downloads": downloads.get(name),
            "share_of_truth": round(downloads[name] / truth, 3) if name in downloads else None,
            "leaves_out": LEAVES_OUT.get(name) or PEERS[name].leaves_out(),
            "version": versions.get(name),
        }
    _show(lines, repeats, truth, peers)
    return {
        "rows": rows,
        "lines": lines,
        "repeats": repeats,
        "truth": truth,
        "peers": peers,
        "absent": absent,
        "load_after": round(os.getloadavg()[0], 2),
    }


def _prepared() -> tuple[dict[str, str], dict[str, list[str]], dict[str, str]]:
    """By name: versions and commands of the peers that can be had, and why the others cannot."""
    versions, commands, absent = {}, {}, {}
    for name, peer in PEERS.items():
        try:
            versions[name], commands[name] = peer.ready()
        except Absent as why:
            absent[name] = str(why)
            say(f"{name} is left out: {why}")
    return versions, commands, absent


def _venv(package: str) -> Path:
    """The interpreter of a virtual environment that holds `package`, made once. Raises Absent."""
    folder = cache() / f"venv-{package.replace('==', '-')}"
    interpreter = folder / "bin" / "python"
    if not folder.exists():
        say(f"installing {package}, once ...")
        half_made = folder.with_suffix(".part")
        shutil.rmtree(half_made, ignore_errors=True)
        pip = [str(half_made / "bin" / "python"), "-m", "pip", "install", "--quiet", package]
        for command in ([sys.executable, "-m", "venv", str(half_made)], pip):
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                said = (done.stderr or done.stdout).strip().splitlines()
                raise Absent(f"{package} cannot be installed: {said[-1] if said else done.returncode}")
        # The environment is used by its interpreter alone, whose paths survive the move.
        half_made.rename(folder)
    return interpreter


def _ready_made(files: Files, room: Path) -> list[str]:
    """Paths of what the peers are given: bytes each path needs from its start, and one bot pattern."""
    needed, bots = room / "needed.csv", room / "bots.txt"
    with files.catalog.open(newline="") as episodes, needed.open("w", newline="") as out:
        writer = csv.writer(out)
        for episode in csv.DictReader(episodes):
            size, id3, seconds = (int(episode[name]) for name in ("file_bytes", "id3_bytes", "duration_s"))
            path = re.sub(r".*\.podhost\.example(?=/)", "", episode["enclosure_url"])
            writer.writerow([path, id3 + -(-(size - id3) * 60 // max(seconds, 60))])
    agents = json.loads(built_in("agents.json"))
    libraries = [entry for entry in agents["libraries"] if entry.get("category") == "bot"]
    patterns = [NO_AGENT, GENERIC_BOT, *(entry["pattern"] for entry in (*agents["bots"], *libraries))]
    bots.write_text("|".join(f"(?:{pattern})" for pattern in patterns))
    return [str(needed), str(bots)]


def _earshot(files: Files, data: Path) -> tuple[Cost, Cost, int]:
    """Cost of cleaning and of counting, and the downloads."""
    stage = python("-m", "bench.stages")
    clean, _ = measured([*stage, "clean", str(data), str(files.landing), str(files.catalog)])
    count, _ = measured([*stage, "count", str(data), "--select", "+fct_downloads"])
    with reading(data / "warehouse.duckdb") as con:
        row = con.execute("select sum(downloads_calendar) from marts.fct_downloads").fetchone()
    shutil.rmtree(data)
    return clean, count, int(row[0]) if row else 0


def _show(lines: int, repeats: int, truth: int, peers: dict[str, Figures]) -> None:
    show(
        f"{lines:,} CloudFront gz lines, {truth:,} downloads in truth, medians of {repeats}",
        ["", "krows/cpu-s", "ratio", "wall s", "peak MB", "downloads", "of truth"],
        [
            [
                name, each["krows_per_cpu_s"], each["ratio"], each["wall_s"],
                f"{'≤ ' if each['peak_is_floor'] else ''}{each['peak_mb']}",
                each["downloads"] or "", each["share_of_truth"] or "",
            ]
            for name, each in peers.items()
        ],
    )  # fmt: skip
    for name, each in peers.items():
        say(f"{name} {each['version'] or ''}".rstrip() + f" leaves out: {each['leaves_out']}")
