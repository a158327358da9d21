"""Takes requests to forget a device, and tells what there is to forget."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

import msgspec
from django.db import transaction
from django.utils import timezone

from apps_registry.audit.actions import Action
from apps_registry.audit.audited_model import log_action
from postbacks.models import (
    ErasureMode,
    ErasureReach,
    ErasureRequest,
    ErasureState,
    ErasureTrace,
)
from postbacks.privacy import tombstones
from postbacks.privacy.device import DeviceRows, Id, look_up
from postbacks.privacy.statements import rows
from postbacks.values import identifiers

_LONGEST = 255
_SHOWN_FROM = 12  # characters; of a shorter id four would tell too much


@dataclass(frozen=True, slots=True)
class Asked:
    """Who is to be forgotten: the ids of one device of an app, by the names of the SDK API."""

    organization_id: int
    app_id: int
    ids: Mapping[str, str]
    mode: str = ErasureMode.FORGET
    reach: str = ErasureReach.DEVICE

    @property
    def pairs(self) -> list[Id]:
        """Return the ids, the best first."""
        return [(kind, self.ids[kind]) for kind in tombstones.ID_KINDS if kind in self.ids]


def what_is_wrong(value: object) -> str:
    """Say why a value can be no id of a device; "" if it can."""
    if not isinstance(value, str) or not value.strip() or len(value) > _LONGEST:
        return f"The id must be a text of 1 to {_LONGEST} characters."
    if "\x00" in value or not value.isprintable():
        return "The id must be visible characters."
    if identifiers.is_no_id(value):
        return "This is what devices send instead of an id; name the device by another one."
    return ""


@transaction.atomic
def ask(asked: Asked) -> ErasureRequest:
    """Have a device forgotten, inside the organization's tenant.

    From the commit on its data are refused; what there is already is emptied by a worker. Asked
    again for the same id it is the same request, which is done once more.
    """
    kind, value = asked.pairs[0]
    name = tombstones.id_name(kind, value)
    digest = tombstones.digest(tombstones.ensure_key(), asked.app_id, name)
    known = {"app_id": asked.app_id, "mode": asked.mode, "kind": kind, "digest": digest}
    _take_turns(digest)
    request = ErasureRequest.objects.select_for_update().filter(**known).first()
    if request is None:
        ending = value[-4:] if len(value) >= _SHOWN_FROM else ""
        request = ErasureRequest(**known, ending=ending)
    else:
        log_action(Action.REPEATED, request)
    _begin(request, asked)
    if asked.mode == ErasureMode.FORGET:
        tombstones.block_device(asked.app_id, [*asked.pairs, *_known_ids(asked)])
    return request


def _take_turns(digest: UUID) -> None:
    """Have two who ask for the same device at once ask one after the other."""
    rows("SELECT pg_advisory_xact_lock(hashtextextended(%(digest)s, 0))", {"digest": str(digest)})


def _known_ids(asked: Asked) -> set[Id]:
    """Return the other ids by which the device may report; the worker finds what no index knows."""
    device = DeviceRows.named_by(asked.organization_id, asked.app_id, asked.reach, asked.pairs)
    look_up(device)
    return device.own_ids


def _begin(request: ErasureRequest, asked: Asked) -> None:
    """Put the request at its beginning. One that reached far never reaches less far later."""
    now = timezone.now()
    if request.reach != ErasureReach.DEVICE:
        request.reach = asked.reach
    request.state, request.asked_at, request.due_at = ErasureState.WAITING, now, now
    request.swept_to = request.finished_at = None
    request.runs += 1
    request.save()
    device = DeviceRows.named_by(asked.organization_id, asked.app_id, request.reach, asked.pairs)
    trace = ErasureTrace.objects.filter(request=request).first() or ErasureTrace(
        organization_id=asked.organization_id, request=request
    )
    trace.seal(device.packed())
    trace.save()


def preview(asked: Asked) -> dict[str, int]:
    """Return how many rows of each table are found at once; the look through days may add some."""
    device = DeviceRows.named_by(asked.organization_id, asked.app_id, asked.reach, asked.pairs)
    look_up(device)
    values = {
        **device.place,
        "devices": sorted(device.devices),
        "touches": sorted(device.touches),
        "keys": device.keys(),
    }
    ((counts,),) = rows(_COUNT, values)
    found: dict[str, int] = msgspec.json.decode(counts)  # Django's cursor leaves JSON as text
    return found


_COUNT = """
WITH the_events AS MATERIALIZED (
    SELECT event_id, received_at FROM event
    WHERE organization_id = %(organization)s AND app_id = %(app)s AND device = ANY(%(devices)s)
), postbacks AS MATERIALIZED (
    SELECT id, event_received_at, status FROM postback
    WHERE organization_id = %(organization)s
      AND sdk_event_id = ANY(ARRAY(SELECT event_id FROM the_events))
      AND event_received_at >= (SELECT min(received_at) FROM the_events)
)
SELECT jsonb_build_object('install',
    (SELECT count(*) FROM install WHERE organization_id = %(organization)s
        AND app_id = %(app)s AND device = ANY(%(devices)s)), 'touchpoint',
    (SELECT count(*) FROM touchpoint WHERE organization_id = %(organization)s
        AND app_id = %(app)s AND names <> '[]' AND (public_id = ANY(%(touches)s::uuid[])
        OR id IN (SELECT touchpoint_id FROM touchpoint_key
            WHERE organization_id = %(organization)s AND app_id = %(app)s
              AND key = ANY(%(keys)s::uuid[])))), 'event',
    (SELECT count(*) FROM the_events), 'postback',
    (SELECT count(*) FROM postbacks), 'skipped',
    (SELECT count(*) FROM postbacks WHERE status = 'pending'), 'delivery_attempt',
    (SELECT count(*) FROM delivery_attempt WHERE organization_id = %(organization)s
        AND postback_id = ANY(ARRAY(SELECT id FROM postbacks)))) AS counts
"""
