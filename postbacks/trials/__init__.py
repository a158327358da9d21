"""Tries a rule before it goes live: one real request, or what it would have sent until now."""
