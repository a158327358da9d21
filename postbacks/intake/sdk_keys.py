"""The SDK key that a request carries, and who reports with it.

Keys stay in memory; a revoked one stops within a second.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from apps_registry.crypto.keys import hash_key
from apps_registry.models import SdkKey
from apps_registry.models.sealed import is_use_noted
from apps_registry.tenancy import Lifecycle, tenant
from postbacks.infrastructure.database import prepared
from postbacks.infrastructure.known_configuration import Known

_FIND = "SELECT organization_id, id FROM find_sdk_key(%(hash)s)"

_LOAD = """
SELECT key.id, key.organization_id, key.app_id, key.kind, key.last_used_at, key.expires_at,
       key.revoked_at, app.status AS app_status, app.platform,
       ARRAY(SELECT identifier FROM bundle_id
             WHERE organization_id = key.organization_id AND app_id = key.app_id ORDER BY id)
           AS bundle_ids
FROM sdk_key AS key
JOIN app ON app.organization_id = key.organization_id AND app.id = key.app_id
WHERE key.organization_id = %(organization)s AND key.id = %(id)s
"""


@dataclass(frozen=True, slots=True)
class Reporter:
    """Who reports: the key of a request, and the defaults for its events."""

    organization_id: int
    app_id: int
    is_server: bool
    platform: str
    bundle_ids: tuple[str, ...]
    ip_address: str | None = None  # of the request; None where it says nothing about the device
    user_agent: str | None = None
    key_id: int = 0  # of the SDK key; 0 where a person tries an event out


@dataclass(slots=True)
class KnownKey:
    """An SDK key with its app, as they were at most half a second ago."""

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
    _server: Reporter | None = None

    @property
    def is_server(self) -> bool:
        """Tell whether the advertiser's own server reports, and not the app on a device."""
        return self.kind == SdkKey.Kind.SERVER

    @property
    def is_revoked(self) -> bool:
        return self.revoked_at is not None

    @property
    def has_ended(self) -> bool:
        """Tell whether the key was rotated and its overlap with the new one is over."""
        return self.expires_at is not None and self.expires_at <= datetime.now(UTC)

    @property
    def is_of_archived_app(self) -> bool:
        return self.app_status == Lifecycle.ARCHIVED

    def note_use(self) -> None:
        """Store when the key was last used, to the minute."""
        now = datetime.now(UTC)
        if not is_use_noted(self.last_used_at, now):
            self.last_used_at = now
            with tenant(self.organization_id):
                SdkKey.objects.filter(pk=self.id).update(last_used_at=now)

    def reporter(self, address: str | None, user_agent: str | None) -> Reporter:
        """Return who reports with this key from an address, which of a server is nothing."""
        if self._server is not None:
            return self._server
        reporter = Reporter(
            organization_id=self.organization_id,
            app_id=self.app_id,
            is_server=self.is_server,
            platform=self.platform,
            bundle_ids=tuple(self.bundle_ids),
            ip_address=address,
            user_agent=None if self.is_server else user_agent,
            key_id=self.id,
        )
        self._server = reporter if self.is_server else None
        return reporter

    @classmethod
    def load(cls, organization_id: int, key_id: int) -> Self:
        """Return a key of the current organization, with which `tenant(…)` was opened."""
        (key,) = prepared.fetch(cls, _LOAD, {"organization": organization_id, "id": key_id})
        return key


def find_key(secret: str) -> KnownKey | None:
    """Return the key with this secret; None if there is none. Raises Django's database errors."""
    return _keys.get(hash_key(secret))


def _load_key(hashed: str) -> KnownKey | None:
    for organization_id, key_id in prepared.run(_FIND, {"hash": hashed}):
        with tenant(organization_id):
            return KnownKey.load(organization_id, key_id)
    return None


_keys = Known(_load_key)
