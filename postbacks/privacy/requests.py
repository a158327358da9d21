"""Accepts requests to forget a device, and counts the rows that they will empty."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

import msgspec
from django.db import transaction
from django.utils import timezone

from apps_registry.audit.actions import Action
from apps_registry.audit.audited_model import log_action
from postbacks.infrastructure.database.prepared import load_sql
from postbacks.infrastructure.database.statements import rows
from postbacks.models import (
    ErasureMode,
    ErasureReach,
    ErasureRequest,
    ErasureState,
    ErasureTrace,
    PostbackStatus,
)
from postbacks.privacy import tombstones
from postbacks.privacy.device import DeviceRows, Id, find_by_index
from postbacks.values import identifiers, refusals
from postbacks.values.placeholders import why_no_id
from postbacks.values.visible_text import hidden_character

_MAX_LENGTH = 255
_ENDING_SHOWN_FROM = 12  # characters; four of a shorter id would reveal too much

_COUNT = load_sql("postbacks.privacy", "count_device_rows", PostbackStatus)


@dataclass(frozen=True, slots=True)
class DeviceToErase:
    """The ids of one device of an app, by the names of the SDK API, and how far to follow them."""

    organization_id: int
    app_id: int
    ids: Mapping[str, str]
    mode: str = ErasureMode.FORGET
    reach: str = ErasureReach.DEVICE

    @property
    def pairs(self) -> list[Id]:
        """Return the ids, the best first."""
        return [(kind, self.ids[kind]) for kind in tombstones.ID_KINDS if kind in self.ids]

    def rows(self, reach: str) -> DeviceRows:
        return DeviceRows.named_by(self.organization_id, self.app_id, reach, self.pairs)


def id_error(value: object) -> str:
    """Return why a value can be no id of a device; "" if it can."""
    if not isinstance(value, str):
        return refusals.not_text(value)
    if not value.strip():
        return f"The text is empty. Send an ID of 1 to {_MAX_LENGTH} characters."
    if len(value) > _MAX_LENGTH:
        length = f"{refusals.quote(value)} has {len(value):,} characters"
        return f"{length}. Send an ID of 1 to {_MAX_LENGTH} characters."
    if hidden := hidden_character(value):
        return f"{refusals.quote(value)} holds {hidden}. Send the ID without."
    if why := why_no_id(value):
        return f"{why} Name the device by another ID."
    return ""


@transaction.atomic
def request_erasure(device: DeviceToErase) -> ErasureRequest:
    """Request to forget a device, inside the organization's tenant.

    Its data are blocked from the commit on; a worker empties the data that are there. A second
    request for the same id repeats the first one.
    """
    kind, value = device.pairs[0]
    tombstone_key = tombstones.ensure_key()
    digest, *former_digests = (
        tombstones.digest(tombstone_key, device.app_id, spelling)
        for spelling in identifiers.spellings(tombstones.id_identifier(kind, value))
    )
    key = {"app_id": device.app_id, "mode": device.mode, "kind": kind}
    _lock(digest)
    requests = ErasureRequest.objects.select_for_update().filter(**key)
    request = requests.filter(digest__in=[digest, *former_digests]).order_by("pk").first()
    if request is None:
        ending = value[-4:] if len(value) >= _ENDING_SHOWN_FROM else ""
        request = ErasureRequest(**key, digest=digest, ending=ending)
    else:
        log_action(Action.REPEATED, request)
    _begin(request, device)
    if device.mode == ErasureMode.FORGET:
        tombstones.block_device(device.app_id, [*device.pairs, *_indexed_ids(device)])
    return request


def preview_counts(device: DeviceToErase) -> dict[str, int]:
    """Return how many rows of each table indexes lead to; the pass through days may find more."""
    indexed = device.rows(device.reach)
    find_by_index(indexed)
    parameters = {
        **indexed.app_parameters,
        "devices": sorted(indexed.devices),
        "touches": sorted(indexed.touches),
        "keys": indexed.keys(),
    }
    ((counts,),) = rows(_COUNT, parameters)
    by_table: dict[str, int] = msgspec.json.decode(counts)  # Django's cursor leaves JSON as text
    return by_table


def _lock(digest: UUID) -> None:
    """Let two requests for one device run one after the other."""
    rows("SELECT pg_advisory_xact_lock(hashtextextended(%(digest)s, 0))", {"digest": str(digest)})


def _indexed_ids(device: DeviceToErase) -> set[Id]:
    """Return the other ids by which the device may report; the worker finds those of no index."""
    indexed = device.rows(device.reach)
    find_by_index(indexed)
    return indexed.own_ids


def _begin(request: ErasureRequest, device: DeviceToErase) -> None:
    """Start the request again. Its reach may grow but never shrink."""
    now = timezone.now()
    if request.reach != ErasureReach.DEVICE:
        request.reach = device.reach
    request.state, request.asked_at, request.due_at = ErasureState.WAITING, now, now
    request.swept_to = request.finished_at = None
    request.runs += 1
    request.save()
    trace = ErasureTrace.objects.filter(request=request).first() or ErasureTrace(
        organization_id=device.organization_id, request=request
    )
    trace.seal(device.rows(request.reach).packed())
    trace.save()
