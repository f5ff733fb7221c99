"""What comes in: log files into the lake. Pure: imports neither Dagster nor dbt, opens no warehouse."""

import os

# Read by Polars' allocator when Polars is loaded, so before it: what one segment frees serves the next one.
# † By default its pages go back and are faulted in anew: 15 to 20 % of the cleaning's CPU on a virtual one.
os.environ.setdefault("_RJEM_MALLOC_CONF", "dirty_decay_ms:-1,muzzy_decay_ms:-1")
