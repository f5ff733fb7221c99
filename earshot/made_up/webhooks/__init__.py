"""A world of webhook endpoints, good and bad ones."""
