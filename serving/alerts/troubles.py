"""What goes wrong when a channel is told; the messages are for people and hold no secret."""

from __future__ import annotations


class NotSent(Exception):
    """A channel did not take the message."""


class PartlySent(NotSent):
    """Some recipients have it: sent again, they would have it twice, so it counts as told."""
