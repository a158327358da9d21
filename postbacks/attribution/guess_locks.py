"""③ Gives each guessed touchpoint to one device: a guess may be wrong, but not twice right.

Whoever asks for a touchpoint first has it. Two workers that ask at once take turns, by a lock that
ends with the transaction in which the credit is recorded.
"""

from collections.abc import Collection, Mapping
from uuid import UUID

from postbacks.attribution import matching
from postbacks.infrastructure.database import prepared

Holder = tuple[int, str]  # app and device

_LOCK = """
SELECT pg_advisory_xact_lock(hashtextextended(id::text, 1))
FROM (SELECT DISTINCT id FROM unnest(%(ids)s::uuid[]) AS id ORDER BY id) AS wanted
"""
# A statement of its own after the lock: only so does it see what others have recorded before.
_HOLDERS = """
SELECT touchpoint, app_id, device FROM install
WHERE organization_id = ANY(%(organizations)s::bigint[]) AND touchpoint = ANY(%(ids)s::uuid[])
  AND method = %(guess)s
"""


def holders_of(
    organizations: Collection[int], touchpoints: Collection[UUID]
) -> Mapping[UUID, Holder]:
    """Return which device was credited to each of these touchpoints by a guess."""
    if not touchpoints:
        return {}
    ids = [str(it) for it in touchpoints]
    prepared.run(_LOCK, {"ids": ids})
    values = {
        "organizations": sorted(set(organizations)),
        "ids": ids,
        "guess": matching.PROBABILISTIC,
    }
    return {id_: (app, device) for id_, app, device in prepared.run(_HOLDERS, values)}
