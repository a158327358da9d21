"""① Pages of the operator: organizations and the store ids that they claim."""
