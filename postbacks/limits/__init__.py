"""How often somebody may call: `limiter.limit(key, rate)` says whether, and when again if not."""
