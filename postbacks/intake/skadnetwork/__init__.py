"""② Apple's copies of the postbacks that it sends to ad networks: read, verify, store."""
