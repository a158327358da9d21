"""The retry schedule that models, forms and the sender share."""

# Seconds before each new try, about 73 hours in all. Early steps because ad platforms optimize on
# fresh conversions; the tail outlives a partner's bad weekend.
DEFAULT_DELAYS = (5, 30, 120, 600, 1800, 3600, 7200, 18000, 36000, 50400, 72000, 72000)
