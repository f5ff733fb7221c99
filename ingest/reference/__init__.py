"""Versioned lists the rules need: user agents, prefixes, address ranges."""
