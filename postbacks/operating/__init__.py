"""The operator's pages: how the installation is, and the way into an organization."""
