"""Jobs that a person starts from the launchpad: one step each, its settings told and filled in beforehand.

They are steps, not selections of assets, because a person names a source, a month or a podcast and not
partitions. What they make is told as events of the same assets, so that sensors build the marts as ever.
"""
