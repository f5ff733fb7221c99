"""What comes in: log files into the lake. Pure: imports neither Dagster nor dbt, opens no warehouse."""
