"""What comes in: log files into the lake. Pure: imports neither Dagster nor dbt, opens no warehouse."""

import os

# Read by Polars' allocator when Polars is loaded, so before it: what one segment frees serves the next one.
# † By default its pages go back and are faulted in anew: 15 to 20 % of the cleaning's CPU on a virtual one.
# With an arena a core (not four) and no thread that cleans up: 1 to 3 % less, and a tenth less memory.
_NAME, _POLARS_OWN = "_RJEM_MALLOC_CONF", "dirty_decay_ms:500,muzzy_decay_ms:1000"
# Polars sets its own where nothing is set, which a process that was started by one with Polars inherits.
if os.environ.get(_NAME) in (None, _POLARS_OWN):
    os.environ[_NAME] = (
        f"narenas:{os.cpu_count() or 4},dirty_decay_ms:-1,muzzy_decay_ms:-1,background_thread:false"
    )
