"""Alerts in a configuration document, both ways. Whom they mail is no part of it."""

from datetime import time
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models

from apps_registry.models import App, Partner
from apps_registry.tenancy import Lifecycle
from postbacks.alerts.kinds import SCOPES
from postbacks.configuration.document import AlertPart
from postbacks.configuration.links_and_settings import find_active
from postbacks.models import Alert, CallbackRule, RuleStatus

_PLAIN = ("kind", "threshold", "minutes", "direction", "enabled")


def alert_parts(*, with_callbacks: bool) -> list[AlertPart]:
    """Return the alerts that watch nothing archived, with or without their callback URLs."""
    archived = models.Q(rule__status=RuleStatus.ARCHIVED)
    for name in ("app", "partner"):
        archived |= models.Q(**{f"{name}__status": Lifecycle.ARCHIVED})
    rows = Alert.objects.select_related(*SCOPES).exclude(archived).order_by("name")
    return [
        AlertPart(
            name=alert.name,
            webhook_url=alert.webhook_url if with_callbacks else None,
            quiet_from=_written(alert.quiet_from),
            quiet_until=_written(alert.quiet_until),
            **{name: getattr(alert, name) for name in _PLAIN},
            **{scope: row.name for scope in SCOPES if (row := getattr(alert, scope))},
        )
        for alert in rows
    ]


def find_alert(part: AlertPart) -> tuple[Alert, dict[str, Any]]:
    """Return the alert of a part, and its values. Raises ValidationError."""
    alert = Alert.objects.filter(name=part.name).first() or Alert(name=part.name)
    return alert, {
        **{name: getattr(part, name) for name in _PLAIN},
        **({} if part.webhook_url is None else {"webhook_url": part.webhook_url}),
        "app": find_active(App, part.app, "app"),
        "partner": find_active(Partner, part.partner, "partner"),
        "rule": _rule(part.rule),
        "quiet_from": _clock(part.quiet_from, "quiet_from"),
        "quiet_until": _clock(part.quiet_until, "quiet_until"),
    }


def _rule(name: str | None) -> CallbackRule | None:
    if name is None:
        return None
    rows = CallbackRule.objects.exclude(status=RuleStatus.ARCHIVED)
    rule: CallbackRule | None = rows.filter(name=name).first()
    if rule is None:
        raise ValidationError({"rule": f"There is no rule “{name}” here or in the document."})
    return rule


def _written(clock: time | None) -> str | None:
    return f"{clock:%H:%M}" if clock else None


def _clock(text: str | None, field: str) -> time | None:
    try:
        return None if text is None else time.fromisoformat(text).replace(tzinfo=None)
    except ValueError:
        raise ValidationError({field: f"“{text}” is not a time such as 22:00."}) from None
