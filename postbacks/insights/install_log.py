"""The installs as people look for them."""

from dataclasses import dataclass, field
from uuid import UUID

from django.db.models import Q

from apps_registry.models import App
from postbacks.insights.keyset import Cursor, KeysetPage
from postbacks.insights.logs import Span, equal, page_of
from postbacks.models import Install, InstallKey
from postbacks.values import identifiers

_ID_KINDS = (identifiers.ADVERTISING, *identifiers.VENDOR_IDS, *identifiers.OWN_IDS)


@dataclass(frozen=True, slots=True)
class InstallsWanted:
    """What is asked of the installs. `id` is one of the device's, the SDK's, or ours."""

    span: Span = field(default_factory=Span)
    id: str = ""
    app_id: int | None = None
    partner_id: int | None = None
    campaign_id: int | None = None
    type: str = ""
    kind: str = ""
    state: str = ""


def install_log(wanted: InstallsWanted, cursor: Cursor) -> KeysetPage[Install]:
    """Return a page of installs in the order of their arrival, newest first, with their names."""
    rows = wanted.span.within(Install.objects.all(), "event_received_at")
    conditions = equal(
        app_id=wanted.app_id,
        partner_id=wanted.partner_id,
        campaign_id=wanted.campaign_id,
        attribution_type=wanted.type,
        kind=wanted.kind,
        state=wanted.state,
    )
    by_id = _known_by(wanted.id) if wanted.id else None
    related = ("app", "partner", "campaign", "link")
    return page_of(rows, conditions, by_id, "event_received_at", related, cursor)


def _known_by(text: str) -> Q:
    """Return the condition that an install is known by an id, whichever it is.

    An index has each of them: install ids, devices by app, keys by app, and our own ids.
    """
    apps = list(App.objects.values_list("pk", flat=True))
    names = [identifiers.identifier(kind, text) for kind in _ID_KINDS]
    keys = [identifiers.key_of(app, name) for app in apps for name in names]
    installs = InstallKey.objects.filter(app_id__in=apps, key__in=keys).values("install_id")
    found = Q(install_id=text) | Q(app_id__in=apps, device__in=[text, *names])
    found |= Q(pk__in=list(installs.values_list("install_id", flat=True)[:200]))
    return found | Q(public_id=public) if (public := _uuid(text)) else found


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
