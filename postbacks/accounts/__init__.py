"""The door for people: sign-in, second factors, sessions, passwords and invitations."""
