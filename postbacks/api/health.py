"""The operator's probes: is it alive, is everything there that work needs, and its metrics."""

from dataclasses import asdict
from secrets import compare_digest

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from apps_registry.addresses import parse_address
from apps_registry.client_address import client_address
from postbacks.infrastructure.database.stalls import not_for_ever
from postbacks.insights.health import run_checks
from postbacks.insights.metrics import exposition
from postbacks.web.middleware import own_transactions
from postbacks.web.problem_documents import problem

_OF_PROXIES = ("HTTP_X_FORWARDED_FOR", "HTTP_X_REAL_IP", "HTTP_FORWARDED", "HTTP_VIA")


@own_transactions
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """Answer that the process is alive, whatever the database does."""
    return JsonResponse({"status": "alive"})


@own_transactions
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Answer 200 if everything is there that work needs, else 503; each check adds its sentence."""
    with not_for_ever():
        checks = run_checks()
    ready = all(check.ok for check in checks.values())
    return JsonResponse(
        {
            "status": "ready" if ready else "not ready",
            "checks": {name: asdict(check) for name, check in checks.items()},
        },
        status=200 if ready else 503,
    )


@own_transactions
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Answer Prometheus: by METRICS_TOKEN; without one only callers on this machine."""
    if settings.METRICS_TOKEN:
        if not _has_token(request):
            refusal = problem(401, "Send METRICS_TOKEN as Authorization: Bearer <token>.")
            refusal["WWW-Authenticate"] = 'Bearer realm="metrics"'
            return refusal
    elif not _is_from_loopback(request):
        return problem(
            403, "Metrics are for this machine alone; set METRICS_TOKEN to read them from others."
        )
    with not_for_ever():
        text = exposition()
    return HttpResponse(
        text,
        content_type="text/plain; version=0.0.4; charset=utf-8",
        headers={"Cache-Control": "no-store"},
    )


def _has_token(request: HttpRequest) -> bool:
    scheme, _, token = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    expected = settings.METRICS_TOKEN.encode()
    return compare_digest(token.strip().encode(), expected) and scheme.lower() == "bearer"


def _is_from_loopback(request: HttpRequest) -> bool:
    """Tell whether the peer and, behind trusted proxies, the caller are this machine.

    A proxy on this machine that is not declared as one would let everybody in.
    """
    if not settings.TRUSTED_PROXY_COUNT and any(name in request.META for name in _OF_PROXIES):
        return False
    addresses = [
        parse_address(text or "")
        for text in (request.META.get("REMOTE_ADDR"), client_address(request))
    ]
    return all(address is not None and address.is_loopback for address in addresses)
