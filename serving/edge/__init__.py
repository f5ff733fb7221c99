"""The tracking prefix: nginx sends listeners on to the enclosure and writes a line of each (docs/edge.md)."""
