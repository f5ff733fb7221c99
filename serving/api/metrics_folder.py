"""Where workers leave their counts for each other; apart, since prometheus_client looks once, at import."""

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
