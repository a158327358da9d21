"""What is known here of the IDs that a partner lists: clicks, events and postbacks.

A hundred are looked up with a few statements, each by an index.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from urllib.parse import unquote
from uuid import UUID

from apps_registry.models import App, Partner
from postbacks.infrastructure.database.prepared import load_sql
from postbacks.infrastructure.database.statements import fetch_rows
from postbacks.insights.touchpoint_outcomes import TouchpointStatus, outcomes_of
from postbacks.models import CallbackRule, Postback, Touchpoint
from postbacks.values import identifiers
from postbacks.values.uuid7 import uuid_or_none

_FIND_EVENTS = load_sql("postbacks.rulebook", "find_listed_events")
_FIND_CLICKS = load_sql("postbacks.rulebook", "find_listed_clicks")


@dataclass(frozen=True, slots=True)
class ListedEvent:
    kind: str
    key: str
    id: int
    event_id: UUID
    event_name: str
    received_at: datetime
    revenue: Decimal | None
    currency: str


@dataclass(frozen=True, slots=True)
class ListedClick:
    key: UUID
    id: int
    received_at: datetime
    partner_id: int
    app_id: int | None
    device: str | None


@dataclass(slots=True)
class KnownIds:
    """What is known here of some lines, by the partner's ID in one spelling."""

    events: dict[str, list[ListedEvent]] = field(default_factory=lambda: defaultdict(list))
    clicks: dict[str, list[ListedClick]] = field(default_factory=lambda: defaultdict(list))
    postbacks: dict[int, list[Postback]] = field(default_factory=lambda: defaultdict(list))
    click_reasons: dict[int, tuple[str, str]] = field(default_factory=dict)
    used: set[int] = field(default_factory=set)  # events that a line above has taken


@dataclass(frozen=True, slots=True)
class ListedPartner:
    """A partner whose list is compared, with what all look-ups of a turn need.

    `rules` are the partner's, `apps` the organization's, `names` are of all partners.
    """

    id: int
    rules: Sequence[int]
    apps: Sequence[int]
    names: Mapping[int, str]

    @classmethod
    def read(cls, partner_id: int) -> "ListedPartner":
        """Read what look-ups need in the current organization."""
        rules = CallbackRule.objects.filter(partner_id=partner_id)
        return cls(
            partner_id,
            rules=list(rules.values_list("pk", flat=True)),
            apps=list(App.objects.values_list("pk", flat=True)),
            names=dict(Partner.objects.values_list("pk", "name")),
        )

    def look_up(self, listed: Sequence[str]) -> KnownIds:
        """Return what is known of some IDs, as the list has them."""
        matches = KnownIds()
        ids = {spelling: canonical(id_) for id_ in listed for spelling in _spellings(id_)}
        keys = sorted(ids)
        self._find_clicks(ids, matches)
        uuids = {str(uuid): key for key in keys if (uuid := uuid_or_none(key))}
        sent_events = self._events_of_postbacks(uuids)
        devices = [
            (click.app_id, click.device, key)
            for key, clicks in matches.clicks.items()
            for click in clicks
            if click.app_id is not None and click.partner_id == self.id
        ]
        apps, names, of_keys = ([row[column] for row in devices] for column in range(3))
        for event in fetch_rows(
            ListedEvent,
            _FIND_EVENTS,
            keys=keys,
            uuids=sorted({*uuids, *sent_events}),
            apps=apps,
            devices=names,
            of_keys=of_keys,
        ):
            if event.kind == "event" and event.key in sent_events:
                id_ = ids[sent_events[event.key]]
                matches.events[id_].append(replace(event, kind="postback"))
            elif event.kind == "event":
                matches.events[ids[uuids[event.key]]].append(event)
            else:
                matches.events[ids.get(event.key, event.key)].append(event)
        self._find_postbacks(matches)
        return matches

    def _find_clicks(self, ids: Mapping[str, str], matches: KnownIds) -> None:
        by_key = {
            identifiers.key_of(app, identifiers.identifier(identifiers.CLICK_ID, spelling)): id_
            for app in self.apps
            for spelling, id_ in ids.items()
        }
        for click in fetch_rows(ListedClick, _FIND_CLICKS, apps=self.apps, keys=list(by_key)):
            matches.clicks[by_key[click.key]].append(click)
        lost = [
            click
            for clicks in matches.clicks.values()
            for click in clicks
            if click.app_id is None and click.partner_id == self.id
        ]
        if lost:
            days = [click.received_at for click in lost]
            touchpoints = list(
                Touchpoint.objects.filter(
                    received_at__range=(min(days), max(days)), pk__in=[click.id for click in lost]
                )
            )
            outcomes = outcomes_of(touchpoints)
            for touchpoint in touchpoints:
                outcome = outcomes[touchpoint.public_id]
                reason = outcome.reason or (
                    "no_install" if outcome.status == TouchpointStatus.UNMATCHED else outcome.status
                )
                matches.click_reasons[touchpoint.pk] = (reason, outcome.sentence)

    def _events_of_postbacks(self, uuids: Mapping[str, str]) -> dict[str, str]:
        """Return the partner's ID for each event whose postback it names."""
        named = Postback.objects.filter(public_id__in=list(uuids), test=False)
        return {
            str(event_id): uuids[str(public_id)]
            for public_id, event_id in named.values_list("public_id", "sdk_event_id")
        }

    def _find_postbacks(self, matches: KnownIds) -> None:
        events = [event for of_id in matches.events.values() for event in of_id]
        if not events or not self.rules:
            return
        days = [event.received_at for event in events]
        postbacks = Postback.objects.filter(
            event_received_at__range=(min(days), max(days)),
            sdk_event_id__in={event.event_id for event in events},
            rule_id__in=self.rules,
            test=False,
        )
        for postback in postbacks.order_by("-id"):
            matches.postbacks[postback.event_id or 0].append(postback)


def _spellings(id_: str) -> set[str]:
    """Return an ID as it is written, and without the encoding of URLs, in which lists have some."""
    return {id_, unquote(id_)}


def canonical(id_: str) -> str:
    """Return one spelling for all those of a UUID, and for an ID in the encoding of URLs."""
    return str(uuid_or_none(id_) or unquote(id_))
