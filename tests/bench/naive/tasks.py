"""What the reference's workers do."""

import time

import requests
from django.conf import settings

from tests.bench.naive.models import Attempt, Postback

_client = requests.Session() if settings.TUNED else requests


def send(postback_id: int) -> None:
    """Send one postback and log the attempt."""
    postback = Postback.objects.get(pk=postback_id)
    started = time.monotonic()
    attempt = Attempt(postback=postback)
    try:
        answer = _client.get(postback.url, timeout=15)
        attempt.status_code, attempt.response = answer.status_code, answer.text[:2000]
        postback.status = "delivered" if answer.ok else "failed"
    except requests.RequestException as error:
        attempt.error = str(error)
        postback.status = "failed"
    attempt.duration_ms = round((time.monotonic() - started) * 1000)
    attempt.save()
    postback.attempts_made += 1
    postback.save(update_fields=["status", "attempts_made"])
