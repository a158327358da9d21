"""An organization's whole configuration as one JSON document, without a secret in it."""
