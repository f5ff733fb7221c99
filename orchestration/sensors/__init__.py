"""When something is due: new log files, a new catalogue, new rows for the marts."""
