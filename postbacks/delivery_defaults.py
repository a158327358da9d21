"""Delivery's figures that models, forms and the sender share."""

# Contract, section 7: seconds before each new try, about 73 hours in all.
DEFAULT_DELAYS = (5, 30, 120, 600, 1800, 3600, 7200, 18000, 36000, 50400, 72000, 72000)
