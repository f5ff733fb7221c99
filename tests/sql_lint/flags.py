"""What sqlfluff sees instead of dbt's flags."""

FULL_REFRESH = False
