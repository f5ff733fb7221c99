"""What a collaboration brought: PACE's solve (ATTRIBUTION §2, 6–11) over the counts of the cohort models."""
