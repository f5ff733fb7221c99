"""From `earshot edge render` to a count: what nginx writes is what intake reads, as the prefix source."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import orjson
import pytest

from earshot.made_up import edge as edges
from ingest.logs.found import find_landing_files
from ingest.logs.prefixes import PrefixRules
from ingest.settings import Settings
from serving.edge.check import check
from serving.edge.render import render
from serving.edge.settings import EdgeSettings
from tests.serving.edge.asking import ask

ROOT = Path(__file__).parents[3]
APP = "AppleCoreMedia/1.0.0.21E236 (iPhone; U; CPU OS 17_4_1 like Mac OS X; en_us)"
pytestmark = pytest.mark.skipif(not edges.is_there(), reason="nginx is not installed")


def earshot(*arguments: str, code: int = 0, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "earshot.cli", *arguments],
        env={"PATH": "/usr/bin:/usr/sbin:/bin", "PYTHONPATH": str(ROOT), "COLUMNS": "200", **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_rendered_started_asked_rotated_counted(tmp_path: Path) -> None:
    port = edges.free_port()
    env = {
        "EARSHOT_DATA": str(tmp_path / "data"),
        "EARSHOT_PREFIX_HOSTS": "pfx.example.net",
        "EARSHOT_EDGE_HOSTS": "media.example.com,cdn.example.org",
        "EARSHOT_EDGE_LISTEN": f"127.0.0.1:{port}",
        "EARSHOT_EDGE_WORKERS": "1",
    }
    assert "run earshot edge render" in earshot("edge", "check", code=1, **env)
    assert "2 hosts (+2 −0)" in earshot("edge", "render", **env)
    assert "nothing has changed" in earshot("edge", "render", **env)
    assert "start it: " in earshot("edge", "check", code=1, **env)
    assert "does not run" in earshot("edge", "reload", code=1, **env)
    settings = EdgeSettings.from_env(env)
    process = edges.start(settings)
    try:
        edges.until_it_answers(settings, port, process)
        agent = f"User-Agent: {APP}"
        odd = 'a%20b,"c\\d.mp3?token=s&x=ü'
        first_two = "Range: bytes=0-1"
        for target in ("media.example.com/1.mp3", f"op3.dev/e/https://media.example.com/{odd}"):
            assert ask(port, f"/e/{target}", headers=(agent, first_two)).status == 302
        assert (
            ask(port, "/e/https%3A%2F%2Fcdn.example.org%2F2.mp3", headers=(agent, 'Referer: "\\')).status
            == 302
        )
        assert ask(port, "/e/cdn.example.org/3.mp3", "HEAD", headers=(agent,)).status == 302
        assert ask(port, "/e/unknown.example.net/4.mp3", headers=(agent,)).status == 404
        assert ask(port, "/e/cdn.example.org/5.mp3", "POST", headers=(agent,)).status == 405
        assert ask(port, "/health").status == 200
        earshot("edge", "reload", **env)
        assert "wrong" not in earshot("edge", "check", **env)
        (path,) = earshot("edge", "rotate", **env).split()
        assert earshot("edge", "rotate", **env) == ""
    finally:
        edges.stop(process)
    found = find_landing_files(settings.platform.model_copy(update={"settle_s": 0}))
    assert [(file.source, str(file.path)) for file in found] == [("edge", path)]
    lines = Path(path).read_bytes().splitlines()
    assert [orjson.loads(line)["status"] for line in lines if b"\xfc" not in line] == [
        302,
        302,
        302,
        404,
    ]
    said = earshot("count", path, "--output", "json", "--explain", **env)
    counted, _, explained = said.partition("]")
    rows = orjson.loads(counted + "]")
    assert {(row["source_class"], row["downloads"]) for row in rows} == {("prefix", 1)}
    assert len(rows) == 3
    assert "method" in explained


def test_the_log_format_is_the_one_the_readme_gives() -> None:
    """And so the one that `earshot count` says it reads."""

    def joined(text: str) -> str:
        found = re.search(r"log_format earshot escape=json\s+((?:'[^']*'\s*)+);", text)
        assert found
        return "".join(re.findall(r"'([^']*)'", found[1]))

    rendered = render(EdgeSettings(), (), PrefixRules.built_in()).nginx
    # The prefix bounds what a stranger may have it write.
    for ours, usual in (("agent", "user_agent"), ("referrer", "referer"), ("range", "range")):
        rendered = rendered.replace(f'"$edge_{ours}"', f'"$http_{usual}"')
    assert joined(rendered) == joined((ROOT / "README.md").read_text())


def test_a_request_that_looks_like_a_chain_without_end_costs_no_time(tmp_path: Path) -> None:
    with edges.running(Settings(data=tmp_path), "media.example.com", rate=0, workers=1) as edge:
        for text in (
            "op3.dev/e/" * 780,
            "a." * 3_900,
            "a.b/" * 1_950,
            "/" * 7_800,
            "op3.dev/e/" + "a-" * 3_800,
            "op3.dev/e/" + "https://" * 950,
            "https%3A%2F%2F" + "op3.dev%2Fe%2F" * 550,
            "%2F" * 2_600,
        ):
            for _ in range(20):
                assert ask(edge.port, f"/e/{text}").status == 404
            spent = Path(f"/proc/{_worker(edge.process.pid)}/stat").read_text().rsplit(")", 1)[1].split()
            assert (int(spent[11]) + int(spent[12])) / 100 < 2, text[:40]  # seconds of CPU, of all so far


def _worker(master: int) -> int:
    return int(Path(f"/proc/{master}/task/{master}/children").read_text().split()[0])


def test_a_late_rotation_is_told_also_while_lines_are_written(tmp_path: Path) -> None:
    settings = EdgeSettings.from_env({"EARSHOT_DATA": str(tmp_path / "data")})
    settings.log.parent.mkdir(parents=True)

    def said(first_line_s: float) -> str:
        settings.log.write_text(
            f'{{"ts":"{first_line_s:.3f}","dur":"0.000"}}\n{{"ts":"{time.time():.3f}"}}\n'
        )
        (log,) = (looked for looked in check(settings) if looked.what == "log")
        return log.advice

    assert said(time.time() - 60) == ""
    assert "rotation does not run" in said(time.time() - 600)
