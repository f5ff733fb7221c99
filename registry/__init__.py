"""What we know and have promised; filled by the update service."""
