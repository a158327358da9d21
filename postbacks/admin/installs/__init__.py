"""① Installs for people: the list, touchpoints and timeline."""
