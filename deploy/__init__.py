"""What stands beside Earshot where it is run."""
