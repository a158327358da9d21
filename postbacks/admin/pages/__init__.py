"""① Pages of no model: configuration, forgetting a device, and the fraud report."""
