"""What the pages of an app and of a partner show before their set-up fields.

Each page takes a constant number of statements, and each of these reads a bounded number of rows.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Count, Q
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString

from apps_registry.admin_base.permissions import allowed, membership_of
from apps_registry.admin_base.theme import Tone
from apps_registry.models import (
    App,
    AttributionSettings,
    Campaign,
    Partner,
    PartnerCredential,
    Platform,
    SdkKey,
)
from apps_registry.roles import Right
from apps_registry.tenancy import Lifecycle
from postbacks.admin.alerts.views import open_incidents
from postbacks.admin.hub_figures import HubFigure, hub_figures
from postbacks.admin.pages.live import live_panel, rows_html
from postbacks.admin.rules.expensive import expensive_rules
from postbacks.callbacks.partner_templates import template_named
from postbacks.callbacks.partner_templates.missing import missing_credentials
from postbacks.insights import wording
from postbacks.insights.live import LiveKind, LiveSearch, newest_answers, rings
from postbacks.insights.logs import refusal_counts
from postbacks.insights.overview.log_links import list_url
from postbacks.insights.recent_events import RecentEvent, recent_events
from postbacks.models import CallbackRule, RuleStatus
from postbacks.models.refused_events import DAYS_KEPT
from postbacks.rulebook.breakers import breakers_of_partners
from postbacks.values.events import ANY_EVENT

TAB, SET_UP_TAB = "tab", "setup"
_MOST_LISTED = 100  # rules; of keys and campaigns a page lists fewer
_MOST_BESIDE = 20
_SHOWN_LIVE = 10
_QUIET_AFTER = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class HubRule:
    """A rule in a hub; `events` are those that trigger it, in words."""

    rule: CallbackRule
    events: str


@dataclass(frozen=True, slots=True)
class EventRules:
    """The rules of one event of an app."""

    event: str
    rules: tuple[CallbackRule, ...]


@dataclass(frozen=True, slots=True)
class EventsLight:
    """Whether events of an app arrive, in a word with its color and a sentence."""

    tone: Tone
    text: str
    last: RecentEvent | None = None
    last_ago: str = ""


@dataclass(frozen=True, slots=True)
class Refusals:
    """What of an app was refused in the days that are kept, and the commonest reason in words."""

    count: str
    days: int
    most_often: str
    field: str  # as the caller wrote it
    url: str


def app_hub(request: HttpRequest, app: App) -> dict[str, object]:
    """Return the context of an app's hub."""
    of_app = Q(app=None) | Q(app=app)
    rules = _rules(of_app)
    last = next(iter(recent_events(app_id=app.pk)), None)
    keys = list(
        SdkKey.objects.filter(
            Q(expires_at=None) | Q(expires_at__gt=timezone.now()), app=app, revoked_at=None
        ).order_by("-pk")[:_MOST_BESIDE]
    )
    filters = {"app": app.pk}
    hub = {
        **_common(request, Q(app=app)),
        "alerts": open_incidents(app_ref=app.pk),
        "expensive_rules": expensive_rules(request, of_app),
        "light": _light(last, keys),
        "refusals": _refusals(app),
        "figures": _figures(request, app),
        "rules_by_event": _by_event(rules),
        "keys": keys,
        "own_attribution": AttributionSettings.objects.filter(app=app).first(),
        "is_ios": app.platform == Platform.IOS,
        "panel": live_panel(filters, after=datetime.now(UTC).timestamp()),
        "rows": _live_rows(request, LiveSearch(app_id=app.pk)),
    }
    return {"hub": hub}


def partner_hub(request: HttpRequest, partner: Partner) -> dict[str, object]:
    """Return the context of a partner's hub."""
    rules = _rules(Q(partner=partner))
    credentials = list(PartnerCredential.objects.filter(partner=partner).order_by("name"))
    panel_filters = {"partner": partner.pk, "kind": LiveKind.POSTBACK.value}
    keys = [rule.pk for rule in rules]
    answers = newest_answers(keys, most=_SHOWN_LIVE) if keys else []
    hub = {
        **_common(request, Q(partner=partner)),
        "alerts": open_incidents(partner_ref=partner.pk),
        "expensive_rules": expensive_rules(request, Q(partner=partner)),
        "breakers": breakers_of_partners([partner]).get(partner.pk, []),
        "missing": tuple(_missing(partner, rules, [each.name for each in credentials])),
        "figures": _figures(request, partner),
        "rules": [HubRule(rule, ", ".join(map(_event_words, rule.triggers))) for rule in rules],
        "credentials": credentials,
        "panel": live_panel(panel_filters, after=datetime.now(UTC).timestamp()),
        "rows_live": rows_html(answers, _zone(request)),
    }
    return {"hub": hub}


def _common(request: HttpRequest, of_campaigns: Q) -> dict[str, Any]:
    campaigns = (
        Campaign.objects.filter(of_campaigns, status=Lifecycle.ACTIVE)
        .select_related("app", "partner")
        .annotate(links=Count("tracking_links", filter=Q(tracking_links__status=Lifecycle.ACTIVE)))
        .order_by("name", "pk")
    )
    return {
        "is_setup": request.method == "POST" or request.GET.get(TAB) == SET_UP_TAB,
        "campaigns": list(campaigns[:_MOST_BESIDE]),
        "may_set_up": allowed(request, Right.SET_UP),
        "may_manage": allowed(request, Right.MANAGE),
        "zone": _zone(request).key,
    }


def _rules(of: Q) -> list[CallbackRule]:
    rules = CallbackRule.objects.filter(of).exclude(status=RuleStatus.ARCHIVED)
    return list(rules.select_related("partner", "app").order_by("name", "pk")[:_MOST_LISTED])


def _by_event(rules: Sequence[CallbackRule]) -> list[EventRules]:
    """Return the rules under each event that triggers them, those for any event first."""
    names = {name for rule in rules for name in rule.triggers}
    ordered = sorted(names, key=lambda name: (name != ANY_EVENT, name))
    return [
        EventRules(_event_words(name), tuple(rule for rule in rules if name in rule.triggers))
        for name in ordered
    ]


def _event_words(name: str) -> str:
    return "any event" if name == ANY_EVENT else name


def _light(last: RecentEvent | None, keys: Sequence[SdkKey]) -> EventsLight:
    now = timezone.now()
    if last is not None:
        is_fresh = now - last.received_at < _QUIET_AFTER
        text = "Events arrive" if is_fresh else "Quiet"
        ago = wording.ago(last.received_at, now)
        return EventsLight(Tone.GOOD if is_fresh else Tone.BUSY, text, last, ago)
    used = max((key.last_used_at for key in keys if key.last_used_at), default=None)
    if used is not None:
        # Of a busy organization's newest events none may be this app's.
        return EventsLight(Tone.BUSY, f"Quiet: a key was last used {wording.ago(used, now)}")
    return EventsLight(Tone.STILL, "No event has arrived yet")


def _refusals(app: App) -> Refusals | None:
    counts = refusal_counts(app.pk)
    if not counts:
        return None
    most = counts[0]
    return Refusals(
        wording.number(sum(each.refused for each in counts)),
        DAYS_KEPT,
        wording.lower_first(most.label),
        most.pointer,
        list_url("refusedevent", app=str(app.pk)),
    )


def _figures(request: HttpRequest, row: App | Partner) -> list[HubFigure]:
    membership = membership_of(request)
    if membership is None:
        return []
    return hub_figures(row, currency=membership.organization.currency, zone=_zone(request))


def _missing(
    partner: Partner, rules: Sequence[CallbackRule], credentials: Sequence[str]
) -> Iterable[str]:
    """Yield what a partner lacks before it is told anything, in sentences."""
    template = template_named(partner.template) if partner.template else None
    for credential in missing_credentials(template, credentials) if template else ():
        yield f"The credential “{credential.label}” is not set. {credential.help}"
    if credentials and not partner.allowed_hosts:
        yield "No host may receive its credentials yet: an owner names the allowed hosts in Set-up."
    if not rules:
        yield "No callback rule tells this partner anything yet."
    elif not any(rule.status == RuleStatus.ACTIVE for rule in rules):
        yield "None of its callback rules is switched on."
    for rule in rules:
        if rule.status == RuleStatus.SUSPENDED:
            yield f"The rule “{rule}” is suspended: its page says why, and what waits."


def _live_rows(request: HttpRequest, search: LiveSearch) -> SafeString:
    membership = membership_of(request)
    if membership is None:
        return SafeString()
    stream = rings.stream_of(membership.organization_id, waits=True)
    return rows_html(stream.newer(search, than=0, most=_SHOWN_LIVE), _zone(request))


def _zone(request: HttpRequest) -> ZoneInfo:
    membership = membership_of(request)
    return ZoneInfo(membership.organization.time_zone if membership else "UTC")
