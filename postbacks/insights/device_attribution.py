"""The credit of an installation as its own app may know it, under Tenjin's names."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from postbacks.attribution.matching import PROBABILISTIC
from postbacks.models import Attribution, Install
from postbacks.values.attribution import ORGANIC
from postbacks.values.identifiers import device_key, device_spellings

FIRST_SESSION = timedelta(hours=1)  # later, the deep link would only surprise

_FACTS = {
    "ad_network": "partner_name",
    "campaign_name": "campaign_name",
    "site_id": "site_id",
    "creative_name": "creative_name",
}
_NETWORKS_CAMPAIGN = "campaign_id"  # as the network's click named it
_DEEP_LINK = "deep_link"


def attribution_of_installation(app_id: int, installation: str) -> Mapping[str, str] | None:
    """Return the credit of an installation of an app; None if it never opened the app.

    Only the installation's own id finds it: anybody may have the key inside an app.
    """
    install = _latest_install(app_id, installation) if installation else None
    if install is None:
        return None
    if install.attribution_type == ORGANIC:
        return {"ad_network": ORGANIC}
    facts = _facts(install)
    credit = {theirs: facts.get(ours) for theirs, ours in _FACTS.items()}
    if install.campaign is not None:
        credit["campaign_id"] = str(install.campaign.public_id)
    click = facts.get("click")
    click = click if isinstance(click, dict) else {}
    credit["remote_campaign_id"] = click.get(_NETWORKS_CAMPAIGN)
    credit["deferred_deeplink_url"] = _deep_link(install, click)
    return {name: str(value) for name, value in credit.items() if value}


def _latest_install(app_id: int, installation: str) -> Install | None:
    devices = device_spellings(device_key("install_id", installation))
    return (
        Install.objects.filter(app_id=app_id, device__in=devices)
        .select_related("campaign", "partner", "link")
        .order_by("-number")
        .first()
    )


def _facts(install: Install) -> Mapping[str, Any]:
    current = Attribution.objects.filter(install=install, version=install.attribution_version)
    facts: Mapping[str, Any] | None = current.values_list("facts", flat=True).first()
    return facts or {}


def _deep_link(install: Install, click: Mapping[str, Any]) -> str | None:
    """Return the deferred deep link, soon after the install and never by a probabilistic match.

    Such a match may be somebody else's click, whose link is private.
    """
    is_soon = datetime.now(UTC) - install.installed_at < FIRST_SESSION
    if not is_soon or install.method == PROBABILISTIC:
        return None
    deep_link = click.get(_DEEP_LINK) or (install.link.deep_link if install.link else "")
    return str(deep_link) or None
