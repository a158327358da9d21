"""The simulated day: an organization, its devices and a partner, checked against ground truth."""
