"""① For programs: the endpoints of SDKs, links and Apple, and the token API."""
