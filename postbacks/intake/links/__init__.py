"""② What a tracking link's address says, and where its click leads."""
