"""① Sign-in for people: second factors, sessions, passwords and invitations."""
