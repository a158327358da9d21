"""② Events: a request's body to checked rows, and the queue of undecided events."""
