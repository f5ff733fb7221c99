"""What the demo sends through nginx is taken in as what it replaces: same listeners, times and URLs."""

from __future__ import annotations

import gzip
from pathlib import Path

import orjson
import pytest

from earshot.demo_edge import through_nginx
from earshot.made_up import edge as edges
from earshot.made_up import world as worlds

SAME = ("ts", "dur", "ip", "method", "uri", "status", "range", "content_range", "ua", "ref")


@pytest.mark.skipif(not edges.is_there(), reason="nginx is not installed")
def test_nginx_writes_of_the_worlds_requests_what_the_world_would_have_written(tmp_path: Path) -> None:
    world = worlds.build(worlds.WorldSpec(lines=3_000, shows=8))
    worlds.write(world, tmp_path / "made")
    paths = worlds.write(world, tmp_path / "sent")
    times = [path.stat().st_mtime for path in paths]
    sent, replaced = through_nginx(world, tmp_path / "sent"), 0
    assert [path.stat().st_mtime for path in paths] == times
    for path in paths:
        made = (tmp_path / "made" / path.relative_to(tmp_path / "sent")).read_bytes()
        if path.read_bytes() == made:
            continue
        lines = zip(
            gzip.decompress(made).splitlines(), gzip.decompress(path.read_bytes()).splitlines(), strict=True
        )
        for old, new in ((orjson.loads(one), orjson.loads(other)) for one, other in lines):
            assert {key: old[key] for key in SAME} == {key: new[key] for key in SAME}
            replaced += old["id"] != new["id"]
    assert replaced == sent > 0
