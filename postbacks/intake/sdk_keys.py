"""What the intake has to know of an SDK key, read anew for each request: a revoked one is over."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from apps_registry.crypto.keys import hash_key
from apps_registry.models import SdkKey
from apps_registry.tenancy import Lifecycle
from postbacks.infrastructure.database import prepared

_FIND = "SELECT organization_id, id FROM find_sdk_key(%(hash)s)"

_LOAD = """
SELECT key.id, key.organization_id, key.app_id, key.kind, key.last_used_at, key.expires_at,
       key.revoked_at, app.status, app.platform,
       ARRAY(SELECT identifier FROM bundle_id
             WHERE organization_id = key.organization_id AND app_id = key.app_id ORDER BY id)
FROM sdk_key AS key
JOIN app ON app.organization_id = key.organization_id AND app.id = key.app_id
WHERE key.organization_id = %(organization)s AND key.id = %(id)s
"""


@dataclass(frozen=True, slots=True)
class KnownKey:
    """An SDK key with its app, as they are at this moment."""

    id: int
    organization_id: int
    app_id: int
    kind: str
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None
    app_status: str
    platform: str
    bundle_ids: list[str]

    @property
    def is_server(self) -> bool:
        """Tell whether the advertiser's own server reports, and not the app on a device."""
        return self.kind == SdkKey.Kind.SERVER

    @property
    def is_revoked(self) -> bool:
        """Tell whether somebody ended the key's life."""
        return self.revoked_at is not None

    @property
    def has_ended(self) -> bool:
        """Tell whether the key was rotated and its overlap with the new one is over."""
        return self.expires_at is not None and self.expires_at <= datetime.now(UTC)

    @property
    def is_of_archived_app(self) -> bool:
        """Tell whether the key's app is no longer used."""
        return self.app_status == Lifecycle.ARCHIVED

    @classmethod
    def load(cls, organization_id: int, key_id: int) -> Self:
        """Return a key of the current organization, with which `tenant(…)` was opened."""
        (row,) = prepared.run(_LOAD, {"organization": organization_id, "id": key_id})
        return cls(*row)


def find_key(secret: str) -> tuple[int, int] | None:
    """Return the organization and the id of the key that a secret belongs to, if there is one."""
    found = prepared.run(_FIND, {"hash": hash_key(secret)})
    return found[0][:2] if found else None
