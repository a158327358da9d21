"""① The logs for people: events, postbacks, Apple's copies and the audit log."""
