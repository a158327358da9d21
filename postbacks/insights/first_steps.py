"""How far a new organization has come on the way to its first postback."""

from dataclasses import dataclass

from django.db import connection

from apps_registry.tenancy import Lifecycle, current_organization
from postbacks.models import RuleStatus

# An event's key is asked for in its place: keys lie in one table, events in one for each day.
_READ = f"""
SELECT
    EXISTS (SELECT FROM app WHERE organization_id = %(organization)s
        AND status = '{Lifecycle.ACTIVE}'),
    EXISTS (SELECT FROM partner WHERE organization_id = %(organization)s
        AND status = '{Lifecycle.ACTIVE}'),
    EXISTS (SELECT FROM callback_rule WHERE organization_id = %(organization)s
        AND status <> '{RuleStatus.ARCHIVED}'),
    EXISTS (SELECT FROM sdk_key WHERE organization_id = %(organization)s AND revoked_at IS NULL),
    EXISTS (SELECT FROM event_key WHERE organization_id = %(organization)s),
    coalesce((SELECT platform FROM app WHERE organization_id = %(organization)s
        AND status = '{Lifecycle.ACTIVE}' ORDER BY id DESC LIMIT 1), '')
"""  # noqa: S608  # only our own words are put in


@dataclass(frozen=True, slots=True)
class FirstSteps:
    """This is what an organization has already. `platform` is that of its newest app, or empty."""

    app: bool
    partner: bool
    rule: bool
    sdk_key: bool
    event: bool
    platform: str

    @property
    def done(self) -> int:
        """Return how many steps are behind."""
        return sum((self.app, self.partner, self.rule, self.sdk_key, self.event))

    @property
    def complete(self) -> bool:
        """Tell whether nothing is left. A rule needs no partner, so it stands for one too."""
        return self.app and self.sdk_key and self.event and self.rule


def read_first_steps() -> FirstSteps:
    """Read how far the current organization has come."""
    with connection.cursor() as cursor:
        cursor.execute(_READ, {"organization": current_organization()})
        return FirstSteps(*cursor.fetchone())
