"""① Trials of a rule: dry runs and test sends."""
