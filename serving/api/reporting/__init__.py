"""Figures: downloads, listeners, pacing, collaborations of shows and episodes."""
