"""The addresses of the logs with exactly the rows that a figure counts."""

from urllib.parse import urlencode

from django.urls import reverse

from postbacks.insights.overview.asked import AskedOverview


def within(scope: AskedOverview, *names: str) -> dict[str, str]:
    """Return the filters of a log that leave what the period counts, of those that it has."""
    values = {"since": scope.of.since.isoformat(), "until": scope.of.until.isoformat()}
    chosen = {choice.name: choice.chosen for choice in scope.filters if choice.name in names}
    return values | {name: value for name, value in chosen.items() if value}


def postbacks_url(scope: AskedOverview, status: str = "", **more: str) -> str:
    filters = {name: value for name, value in {"status": status, **more}.items() if value}
    return list_url(
        "postback", **filters, **within(scope, "app", "partner", "campaign", "rule"), test="no"
    )


def events_url(scope: AskedOverview) -> str:
    """Return the log with the events of a period; empty where it can't say who was credited."""
    return "" if scope.only.campaign else list_url("event", **within(scope, "app"))


def installs_url(scope: AskedOverview) -> str:
    return list_url("install", **within(scope, "app", "partner", "campaign"))


def list_url(model: str, **filters: str) -> str:
    """Return the address of the admin's list of a model, filtered."""
    query = f"?{urlencode(filters)}" if filters else ""
    return reverse(f"admin:postbacks_{model}_changelist") + query
