"""A tenant in whose every table there is a row, and in whose every text there is a marker."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, partial

from django.apps import apps
from django.contrib.postgres.fields import ArrayField
from django.db import connection, models
from psycopg import sql

from apps_registry.audit.actions import Action
from apps_registry.audit.actors import Actor, ActorKind, Door, acting_as, current_actor
from apps_registry.audit.audited_model import log_action
from apps_registry.models import (
    App,
    AttributionSettings,
    AuditEntry,
    ConversionMeaning,
    Invitation,
    Organization,
    Partner,
    SdkKey,
    TrackingLink,
    User,
)
from apps_registry.models.referrer_keys import set_referrer_key
from apps_registry.models.signing import ensure_signing_secret
from apps_registry.tenancy import TenantModel, tenant
from postbacks.infrastructure.database import roles
from postbacks.models import (
    AdServicesClaim,
    AttemptKind,
    Attribution,
    CircuitBreaker,
    DecisionFailure,
    DeliveryAttempt,
    DeviceDigest,
    DeviceIdentifier,
    Discrepancy,
    DiscrepancyLine,
    DiscrepancyOutcome,
    DryRunJob,
    DuePostback,
    Event,
    EventKey,
    EventSource,
    Export,
    ExportDoor,
    Figure,
    FigureChange,
    FigureKind,
    FigureName,
    FigureSpan,
    FigureTotal,
    FigureZone,
    HeldPostback,
    HeldReason,
    Install,
    InstallKey,
    JobAction,
    JobStatus,
    LastOutcome,
    OutcomeHour,
    Postback,
    PostbackJob,
    PostbackStatus,
    RefusalCount,
    RefusedEvent,
    Replay,
    ReplayedPostback,
    ReplayPart,
    RuleDevice,
    RuleFailure,
    RulePace,
    SavedView,
    SiteTimes,
    TestSend,
    TotalOf,
    Touchpoint,
    TouchpointKey,
    TouchpointSeen,
    UndecidedEvent,
    UnsettledInstall,
)
from postbacks.privacy.requests import DeviceToErase, request_erasure
from tests import make
from tests.alerts.scenes import make_standing_alert
from tests.database import as_role, is_empty, is_kept, made_once

MARKER = "ZQXMARK"
# What is read by code before it is shown, and so was checked when it was written.
_READ_BY_CODE = {"time_zone", "password", "hash", "currency", "email", "object_id"}

Change = Callable[["models.Field[object, object]"], sql.Composable | None]


@dataclass(frozen=True, slots=True)
class Story:
    """A tenant, and the ids of all its rows: by model the primary keys, and every public UUID."""

    tenant: make.Tenant
    keys: dict[type[models.Model], list[int]]
    uuids: dict[type[models.Model], list[uuid.UUID]]

    @property
    def organization_id(self) -> int:
        """Return the id of the organization that lived through it."""
        return self.tenant.organization.pk


def tenant_models() -> list[type[TenantModel]]:
    """Return every model whose rows belong to one organization."""
    return [model for model in apps.get_models() if issubclass(model, TenantModel)]


def live_through(name: str) -> Story:
    """Make a tenant with a row in each table, as people, SDKs and workers would have left them.

    The first in an empty database is made once in a process (see `made_once`).
    """
    if connection.in_atomic_block:
        return _live_through(name)
    make_story = _first_story(name, current_actor())
    can_copy = is_kept(make_story) and not Organization.objects.exists()
    return made_once(make_story) if can_copy or is_empty() else _live_through(name)


@cache
def _first_story(name: str, _by: Actor) -> Callable[[], Story]:
    return partial(_live_through, name)


def _live_through(name: str) -> Story:
    made = make.make_tenant(name)
    with as_role(roles.WORKER):
        with tenant(made.organization.pk):
            partner = make.make_partner(
                credentials={"api_key": "a-secret-of-some-length"},
                allowed_hosts=("ads.example.com",),
            )
            link = make.make_link(make.make_campaign(made.app, partner))
            rule = make.make_rule(app=made.app, partner=partner)
            _live(made.app, rule)
            _advertise(made.app, link)
            make.make_click_key(partner)
            make.make_test_device()
            make.make_export_schedule()
            make_standing_alert(rule)
            set_referrer_key(made.app, "ab" * 32)
            _hear_of_apple(made.app, partner)
        make.make_invitation(made.organization)
        make.make_second_factor(made.owner)
        return Story(made, *_ids(made))


def mark(story: Story) -> None:
    """Put the marker into every text, list and JSON of the story's rows."""
    _write_into(story, _marked)
    with as_role(roles.WORKER):
        _keep_marked_entry(story)


def fill_texts(story: Story, text: str) -> None:
    """Put a text into every text, list and JSON of the story's rows, as much of it as fits."""
    _write_into(story, lambda field: _filled(field, text))


def _write_into(story: Story, change: Change) -> None:
    people = models.Q(memberships__organization=story.tenant.organization)
    users = [user.pk for user in User.objects.filter(people)]
    with as_role(roles.WORKER):
        for model in set(tenant_models()) - {AuditEntry}:  # nobody can change an entry
            _write(model, "organization_id", [story.organization_id], change)
        _write(Organization, "id", [story.organization_id], change)
        _write(Invitation, "organization_id", [story.organization_id], change)
        _write(User, "id", users, change)


def _keep_marked_entry(story: Story) -> None:
    """Add an entry of the audit log that holds the marker from the start, and lead to it alone."""
    person = Actor(ActorKind.PERSON, f"{MARKER}@example.com", Door.WEB, address="192.0.2.1")
    with tenant(story.organization_id):
        with acting_as(person):
            log_action(Action.EXPORTED, name=MARKER, changes={MARKER: [None, MARKER]})
        entry = AuditEntry.objects.get(object_name=MARKER)
    story.keys[AuditEntry], story.uuids[AuditEntry] = [entry.pk], [entry.public_id]


def _live(app: App, rule: models.Model) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    sdk_id = uuid.uuid4()
    key = EventKey.objects.create(app=app, event_id=sdk_id, received_at=now)
    event = Event.objects.create(
        id=key.pk,
        app=app,
        event_id=sdk_id,
        event_name="purchase",
        event_time=now,
        received_at=now,
        source=EventSource.SDK,
        device="device-1",
        customer_user_id="customer-1",
        fields={"idfa": "1"},
        params={"level": 3},
    )
    postback = Postback.objects.create(
        public_id=uuid.uuid4(),
        rule=rule,
        rule_version=1,
        app=app,
        event=event,
        sdk_event_id=sdk_id,
        event_received_at=now,
        status=PostbackStatus.FAILED,
        created_at=now,
    )
    DeliveryAttempt.objects.create(
        postback=postback,
        event_received_at=now,
        number=1,
        kind=AttemptKind.AUTO,
        started_at=now,
        duration_ms=12,
        outcome="failed",
        status_code=500,
        request={"url": "https://ads.example.com"},
        response={"body": "no"},
    )
    DuePostback.objects.create(
        postback=postback, event_received_at=now, rule=rule, host="ads.example.com", due_at=now
    )
    HeldPostback.objects.create(
        postback=postback,
        event_received_at=now,
        rule=rule,
        due_at=now,
        reason=HeldReason.RULE_SUSPENDED,
        held_at=now,
    )
    PostbackJob.objects.create(
        rule=rule, action=JobAction.SEND, reason=HeldReason.RULE_SUSPENDED, due_at=now
    )
    replay = Replay.objects.create(
        filter={"status": "failed"}, count=1, fingerprint="1", next_at=now, asked_by="Anna"
    )
    part = ReplayPart.objects.create(replay=replay, rule=rule, count=1, due_at=now)
    ReplayedPostback.objects.create(
        part=part,
        postback=postback,
        event_received_at=now,
        status_before=PostbackStatus.FAILED,
        attempts_before=1,
        look_at=now,
    )
    DryRunJob.objects.create(
        rule=rule, definition={}, since=now, created_at=now, finished_at=now, total=1, done=1
    )
    discrepancy = Discrepancy.objects.create(
        partner=rule.partner,
        text="click-1",
        asked_by="Anna",
        created_at=now,
        expires_at=now + timedelta(days=7),
        worked_at=now,
        finished_at=now,
        status=JobStatus.FINISHED,
        total=1,
        done=1,
    )
    DiscrepancyLine.objects.create(
        discrepancy=discrepancy,
        number=1,
        partner_id_text="click-1",
        digest=uuid.uuid4(),
        outcome=DiscrepancyOutcome.UNKNOWN,
    )
    Export.objects.create(
        door=ExportDoor.API,
        list_name="events",
        title="events",
        format="csv",
        filters="customer_user_id=customer-1",
        asked_by="Anna",
        created_at=now,
        expires_at=now + timedelta(days=7),
        worked_at=now,
        finished_at=now,
        status=JobStatus.FINISHED,
        file_name="a-file",
        rows=1,
    )
    SavedView.objects.create(
        list_name="postbacks.postback",
        name="Failed",
        created_by="Anna",
        filters="status=failed",
        columns=["Reason"],
        is_shared=True,
    )
    TestSend.objects.create(
        public_id=uuid.uuid4(),
        rule=rule,
        definition={},
        sdk_event_id=uuid.uuid4(),
        sealed="key:1",
        made_at=now,
        finished_at=now,
        result={},
    )
    UndecidedEvent.objects.create(id=event.pk, received_at=now)
    DecisionFailure.objects.create(id=event.pk, received_at=now, error="broken", next_try_at=now)
    RefusedEvent.objects.create(
        app=app,
        sdk_key=SdkKey.objects.filter(app=app)[0],
        received_at=now,
        door="events",
        status_code=422,
        index=0,
        reason="invalid_field",
        pointer="/revenue",
        event_name="purchase",
        sdk_version="1.2.3",
        errors=[{"pointer": "/revenue", "detail": "No amount."}],
        content="{}",
        keys=[uuid.uuid4()],
    )
    RefusalCount.objects.create(
        app=app, day=now.date(), reason="invalid_field", pointer="/revenue", refused=1, kept=1
    )
    Install.objects.create(
        app=app, device="device-1", installed_at=now, event_ref=event.pk, event_received_at=now
    )
    RuleDevice.objects.create(rule=rule, device="device-1")
    RuleFailure.objects.create(rule=rule, version=1, failing_since=now, given_up=3)
    counted = {"at": now, "kind": FigureKind.EVENT, "app_ref": app.pk, "count": 1}
    FigureChange.objects.create(**counted, event_name="open")
    Figure.objects.create(**counted, event_name="open", span=FigureSpan.DAY)
    FigureTotal.objects.create(**counted, total_of=TotalOf.ALL, span=FigureSpan.DAY)
    FigureName.objects.create(day=now.date(), event_name="open")
    FigureZone.objects.create(time_zone="UTC")
    LastOutcome.objects.create(app_ref=0, rule_ref=0, campaign_ref=0)
    outcomes = {"app_ref": 0, "rule_ref": 0, "campaign_ref": 0, "delivered": 1, "failed": 0}
    OutcomeHour.objects.create(at=datetime.now(UTC), **outcomes)
    RulePace.objects.create(rule=rule, rate_limit_per_second=20, next_at=now)
    CircuitBreaker.objects.create(host="ads.example.com:443", window_started_at=now)
    ensure_signing_secret()
    request_erasure(DeviceToErase(app.organization_id, app.pk, {"install_id": "forgotten-device"}))


def _advertise(app: App, link: TrackingLink) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    AttributionSettings.objects.create(link=link, click_window_hours=24)
    campaign, partner = link.campaign, link.campaign.partner
    touch = Touchpoint.objects.create(
        public_id=uuid.uuid4(),
        app=app,
        partner=partner,
        campaign=campaign,
        link=link,
        kind="click",
        source="link",
        occurred_at=now,
        received_at=now,
        click_id="network-click-1",
        site_id="site-1",
        names=["click_id:network-click-1"],
        params={"sub1": "spring"},
    )
    TouchpointSeen.objects.create(digest=uuid.uuid4(), public_id=touch.public_id, received_at=now)
    TouchpointKey.objects.create(
        app=app, key=uuid.uuid4(), kind="click", occurred_at=now, received_at=now, touchpoint=touch
    )
    install = Install.objects.get(app=app)
    Attribution.objects.create(
        install=install,
        version=1,
        decided_at=now,
        type="click",
        method="click_id",
        partner=partner,
        campaign=campaign,
        link=link,
        touchpoint=touch.public_id,
        touched_at=now,
        facts={"partner_name": "Network"},
        candidates=[{"reason": "won"}],
    )
    SiteTimes.objects.create(
        app=app, partner=partner, site_id="site-1", day=now.date(), times=[0, 1, 2, 3, 4, 5, 6, 60]
    )
    InstallKey.objects.create(app=app, key=uuid.uuid4(), install=install, lasting=True)
    known = DeviceIdentifier.objects.create(
        app=app, kind="idfv", key=uuid.uuid4(), device=install.device, digests=[7], seen_on=now
    )
    DeviceDigest.objects.create(digest=7, identifier_ref=known.pk)
    UnsettledInstall.objects.create(install=install, due_at=now, final_at=now)
    AdServicesClaim.objects.create(install=install, due_at=now, ends_at=now)


def _hear_of_apple(app: App, partner: Partner) -> None:
    ConversionMeaning.objects.create(
        app=app, first_value=10, last_value=19, event_name="purchase", least_revenue=5
    )
    make.make_skan_postback(
        app,
        partner=partner,
        conversion_value=12,
        event_name="purchase",
        least_revenue=5,
        currency="USD",
    )


def _ids(
    made: make.Tenant,
) -> tuple[dict[type[models.Model], list[int]], dict[type[models.Model], list[uuid.UUID]]]:
    """Return all primary keys and all public UUIDs, one query a table: there are fifty."""
    membership, invitation = made.owner.memberships.get(), made.organization.invitations.get()
    rows: tuple[models.Model, ...] = (made.organization, membership, invitation)
    keys = {type(row): [row.pk] for row in (*rows, made.owner)}
    uuids = {type(row): [row.public_id] for row in rows}  # type: ignore[attr-defined]  # each has one
    with tenant(made.organization.pk):
        for model in tenant_models():
            public = {field.name for field in _fields_of(model, models.UUIDField)}
            name = next((name for name in ("event_id", "public_id") if name in public), "pk")
            stored = model.objects.values_list("pk", name)
            keys[model] = [key for key, _ in stored]
            if name != "pk":
                uuids[model] = [public_id for _, public_id in stored]
    return keys, uuids


def _fields_of(
    model: type[models.Model], kind: type[models.Field]
) -> Iterator["models.Field[object, object]"]:
    return (field for field in model._meta.concrete_fields if isinstance(field, kind))


def _write(model: type[models.Model], owner: str, owners: list[int], change: Change) -> None:
    changes = [made for field in model._meta.concrete_fields if (made := change(field))]
    if not changes:
        return
    statement = sql.SQL("UPDATE {} SET {} WHERE {} = ANY(%s)").format(
        sql.Identifier(model._meta.db_table), sql.SQL(", ").join(changes), sql.Identifier(owner)
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [owners])


def _marked(field: "models.Field[object, object]") -> sql.Composable | None:
    column = sql.Identifier(field.column)
    marker = sql.Literal(MARKER)
    if isinstance(field, models.JSONField):
        return _json_with(column, marker)
    if isinstance(field, ArrayField):
        is_text = isinstance(field.base_field, models.CharField) and not field.base_field.choices
        return sql.SQL("{} = ARRAY[{}]").format(column, marker) if is_text else None
    if not isinstance(field, models.CharField | models.TextField) or field.choices:
        return None
    longest = field.max_length or 1_000
    if longest < len(MARKER) or field.name == "password":
        return None
    return sql.SQL("{} = left({} || {}, {})").format(column, marker, column, sql.Literal(longest))


def _filled(field: "models.Field[object, object]", text: str) -> sql.Composable | None:
    column, value = sql.Identifier(field.column), sql.Literal(text)
    if isinstance(field, models.JSONField):
        return _json_with(column, value)
    if isinstance(field, ArrayField):
        if not isinstance(field.base_field, models.CharField):
            return None
        longest = field.base_field.max_length
        fitting = sql.Literal(text[:longest])
        return sql.SQL("{} = ARRAY[{}]").format(column, fitting) if longest else None
    is_text = isinstance(field, models.CharField | models.TextField) and not field.choices
    if not is_text or field.name in _READ_BY_CODE or (field.max_length or 99) < 16:
        return None
    # A number at the end, since names are unique.
    longest = sql.Literal((field.max_length or 20_000) - 8)
    key = sql.Identifier(field.model._meta.pk.column)
    return sql.SQL("{} = left({}, {}) || {}").format(column, value, longest, key)


def _json_with(column: sql.Identifier, text: sql.Literal) -> sql.Composable:
    """Put a text into a JSON value beside what it has: serializers rely on its own names."""
    added = sql.SQL("jsonb_build_object({}::text, {}::text)").format(text, text)
    return sql.SQL(
        "{column} = CASE jsonb_typeof({column}) WHEN 'object' THEN {column} || {added} "
        "ELSE {added} END"
    ).format(column=column, added=added)
