"""Self-hosted mobile-marketing callbacks."""

__version__ = "0.1.0"
