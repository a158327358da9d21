"""The answer to too many tries: 429, with the time after which it is worth another one."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

RETRY_AFTER_SECONDS = 300  # the longest window of ACCOUNT_RATE_LIMITS


def too_many_tries(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Answer 429 with a plain page."""
    answer = render(request, "429.html", status=429)
    answer["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return answer
