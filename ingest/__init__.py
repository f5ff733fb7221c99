"""What comes in: log files into the lake. Pure: imports neither Dagster nor dbt, opens no warehouse."""

import os

# Read by Polars' allocator when Polars is loaded, so before it: what one segment frees serves the next one.
# † By default its pages go back and are faulted in anew: 15 to 20 % of the cleaning's CPU on a virtual one.
# With an arena a core (not four) and no thread that cleans up: 1 to 3 % less, and a tenth less memory.
os.environ.setdefault(
    "_RJEM_MALLOC_CONF",
    f"narenas:{os.cpu_count() or 4},dirty_decay_ms:-1,muzzy_decay_ms:-1,background_thread:false",
)
