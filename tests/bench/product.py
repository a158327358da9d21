"""The product as a side: an organization with an app, a key and a rule, as people make them."""

import json
import os
import sys
import time
import uuid
from datetime import datetime

import psycopg
from django.db import transaction

from apps_registry.crypto import keys
from apps_registry.models import App, BundleId, Membership, Organization, SdkKey, User
from apps_registry.roles import Role
from apps_registry.tenancy import tenant
from postbacks.delivery.enqueue import NewPostback, enqueue_postbacks
from postbacks.demo.child_processes import free_port
from postbacks.infrastructure.database import roles
from postbacks.infrastructure.database.embedded import DATABASE, EmbeddedServer
from postbacks.intake.events.recording import record_events
from postbacks.intake.sdk_keys import Reporter
from postbacks.models import CallbackRule, RuleStatus
from postbacks.models.heartbeats import wake_pumps
from postbacks.rulebook import saving
from tests import database
from tests.bench import sample
from tests.bench.children import Children
from tests.bench.plan import SIDES
from tests.bench.sides import Side

# From its end: from its beginning, each look would walk through all that has left the queue, and
# take a tenth of what is measured.
_BUSY = """
    SELECT EXISTS (SELECT FROM undecided_event)
        OR (SELECT postback_id FROM due_postback ORDER BY postback_id DESC LIMIT 1) IS NOT NULL
"""
_LAST = "SELECT last_value FROM postback_id_seq"
# By the index on (organization_id, postback_id); the benchmark has one organization.
_LATER = """
    FROM delivery_attempt AS attempt JOIN postback ON postback.id = attempt.postback_id
        AND postback.event_received_at = attempt.event_received_at
    WHERE attempt.organization_id = (SELECT min(id) FROM organization)
        AND attempt.postback_id > %(last)s AND postback.status = 'delivered'
"""
_LOGGED = f"SELECT count(DISTINCT postback.id) {_LATER}"
_MOMENTS = f"""
    SELECT event.event_id::text AS event_id,
           extract(epoch FROM pg_xact_commit_timestamp(event.xmin))::float AS committed,
           extract(epoch FROM later.started_at)::float AS begun,
           extract(epoch FROM pg_xact_commit_timestamp(later.xmin))::float AS logged
    FROM (
        SELECT postback.event_id, attempt.event_received_at, attempt.started_at, attempt.xmin
        {_LATER}
    ) AS later JOIN event ON event.id = later.event_id
        AND event.received_at = later.event_received_at
"""
# Events that are decided already, each a copy of one that came in through the intake.
_COPY_EVENTS = """
    INSERT INTO event (
        id, organization_id, app_id, event_id, event_name, event_time, received_at, source,
        platform, bundle_id, device, customer_user_id, revenue, currency, fields, params
    )
    SELECT copy.id, copy.organization_id, copy.app_id, copy.event_id, copy.event_name,
           copy.event_time, copy.received_at, copy.source, copy.platform, copy.bundle_id,
           copy.device, copy.customer_user_id, copy.revenue, copy.currency, copy.fields,
           copy.params
    FROM event, (SELECT nextval('event_key_id_seq') AS id FROM generate_series(1, %s)) AS fresh,
        jsonb_populate_record(event, jsonb_build_object(
            'id', fresh.id, 'event_id', gen_random_uuid(), 'received_at', now()
        )) AS copy
    WHERE event.id = (SELECT min(id) FROM event WHERE organization_id = %s)
    RETURNING id, event_id, received_at
"""
_OWED_AT_ONCE = 1_000


def set_up(server: EmbeddedServer, sink_url: str) -> tuple[Side, "Account"]:
    """Make the organization of the benchmark; the tables are there."""
    account = Account(server, sink_url)
    side = Side(
        name=SIDES[-1],
        conninfo=server.admin_conninfo(DATABASE),
        port=free_port(),
        key=account.key,
        owe=account.owe,
        busy=_BUSY,
        last=_LAST,
        logged=_LOGGED,
        moments=_MOMENTS,
    )
    return side, account


def start_worker(children: Children) -> None:
    """Start `manage.py worker` with its defaults."""
    children.start("worker", [sys.executable, "manage.py", "worker"], os.environ)


class Account:
    """The organization, its owner, its app and the rule that sends every purchase to the sink."""

    def __init__(self, server: EmbeddedServer, sink_url: str, name: str = "Gem Harbor") -> None:
        self._superuser = server.admin_conninfo(DATABASE)
        self._sink_url = sink_url
        self._host = sink_url.removeprefix("http://")
        self.organization = Organization.objects.create(name=name)
        address = f"owner{self.organization.pk}@gemharbor.example"
        self.owner = User.objects.create_user(address, "correct horse battery")
        Membership.objects.create(organization=self.organization, user=self.owner, role=Role.OWNER)
        fresh = keys.make_key(keys.SDK_KEY)
        self.key = fresh.secret
        with tenant(self.organization.pk):
            self.app = App.objects.create(name="Gem Harbor iOS", platform="ios")
            BundleId.objects.create(app=self.app, identifier="com.gemharbor.puzzle")
            SdkKey.objects.create(
                app=self.app, kind=SdkKey.Kind.SERVER, prefix=fresh.prefix, hash=fresh.hash
            )
            self.rule = CallbackRule(
                name="Purchases",
                status=RuleStatus.ACTIVE,
                triggers=["purchase"],
                url=sink_url + sample.PATH,
            )
            saving.save(self.rule, by=None)

    def add_rule(self, **fields: object) -> None:
        """Make another rule that sends every purchase, by default to the sink."""
        values = {"url": self._sink_url + sample.PATH, **fields}
        with tenant(self.organization.pk):
            name = f"Rule {CallbackRule.objects.count()}"
            rule = CallbackRule(
                **{"name": name, "status": RuleStatus.ACTIVE, "triggers": ["purchase"], **values}
            )
            saving.save(rule, by=None)

    def send_to(self, url: str) -> None:
        """Let the first rule send to another partner."""
        self._host = url.removeprefix("http://")
        with tenant(self.organization.pk):
            self.rule.url = url + sample.PATH
            saving.save(self.rule, by=None)

    def record(self, count: int) -> None:
        """Take events in: the worker shows that it works, and there is one to be copied."""
        reporter = Reporter(
            organization_id=self.organization.pk,
            app_id=self.app.pk,
            is_server=True,
            platform=self.app.platform,
            bundle_ids=("com.gemharbor.puzzle",),
        )
        events = [sample.event(number) for number in range(count)]
        record_events(json.dumps(events).encode(), encoding="", reporter=reporter)

    def owe(self, count: int) -> float:
        """Owe so many postbacks as the pipeline does; the moment is that of the commit."""
        with psycopg.connect(self._superuser) as superuser, superuser.cursor() as cursor:
            cursor.execute(_COPY_EVENTS, [count, self.organization.pk])
            events = cursor.fetchall()
        owed = [self._owed(*event) for event in events]
        with database.as_role(roles.WORKER), transaction.atomic():
            for first in range(0, count, _OWED_AT_ONCE):
                enqueue_postbacks(owed[first : first + _OWED_AT_ONCE])
            wake_pumps()
            return time.time()  # the commit comes last of all

    def _owed(self, id_: int, event_id: uuid.UUID, received_at: datetime) -> NewPostback:
        return NewPostback(
            public_id=str(uuid.uuid4()),
            organization_id=self.organization.pk,
            rule_id=self.rule.pk,
            rule_version=self.rule.version,
            app_id=self.app.pk,
            event_id=id_,
            sdk_event_id=str(event_id),
            event_name="purchase",
            event_received_at=received_at,
            install_id=None,
            campaign_ref=None,
            attribution_version=1,
            installed_at=None,
            delay_seconds=0,
            host=self._host,
            reason="",
        )
