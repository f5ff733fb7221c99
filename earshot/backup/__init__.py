"""Backup and restore of an installation: registry, keys, lake; what is made of them is made again."""
