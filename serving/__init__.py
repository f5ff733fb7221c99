"""What goes out: published marts."""
