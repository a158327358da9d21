"""What an install is credited to, as it is stored, decided by and told to partners: plain data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

ORGANIC: Final = "organic"


@dataclass(frozen=True, slots=True)
class AttributionFacts:
    """This is what the install is credited to; `click` holds the link's parameters.

    `partner_id` is our number for whom macros call `partner`. `acquired_at` is set where the events
    after a reinstall are credited to an earlier install: when that was.
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
    """Return facts as they are stored: only what is known."""
    return {
        name: value
        for name in AttributionFacts.__slots__
        if (value := getattr(facts, name)) is not None and value != {}
    }
