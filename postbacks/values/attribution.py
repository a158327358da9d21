"""The credit of an install as it is stored, decided by and sent to partners: plain data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

ORGANIC: Final = "organic"


@dataclass(frozen=True, slots=True)
class AttributionFacts:
    """The credit of an install. `click` holds the link's parameters.

    `partner_id` is our id of the partner whose public id is `partner`. `acquired_at` is set where
    events after a reinstall are credited to an earlier install: it is the time of that one.
    """

    type: str = ORGANIC
    method: str | None = None
    partner: str | None = None
    partner_id: int | None = None
    partner_name: str | None = None
    campaign_id: str | None = None
    campaign_name: str | None = None
    site_id: str | None = None
    click_id: str | None = None
    creative_name: str | None = None
    tracker_id: str | None = None
    tracker_name: str | None = None
    touched_at: datetime | None = None
    click: Mapping[str, str] = field(default_factory=dict)
    install_kind: str = "install"
    first_installed_at: datetime | None = None
    acquired_at: datetime | None = None
    reinstalled_at: datetime | None = None
    reattributed_at: datetime | None = None


NOT_CREDITED: Final = AttributionFacts()


def known_facts(facts: AttributionFacts) -> dict[str, object]:
    """Return facts as they are stored: without those that are None or empty."""
    return {
        name: value
        for name in AttributionFacts.__slots__
        if (value := getattr(facts, name)) is not None and value != {}
    }
