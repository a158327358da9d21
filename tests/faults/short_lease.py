"""The product's settings with half a lease, so that a test which kills waits half a minute for it.

The times nest as ever, and a request still has half the lease to be logged.
"""

from postbacks.settings import *  # noqa: F403  # all of them

HTTP_TOTAL_SECONDS = 7
LEASE_SECONDS = 32
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # as in conftest.py
