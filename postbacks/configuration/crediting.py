"""Tracking links and attribution settings in a configuration document, both ways."""

from collections.abc import Iterable
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models

from apps_registry.models import App, AttributionSettings, Campaign, Partner, TrackingLink
from apps_registry.tenancy import Lifecycle
from postbacks.configuration.document import CreditPart, LinkName, LinkPart

_OF_LINKS = ("store_url", "fallback_url", "deep_link", "allowed_destinations", "parameters")
_OWNERS = ("app", "partner", "link")
SETTINGS = tuple(name for name in AttributionSettings.audited if name not in _OWNERS)


def link_parts() -> list[LinkPart]:
    """Return the links that are in use, with all that they hang on."""
    rows = TrackingLink.objects.filter(_in_use("campaign__"), status=Lifecycle.ACTIVE)
    ordered = rows.select_related("campaign__app").order_by(
        "campaign__app__name", "campaign__name", "name"
    )
    return [
        LinkPart(
            name=link.name,
            app=link.campaign.app.name,
            campaign=link.campaign.name,
            **{name: getattr(link, name) for name in _OF_LINKS},
        )
        for link in ordered
    ]


def credit_parts() -> list[CreditPart]:
    """Return the settings of everybody who is in use, the widest first."""
    rows = AttributionSettings.objects.select_related("app", "partner", "link__campaign__app")
    used = [row for row in rows if all(_is_used(getattr(row, name)) for name in _OWNERS)]
    return [_credit_part(row) for row in sorted(used, key=_place)]


def find_link(part: LinkPart) -> tuple[TrackingLink, dict[str, Any]]:
    """Return the link that a part is about, and what it says of it. Raises ValidationError."""
    campaign = _campaign(part.app, part.campaign)
    rows = TrackingLink.objects.filter(campaign=campaign, name=part.name, status=Lifecycle.ACTIVE)
    link = rows.first() or TrackingLink(campaign=campaign, name=part.name)
    return link, {name: getattr(part, name) for name in _OF_LINKS}


def find_settings(part: CreditPart) -> tuple[AttributionSettings, dict[str, Any]]:
    """Return the settings that a part is about, and what it says. Raises ValidationError."""
    if unknown := part.settings.keys() - set(SETTINGS):
        raise ValidationError({"settings": f"There is no setting “{min(unknown)}”."})
    whose = {
        "app": _named(App, part.app, "app"),
        "partner": _named(Partner, part.partner, "partner"),
        "link": _link(part.link),
    }
    row = AttributionSettings.objects.filter(**whose).first() or AttributionSettings(**whose)
    nothing = {name: "" if name == "reinstall_events" else None for name in SETTINGS}
    return row, {**nothing, **part.settings}


def _credit_part(row: AttributionSettings) -> CreditPart:
    values = {name: getattr(row, name) for name in SETTINGS}
    link = row.link
    return CreditPart(
        app=row.app.name if row.app else None,
        partner=row.partner.name if row.partner else None,
        link=LinkName(link.name, link.campaign.app.name, link.campaign.name) if link else None,
        settings={name: value for name, value in values.items() if value not in (None, "")},
    )


def _place(row: AttributionSettings) -> tuple[str, ...]:
    return tuple(str(getattr(row, name) or "") for name in reversed(_OWNERS))


def _is_used(row: App | Partner | TrackingLink | None) -> bool:
    if isinstance(row, TrackingLink):
        campaign = row.campaign
        return all(_is_active(it) for it in (row, campaign, campaign.app, campaign.partner))
    return row is None or _is_active(row)


def _is_active(row: Any) -> bool:
    return bool(row.status == Lifecycle.ACTIVE)


def _in_use(before: str) -> models.Q:
    parts: Iterable[str] = ("", "app__", "partner__")
    return models.Q(**{f"{before}{part}status": Lifecycle.ACTIVE for part in parts})


def _campaign(app: str, name: str) -> Campaign:
    rows = Campaign.objects.filter(_in_use(""), app__name=app, name=name)
    if (campaign := rows.first()) is None:
        words = f"There is no campaign “{name}” of “{app}” here or in the document."
        raise ValidationError({"campaign": words})
    return campaign


def _link(wanted: LinkName | None) -> TrackingLink | None:
    if wanted is None:
        return None
    campaign = _campaign(wanted.app, wanted.campaign)
    rows = TrackingLink.objects.filter(campaign=campaign, name=wanted.name, status=Lifecycle.ACTIVE)
    if (link := rows.first()) is None:
        words = f"There is no link “{wanted.name}” here or in the document."
        raise ValidationError({"link": words})
    return link


def _named(model: type[App] | type[Partner], name: str | None, role: str) -> Any:
    if name is None:
        return None
    rows: models.Manager[Any] = model.objects
    row = rows.filter(name=name, status=Lifecycle.ACTIVE).first()
    if row is None:
        raise ValidationError({role: f"There is no {role} “{name}” here or in the document."})
    return row
