"""Landing file → segments → format → clean request frame."""
