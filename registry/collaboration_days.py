"""Days that people are told of; a test compares them with dbt_project/macros/attribution.sql."""

from __future__ import annotations

EXPOSURE_DAYS = 14  # so long at most a collaboration is measured from its start
FOLLOW_UP_DAYS = 30  # a new listener comes within
TENURE_DAYS = 28  # a listener must have been known for
LOOK_BACK_DAYS = 60  # and must not have downloaded the show for
PLACEBOS_FROM_DAYS = 80  # before the first collaboration θ's episodes begin, with a look-back of their own
HISTORY_DAYS = PLACEBOS_FROM_DAYS + LOOK_BACK_DAYS  # of logs before it, that θ can be measured
