"""Forgetting devices, shortening addresses, and retention."""
