"""`python -m bench.api_publisher SHOWS DAYS COUNT EVERY_S`: publishes the API's world while it is served.

A line of JSON a publication: version, wall and CPU seconds, of counting the day anew and publishing it.
"""

from __future__ import annotations

import os
import sys
import time

import orjson

from bench.api_world import World
from orchestration.constants import RUNS_GIVE_WAY


def main() -> None:
    os.nice(RUNS_GIVE_WAY)  # as a run of the platform
    shows, days, count = map(int, sys.argv[1:4])
    every_s = float(sys.argv[4])
    world, began = World(shows, days), time.monotonic()
    for number in range(count):
        time.sleep(max(0.0, began + (number + 0.5) * every_s - time.monotonic()))
        start, cpu = time.monotonic(), time.process_time()
        done = world.publish()
        told = {
            "version": done.version,
            "is_whole": done.is_whole,
            "s": time.monotonic() - start,
            "cpu_s": time.process_time() - cpu,
        }
        print(orjson.dumps(told).decode(), flush=True)


if __name__ == "__main__":
    main()
