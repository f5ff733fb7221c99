"""A world of podcast feeds: what its servers answer at each instant, and what truly happens."""
