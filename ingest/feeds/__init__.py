"""Feeds: fetch → parse → standardize → detect → state, one shard of podcasts at a time."""
