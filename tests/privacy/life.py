"""Everything that an app's logs may hold of one device, with a mark in all that may identify it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from django.db import connection, models
from psycopg import sql

from apps_registry.models import App, SdkKey, TrackingLink
from apps_registry.tenancy import TenantModel, tenant
from postbacks.infrastructure.database import roles
from postbacks.intake.touchpoints.recording import NewTouchpoint, record_touchpoints
from postbacks.models import (
    AdServicesClaim,
    AttemptKind,
    Attribution,
    CallbackRule,
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
    HeldPostback,
    HeldReason,
    Install,
    InstallKey,
    JobStatus,
    Postback,
    PostbackStatus,
    RefusedEvent,
    RuleDevice,
    TestSend,
    Touchpoint,
    TouchpointKey,
    TouchpointSeen,
    UndecidedEvent,
    UnsettledInstall,
)
from postbacks.models.exports import new_file_name, stored_files
from postbacks.privacy.tombstones import id_identifier
from postbacks.values import identifiers
from tests import make
from tests.database import as_role

# What says nothing about who it was: names of ours and of campaigns, kinds, states, outcomes.
_STAYING_COLUMNS = {
    "event": ("event_name", "source", "platform", "bundle_id", "currency"),
    "install": ("kind", "state", "platform", "attribution_type", "method"),
    "attribution": ("cause", "type", "method"),
    "postback": ("event_name", "status", "reason"),
    "delivery_attempt": ("kind", "outcome", "error"),
    "touchpoint": ("kind", "source", "site_id", "country", "signature", "refused"),
    "touchpoint_key": ("kind",),
    "test_send": ("definition",),
    "dry_run_job": ("definition", "skipped", "not_matched"),
    "discrepancy": (
        "event_name",
        "id_kind",
        "asked_by",
        "counts",
        "failure",
        "their_money",
        "our_money",
    ),
    "export": (
        *("list_name", "title", "asked_by", "failure", "file_name", "key", "folder_path"),
        *("upload_id", "upload_parts"),
    ),
}
STAYS = {f"{table}.{column}" for table, columns in _STAYING_COLUMNS.items() for column in columns}
_SEARCHED_COLUMNS = {
    "event.device",
    "event.customer_user_id",
    "install.device",
    "install.install_id",
    "rule_device.device",
    "device_identifier.device",
}

LOGS: tuple[type[TenantModel], ...] = (
    Event,
    EventKey,
    UndecidedEvent,
    DecisionFailure,
    Install,
    InstallKey,
    UnsettledInstall,
    Attribution,
    Touchpoint,
    TouchpointKey,
    TouchpointSeen,
    RuleDevice,
    DeviceIdentifier,
    DeviceDigest,
    Postback,
    DeliveryAttempt,
    DuePostback,
    HeldPostback,
    AdServicesClaim,
    TestSend,
    DryRunJob,
    RefusedEvent,
    Export,
    Discrepancy,
    DiscrepancyLine,
)

# A file and a partner's list may name many devices, and go with any of them.
_OF_MANY = {Export, Discrepancy, DiscrepancyLine}


@dataclass(frozen=True, slots=True)
class Scene:
    """An app that advertises, and a rule that tells of it."""

    made: make.Tenant
    link: TrackingLink
    rule: CallbackRule

    @property
    def organization_id(self) -> int:
        return self.made.organization.pk

    @property
    def app(self) -> App:
        return self.made.app


@dataclass(frozen=True, slots=True)
class Person:
    """A device by its ids, each of which holds the mark."""

    mark: str
    install_id: str
    gaid: str
    customer_user_id: str

    @property
    def ids(self) -> dict[str, str]:
        return {"install_id": self.install_id, "gaid": self.gaid, "idfv": f"{self.mark}-vendor"}


def make_scene(name: str = "Gem Harbor") -> Scene:
    made = make.make_tenant(name)
    with tenant(made.organization.pk):
        partner = make.make_partner()
        link = make.make_link(make.make_campaign(made.app, partner))
        rule = make.make_rule(app=made.app, partner=partner)
    return Scene(made, link, rule)


def make_person(mark: str, number: int) -> Person:
    gaid = f"{number:08d}-8cf0-11bd-b23e-10b96e40000d"
    return Person(mark, f"{mark}-install", gaid, f"{mark}-customer")


def live(scene: Scene, person: Person) -> None:
    """Have a device see an ad, install, buy, and be reported, with every text of it marked."""
    before = _keys(scene)
    with tenant(scene.organization_id):
        clicks = _see_ads(scene, person)
    with as_role(roles.WORKER), tenant(scene.organization_id):
        install = _add_install(scene, person, clicks[0].public_id)
        _add_event(scene, person, f"install_id:{person.install_id}", "install", install)
        _add_event(scene, person, f"advertising:{person.gaid}", "purchase", install)
        _add_refused(scene, person)
    _mark(scene, person.mark, before)


def rows_with(mark: str) -> set[str]:
    """Return the tables that hold a mark anywhere."""
    with as_role(roles.WORKER), connection.cursor() as cursor:
        tables = set()
        for model in LOGS:
            table = sql.Identifier(model._meta.db_table)
            cursor.execute(
                sql.SQL(
                    "SELECT count(*) FROM {} AS stored WHERE strpos(stored::text, %s) > 0"
                ).format(table),
                [mark],
            )
            if cursor.fetchone()[0]:
                tables.add(model._meta.db_table)
    return tables


def files_with(mark: str) -> int:
    """Return how many files of exports hold a mark."""
    return sum(mark.encode() in path.read_bytes() for path in stored_files())


def image(scene: Scene, person: Person) -> dict[str, list[str]]:
    """Return all rows of a device, byte by byte."""
    marks = [person.mark, person.gaid]
    with as_role(roles.WORKER), connection.cursor() as cursor:
        rows = {}
        for model in set(LOGS) - _OF_MANY:
            table = sql.Identifier(model._meta.db_table)
            cursor.execute(
                sql.SQL(
                    "SELECT stored::text FROM {} AS stored WHERE organization_id = %s "
                    "AND EXISTS (SELECT FROM unnest(%s::text[]) AS mark "
                    "WHERE strpos(stored::text, mark) > 0) ORDER BY 1"
                ).format(table),
                [scene.organization_id, marks],
            )
            rows[model._meta.db_table] = [text for (text,) in cursor.fetchall()]
    return rows


def counts(scene: Scene) -> dict[str, int]:
    """Return how many rows each table has."""
    with as_role(roles.WORKER), tenant(scene.organization_id):
        return {model._meta.db_table: model.objects.count() for model in LOGS}


def _see_ads(scene: Scene, person: Person) -> list[Touchpoint]:
    hashed = next(identifiers.hashed_identifiers({"gaid": person.gaid}))
    advertising = identifiers.identifier("advertising", person.gaid)
    for names in ({advertising}, {hashed}, {"click_id:network-click"}):
        record_touchpoints(
            [
                NewTouchpoint(
                    organization_id=scene.organization_id,
                    app_id=scene.app.pk,
                    partner_id=scene.link.campaign.partner_id,
                    campaign_id=scene.link.campaign_id,
                    link_id=scene.link.pk,
                    kind="click",
                    source="link",
                    occurred_at=datetime.now(UTC),
                    ip_address="203.0.113.7",
                    identifiers=frozenset({*names, "ip:203.0.113.7"}),
                    params={"gaid": person.gaid},
                )
            ]
        )
    return list(Touchpoint.objects.order_by("-id")[:3])


def _add_install(scene: Scene, person: Person, touch: object) -> Install:
    now = datetime.now(UTC).replace(microsecond=0)
    install = Install.objects.create(
        app=scene.app,
        device=f"install_id:{person.install_id}",
        install_id=person.install_id,
        installed_at=now,
        event_ref=1,
        event_received_at=now,
        touchpoint=touch,
        touched_at=now,
        partner=scene.link.campaign.partner,
        campaign=scene.link.campaign,
        link=scene.link,
        attribution_type="click",
        consent={"gdpr_applies": True},
    )
    for version in (1, 2):
        Attribution.objects.create(
            install=install,
            version=version,
            decided_at=now,
            type="click",
            method="click_id",
            partner=scene.link.campaign.partner,
            touchpoint=touch,
            touched_at=now,
            facts={"partner_name": "Network", "click": {"gaid": person.gaid}},
            candidates=[{"touchpoint": str(touch), "reason": "won"}],
            rejections=[{"touchpoint": str(touch), "reason": "too_many_engagements"}],
        )
    for name in identifiers.identifiers_of(person.ids):
        key = identifiers.key_of(scene.app.pk, name)
        InstallKey.objects.create(app=scene.app, key=key, install=install, lasting=True)
    UnsettledInstall.objects.create(install=install, due_at=now, final_at=now)
    AdServicesClaim.objects.create(install=install, due_at=now, ends_at=now)
    RuleDevice.objects.create(rule=scene.rule, device=f"{scene.app.pk}:{install.device}")
    return install


def _add_identifier(scene: Scene, device: str, kind: str, value: str, install: Install) -> None:
    known = DeviceIdentifier.objects.create(
        app=scene.app,
        kind=kind,
        key=identifiers.key_of(scene.app.pk, id_identifier(kind, value)),
        device=device,
        install_ref=install.pk,
        digests=identifiers.search_digests(kind, value),
        seen_on=datetime.now(UTC).date(),
    )
    for digest in known.digests:
        DeviceDigest.objects.create(digest=digest, identifier_ref=known.pk)


def _add_event(scene: Scene, person: Person, device: str, name: str, install: Install) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    sdk_id = uuid4()
    key = EventKey.objects.create(app=scene.app, event_id=sdk_id, received_at=now)
    ids = person.ids if device.startswith("install_id") else {"gaid": person.gaid}
    event = Event.objects.create(
        id=key.pk,
        app=scene.app,
        event_id=sdk_id,
        event_name=name,
        event_time=now,
        received_at=now,
        source=EventSource.SDK,
        device=device,
        customer_user_id=person.customer_user_id,
        revenue="4.99",
        currency="USD",
        fields={**ids, "country": "DE", "price": 4.99, "ip_address": "203.0.113.7"},
        params={"level": 3},
    )
    UndecidedEvent.objects.create(id=event.pk, received_at=now)
    searched = {**ids, "customer_user_id": person.customer_user_id}
    for kind in searched.keys() - {"install_id"}:
        _add_identifier(scene, device, kind, searched[kind], install)
    DecisionFailure.objects.create(id=event.pk, received_at=now, error="broken", next_try_at=now)
    for status in (PostbackStatus.DELIVERED, PostbackStatus.FAILED, PostbackStatus.PENDING):
        _add_postback(scene, event, status, install)
    _add_trials(scene, event)
    _add_export(person)
    _add_discrepancy(scene, person)


def _add_refused(scene: Scene, person: Person) -> None:
    names = [*identifiers.identifiers_of(person.ids), f"customer_user_id:{person.customer_user_id}"]
    RefusedEvent.objects.create(
        app=scene.app,
        sdk_key=SdkKey.objects.filter(app=scene.app)[0],
        received_at=datetime.now(UTC),
        door="events",
        status_code=422,
        reason="invalid_field",
        keys=[identifiers.key_of(scene.app.pk, name) for name in names],
    )


def _add_trials(scene: Scene, event: Event) -> None:
    TestSend.objects.create(
        public_id=uuid4(),
        definition={},
        sdk_event_id=event.event_id,
        made_at=event.received_at,
        claimed_at=event.received_at,
        finished_at=event.received_at,
    )
    DryRunJob.objects.create(
        definition={},
        since=event.received_at,
        created_at=event.received_at,
        examples=[{"event_id": str(event.event_id), "url": "https://ads.example.com"}],
    )


def _add_discrepancy(scene: Scene, person: Person) -> None:
    now = datetime.now(UTC)
    discrepancy = Discrepancy.objects.create(
        partner=scene.rule.partner,
        text=person.mark,
        created_at=now,
        expires_at=now + timedelta(days=7),
        worked_at=now,
        status=JobStatus.FINISHED,
    )
    DiscrepancyLine.objects.create(
        discrepancy=discrepancy,
        number=1,
        partner_id_text=person.mark,
        digest=uuid4(),
        outcome=DiscrepancyOutcome.UNKNOWN,
    )


def _add_export(person: Person) -> None:
    """Add a file that is ready and names the device, and whose filters name it too."""
    now = datetime.now(UTC)
    export = Export.objects.create(
        door=ExportDoor.API,
        list_name="events",
        title="events",
        format="csv",
        filters=f"customer_user_id={person.customer_user_id}",
        created_at=now,
        expires_at=now + timedelta(days=7),
        worked_at=now,
        status=JobStatus.FINISHED,
        file_name=new_file_name(),
    )
    file = export.open_part()
    assert file is not None
    with file:
        file.write(person.mark.encode())


def _add_postback(scene: Scene, event: Event, status: str, install: Install) -> None:
    with tenant(scene.organization_id):
        rule = make.make_rule(app=scene.app)
    postback = Postback.objects.create(
        public_id=uuid4(),
        rule=rule,
        rule_version=1,
        app=scene.app,
        event=event,
        sdk_event_id=event.event_id,
        event_name=event.event_name,
        status=status,
        event_received_at=event.received_at,
        created_at=event.received_at,
        install=install,
        attempts_made=1,
        fingerprint="f",
    )
    DeliveryAttempt.objects.create(
        postback=postback,
        event_received_at=event.received_at,
        number=1,
        kind=AttemptKind.AUTO,
        started_at=event.received_at,
        duration_ms=12,
        outcome="failed",
        status_code=500,
        request={"url": "https://ads.example.com"},
        response={"body": "no"},
        detail="no",
    )
    if status == PostbackStatus.PENDING:
        DuePostback.objects.create(
            postback=postback,
            event_received_at=event.received_at,
            rule=rule,
            host="ads.example.com",
            due_at=event.received_at,
        )
        HeldPostback.objects.create(
            postback=postback,
            event_received_at=event.received_at,
            rule=rule,
            due_at=event.received_at,
            reason=HeldReason.RULE_SUSPENDED,
            held_at=event.received_at,
        )


def _keys(scene: Scene) -> dict[type[TenantModel], set[object]]:
    with as_role(roles.WORKER), tenant(scene.organization_id):
        return {model: set(model.objects.values_list("pk", flat=True)) for model in LOGS}


def _mark(scene: Scene, mark: str, before: dict[type[TenantModel], set[object]]) -> None:
    """Put the mark into every text and JSON of the rows that are new."""
    after = _keys(scene)
    with as_role(roles.WORKER), connection.cursor() as cursor:
        for model in LOGS:
            changes = list(_changes(model, mark))
            if changes:
                cursor.execute(
                    sql.SQL("UPDATE {} SET {} WHERE {} = ANY(%s)").format(
                        sql.Identifier(model._meta.db_table),
                        sql.SQL(", ").join(changes),
                        sql.Identifier(model._meta.pk.column),
                    ),
                    [list(after[model] - before[model])],
                )


def _changes(model: type[TenantModel], mark: str) -> Iterator[sql.Composable]:
    for field in model._meta.concrete_fields:
        if f"{model._meta.db_table}.{field.column}" in STAYS | _SEARCHED_COLUMNS:
            continue
        column, text = sql.Identifier(field.column), sql.Literal(mark)
        if isinstance(field, models.JSONField):
            yield sql.SQL(
                "{0} = {0} || CASE jsonb_typeof({0}) WHEN 'array' THEN "
                "jsonb_build_array({1}::text, jsonb_build_object('x', {1}::text)) "
                "ELSE jsonb_build_object('x', {1}::text, {1}::text, 1) END"
            ).format(column, text)
        elif isinstance(field, models.CharField | models.TextField) and not field.choices:
            yield sql.SQL("{} = left({} || {}, {})").format(
                column, text, column, sql.Literal(field.max_length or 1_000)
            )
