"""Checks and saves alerts; the form, the API and the import of a configuration come here."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction

from apps_registry.models import Membership
from apps_registry.models.signing import ensure_signing_secret
from apps_registry.tenancy import current_organization
from postbacks.alerts import notices
from postbacks.alerts.kinds import SCOPES, KindOfAlert, LimitField, kind_of
from postbacks.delivery.http.destinations import Destinations, problem_with_url
from postbacks.infrastructure.database.jobs import take_turns
from postbacks.models import Alert, AlertIncident, AlertKind, AlertNotice, AlertTurn, ClearReason
from postbacks.models.alerts import MOST_ALERTS, MOST_EMAILS
from postbacks.rulebook.test_send import count_test
from postbacks.values.refusals import no_room

_WATCHED = ("kind", "app_id", "partner_id", "rule_id", "threshold", "minutes", "direction")
_REMEDY = "Delete one, or let one watch every rule or app."
_NOT_OF_KIND = "An alert of this kind has no such field; leave it out."


class TooManyAlertsError(Exception):
    """The organization has as many alerts as it may have; the message is a sentence."""


def member_addresses() -> list[str]:
    """Return the addresses of the current organization's members."""
    members = Membership.objects.filter(
        organization_id=current_organization() or 0, user__is_active=True
    )
    return list(members.order_by("user__email").values_list("user__email", flat=True))


def check_alert(alert: Alert) -> None:
    """Raise ValidationError with a sentence for each wrong field."""
    if alert.kind not in AlertKind.values:
        raise ValidationError({"kind": f"Choose one of {', '.join(AlertKind.values)}."})
    faults = dict(_faults(alert, kind_of(alert)))
    if faults:
        raise ValidationError(faults)


def save_alert(alert: Alert) -> None:
    """Save a checked alert. Raises TooManyAlertsError.

    What it found under another definition is over, and nobody is notified of it any more.
    """
    with transaction.atomic():
        take_turns("alert")
        before = Alert.objects.filter(pk=alert.pk).first() if alert.pk else None
        count = Alert.objects.count() if before is None else 0
        if refusal := no_room(count, MOST_ALERTS, "alerts", _REMEDY):
            raise TooManyAlertsError(refusal)
        if alert.webhook_url:
            ensure_signing_secret()
        alert.save()
        AlertTurn.objects.get_or_create(
            organization_id=alert.organization_id,
            defaults={"judged_at": datetime(2000, 1, 1, tzinfo=UTC)},
        )
        if before is not None and _watches_otherwise(before, alert):
            _begin_anew(alert)


def delete_alerts(alerts: Iterable[Alert]) -> None:
    """Delete alerts with their incidents and notices."""
    rows = Alert.objects.filter(pk__in=[alert.pk for alert in alerts])
    with transaction.atomic():
        # Locked before their incidents, as a worker that judges them does.
        list(rows.select_for_update().order_by("pk"))
        rows.delete()


def send_test(alert: Alert) -> list[AlertNotice]:
    """Have a worker send a test notice on each channel; return the notices, none without one.

    Raises TooManyTestsError: each asks a server or fills members' mailboxes.
    """
    count_test(alert.organization_id)
    return notices.queue_test(alert, now=datetime.now(UTC))


def _watches_otherwise(before: Alert, after: Alert) -> bool:
    return before.enabled != after.enabled or any(
        getattr(before, name) != getattr(after, name) for name in _WATCHED
    )


def _begin_anew(alert: Alert) -> None:
    now = datetime.now(UTC)
    AlertIncident.objects.filter(alert=alert, cleared_at=None).update(
        cleared_at=now, clear_reason=ClearReason.NOT_WATCHED
    )
    notices.drop_waiting(alert, now=now)


def _faults(alert: Alert, kind: KindOfAlert) -> Iterator[tuple[str, str]]:
    yield from _scope_faults(alert, kind)
    for name, limit in (("threshold", kind.threshold), ("minutes", kind.minutes)):
        if fault := _limit_fault(getattr(alert, name), limit):
            yield name, fault
    if (alert.quiet_from is None) != (alert.quiet_until is None):
        missing = "quiet_until" if alert.quiet_until is None else "quiet_from"
        yield missing, "Quiet hours have a beginning and an end; give both or none."
    elif alert.quiet_from is not None and alert.quiet_from == alert.quiet_until:
        yield "quiet_until", "Quiet hours end at another time than they begin."
    if fault := _email_fault(alert.emails):
        yield "emails", fault
    if alert.webhook_url and (fault := _url_fault(alert.webhook_url)):
        yield "webhook_url", fault


def _scope_faults(alert: Alert, kind: KindOfAlert) -> Iterator[tuple[str, str]]:
    chosen = [name for name in SCOPES if getattr(alert, f"{name}_id") is not None]
    for name in chosen:
        if name not in kind.scopes:
            yield name, _NOT_OF_KIND
    if len(chosen) > 1 and set(chosen) <= set(kind.scopes):
        yield chosen[-1], f"Choose either the {chosen[0]} or the {chosen[-1]}."


def _limit_fault(value: int | None, limit: LimitField | None) -> str:
    if limit is None:
        return _NOT_OF_KIND if value is not None else ""
    if limit.choices and value not in limit.choices:
        return f"Choose one of {', '.join(map(str, limit.choices))}."
    if value is None or not limit.least <= value <= limit.most:
        return f"Write a number from {limit.least:,} to {limit.most:,}."
    return ""


def _email_fault(emails: Sequence[str]) -> str:
    if len(emails) > MOST_EMAILS:
        return f"These are {len(emails):,} addresses; an alert mails at most {MOST_EMAILS}."
    strangers = sorted(set(emails) - set(member_addresses()))
    return f"{strangers[0]} is no member's address. Invite the person first." if strangers else ""


def _url_fault(url: str) -> str:
    if any(character.isspace() for character in url) or not url.isprintable():
        return "Write the address without blanks, for example https://hooks.example.com/postbacks."
    return problem_with_url(url, Destinations(settings.ALLOW_PRIVATE_DESTINATIONS)) or ""
