"""The assets: thin, one pure function each."""
