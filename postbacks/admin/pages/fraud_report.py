"""The fraud report: rejected installs, and sites whose clicks look invented."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from apps_registry.admin_base.permissions import allowed
from apps_registry.roles import Right
from postbacks.attribution.outliers import LEAST_INSTALLS, LEAST_PERCENT
from postbacks.insights import fraud_report
from postbacks.insights.periods import PERIODS, period_of


@require_safe
def fraud_page(request: HttpRequest) -> HttpResponse:
    """Show the report of a period, which the address names."""
    if not allowed(request, Right.READ):
        raise PermissionDenied
    zone = ZoneInfo(timezone.get_current_timezone_name())
    period = period_of(request.GET.get("period", ""), now=datetime.now(UTC), zone=zone)
    night, outliers = fraud_report.read_newest_outliers()
    context = {
        **admin.site.each_context(request),
        "title": "Fraud report",
        "period": period,
        "periods": [(key, label) for key, (_, label) in PERIODS.items()],
        "rejected": fraud_report.count_rejections(period),
        "night": night,
        "outliers": outliers,
        "least_installs": LEAST_INSTALLS,
        "least_percent": LEAST_PERCENT,
    }
    return TemplateResponse(request, "admin/fraud/report.html", context)
