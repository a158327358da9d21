"""Records Apple's copies: whose app they are of, whether they came before, and what they tell.

Nothing is answered before the commit. A copy of an app that nobody has is kept until somebody
claims it, at most 30 days.
"""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

from django.db import IntegrityError, transaction

from apps_registry.models import App, Campaign, ConversionMeaning, Partner
from apps_registry.tenancy import Lifecycle, tenant
from postbacks.infrastructure.database import prepared
from postbacks.intake.skadnetwork import announcing, unclaimed
from postbacks.intake.skadnetwork.copies import Copy
from postbacks.intake.skadnetwork.meaning import Meaning, MeaningRow, meaning_of
from postbacks.intake.skadnetwork.reading import read_body, read_copy
from postbacks.models import SkanPostback
from postbacks.values.uuid7 import uuid7

_OWNER = "SELECT organization_id, app_id FROM find_store_owner(%(number)s)"
_ENDINGS = (".skadnetwork", ".adattributionkit")


def record_copy(body: bytes, *, before_keeping: Callable[[], None] = lambda: None) -> None:
    """Record a copy durably; `before_keeping` may raise to refuse one of an app that nobody has.

    Raises BodyError (400, 413) for what is none, and Django's OperationalError when the database
    is away, in which case nothing was stored.
    """
    said = read_body(body)
    copy = read_copy(said)
    now = datetime.now(UTC)
    owner = find_owner(copy.store_id)
    if owner is None:
        before_keeping()
        unclaimed.keep(copy.store_id, body=body.decode(), received_at=now)
        return
    organization_id, app_id = owner
    with tenant(organization_id):
        store_copy(copy, app_id=app_id, body=body.decode(), received_at=now)


def find_owner(store_id: str) -> tuple[int, int] | None:
    """Return organization and app of a number in Apple's store, None if it is nobody's."""
    found = prepared.run(_OWNER, {"number": store_id}) if store_id else []
    return found[0][:2] if found else None


def store_copy(copy: Copy, *, app_id: int, body: str, received_at: datetime) -> SkanPostback:
    """Store a copy of the current organization's app, and announce it if it counts."""
    app = App.objects.get(pk=app_id)
    partner = _partner(copy.network_id)
    row = _row(copy, app, partner, _meaning(copy, app))
    row.body, row.received_at = body, received_at
    row.public_id = uuid7(received_at)
    _save(row)
    if row.counts:
        announcing.emit_system_event(row, partner=partner, campaign=_campaign(row, partner))
    return row


def _row(copy: Copy, app: App, partner: Partner | None, meaning: Meaning) -> SkanPostback:
    return SkanPostback(
        app=app,
        partner=partner,
        digest=_digest(copy),
        protocol=copy.protocol,
        version=copy.version,
        network_id=copy.network_id,
        transaction_id=copy.transaction_id,
        sequence=copy.sequence,
        signature_state=copy.signature_state.value,
        remark=copy.remark,
        campaign_id=copy.campaign_id,
        source_identifier=copy.source_identifier,
        source_app_id=copy.source_app_id,
        source_domain=copy.source_domain,
        conversion_type=copy.conversion_type,
        ad_type=copy.ad_type,
        redownload=copy.redownload,
        did_win=copy.did_win,
        conversion_value=copy.conversion_value,
        coarse_value=copy.coarse_value,
        country=copy.country,
        event_name=meaning.event_name,
        least_revenue=meaning.least_revenue,
        most_revenue=meaning.most_revenue,
        currency=meaning.currency,
        signature=copy.signature,
    )


def _save(row: SkanPostback) -> None:
    """Save a copy as the first of its transaction, or as the duplicate of the one that is."""
    if not _is_duplicate(row):
        try:
            with transaction.atomic():
                row.save()
        except IntegrityError:  # the first was being stored at this moment
            if not _is_duplicate(row):
                raise
        else:
            return
    row.save()


def _is_duplicate(row: SkanPostback) -> bool:
    first = SkanPostback.objects.filter(digest=row.digest, duplicate_of=None).first()
    row.duplicate_of = first.public_id if first else None
    return first is not None


def _digest(copy: Copy) -> UUID:
    """Return what copies of one transaction share; without a transaction each is its own."""
    if not copy.transaction_id:
        return uuid7(datetime.now(UTC))
    parts = (
        copy.protocol, copy.version, copy.network_id.lower(), copy.transaction_id.lower(),
        str(copy.sequence), copy.signature_state,
    )  # fmt: skip
    return UUID(bytes=hashlib.blake2b("\x00".join(parts).encode(), digest_size=16).digest())


def _partner(network_id: str) -> Partner | None:
    """Return the partner whom Apple calls so; both of its frameworks' endings mean the same."""
    name = network_id.lower()
    for ending in _ENDINGS:
        name = name.removesuffix(ending)
    if not name:
        return None
    names = [name, *(name + ending for ending in _ENDINGS)]
    partners = Partner.objects.filter(status=Lifecycle.ACTIVE, skadnetwork_ids__overlap=names)
    return partners.order_by("pk").first()


def _campaign(row: SkanPostback, partner: Partner | None) -> Campaign | None:
    """Return the campaign that has the network's number for it as its remote ID."""
    number = row.source_identifier or row.campaign_id
    if partner is None or not number:
        return None
    campaigns = Campaign.objects.filter(app=row.app, partner=partner, remote_campaign_id=number)
    return campaigns.order_by("status", "-pk").first()


def _meaning(copy: Copy, app: App) -> Meaning:
    rows = ConversionMeaning.objects.filter(app=app)
    return meaning_of(copy, [_line(row) for row in rows])


def _line(row: ConversionMeaning) -> MeaningRow:
    has_revenue = row.least_revenue is not None or row.most_revenue is not None
    meaning = Meaning(
        row.event_name, row.least_revenue, row.most_revenue, row.currency if has_revenue else ""
    )
    return MeaningRow(row.first_value, row.last_value, row.coarse_value, row.sequence, meaning)
