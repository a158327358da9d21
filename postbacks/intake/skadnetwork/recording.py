"""② Records Apple's copies for the app that owns their store id, each transaction counted once.

Nothing is answered before the commit. A copy whose app nobody has claimed, or whose claim nothing
proves yet, is kept for at most 30 days; workers hand it over once somebody has proven a claim.
"""

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import msgspec
from django.db import IntegrityError, transaction

from apps_registry.models import App, Campaign, ConversionMeaning, Partner
from apps_registry.tenancy import Lifecycle, tenant
from postbacks.infrastructure.database import prepared
from postbacks.infrastructure.database.outages import is_outage
from postbacks.intake.events.body import BodyError, without_mark
from postbacks.intake.skadnetwork import system_event, unclaimed
from postbacks.intake.skadnetwork.aak import read_aak
from postbacks.intake.skadnetwork.copies import Copy
from postbacks.intake.skadnetwork.skan import read_skan
from postbacks.models import SkanPostback
from postbacks.values.uuid7 import uuid7

logger = logging.getLogger(__name__)

MAX_BYTES = 16 * 1024  # a real copy has less than 2 KB
_OWNER = "SELECT organization_id, app_id FROM find_store_owner(%(number)s)"
_PROVEN_OWNER = "SELECT organization_id, app_id FROM find_proven_owner(%(number)s)"
_ENDINGS = (".skadnetwork", ".adattributionkit")

_decoder = msgspec.json.Decoder(float_hook=Decimal)


@dataclass(frozen=True, slots=True)
class Meaning:
    """The meaning of a conversion value: an event, and the range of its revenue."""

    event_name: str = ""
    least_revenue: Decimal | None = None
    most_revenue: Decimal | None = None
    currency: str = ""


def record_copy(body: bytes, *, before_keeping: Callable[[], None] = lambda: None) -> None:
    """Record a copy durably; `before_keeping` may raise to refuse a copy of an unclaimed app.

    Raises BodyError (400, 413) for a malformed body, and Django's OperationalError when the
    database is away; in both cases nothing was stored.
    """
    copy = read_copy(read_body(body))
    now = datetime.now(UTC)
    owner = _find_proven_owner(copy.store_id)
    if owner is None:
        before_keeping()
        unclaimed.keep_copy(copy.store_id, body=body.decode(), received_at=now)
        return
    organization_id, app_id = owner
    with tenant(organization_id):
        store_copy(copy, app_id=app_id, body=body.decode(), received_at=now)


def hand_over_copies(limit: int = 200) -> int:
    """Hand a batch of kept copies to the owners of their apps; return how many.

    Each is a transaction of its own.
    """
    unclaimed.prove_claims()
    return sum(_hand_over(copy_id) for copy_id in unclaimed.find_claimed(limit))


def find_store_owner(store_id: str) -> tuple[int, int] | None:
    """Return organization and app of a number in Apple's store; None if nobody has claimed it."""
    rows = prepared.run(_OWNER, {"number": store_id}) if store_id else []
    return rows[0] if rows else None


def _find_proven_owner(store_id: str) -> tuple[int, int] | None:
    """Return what `find_store_owner` does, once something proves the claim."""
    rows = prepared.run(_PROVEN_OWNER, {"number": store_id}) if store_id else []
    if rows:
        return rows[0]
    owner = find_store_owner(store_id)
    if owner is None:
        return None
    with tenant(owner[0]):
        return owner if unclaimed.prove_claims(store_id) else None


def read_body(body: bytes) -> Mapping[str, object]:
    """Return the JSON object in a body. Raises BodyError (400, 413)."""
    if len(body) > MAX_BYTES:
        raise BodyError(413, "The copy is larger than 16 KB.")
    try:
        body.decode()
        decoded = _decoder.decode(without_mark(body))
    except (msgspec.DecodeError, ValueError, ArithmeticError, RecursionError):
        raise BodyError(400, "The body is not valid JSON.") from None
    if not isinstance(decoded, dict):
        raise BodyError(400, "The body is not a JSON object.")
    return decoded


def read_copy(content: Mapping[str, object]) -> Copy:
    """Return the copy in a body's object, from either framework."""
    return read_aak(content) if "jws-string" in content else read_skan(content)


def store_copy(copy: Copy, *, app_id: int, body: str, received_at: datetime) -> SkanPostback:
    """Store a copy of the current organization's app; if it counts, with a system event."""
    app = App.objects.get(pk=app_id)
    partner = _partner(copy.network_id)
    row = _row(copy, app, partner, _meaning(copy, app))
    row.body, row.received_at = body, received_at
    row.public_id = uuid7(received_at)
    _save(row)
    if row.counts:
        system_event.emit_system_event(row, partner=partner, campaign=_campaign(row, partner))
    return row


def _hand_over(copy_id: int) -> bool:
    try:
        with transaction.atomic():
            return _take_and_store(copy_id)
    except Exception as error:
        if is_outage(error):
            raise  # the database's trouble, not a copy's
        logger.exception("The kept copy %d could not be handed over", copy_id)
        return False


def _take_and_store(copy_id: int) -> bool:
    content = unclaimed.take_copy(copy_id)
    if content is None:  # another worker was quicker
        return False
    received_at, body = content
    copy = read_copy(read_body(body.encode()))
    owner = _find_proven_owner(copy.store_id)
    if owner is None:  # the claim ended at this very moment
        unclaimed.keep_copy(copy.store_id, body=body, received_at=received_at)
        return False
    organization_id, app_id = owner
    with tenant(organization_id):
        store_copy(copy, app_id=app_id, body=body, received_at=received_at)
    return True


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
    """Save a copy as the first of its transaction, or as a duplicate of the first."""
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
    """Return the digest that copies of one transaction share; without a transaction a new one."""
    if not copy.transaction_id:
        return uuid7(datetime.now(UTC))
    parts = (
        copy.protocol,
        copy.version,
        copy.network_id.lower(),
        copy.transaction_id.lower(),
        str(copy.sequence),
        copy.signature_state,
    )
    return UUID(bytes=hashlib.blake2b("\x00".join(parts).encode(), digest_size=16).digest())


def _partner(network_id: str) -> Partner | None:
    """Return the partner with Apple's id of a network, under either framework's ending."""
    name = network_id.lower()
    for ending in _ENDINGS:
        name = name.removesuffix(ending)
    if not name:
        return None
    names = [name, *(name + ending for ending in _ENDINGS)]
    partners = Partner.objects.filter(status=Lifecycle.ACTIVE, skadnetwork_ids__overlap=names)
    return partners.order_by("pk").first()


def _campaign(row: SkanPostback, partner: Partner | None) -> Campaign | None:
    """Return the partner's campaign whose remote ID is the network's number in the copy."""
    number = row.source_identifier or row.campaign_id
    if partner is None or not number:
        return None
    campaigns = Campaign.objects.filter(app=row.app, partner=partner, remote_campaign_id=number)
    return campaigns.order_by("status", "-pk").first()


def _meaning(copy: Copy, app: App) -> Meaning:
    row = _matching_row(copy, list(ConversionMeaning.objects.filter(app=app)))
    if row is None:
        return Meaning()
    has_revenue = row.least_revenue is not None or row.most_revenue is not None
    currency = row.currency if has_revenue else ""
    return Meaning(row.event_name, row.least_revenue, row.most_revenue, currency)


def _matching_row(copy: Copy, rows: Iterable[ConversionMeaning]) -> ConversionMeaning | None:
    """Return the most exact row: fine before coarse, for one postback before for all."""
    value = copy.conversion_value
    if value is not None:
        return next((row for row in rows if _is_in_range(value, row)), None)
    if not copy.coarse_value:
        return None
    by_sequence: dict[int | None, ConversionMeaning] = {}
    for row in rows:
        if row.coarse_value == copy.coarse_value:
            by_sequence.setdefault(row.sequence, row)
    return by_sequence.get(copy.sequence) or by_sequence.get(None)


def _is_in_range(value: int, row: ConversionMeaning) -> bool:
    first, last = row.first_value, row.last_value
    return first is not None and last is not None and first <= value <= last
