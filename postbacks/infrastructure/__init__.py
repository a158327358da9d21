"""Below the product: the database, rate limits, caches and the environment."""
