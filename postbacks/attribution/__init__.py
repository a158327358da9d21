"""③ Which touchpoint earned the install."""
