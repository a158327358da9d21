"""② Tracking links with what they promote, and the keys with which their clicks are signed.

They stay in memory. An archived link or a revoked key stops at once all the same: what is recorded
names the version of the configuration that was known, and the statement that records compares it.
Which link a token names never changes.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from uuid import UUID

from apps_registry.crypto.encryption import SecretUnreadableError
from apps_registry.models.click_signing import open_click_key
from apps_registry.models.partners import ClickSigning
from apps_registry.tenancy import tenant
from postbacks.infrastructure.database import prepared
from postbacks.infrastructure.known_configuration import Known
from postbacks.intake.links import signatures

logger = logging.getLogger(__name__)

_FIND = "SELECT organization_id, id FROM find_tracking_link(%(token)s)"
_COLUMNS = """
SELECT campaign.organization_id, link.id, link.public_id, coalesce(link.token, '') AS token,
       coalesce(link.name, '') AS name, coalesce(link.store_url, '') AS store_url,
       coalesce(link.fallback_url, '') AS fallback_url, coalesce(link.deep_link, '') AS deep_link,
       coalesce(link.allowed_destinations, '{}') AS allowed_destinations,
       campaign.id AS campaign_id, campaign.public_id AS campaign_public_id,
       campaign.name AS campaign_name, partner.id AS partner_id, partner.name AS partner_name,
       app.id AS app_id, app.platform, app.store_id,
       coalesce((SELECT min(identifier) FROM bundle_id
                 WHERE organization_id = app.organization_id AND app_id = app.id), '') AS bundle_id,
       partner.click_signing
"""
_ACTIVE_CAMPAIGNS = """
JOIN organization ON organization.id = campaign.organization_id AND organization.removed_at IS NULL
JOIN partner ON partner.organization_id = campaign.organization_id
    AND partner.id = campaign.partner_id AND partner.status = 'active'
JOIN app ON app.organization_id = campaign.organization_id
    AND app.id = campaign.app_id AND app.status = 'active'
WHERE campaign.organization_id = %(organization)s AND campaign.status = 'active'
"""
_ACTIVE_LINKS = f"""{_COLUMNS}
FROM tracking_link AS link
JOIN campaign
  ON campaign.organization_id = link.organization_id AND campaign.id = link.campaign_id
{_ACTIVE_CAMPAIGNS} AND link.organization_id = %(organization)s AND link.status = 'active'
"""
_LOAD_LINK = f"{_ACTIVE_LINKS} AND link.id = %(id)s"
_FIND_LINKS = f"""{_ACTIVE_LINKS} AND app.id = %(app)s AND (
    link.token = ANY(%(names)s) OR link.public_id = ANY(%(ids)s::uuid[])
)
"""
_FIND_CAMPAIGNS = f"""{_COLUMNS}
FROM campaign LEFT JOIN tracking_link AS link ON false
{_ACTIVE_CAMPAIGNS} AND app.id = %(app)s AND campaign.public_id = ANY(%(ids)s::uuid[])
"""
_LOAD_KEYS = """
SELECT kid, sealed FROM click_signing_key
WHERE organization_id = %(organization)s AND partner_id = %(partner)s AND revoked_at IS NULL
"""


@dataclass(frozen=True, slots=True)
class KnownLink:
    """A tracking link with what it promotes, or only a campaign, as they were a moment ago."""

    organization_id: int
    id: int | None
    public_id: UUID | None
    token: str
    name: str
    store_url: str
    fallback_url: str
    deep_link: str
    allowed_destinations: list[str]
    campaign_id: int
    campaign_public_id: UUID
    campaign_name: str
    partner_id: int
    partner_name: str
    app_id: int
    platform: str
    store_id: str
    bundle_id: str
    click_signing: str = ClickSigning.OFF

    @property
    def package(self) -> str:
        """Return the name of an Android app in its store."""
        return self.store_id or self.bundle_id


class UnknownTokenError(LookupError):
    """No link has this token."""


@lru_cache(maxsize=20_000)  # an unknown token raises, and so is not kept
def find_owner(token: str) -> tuple[int, int]:
    """Return the organization and the id of a token's link. Raises UnknownTokenError."""
    rows = prepared.run(_FIND, {"token": token})
    if not rows:
        raise UnknownTokenError
    return rows[0]


def find_link(organization_id: int, link_id: int) -> KnownLink | None:
    """Return a link; None if any part of it is archived. Raises Django's database errors."""
    return _links.get((organization_id, link_id))


def find_links(organization_id: int, app_id: int, names: Iterable[str]) -> Mapping[str, KnownLink]:
    """Return an app's active links, by token and by id; `names` may mix both."""
    return _find(_FIND_LINKS, organization_id, app_id, names)


def find_campaigns(
    organization_id: int, app_id: int, ids: Iterable[str]
) -> Mapping[str, KnownLink]:
    """Return an app's active campaigns by their ids."""
    return _find(_FIND_CAMPAIGNS, organization_id, app_id, ids)


def _find(
    statement: str, organization_id: int, app_id: int, names: Iterable[str]
) -> Mapping[str, KnownLink]:
    """Return links or campaigns by their names; a lone one, as of most requests, from memory."""
    unique = sorted(set(names))
    if len(unique) == 1:
        named = _named.get((statement, organization_id, app_id, unique[0]))
        return {unique[0]: named} if named else {}
    return _load_all(statement, organization_id, app_id, unique) if unique else {}


def _load(ids: tuple[int, int]) -> KnownLink | None:
    organization_id, link_id = ids
    with tenant(organization_id):
        links = prepared.fetch(
            KnownLink, _LOAD_LINK, {"organization": organization_id, "id": link_id}
        )
    return links[0] if links else None


def _load_named(name: tuple[str, int, int, str]) -> KnownLink | None:
    statement, organization_id, app_id, text = name
    return _load_all(statement, organization_id, app_id, [text]).get(text)


def _load_all(
    statement: str, organization_id: int, app_id: int, names: Sequence[str]
) -> Mapping[str, KnownLink]:
    ids = [name for name in names if _is_uuid(name)]
    parameters = {"organization": organization_id, "app": app_id, "names": names, "ids": ids}
    with tenant(organization_id):
        links = prepared.fetch(KnownLink, statement, parameters)
    if statement == _FIND_CAMPAIGNS:
        return {str(link.campaign_public_id): link for link in links}
    return {link.token: link for link in links} | {str(link.public_id): link for link in links}


def check_click_signature(link: KnownLink, path: str, query: str) -> str:
    """Return the state of a click's signature; empty where the partner does not sign."""
    if link.click_signing == ClickSigning.OFF:
        return ""
    keys = _signing_keys.get((link.organization_id, link.partner_id)) or {}
    return signatures.check(path, query, keys, now=datetime.now(UTC))


def _load_signing_keys(partner: tuple[int, int]) -> dict[str, str]:
    organization_id, partner_id = partner
    keys = {}
    with tenant(organization_id):
        rows = prepared.run(_LOAD_KEYS, {"organization": organization_id, "partner": partner_id})
    for kid, sealed in rows:
        try:
            keys[kid] = open_click_key(organization_id, partner_id, kid, sealed)
        except SecretUnreadableError as error:
            logger.error("Click signing key %s: %s", kid, error)  # noqa: TRY400  # no trace: the sentence is all
    return keys


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


_links = Known(_load)
_named = Known(_load_named)
_signing_keys = Known(_load_signing_keys)
