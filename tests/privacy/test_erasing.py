"""A forgotten device is found nowhere any more; everybody else's rows stay byte by byte."""

import hashlib
import importlib
import json
import logging
import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import BoundedSemaphore
from uuid import UUID, uuid4

import pytest
from django.apps import apps
from django.db import connection
from django.test import Client
from psycopg.sql import SQL, Identifier

from apps_registry.audit.actions import Action
from apps_registry.audit.audited_model import _FILTERS_ABOUT_NOBODY, log_action
from apps_registry.models import AuditEntry, TrackingLink
from apps_registry.tenancy import TenantModel, tenant
from postbacks import pipeline
from postbacks.infrastructure.database import partitions, roles
from postbacks.insights import exports
from postbacks.models import (
    DeliveryAttempt,
    DryRunJob,
    ErasureMode,
    ErasureReach,
    ErasureRequest,
    ErasureState,
    ErasureTombstone,
    ErasureTrace,
    Event,
    Export,
    Install,
    Postback,
    PostbackStatus,
    RuleDevice,
    SkipReason,
    TestSend,
    WorkerHeartbeat,
)
from postbacks.models.heartbeats import CLUSTER
from postbacks.privacy import emptying
from postbacks.privacy.erasure import work
from postbacks.privacy.requests import DeviceToErase, preview_counts, request_erasure
from postbacks.rulebook import test_send, test_sender
from postbacks.web.log_filter import json_formatter
from tests import make, workers
from tests.admin.pages import sign_in
from tests.api.calling import owner_of
from tests.database import as_role, superuser, wait_for_a_lock
from tests.events import event, record
from tests.privacy import life
from tests.privacy.life import Person, Scene

pytestmark = pytest.mark.django_db(transaction=True)

DECLARED = {
    "figure",  # counts of all devices together
    "figure_change",
    "figure_name",
    "figure_total",
    "figure_zone",
    "last_outcome",
    "outcome_hour",
    "postback_job",
    "refusal_count",  # fields, SDK versions and numbers
    "circuit_breaker",
    "replay",  # filters and the public ids of postbacks
    "replay_part",
    "replayed_postback",
    "api_token",
    "app",
    "attribution_settings",
    "audit_entry",
    "bundle_id",
    "callback_rule",
    "callback_rule_version",
    "campaign",
    "conversion_meaning",
    "partner",
    "partner_credential",
    "rule_failure",
    "rule_pace",
    "sdk_key",
    "signing_secret",
    "store_claim",
    "tracking_link",
    "click_signing_key",
    "referrer_key",
    "site_times",
    "export_schedule",  # no filter of it may name anybody
    "saved_view",  # nor of this
    "test_device",  # a digest that people declare; test_test_devices forgets one
    *("alert", "alert_incident", "alert_notice", "alert_turn"),  # figures, rules and members
    "skan_postback",  # of Apple's copies nobody knows whose device they tell of
}
OWN = {"erasure_request", "erasure_trace", "erasure_tombstone", "tombstone_key"}


def _forget(scene: Scene, *, seconds: float = 20.0, **ids: str) -> ErasureRequest:
    with tenant(scene.organization_id):
        request = request_erasure(DeviceToErase(scene.organization_id, scene.app.pk, ids))
    _work(seconds)
    with tenant(scene.organization_id):
        request.refresh_from_db()
    return request


def _work(seconds: float = 20.0, last_pass_after: timedelta = timedelta(0)) -> int:
    with as_role(roles.WORKER):
        return work(seconds, last_pass_after=last_pass_after)


@pytest.fixture(autouse=True)
def _folder_of_files(tmp_path: Path, settings) -> None:
    settings.DATA_DIR = tmp_path


@pytest.fixture
def scene() -> Scene:
    return life.make_scene()


@pytest.fixture
def gone(scene: Scene) -> Person:
    person = life.make_person("ZQXGONE", 1)
    life.live(scene, person)
    return person


@pytest.fixture
def stays(scene: Scene) -> Person:
    person = life.make_person("ZQXSTAYS", 2)
    life.live(scene, person)
    return person


def test_every_table_with_rows_of_devices_is_part_of_the_story() -> None:
    tables = {m._meta.db_table for m in apps.get_models() if issubclass(m, TenantModel)}

    assert tables - DECLARED - OWN == {model._meta.db_table for model in life.LOGS}


@pytest.mark.parametrize("kind", ["install_id", "gaid", "idfv", "customer_user_id"])
def test_nothing_of_a_forgotten_device_is_left(
    scene: Scene, gone: Person, stays: Person, kind: str
) -> None:
    ids = {**gone.ids, "customer_user_id": gone.customer_user_id}
    everywhere = life.rows_with(gone.mark)
    other_before, counts_before = life.image(scene, stays), life.counts(scene)

    request = _forget(scene, **{kind: ids[kind]})

    assert request.state == ErasureState.DONE
    assert everywhere >= {"event", "install", "attribution", "touchpoint", "delivery_attempt"}
    assert life.rows_with(gone.mark) == set()
    assert life.rows_with(gone.gaid) == set()
    assert life.files_with(gone.mark) == 0
    assert life.image(scene, stays) == other_before
    queues = {
        "undecided_event",
        "decision_failure",
        "due_postback",
        "held_postback",
        "unsettled_install",
        "adservices_claim",
        "test_send",
    }
    for table, count in life.counts(scene).items():
        keys = {"install_key", "touchpoint_key", "refused_event", "discrepancy_line"}
        keys |= {"device_identifier", "device_digest"}
        assert (count < counts_before[table]) == (table in queues | keys), table


def test_a_file_that_is_being_written_begins_again_without_the_device(
    scene: Scene, gone: Person, stays: Person
) -> None:
    with tenant(scene.organization_id):
        for export in Export.objects.all():
            exports.delete(export)
        now = datetime.now(UTC)
        wish = {"door": "api", "list_name": "events", "title": "events", "format": "csv"}
        whose = {"expires_at": now + timedelta(days=7), "created_at": now, "worked_at": now}
        running = Export.objects.create(**wish, **whose, file_name="a" * 48)
        named = Export.objects.create(
            **wish, **whose, filters=f"customer_user_id={gone.customer_user_id}", file_name="b" * 48
        )
    with as_role(roles.WORKER):
        with tenant(scene.organization_id):
            writer = exports._Writer(running, exports.open_list(running), lambda: None)
        file = running.open_part()
        assert file is not None
        writer._write_portion(file)
        file.flush()
        assert gone.mark.encode() in running.path.read_bytes()

        _forget(scene, gaid=gone.gaid)

        writer._write_portion(file)
        assert not writer._save(file)
        file.close()
    workers.work_on_exports()

    with tenant(scene.organization_id):
        running.refresh_from_db()
        named.refresh_from_db()
    assert (running.status, running.run) == ("finished", 2)
    assert (named.status, named.filters) == ("erased", "")
    assert life.files_with(gone.mark) == 0
    assert life.files_with(stays.mark) == 1


def test_rows_times_outcomes_and_money_stay(scene: Scene, gone: Person) -> None:
    _forget(scene, gaid=gone.gaid)

    with tenant(scene.organization_id):
        event = Event.objects.filter(event_name="purchase").get()
        install = Install.objects.get()
        postbacks = Postback.objects.exclude(status=PostbackStatus.SKIPPED)
        assert (str(event.revenue), event.currency) == ("4.99", "USD")
        assert event.fields == {"country": "DE", "price": 4.99}
        assert install.campaign == scene.link.campaign
        assert set(postbacks.values_list("status", flat=True)) == {"delivered", "failed"}
        assert {a.facts["partner_name"] for a in install.attributions.all()} == {"Network"}
        assert {a.candidates[0]["reason"] for a in install.attributions.all()} == {"won"}


def test_what_was_still_owed_is_skipped_and_says_why(scene: Scene, gone: Person) -> None:
    request = _forget(scene, gaid=gone.gaid)

    with tenant(scene.organization_id):
        skipped = Postback.objects.filter(status=PostbackStatus.SKIPPED)
        assert set(skipped.values_list("reason", flat=True)) == {SkipReason.ERASED}
        assert not Postback.objects.filter(status=PostbackStatus.PENDING).exists()
    assert request.counts["skipped"] == skipped_count(scene) == 2


def skipped_count(scene: Scene) -> int:
    with tenant(scene.organization_id):
        return Postback.objects.filter(status=PostbackStatus.SKIPPED).count()


def test_a_forgotten_device_stays_one_device(scene: Scene, gone: Person, stays: Person) -> None:
    _forget(scene, install_id=gone.install_id)

    with tenant(scene.organization_id):
        install = Install.objects.get(install_id="")
        events = Event.objects.filter(device=install.device)
        served = RuleDevice.objects.filter(device=f"{scene.app.pk}:{install.device}")
        assert install.device.startswith("erased:")
        assert events.get().event_name == "install"
        assert served.count() == 1


def test_a_preview_says_what_will_be_emptied(scene: Scene, gone: Person, stays: Person) -> None:
    with tenant(scene.organization_id):
        foreseen = preview_counts(
            DeviceToErase(scene.organization_id, scene.app.pk, {"gaid": gone.gaid})
        )

    request = _forget(scene, gaid=gone.gaid)

    assert foreseen == {
        "install": 1,
        "touchpoint": 3,
        "event": 2,
        "postback": 6,
        "skipped": 2,
        "delivery_attempt": 6,
    }
    assert {table: request.counts[table] for table in foreseen} == foreseen


def test_work_that_is_cut_short_goes_on_where_it_was(
    scene: Scene, gone: Person, stays: Person
) -> None:
    other_before = life.image(scene, stays)
    request = _forget(scene, seconds=0.0, gaid=gone.gaid)
    turns = 1

    while request.state != ErasureState.DONE and turns < 99:
        _work(0.0)  # each turn is over after its first batch
        with tenant(scene.organization_id):
            request.refresh_from_db()
        turns += 1

    assert turns > 3
    assert life.rows_with(gone.mark) == life.rows_with(gone.gaid) == set()
    assert life.image(scene, stays) == other_before


_DROP_DAYS_AHEAD = """
DO $$
DECLARE
    ahead regclass;
BEGIN
    FOR ahead IN
        SELECT inhrelid::regclass FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
        WHERE relkind = 'r' AND relname ~ '_p[0-9]{8}$'
          AND to_date(right(relname, 8), 'YYYYMMDD') > (now() AT TIME ZONE 'UTC')::date + 1
    LOOP
        EXECUTE format('DROP TABLE %s', ahead);
    END LOOP;
END $$
"""


@pytest.fixture
def few_days() -> Iterator[None]:
    """Leave out most days ahead, whose catalog PostgreSQL reads anew for each of many workers."""
    superuser().execute(_DROP_DAYS_AHEAD)
    yield
    with as_role(roles.WORKER):
        partitions.ensure_partitions()


def test_workers_killed_at_every_statement_leave_a_state_from_which_work_goes_on(
    few_days: None, scene: Scene, gone: Person, stays: Person
) -> None:
    other_before, counts_before = life.image(scene, stays), life.counts(scene)
    with tenant(scene.organization_id):
        foreseen = preview_counts(
            DeviceToErase(scene.organization_id, scene.app.pk, {"gaid": gone.gaid})
        )
        request = request_erasure(
            DeviceToErase(scene.organization_id, scene.app.pk, {"gaid": gone.gaid})
        )

    at = connection.settings_dict
    finished = subprocess.run(
        [sys.executable, "-m", "tests.privacy.dying_workers", at["HOST"], at["USER"], at["NAME"]],
        capture_output=True,
        text=True,
        check=False,
    )

    with tenant(scene.organization_id):
        request.refresh_from_db()
    assert (finished.returncode, finished.stderr) == (0, "")
    assert int(finished.stdout) > 100
    assert request.state == ErasureState.DONE
    assert {table: request.counts[table] for table in foreseen} == foreseen
    assert life.rows_with(gone.mark) == life.rows_with(gone.gaid) == set()
    assert life.image(scene, stays) == other_before
    for table in ("event", "install", "touchpoint", "postback", "delivery_attempt"):
        assert life.counts(scene)[table] == counts_before[table]


@pytest.mark.parametrize("step", ["empty_touchpoints", "empty_installs", "empty_events"])
def test_a_worker_that_dies_leaves_work_that_another_ends(
    scene: Scene, gone: Person, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_arguments: object, **_more: object) -> None:
        raise KeyboardInterrupt

    with tenant(scene.organization_id):
        request_erasure(
            DeviceToErase(scene.organization_id, scene.app.pk, {"idfv": gone.ids["idfv"]})
        )
    with monkeypatch.context() as patched:
        patched.setattr(emptying, step, die)
        with pytest.raises(KeyboardInterrupt):
            _work()

    finished = _work()

    assert finished == 1

    assert life.rows_with(gone.mark) == life.rows_with(gone.gaid) == set()


def test_what_came_in_at_the_last_moment_is_emptied_too(scene: Scene, gone: Person) -> None:
    with tenant(scene.organization_id):
        request_erasure(DeviceToErase(scene.organization_id, scene.app.pk, {"gaid": gone.gaid}))
    assert _work(last_pass_after=timedelta(hours=1)) == 0
    life.live(scene, gone)  # as if requests that began before had been slow

    with tenant(scene.organization_id):
        ErasureRequest.objects.update(due_at=datetime.now(UTC))
    assert _work(last_pass_after=timedelta(hours=1)) == 1

    assert life.rows_with(gone.mark) == life.rows_with(gone.gaid) == set()


def test_once_done_nothing_tells_who_was_forgotten(scene: Scene, gone: Person) -> None:
    request = _forget(scene, gaid=gone.gaid)

    with tenant(scene.organization_id):
        assert not ErasureTrace.objects.exists()
        assert ErasureTombstone.objects.count() > 5
    assert request.masked == "•••000d"
    assert gone.gaid not in str(request.__dict__)


def test_two_who_ask_at_once_ask_for_the_same(scene: Scene, gone: Person) -> None:
    device = DeviceToErase(scene.organization_id, scene.app.pk, {"gaid": gone.gaid})
    second: list[ErasureRequest] = []

    def ask_too() -> None:
        try:
            with tenant(scene.organization_id):
                second.append(request_erasure(device))
        finally:
            connection.close()

    _forget(scene, gaid="38400000-8cf0-11bd-b23e-10b96e40000d")  # the key is there already
    rival = threading.Thread(target=ask_too)
    with tenant(scene.organization_id):
        first = request_erasure(device)  # not committed yet: the other can't see it
        rival.start()
        wait_for_a_lock()
    rival.join(timeout=60)

    assert [(request.pk, request.runs) for request in second] == [(first.pk, 2)]


def test_asking_again_is_the_same_request_done_once_more(scene: Scene, gone: Person) -> None:
    first = _forget(scene, gaid=gone.gaid)
    life.live(scene, gone)

    again = _forget(scene, gaid=gone.gaid.upper())

    assert (again.pk, again.runs) == (first.pk, 2)
    assert life.rows_with(gone.mark) == set()
    with tenant(scene.organization_id):
        assert sorted(Install.objects.values_list("number", flat=True)) == [1, 2]


def test_another_app_of_the_organization_keeps_the_device(scene: Scene, gone: Person) -> None:
    elsewhere = life.make_scene("Moss Valley")
    life.live(elsewhere, gone)
    before = life.image(elsewhere, gone)

    _forget(scene, gaid=gone.gaid)

    assert life.image(elsewhere, gone) == before


def test_an_id_that_many_installs_share_is_not_followed(
    scene: Scene, gone: Person, stays: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("postbacks.privacy.device.MOST_INSTALLS", 0)
    other_before = life.image(scene, stays)

    request = _forget(scene, install_id=gone.install_id)

    assert request.counts["install"] == 1
    assert life.image(scene, stays) == other_before


def test_an_apps_own_key_reaches_what_carries_its_install_id(scene: Scene, gone: Person) -> None:
    with tenant(scene.organization_id):
        request = request_erasure(
            DeviceToErase(
                scene.organization_id,
                scene.app.pk,
                {"install_id": gone.install_id},
                reach=ErasureReach.INSTALL,
            )
        )
    _work()

    with tenant(scene.organization_id):
        request.refresh_from_db()
        left = Event.objects.exclude(device__startswith="erased:").get()
    assert request.state == ErasureState.DONE
    assert left.device == f"advertising:{gone.gaid}"
    assert life.rows_with(gone.install_id) == set()
    assert "touchpoint" not in life.rows_with(gone.mark)


def test_a_device_that_is_reset_installs_again(scene: Scene, gone: Person) -> None:
    for _time in range(2):
        with tenant(scene.organization_id):
            ids = {"install_id": gone.install_id}
            request_erasure(
                DeviceToErase(scene.organization_id, scene.app.pk, ids, ErasureMode.RESET)
            )
        _work()
        life.live(scene, gone)

    with tenant(scene.organization_id):
        devices = set(Install.objects.values_list("device", "number"))
        assert len(devices) == 3
        assert {number for _, number in devices} == {1}
        assert not ErasureTombstone.objects.exists()
        assert RuleDevice.objects.count() == 1


@pytest.mark.parametrize("gaid", ["unknown", "null", "{gaid}", "not-an-id"])
def test_what_everybody_sends_in_place_of_an_id_leads_to_nobody(gaid: str) -> None:
    gem = make.make_tenant()
    for number in range(3):
        record(gem, event("install", install_id=f"device-{number}", gaid=gaid))
    with as_role(roles.WORKER):
        while pipeline.work():
            pass
    with tenant(gem.organization.pk):
        request_erasure(DeviceToErase(gem.organization.pk, gem.app.pk, {"install_id": "device-1"}))

    _work()
    record(gem, event("purchase", install_id="device-0", gaid=gaid))

    with tenant(gem.organization.pk):
        devices = Event.objects.exclude(device="").values_list("device", flat=True)
        assert sorted(set(devices) & {"install_id:device-0", "install_id:device-2"}) == [
            "install_id:device-0",
            "install_id:device-2",
        ]
        assert Event.objects.filter(event_name="purchase").exists()
        assert "install_id:device-1" not in devices


def test_a_request_that_can_not_be_read_keeps_nobody_elses_from_being_done() -> None:
    broken, other = life.make_scene("Broken"), life.make_scene("Other")
    for scene in (broken, other):
        with tenant(scene.organization_id):
            request_erasure(
                DeviceToErase(
                    scene.organization_id, scene.app.pk, {"install_id": "a-device-of-theirs"}
                )
            )
    with as_role(roles.WORKER), tenant(broken.organization_id):
        ErasureTrace.objects.update(sealed="nonsense")

    _work()

    with tenant(other.organization_id):
        assert ErasureRequest.objects.get().state == ErasureState.DONE
    with tenant(broken.organization_id):
        assert ErasureRequest.objects.get().state != ErasureState.DONE


def _tables_with(*texts: str) -> set[str]:
    """Return the tables of the whole database that hold any of these, also as bytes."""
    sought = sorted({form for text in texts for form in (text.lower(), text.encode().hex())})
    tables = superuser().execute(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    )
    search = "SELECT EXISTS (SELECT 1 FROM {} AS t WHERE lower(t::text) LIKE ANY (%s))"
    patterns = [[f"%{text}%" for text in sought]]
    return {
        name
        for (name,) in tables.fetchall()
        if superuser().execute(SQL(search).format(Identifier(name)), patterns).fetchone() == (True,)
    }


def _add_test_send(scene: Scene, url: str, body: str) -> None:
    """Log a test with an event that a program gave, which is stored nowhere."""
    now = datetime.now(UTC).replace(microsecond=0)
    with as_role(roles.WORKER), tenant(scene.organization_id):
        postback = Postback.objects.create(
            public_id=uuid4(),
            rule=scene.rule,
            rule_version=1,
            app=scene.app,
            sdk_event_id=uuid4(),
            event_name="purchase",
            status="delivered",
            event_received_at=now,
            created_at=now,
            test=True,
        )
        DeliveryAttempt.objects.create(
            postback=postback,
            event_received_at=now,
            number=1,
            kind="test",
            started_at=now,
            duration_ms=12,
            outcome="delivered",
            request={"url": url, "body": body, "headers": {"User-Agent": "ZQXAGENT/1"}},
            response={"body": f"took {body}"},
        )


def _files_with(folder: Path, *texts: str) -> set[str]:
    """Return the files below a folder that hold any of these, in any letter case."""
    sought = [text.lower().encode() for text in texts]
    return {
        str(path)
        for path in folder.rglob("*")
        if path.is_file() and any(text in path.read_bytes().lower() for text in sought)
    }


def test_filters_that_the_audit_log_kept_before_are_masked(scene: Scene, gone: Person) -> None:
    kept = {
        f"q={gone.gaid}": "q=•••",
        f"app=3&customer_user_id={gone.customer_user_id}&o=-2": "app=3&customer_user_id=•••&o=-2",
        f"event_name__exact=open&install_id__in={gone.gaid}%2C1": (
            "event_name__exact=open&install_id__in=•••"
        ),
        "status=failed": "status=failed",
    }
    with tenant(scene.organization_id):
        for filters in kept:
            log_action(Action.EXPORTED, name="old", changes={"filters": [None, filters]})
        log_action(Action.EXPORTED, name="old", changes={"name": ["a", "b"]})

    masking = importlib.import_module("apps_registry.migrations.0018_mask_old_filters")
    with superuser().transaction():
        superuser().execute("SET LOCAL ROLE postbacks_owner")
        superuser().execute(masking.MASK)

    with tenant(scene.organization_id):
        logged = [entry.changes for entry in AuditEntry.objects.filter(object_name="old")]
    assert {each["filters"][1] for each in logged if "filters" in each} == set(kept.values())
    assert {"name": ["a", "b"]} in logged
    assert set(_FILTERS_ABOUT_NOBODY) == set(re.findall(r"'([a-z]\w*)'[,\s]", masking.MASK))


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_neither_logs_nor_files_ever_held_what_names_a_device(
    scene: Scene,
    gone: Person,
    caplog: pytest.LogCaptureFixture,
    log_format: str,
    settings,
    tmp_path,
) -> None:
    settings.DATA_DIR = tmp_path
    caplog.set_level(logging.DEBUG)
    logging.getLogger("django.db.backends").setLevel(logging.INFO)  # statements: no log of ours
    with tenant(scene.organization_id):
        link = TrackingLink.objects.first() or make.make_link(
            make.make_campaign(scene.app, make.make_partner())
        )
    client = Client(raise_request_exception=False)
    of_device = {"gaid": gone.gaid, "customer_user_id": gone.customer_user_id}
    key = {"Authorization": f"Bearer {scene.made.sdk_key}"}
    bad_event = {"event_name": "open", "event_time": gone.gaid, **of_device}
    for body in (
        {"event_name": "open", **of_device},
        bad_event,
        {"events": gone.gaid},
        [gone.gaid],
    ):
        client.post("/api/v1/events", json.dumps(body), "application/json", headers=key)
    query = f"gaid={gone.gaid}&advertising_id={gone.gaid}&cuid={gone.customer_user_id}"
    browser, api = sign_in(scene.made.owner), owner_of(scene.made)
    for address in (
        *(f"/c/{link.token}?{query}", f"/i/{link.token}?{query}", f"/c/none?{query}"),
        *(f"/v0/event?event={gone.gaid}&{query}", f"/nowhere?{query}", f"/api/v1/nowhere?{query}"),
    ):
        client.get(address, headers={"User-Agent": f"Agent {gone.mark}"})
    for address in (
        f"/admin/postbacks/event/?q={gone.gaid}",
        f"/admin/postbacks/event/export/?q={gone.gaid}",
        f"/admin/postbacks/event/?nonsense={gone.gaid}",
    ):
        browser.get(address)
    for path in (
        f"search?q={gone.gaid}",
        f"devices/explain?id={gone.gaid}",
        f"events?x={gone.gaid}",
    ):
        api.get(path)
    workers.work()
    _forget(scene, gaid=gone.gaid)

    formatter = json_formatter() if log_format == "json" else logging.Formatter()
    lines = "\n".join(formatter.format(record) for record in caplog.records).lower()
    assert lines
    for text in (gone.gaid, gone.customer_user_id, gone.mark):
        assert text.lower() not in lines, [
            line for line in lines.splitlines() if text.lower() in line
        ]
    assert _files_with(tmp_path, gone.gaid, gone.mark) == set()


def test_a_search_of_the_whole_database_finds_nothing_of_a_forgotten_device(
    scene: Scene, gone: Person, stays: Person
) -> None:
    hashes = [
        hashlib.new(name, spelling.encode()).hexdigest()
        for name in ("md5", "sha1", "sha256")
        for spelling in (gone.gaid, gone.gaid.upper())
    ]
    _add_test_send(scene, f"https://a.example/?g={gone.gaid.upper()}&ip=203.0.113.99", "no")
    for digest in hashes:
        _add_test_send(scene, "https://a.example/", digest.upper())
    _add_test_send(scene, "https://a.example/", f"of {stays.gaid}")
    browser = sign_in(scene.made.owner)
    for filters in (f"q={gone.gaid}", f"customer_user_id={gone.customer_user_id}&e={gone.gaid}"):
        browser.get(f"/admin/postbacks/event/export/?{filters}").getvalue()  # ends its turn
    api = f"/api/v1/events?customer_user_id={gone.customer_user_id}"
    assert owner_of(scene.made).client.get(api, headers={"Accept": "text/csv"}).status_code == 200
    before = _tables_with(gone.mark, gone.gaid)

    _forget(scene, gaid=gone.gaid)

    for name in ("event", "delivery_attempt", "install", "touchpoint"):  # or their partitions
        assert any(table.startswith(name) for table in before), name
    assert _tables_with(gone.mark, gone.gaid, "203.0.113.99", *hashes) == set()
    assert _tables_with(f"of {stays.gaid}") != set()


def _ask_for_test(scene: Scene, **event: object) -> str:
    """Have a test of an event that is stored nowhere wait for a worker; return its postback."""
    with as_role(roles.WORKER):
        WorkerHeartbeat.beat(CLUSTER)
    path = f"callback-rules/{scene.rule.public_id}/test-send"
    given = {"event_name": "purchase", **event}
    answer = owner_of(scene.made).post(path, {"event": given, "even_if_skipped": True})
    assert answer.status == 202, answer.data
    return str(answer.data["postback"])


@pytest.mark.parametrize("is_answered", [False, True])
def test_a_test_that_a_worker_is_sending_is_forgotten_and_logged_nowhere(
    scene: Scene, gone: Person, stays: Person, is_answered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(test_send, "_waiters", lambda: BoundedSemaphore(0))  # none may wait
    with tenant(scene.organization_id):
        scene.rule.method, scene.rule.body_type = "POST", "json"
        scene.rule.url = "https://ads.example.com/"
        scene.rule.body = '{"g": {{gaid_sha1}}}'
        scene.rule.save()
    of_gone = _ask_for_test(scene, gaid=gone.gaid.upper())
    of_other = _ask_for_test(scene, gaid=stays.gaid)
    with as_role(roles.WORKER):
        rows = test_sender._claim(9)
        if is_answered:  # after the last day was read, and before the request is done
            monkeypatch.setattr(emptying, "empty_tests_of_day", lambda *_: Counter())
            for row in rows:
                answer = {"body": f"took {gone.gaid}" if str(row.public_id) == of_gone else ""}
                answered = replace(test_sender._unsent(row, ""), response=answer)
                test_sender._keep(row, answered)

    request = _forget(scene, gaid=gone.gaid)
    with as_role(roles.WORKER):
        for row in rows:  # what a worker was sending just now
            echoed = {"body": gone.gaid if str(row.public_id) == of_gone else ""}
            test_sender._keep(row, replace(test_sender._unsent(row, ""), response=echoed))

    with tenant(scene.organization_id):
        (left,) = TestSend.objects.exclude(public_id__in=_life_rows())
        states = dict(
            Postback.objects.filter(public_id__in=[of_gone, of_other]).values_list(
                "public_id", "status"
            )
        )
    assert request.state == ErasureState.DONE
    assert str(left.public_id) == of_other
    assert {str(id_): status for id_, status in states.items()} == {
        of_gone: "failed" if is_answered else "skipped",
        of_other: "failed",
    }
    assert _tables_with(gone.mark, gone.gaid) == set()


def _life_rows() -> list[UUID]:
    """Return the tests of the story, which were begun without a rule."""
    return list(TestSend.objects.filter(rule=None).values_list("public_id", flat=True))


def test_a_dry_run_that_reads_its_examples_just_now_has_none_of_a_forgotten_device(
    scene: Scene, gone: Person
) -> None:
    with tenant(scene.organization_id):
        event_ids = list(Event.objects.values_list("event_id", flat=True))
        job = DryRunJob.objects.create(
            definition={}, since=datetime.now(UTC), created_at=datetime.now(UTC)
        )
    erasing = threading.Thread(target=_forget_and_close, args=(scene, gone))

    with as_role(roles.WORKER), tenant(scene.organization_id):
        DryRunJob.objects.select_for_update().get(pk=job.pk)  # as it begins to read them
        erasing.start()
        wait_for_a_lock()
        read = [{"event_id": str(event_id), "url": gone.gaid} for event_id in event_ids]
        DryRunJob.objects.filter(pk=job.pk).update(examples=read, finished_at=datetime.now(UTC))
    erasing.join(timeout=60)

    assert _tables_with(gone.mark, gone.gaid) == set()


def _forget_and_close(scene: Scene, person: Person) -> None:
    try:
        _forget(scene, gaid=person.gaid)
    finally:
        connection.close()
