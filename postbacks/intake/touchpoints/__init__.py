"""② Touchpoints: clicks, impressions and claims, each recorded once."""
