"""What has to be known of a tracking link, read anew for each click: an archived one is over.

Only whose link a token is stays in memory: that never changes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Self
from uuid import UUID

from apps_registry.models.partners import ClickSigning
from postbacks.infrastructure.database import prepared

_FIND = "SELECT organization_id, id FROM find_tracking_link(%(token)s)"
_COLUMNS = """
SELECT campaign.organization_id, link.id, link.public_id, coalesce(link.token, ''),
       coalesce(link.name, ''), coalesce(link.store_url, ''), coalesce(link.fallback_url, ''),
       coalesce(link.deep_link, ''), coalesce(link.allowed_destinations, '{}'),
       campaign.id, campaign.public_id, campaign.name, partner.id, partner.name,
       app.id, app.platform, app.store_id,
       coalesce((SELECT min(identifier) FROM bundle_id
                 WHERE organization_id = app.organization_id AND app_id = app.id), ''),
       partner.click_signing
"""
_PROMOTED = """
JOIN organization ON organization.id = campaign.organization_id AND organization.removed_at IS NULL
JOIN partner ON partner.organization_id = campaign.organization_id
    AND partner.id = campaign.partner_id AND partner.status = 'active'
JOIN app ON app.organization_id = campaign.organization_id
    AND app.id = campaign.app_id AND app.status = 'active'
WHERE campaign.organization_id = %(organization)s AND campaign.status = 'active'
"""
_LINKS = f"""{_COLUMNS}
FROM tracking_link AS link
JOIN campaign
  ON campaign.organization_id = link.organization_id AND campaign.id = link.campaign_id
{_PROMOTED} AND link.organization_id = %(organization)s AND link.status = 'active'
"""
_ONE = f"{_LINKS} AND link.id = %(id)s"
_NAMED_LINKS = f"""{_LINKS} AND app.id = %(app)s AND (
    link.token = ANY(%(names)s) OR link.public_id = ANY(%(ids)s::uuid[])
)
"""
_NAMED_CAMPAIGNS = f"""{_COLUMNS}
FROM campaign LEFT JOIN tracking_link AS link ON false
{_PROMOTED} AND app.id = %(app)s AND campaign.public_id = ANY(%(ids)s::uuid[])
"""


@dataclass(frozen=True, slots=True)
class KnownLink:
    """A tracking link with what it promotes, or only a campaign, as they are at this moment."""

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

    @classmethod
    def load(cls, organization_id: int, link_id: int) -> Self | None:
        """Return a link of the current organization; None if it, or what it promotes, is over."""
        rows = prepared.run(_ONE, {"organization": organization_id, "id": link_id})
        return cls(*rows[0]) if rows else None


class UnknownTokenError(LookupError):
    """No link has this token."""


@lru_cache(maxsize=20_000)  # an unknown token raises, and so is not kept
def owner_of(token: str) -> tuple[int, int]:
    """Return the organization and the id of a token's link. Raises UnknownTokenError."""
    found = prepared.run(_FIND, {"token": token})
    if not found:
        raise UnknownTokenError
    return found[0][0], found[0][1]


def named_links(organization_id: int, app_id: int, names: Iterable[str]) -> Mapping[str, KnownLink]:
    """Return an app's links in use by tokens and ids, which may be mixed."""
    wanted = {"organization": organization_id, "app": app_id, **_texts_and_ids(names)}
    links = [KnownLink(*row) for row in prepared.run(_NAMED_LINKS, wanted)]
    return {it.token: it for it in links} | {str(it.public_id): it for it in links}


def named_campaigns(
    organization_id: int, app_id: int, ids: Iterable[str]
) -> Mapping[str, KnownLink]:
    """Return an app's campaigns in use by their ids."""
    wanted = {"organization": organization_id, "app": app_id, **_texts_and_ids(ids)}
    campaigns = [KnownLink(*row) for row in prepared.run(_NAMED_CAMPAIGNS, wanted)]
    return {str(it.campaign_public_id): it for it in campaigns}


def _texts_and_ids(names: Iterable[str]) -> dict[str, list[str]]:
    given = sorted(set(names))
    return {"names": given, "ids": [name for name in given if _is_id(name)]}


def _is_id(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
