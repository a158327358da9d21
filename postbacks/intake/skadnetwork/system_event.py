"""The system event of a copy that counts: rules send postbacks for it like for any event."""

from collections.abc import Mapping
from decimal import Decimal
from uuid import UUID, uuid5

from apps_registry.models import Campaign, Partner
from apps_registry.models.apps import Platform
from postbacks.intake.skadnetwork import apple_values
from postbacks.intake.skadnetwork.copies import AdType
from postbacks.models import SkanPostback, SkanProtocol
from postbacks.models.system_events import NewSystemEvent, add_system_events
from postbacks.values.touchpoints import CLICK, IMPRESSION

EVENT_NAME = "skan_postback"

_FIDELITIES: Mapping[str, int] = {AdType.VIEW: 0, AdType.CLICK: 1}
_NAMESPACE = UUID("5d2f0c5e-8e0b-5c5e-9d4a-2b8f3f0c6a11")


def emit_system_event(
    row: SkanPostback, *, partner: Partner | None, campaign: Campaign | None
) -> None:
    """Store the event of a copy in the current transaction, to be decided."""
    fields = {name: value for name, value in _macro_values(row).items() if value not in (None, "")}
    event = NewSystemEvent(
        organization_id=row.organization_id,
        app_id=row.app_id,
        event_id=event_id_of(row),
        event_name=EVENT_NAME,
        event_time=row.received_at,
        platform=Platform.IOS,
        fields={**fields, "attribution": _attribution(row, partner, campaign)},
    )
    add_system_events([event])


def event_id_of(row: SkanPostback) -> UUID:
    return uuid5(_NAMESPACE, str(row.public_id))


def _macro_values(row: SkanPostback) -> dict[str, object]:
    return {
        "skan_protocol": row.protocol,
        "skan_version": row.version,
        "skan_network_id": row.network_id,
        "skan_campaign_id": apple_values.integer(row.campaign_id, maximum=100),
        "skan_source_identifier": row.source_identifier,
        "skan_transaction_id": row.transaction_id,
        "skan_sequence": row.sequence,
        "skan_did_win": row.did_win,
        "skan_redownload": row.redownload,
        "skan_conversion_type": row.conversion_type,
        "skan_ad_type": row.ad_type,
        "skan_fidelity": _fidelity(row),
        "skan_source_app_id": row.source_app_id,
        "skan_source_domain": row.source_domain,
        "skan_conversion_value": row.conversion_value,
        "skan_coarse_value": row.coarse_value,
        "skan_event": row.event_name,
        "skan_least_revenue": _amount(row.least_revenue),
        "skan_most_revenue": _amount(row.most_revenue),
        "skan_currency": row.currency,
        "skan_signature": row.signature,
        "skan_signature_state": row.signature_state,
        "skan_payload": row.body,
        "country": row.country,
    }


def _amount(amount: Decimal | None) -> Decimal | None:
    return None if amount is None else Decimal(f"{amount.normalize():f}")  # no zeros of the column


def _fidelity(row: SkanPostback) -> int | None:
    if row.protocol != SkanProtocol.SKADNETWORK:
        return None
    return _FIDELITIES.get(row.ad_type)


def _attribution(
    row: SkanPostback, partner: Partner | None, campaign: Campaign | None
) -> dict[str, object]:
    """Return the credit that Apple gives, in the form of an install's."""
    credit: dict[str, object] = {
        "type": IMPRESSION if row.ad_type == AdType.VIEW else CLICK,
        "method": row.protocol,
        "partner_name": row.network_id,
    }
    if partner is not None:
        credit |= {
            "partner": str(partner.public_id),
            "partner_id": partner.pk,
            "partner_name": partner.name,
        }
    if campaign is not None:
        credit |= {
            "campaign_id": campaign.remote_campaign_id or str(campaign.public_id),
            "campaign_name": campaign.name,
        }
    return credit
