"""`earshot init` and `earshot migrate`: an installation made, and brought to this version."""
