"""Plain values that the stages share."""
