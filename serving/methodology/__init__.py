"""The methodology statement (R34), from the settings, lists and marts in force."""
