"""② Claims of self-attributing networks: Apple Ads and Meta."""
