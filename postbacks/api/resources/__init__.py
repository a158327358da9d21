"""① The token API: one module for each resource."""
