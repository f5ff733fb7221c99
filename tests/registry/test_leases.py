"""Leases: one worker a shard, also when workers are killed or sleep through their time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete

from registry.database import writing
from registry.leases import Lease, LeaseLost, assert_held, claim, holds, owner_name, release, renew
from registry.tables import leases

S = 1_000_000


def shards(held: list[Lease]) -> list[int]:
    return [lease.shard for lease in held]


def test_a_shard_goes_to_one_worker(engine: Engine) -> None:
    assert shards(claim(engine, "a", [3, 1, 2], 60, 0)) == [3, 1, 2]
    assert shards(claim(engine, "b", [1, 2, 3, 4], 60, 0)) == [4]
    assert claim(engine, "a", [1], 60, 0) == []  # not even to itself a second time


def test_the_first_wanted_are_taken_first(engine: Engine) -> None:
    claim(engine, "a", [9], 60, 0)
    assert shards(claim(engine, "b", [9, 7, 8, 7, 6], 60, 0, at_most=2)) == [7, 8]
    assert claim(engine, "b", [6], 60, 0, at_most=0) == []
    assert claim(engine, "b", [], 60, 0) == []


def test_an_expired_lease_may_be_taken_over_and_the_fence_grows(engine: Engine) -> None:
    (old,) = claim(engine, "a", [1], 10, 0)
    assert claim(engine, "b", [1], 10, 10 * S - 1) == []
    (new,) = claim(engine, "b", [1], 10, 10 * S)
    assert new.fence > old.fence
    assert not holds(engine, old, 10 * S)
    assert holds(engine, new, 10 * S)
    assert renew(engine, [old], 10, 10 * S) == []
    release(engine, [old])  # too late to take it from the new one
    assert holds(engine, new, 10 * S)


def test_a_released_shard_is_free_and_its_fence_still_grows(engine: Engine) -> None:
    (first,) = claim(engine, "a", [1], 10, 0)
    release(engine, [first])
    assert not holds(engine, first, 1)
    assert renew(engine, [first], 10, 1) == []
    (second,) = claim(engine, "a", [1], 10, 1)
    assert second.fence > first.fence


def test_a_renewed_lease_lasts_longer(engine: Engine) -> None:
    held = claim(engine, "a", [1, 2], 10, 0)
    release(engine, held[:1])
    renewed = renew(engine, held, 10, 9 * S)
    assert renewed == [Lease(2, held[1].fence, "a", 19 * S)]
    assert holds(engine, renewed[0], 18 * S) and not holds(engine, renewed[0], 19 * S)


def test_an_expired_lease_nobody_took_can_be_renewed(engine: Engine) -> None:
    held = claim(engine, "a", [1], 10, 0)
    assert shards(renew(engine, held, 10, 50 * S)) == [1]
    assert claim(engine, "b", [1], 10, 55 * S) == []


def test_who_lost_a_shard_is_told_before_writing(engine: Engine) -> None:
    (old,) = claim(engine, "a", [1], 10, 0)
    with writing(engine) as connection:
        assert_held(connection, old)
    claim(engine, "b", [1], 10, 60 * S)
    with pytest.raises(LeaseLost, match="shard 1"), writing(engine) as connection:
        assert_held(connection, old)


def test_no_two_processes_have_one_name() -> None:
    assert owner_name() != owner_name()
    assert str(os.getpid()) in owner_name()


steps = st.lists(
    st.tuples(
        st.sampled_from(["claim", "renew", "release"]),
        st.sampled_from(["a", "b", "c"]),
        st.lists(st.integers(0, 3), min_size=1, max_size=4),
        st.integers(0, 15),  # seconds that pass before it
    ),
    max_size=15,
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps)
def test_never_do_two_hold_a_shard_and_fences_only_grow(
    engine: Engine, todo: list[tuple[str, str, list[int], int]]
) -> None:
    with writing(engine) as connection:
        connection.execute(delete(leases))
    now, ttl_s = 0, 10
    granted: list[Lease] = []
    believed: dict[str, list[Lease]] = {"a": [], "b": [], "c": []}
    for what, owner, wanted, passed_s in todo:
        now += passed_s * S
        mine = [lease for lease in believed[owner] if lease.shard in wanted]
        if what == "claim":
            new = claim(engine, owner, wanted, ttl_s, now)
            for lease in new:
                assert all(old.fence < lease.fence for old in granted if old.shard == lease.shard)
            granted += new
            believed[owner] += new
        elif what == "renew":
            renewed = renew(engine, mine, ttl_s, now)
            believed[owner] = [lease for lease in believed[owner] if lease not in mine] + renewed
        else:
            release(engine, mine)
        held = [lease.shard for each in believed.values() for lease in each if holds(engine, lease, now)]
        assert len(held) == len(set(held))


# Claims all shards again and again; while it holds one it puts its name into a file that must be its own.
WORKER = """
import random, sys, time
from pathlib import Path
from registry.database import connect
from registry.leases import claim, holds, owner_name, release

url, folder, seed = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
engine, owner, chance = connect(url, folder), owner_name(), random.Random(seed)
rounds = 0
while not (folder / "stop").exists():
    now = lambda: time.time_ns() // 1000
    wanted = chance.sample(range(8), 8)
    for lease in claim(engine, owner, wanted, 3, now(), at_most=3):
        mark = folder / f"shard-{lease.shard}"
        mark.write_text(f"{owner} {lease.fence}")
        time.sleep(0.005)
        if holds(engine, lease, now()) and mark.read_text() != f"{owner} {lease.fence}":
            (folder / "broken").write_text(f"{mark.read_text()} inside {owner} {lease.fence}")
        (folder / f"fences-{owner}").open("a").write(f"{lease.shard} {lease.fence}\\n")
        if seed != 0 or rounds < 5:  # the one to be killed ends up holding all it can
            release(engine, [lease])
    rounds += 1
    if seed == 0 and rounds > 5:
        (folder / "holding").touch()
"""


def test_two_processes_share_the_shards_and_one_takes_over_what_a_killed_one_held(
    url: str, engine: Engine, tmp_path: Path
) -> None:
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, url, str(tmp_path), str(seed)], stderr=subprocess.PIPE
        )
        for seed in range(2)
    ]
    victim, survivor = workers
    try:
        while not (tmp_path / "holding").exists():
            assert all(worker.poll() is None for worker in workers), victim.communicate()
            time.sleep(0.05)
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        (dead,) = [path for path in tmp_path.glob("fences-*") if f":{victim.pid}:" in path.name]
        lines = [tuple(map(int, line.split())) for line in dead.read_text().splitlines()]
        last = dict(lines)  # shard → the last fence the dead one had
        while not (found := [p for p in tmp_path.glob("fences-*") if f":{survivor.pid}:" in p.name]):
            assert survivor.poll() is None  # it may only be starting
            time.sleep(0.05)
        (alive,) = found

        def taken_over() -> bool:
            now: dict[int, int] = {}
            for line in alive.read_text().splitlines():
                shard, fence = map(int, line.split())
                now[shard] = fence
            return all(now.get(shard, 0) > fence for shard, fence in last.items())

        while not taken_over():
            assert survivor.poll() is None
            time.sleep(0.05)
        (tmp_path / "stop").touch()
        assert survivor.wait() == 0, survivor.communicate()
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    assert not (tmp_path / "broken").exists(), (tmp_path / "broken").read_text()
    taken = [line for path in tmp_path.glob("fences-*") for line in path.read_text().splitlines()]
    assert len(taken) == len(set(taken))  # no fence was given twice
