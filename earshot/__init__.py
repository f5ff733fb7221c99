"""The command line: demo, count, doctor, methodology."""
