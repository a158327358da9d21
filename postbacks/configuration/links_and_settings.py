"""Tracking links and attribution settings in a configuration document, both ways."""

from collections.abc import Iterable
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models

from apps_registry.models import App, AttributionSettings, Campaign, Partner, TrackingLink
from apps_registry.tenancy import Lifecycle
from postbacks.configuration.document import CreditPart, LinkName, LinkPart

_LINK_FIELDS = ("store_url", "fallback_url", "deep_link", "allowed_destinations", "parameters")
_OWNERS = ("app", "partner", "link")
SETTINGS = tuple(name for name in AttributionSettings.audited if name not in _OWNERS)


def link_parts() -> list[LinkPart]:
    """Return the active links of active campaigns, apps and partners."""
    rows = TrackingLink.objects.filter(_in_use("campaign__"), status=Lifecycle.ACTIVE)
    ordered = rows.select_related("campaign__app").order_by(
        "campaign__app__name", "campaign__name", "name"
    )
    return [
        LinkPart(
            name=link.name,
            app=link.campaign.app.name,
            campaign=link.campaign.name,
            **{name: getattr(link, name) for name in _LINK_FIELDS},
        )
        for link in ordered
    ]


def credit_parts() -> list[CreditPart]:
    """Return the settings of active apps, partners and links, the widest first."""
    rows = AttributionSettings.objects.select_related("app", "partner", "link__campaign__app")
    used = [row for row in rows if all(_is_used(getattr(row, name)) for name in _OWNERS)]
    return [_credit_part(row) for row in sorted(used, key=_sort_key)]


def find_link(part: LinkPart) -> tuple[TrackingLink, dict[str, Any]]:
    """Return the link of a part, and its values. Raises ValidationError."""
    campaign = _campaign(part.app, part.campaign)
    rows = TrackingLink.objects.filter(campaign=campaign, name=part.name, status=Lifecycle.ACTIVE)
    link = rows.first() or TrackingLink(campaign=campaign, name=part.name)
    return link, {name: getattr(part, name) for name in _LINK_FIELDS}


def find_settings(part: CreditPart) -> tuple[AttributionSettings, dict[str, Any]]:
    """Return the settings of a part, and their values. Raises ValidationError."""
    if unknown := part.settings.keys() - set(SETTINGS):
        raise ValidationError({"settings": f"There is no setting “{min(unknown)}”."})
    owners = {
        "app": find_active(App, part.app, "app"),
        "partner": find_active(Partner, part.partner, "partner"),
        "link": _link(part.link),
    }
    row = AttributionSettings.objects.filter(**owners).first() or AttributionSettings(**owners)
    unset = {name: "" if name == "reinstall_events" else None for name in SETTINGS}
    return row, {**unset, **part.settings}


def find_active(model: type[App] | type[Partner], name: object, role: str) -> Any:
    """Return the active row of a name, None without a name. Raises ValidationError."""
    if name is None:
        return None
    rows: models.Manager[Any] = model.objects
    row = rows.filter(name=str(name), status=Lifecycle.ACTIVE).first()
    if row is None:
        raise ValidationError({role: f"There is no {role} “{name}” here or in the document."})
    return row


def _credit_part(row: AttributionSettings) -> CreditPart:
    values = {name: getattr(row, name) for name in SETTINGS}
    link = row.link
    return CreditPart(
        app=row.app.name if row.app else None,
        partner=row.partner.name if row.partner else None,
        link=LinkName(link.name, link.campaign.app.name, link.campaign.name) if link else None,
        settings={name: value for name, value in values.items() if value not in (None, "")},
    )


def _sort_key(row: AttributionSettings) -> tuple[str, ...]:
    return tuple(str(getattr(row, name) or "") for name in reversed(_OWNERS))


def _is_used(row: App | Partner | TrackingLink | None) -> bool:
    if isinstance(row, TrackingLink):
        campaign = row.campaign
        return all(_is_active(part) for part in (row, campaign, campaign.app, campaign.partner))
    return row is None or _is_active(row)


def _is_active(row: Any) -> bool:
    return bool(row.status == Lifecycle.ACTIVE)


def _in_use(before: str) -> models.Q:
    parts: Iterable[str] = ("", "app__", "partner__")
    return models.Q(**{f"{before}{part}status": Lifecycle.ACTIVE for part in parts})


def _campaign(app: str, name: str) -> Campaign:
    rows = Campaign.objects.filter(_in_use(""), app__name=app, name=name)
    if (campaign := rows.first()) is None:
        detail = f"There is no campaign “{name}” of “{app}” here or in the document."
        raise ValidationError({"campaign": detail})
    return campaign


def _link(name: LinkName | None) -> TrackingLink | None:
    if name is None:
        return None
    campaign = _campaign(name.app, name.campaign)
    rows = TrackingLink.objects.filter(campaign=campaign, name=name.name, status=Lifecycle.ACTIVE)
    if (link := rows.first()) is None:
        detail = f"There is no link “{name.name}” here or in the document."
        raise ValidationError({"link": detail})
    return link
