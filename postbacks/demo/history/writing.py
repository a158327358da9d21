"""Writes the days before the demo's first start, by the code that writes every day.

Clicks and events are recorded, decided and attributed, postbacks rendered, judged and logged by the
product's own functions, on a connection whose clock is in the past. So figures equal the rows, and
each row explains itself. Only the partners' answers are made up: nothing is sent.
"""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import psycopg
from django.db import connection
from psycopg import sql
from tqdm import tqdm

from apps_registry.models import TrackingLink
from apps_registry.tenancy import tenant
from postbacks import pipeline
from postbacks.callbacks.rendering import render_postbacks
from postbacks.delivery import attempt
from postbacks.delivery.attempt_log import AttemptResult, log_attempts
from postbacks.delivery.claiming import Room, claim_rooms, next_due
from postbacks.delivery.enqueue import EarlyClaim
from postbacks.demo.configuration import BUNDLE_IDS
from postbacks.demo.history import partners
from postbacks.demo.history.past_clock import past_clock
from postbacks.demo.history.traffic import DAYS, Arrivals, simulate_history
from postbacks.demo.networks import DemoApp
from postbacks.demo.organization import DemoOrganization
from postbacks.demo.simulation.model import SentEvent, SimulatedTouch
from postbacks.insights import figure_changes
from postbacks.intake.events.recording import record_parsed_events
from postbacks.intake.sdk_keys import Reporter
from postbacks.intake.touchpoints.recording import NewTouchpoint, commit_touchpoints
from postbacks.models import EventSource
from postbacks.values import identifiers
from postbacks.values.outgoing_request import Lease
from postbacks.values.uuid7 import uuid7

_MOST_DECIDED = 500
_ROUNDS = 12  # of retries after each arrival; the demo's rules try six times
_ROUND = timedelta(seconds=4)
_GROUPS_OF_LATENCY = 3  # what arrives together is not delivered at one moment
_FOLD_SECONDS = 10
_FINAL_AFTER = timedelta(hours=24)
_SET_UP = (
    ("app", "created_at"),
    ("partner", "created_at"),
    ("campaign", "created_at"),
    ("tracking_link", "created_at"),
    ("callback_rule", "created_at"),
    ("callback_rule", "updated_at"),
    ("callback_rule_version", "created_at"),
    ("audit_entry", "at"),
)
_FINISH = """
UPDATE unsettled_install SET due_at = now(), final_at = now() FROM install
WHERE install.id = unsettled_install.install_id
  AND unsettled_install.organization_id = %s AND install.event_received_at < %s
"""


def write_history(
    demo: DemoOrganization,
    *,
    superuser: str,
    now: datetime,
    seed: int,
    say: Callable[[str], object],
    days: int = DAYS,
) -> None:
    """Write the days before `now` into the demo's organization, which has none yet."""
    rng = Random(seed)  # noqa: S311  # a game's past, not a secret
    arrivals = simulate_history(rng, now, BUNDLE_IDS, days=days)
    organization = demo.organization.pk
    _backdate_configuration(superuser, organization)
    with past_clock(superuser) as set_time:
        writer = _HistoryWriter(demo, rng, now, set_time)
        with tqdm(total=len(arrivals), desc="The past     ", unit="", disable=None) as bar:
            for arrival in arrivals:
                writer.write(arrival)
                bar.update()
        set_time(now)
        _finish_credits(organization, now)
        figure_changes.fold(_FOLD_SECONDS)
    say(f"Its charts go {days} days back.")


class _HistoryWriter:
    """Writes what arrives, moment after moment."""

    def __init__(
        self,
        demo: DemoOrganization,
        rng: Random,
        now: datetime,
        set_time: Callable[[datetime], None],
    ) -> None:
        self._rng, self._now, self._set_time = rng, now, set_time
        self._organization = demo.organization.pk
        self._apps = dict(demo.apps)
        with tenant(self._organization):
            links = list(TrackingLink.objects.select_related("campaign__partner", "campaign__app"))
        self._links = {
            (link.campaign.partner.name, DemoApp(link.campaign.app.platform)): link
            for link in links
        }
        self._days: set[object] = set()

    def write(self, arrivals: Arrivals) -> None:
        """Record, decide and deliver what arrived at one moment."""
        self._set_time(arrivals.at)
        self._make_room(arrivals.at)
        if arrivals.touches:
            commit_touchpoints([self._touchpoint(touch) for touch in arrivals.touches])
        for app in DemoApp:
            self._report(
                app, [event for event in arrivals.events if event.fields["platform"] == app]
            )
        leases: list[Lease] = []
        while True:
            claim = EarlyClaim(uuid.uuid4(), _MOST_DECIDED * 9, lambda _lane: _MOST_DECIDED * 9)
            if not pipeline.decide_events(_MOST_DECIDED, claim=claim):
                break
            leases += claim.leases
        self._deliver(leases, arrivals.at)
        for number in range(1, _ROUNDS):
            at = arrivals.at + number * _ROUND
            self._set_time(at)
            rooms = [Room(queue, _MOST_DECIDED) for queue in next_due().lanes]
            if not (due := claim_rooms(rooms, _MOST_DECIDED, claim_id=uuid.uuid4())):
                if not self._waits():
                    break
                continue
            self._deliver(due, at, is_retry=True)

    def _make_room(self, at: datetime) -> None:
        if at.date() in self._days:
            return
        self._days.add(at.date())
        with connection.cursor() as cursor:
            cursor.execute("SELECT ensure_partitions(%s::date, 1)", [at.astimezone(UTC).date()])

    def _report(self, app: DemoApp, events: Sequence[SentEvent]) -> None:
        if not events:
            return
        reporter = Reporter(
            organization_id=self._organization,
            app_id=self._apps[app].pk,
            is_server=True,
            platform=app.value,
            bundle_ids=(BUNDLE_IDS[app],),
        )
        fields = [event.fields for event in events]
        record_parsed_events(fields, reporter=reporter, source=EventSource.SERVER)

    def _touchpoint(self, touch: SimulatedTouch) -> NewTouchpoint:
        link = self._links[touch.network.name, touch.app]
        known = {
            identifiers.identifier(identifiers.CLICK_ID, touch.click_id),
            *identifiers.identifiers_of(touch.ids),
            *filter(None, map(identifiers.hash_identifier, touch.ids.values())),
            *filter(None, [identifiers.address_identifier(touch.ip_address)]),
        }
        return NewTouchpoint(
            organization_id=self._organization,
            app_id=link.campaign.app_id,
            partner_id=link.campaign.partner_id,
            campaign_id=link.campaign_id,
            link_id=link.pk,
            kind=touch.kind.value,
            source="server",
            occurred_at=touch.at,
            public_id=uuid7(touch.at),
            identifiers=frozenset(known),
            once=touch.click_id,
            click_id=touch.click_id,
            site_id=touch.site_id,
            ip_address=touch.ip_address,
            user_agent=touch.user_agent,
        )

    def _deliver(self, leases: Sequence[Lease], at: datetime, *, is_retry: bool = False) -> None:
        """Render claimed postbacks, and log what the partners answered to them."""
        if not leases:
            return
        rendered = render_postbacks([lease.postback for lease in leases])
        results: list[AttemptResult] = []
        for lease, postback in zip(leases, rendered, strict=True):
            begun = attempt.begin(lease, postback)
            if isinstance(begun, AttemptResult):
                results.append(begun)
                continue
            url = begun.request.url
            reply = partners.answer(self._rng, url, at=at, now=self._now, is_retry=is_retry)
            results.append(
                replace(
                    begun.result(reply),
                    started_at=at + timedelta(milliseconds=self._rng.randint(4, 12)),
                )
            )
        results.sort(key=lambda result: result.duration_ms)
        size = -(-len(results) // _GROUPS_OF_LATENCY)
        for first in range(0, len(results), size):
            together = results[first : first + size]
            slowest = max(result.duration_ms for result in together)
            self._set_time(at + timedelta(milliseconds=slowest + 14))
            log_attempts(together)

    def _waits(self) -> bool:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT EXISTS (SELECT FROM due_postback WHERE organization_id = %s)",
                [self._organization],
            )
            return bool(cursor.fetchone()[0])


def _backdate_configuration(superuser: str, organization: int) -> None:
    """Let apps, rules and all else have been set up the day before the history begins.

    By the superuser and without triggers: the audit log lets nobody change what it says.
    """
    with psycopg.connect(superuser, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        for table, column in _SET_UP:
            connection.execute(
                sql.SQL(
                    "UPDATE {table} SET {column} = {column} - %s WHERE organization_id = %s"
                ).format(table=sql.Identifier(table), column=sql.Identifier(column)),
                [timedelta(days=DAYS + 1), organization],
            )


def _finish_credits(organization: int, now: datetime) -> None:
    """Make the credits final whose day is over."""
    with connection.cursor() as cursor:
        cursor.execute(_FINISH, [organization, now - _FINAL_AFTER])
    while pipeline.reattribute_installs(200):
        pass
