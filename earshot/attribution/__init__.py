"""`earshot attribution`: answers of serving/attribution about a data folder, on a terminal or as Markdown."""
