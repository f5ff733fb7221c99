"""Records of podcasts and episodes, what changed in them, search."""
