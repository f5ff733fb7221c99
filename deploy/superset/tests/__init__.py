"""Superset as an analyst meets it: `make test-bi`. Not part of `make test`: it takes minutes and 0.9 GB."""
