"""Change webhooks (UPDATES §5): what is sent, how it is signed, when it is tried again."""
