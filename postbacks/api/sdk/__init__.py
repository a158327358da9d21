"""① What SDKs, tracking links and Apple call."""
