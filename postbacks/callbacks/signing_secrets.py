"""⑤ Loads the secrets that sign postbacks, by organization."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from apps_registry.crypto.encryption import SecretUnreadableError
from apps_registry.models.signing import open_signing_secret
from postbacks.infrastructure.database import prepared

logger = logging.getLogger(__name__)

_LOAD = """
SELECT organization_id, public_id::text, sealed FROM signing_secret
WHERE organization_id = ANY(%(organizations)s::bigint[])
  AND (expires_at IS NULL OR expires_at > now())
ORDER BY expires_at DESC NULLS FIRST
"""


@dataclass(slots=True)
class _SigningSecretRow:
    organization_id: int
    public_id: str
    sealed: str


def load_signing_secrets(organizations: Iterable[int]) -> dict[int, tuple[str, ...]]:
    """Return the valid secrets of organizations, each one's current secret first."""
    ids = sorted(set(organizations))
    if not ids:
        return {}
    secrets: dict[int, tuple[str, ...]] = {}
    for row in prepared.fetch(_SigningSecretRow, _LOAD, {"organizations": ids}):
        try:
            secret = open_signing_secret(row.organization_id, row.public_id, row.sealed)
        except SecretUnreadableError as error:
            logger.error("A signing secret of organization %d: %s", row.organization_id, error)  # noqa: TRY400  # the sentence says all
            continue
        secrets[row.organization_id] = (*secrets.get(row.organization_id, ()), secret)
    return secrets
