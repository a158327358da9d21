"""The operator's probes: is the process alive, and is everything there that work needs?"""

from dataclasses import asdict

from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from postbacks.insights.health import CHECKS, run_check
from postbacks.web.middleware import own_transactions


@own_transactions
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """Answer that the process is alive, whatever the database does."""
    return JsonResponse({"status": "alive"})


@own_transactions
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Answer 200 if everything is there that work needs, else 503; each check adds its sentence."""
    checks = {name: run_check(check) for name, check in CHECKS.items()}
    ready = all(check.ok for check in checks.values())
    return JsonResponse(
        {
            "status": "ready" if ready else "not ready",
            "checks": {name: asdict(check) for name, check in checks.items()},
        },
        status=200 if ready else 503,
    )
