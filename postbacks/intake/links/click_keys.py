"""② The keys with which a partner's clicks are signed, and what a click's signature is worth."""

import logging
from datetime import UTC, datetime

from apps_registry.crypto.encryption import SecretUnreadableError
from apps_registry.models.click_signing import open_click_key
from apps_registry.models.partners import ClickSigning
from postbacks.infrastructure.database import prepared
from postbacks.intake.links import signatures
from postbacks.intake.links.known_links import KnownLink

logger = logging.getLogger(__name__)

_LOAD = """
SELECT kid, sealed FROM click_signing_key
WHERE organization_id = %(organization)s AND partner_id = %(partner)s AND revoked_at IS NULL
"""


def check(link: KnownLink, path: str, query: str) -> str:
    """Return what a click's signature is worth; empty where its partner does not sign."""
    if link.click_signing == ClickSigning.OFF:
        return ""
    return signatures.check(path, query, _keys(link), now=datetime.now(UTC))


def _keys(link: KnownLink) -> dict[str, str]:
    wanted = {"organization": link.organization_id, "partner": link.partner_id}
    keys = {}
    for kid, sealed in prepared.run(_LOAD, wanted):
        try:
            keys[kid] = open_click_key(link.organization_id, link.partner_id, kid, sealed)
        except SecretUnreadableError as error:
            logger.error("Click signing key %s: %s", kid, error)  # noqa: TRY400  # no trace: the sentence is all
    return keys
