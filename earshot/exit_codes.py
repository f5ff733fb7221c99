"""Exit codes of the `earshot` command, stated in the README."""

FAILED = 1  # nothing could be done
USAGE = 2  # wrong usage or setting
PARTLY = 3  # done, but some of the input was refused, each named with its reason
