"""② Parse, check, deduplicate, store."""
