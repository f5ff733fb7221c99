"""When each step runs, on which partition, and what must hold afterwards (Dagster)."""

import ingest  # noqa: F401  sets up Polars' allocator before anything here loads Polars
