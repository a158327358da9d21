"""Errors as RFC 9457 `application/problem+json`, the same from every door and before any."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import msgspec
from django.http import HttpResponse

CONTENT_TYPE: Final = "application/problem+json"
RETRY_AFTER_SECONDS: Final = "5"


def problem(
    code: int,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    members: Mapping[str, object] | None = None,
) -> HttpResponse:
    """Return a problem document; `members` extend it."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(code).phrase,
        "status": code,
        "detail": detail,
        **(members or {}),
    }
    return HttpResponse(
        msgspec.json.encode(body), status=code, content_type=CONTENT_TYPE, headers=headers
    )


def unavailable(detail: str) -> HttpResponse:
    """Return the 503 that says when to come back."""
    return problem(503, detail, headers={"Retry-After": RETRY_AFTER_SECONDS})
