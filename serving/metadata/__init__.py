"""What podcasts and episodes are now, what changed in them, and finding them: read for the API, no HTTP."""
