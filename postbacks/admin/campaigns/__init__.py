"""① Campaigns for people: their figures and tracking links."""
