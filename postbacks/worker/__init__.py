"""The tasks of django-q2 and the supervisor of their cluster."""
