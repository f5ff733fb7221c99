"""Where notice of a change, and the ids of a podcast, come from beside polling (UPDATES §4 "Sources")."""
