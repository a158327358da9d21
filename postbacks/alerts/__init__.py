"""Watches what an organization's alerts are about, and tells people and programs of each change."""
