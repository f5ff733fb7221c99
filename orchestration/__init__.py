"""When each step runs, on which partition, and what must hold afterwards (Dagster)."""
