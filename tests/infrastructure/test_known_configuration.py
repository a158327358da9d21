"""What processes keep in memory is forgotten with the change that makes it wrong."""

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test import Client

from apps_registry.models import App, BundleId, Organization, Partner, SdkKey, TrackingLink
from apps_registry.tenancy import Lifecycle, tenant
from postbacks.infrastructure import known_configuration
from postbacks.infrastructure.known_configuration import Known
from tests import make

pytestmark = pytest.mark.django_db(transaction=True)


def version() -> object:
    with connection.cursor() as cursor:
        cursor.execute("SELECT max(version) FROM configuration_version")
        return cursor.fetchone()[0]


def report(secret: str) -> int:
    return (
        Client()
        .post(
            "/api/v1/events",
            json.dumps({"event_name": "open"}),
            content_type="application/json",
            headers={"Authorization": f"Bearer {secret}"},
        )
        .status_code
    )


def test_a_revoked_key_is_refused_by_every_process_that_reads_the_version_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    of = make.make_tenant()
    assert report(of.sdk_key) == 202

    with tenant(of.organization.pk):
        key = SdkKey.objects.get()
        key.revoked_at = datetime.now(UTC)
        key.save(update_fields=["revoked_at"])
    monkeypatch.setattr(known_configuration, "SECONDS", 0.0)

    assert report(of.sdk_key) == 403


def test_whatever_a_machine_door_knows_notes_its_change() -> None:
    of = make.make_tenant()
    with tenant(of.organization.pk):
        partner = make.make_partner()
        campaign = make.make_campaign(of.app, partner)
        link = make.make_link(campaign)
        click_key = make.make_click_key(partner)

    def changed(change: Callable[[], object]) -> bool:
        before = version()
        with tenant(of.organization.pk):
            change()
        return version() != before

    app, archived = App.objects, {"status": Lifecycle.ARCHIVED}
    now = datetime.now(UTC)
    assert {
        "app": changed(lambda: app.update(**archived)),
        "bundle id": changed(lambda: BundleId.objects.create(app=of.app, identifier="com.more")),
        "bundle id gone": changed(lambda: BundleId.objects.filter(identifier="com.more").delete()),
        "key": changed(lambda: SdkKey.objects.update(expires_at=now)),
        "new key": changed(lambda: make.make_sdk_key(of.app)),
        "partner": changed(lambda: Partner.objects.update(click_signing="enforce")),
        "campaign": changed(lambda: type(campaign).objects.update(**archived)),
        "link": changed(lambda: TrackingLink.objects.filter(pk=link.pk).update(name="Other")),
        "click key": changed(lambda: type(click_key).objects.update(revoked_at=now)),
        "organization": changed(lambda: Organization.objects.update(removed_at=now)),
    } == dict.fromkeys(
        (
            "app",
            "bundle id",
            "bundle id gone",
            "key",
            "new key",
            "partner",
            "campaign",
            "link",
            "click key",
            "organization",
        ),
        True,
    )
    assert not changed(lambda: SdkKey.objects.update(last_used_at=now))  # with nearly every call
    assert not changed(lambda: None)


def test_what_was_read_before_a_change_is_not_kept_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(known_configuration, "SECONDS", 0.0)
    organization = make.make_organization()
    reads: list[str] = []

    def load(name: str) -> str:
        """Read, and before it is kept somebody else changes it and it is read anew."""
        reads.append(name)
        if len(reads) == 1:
            Organization.objects.filter(pk=organization.pk).update(removed_at=datetime.now(UTC))
            other = threading.Thread(target=lambda: (known.get(name), connection.close()))
            other.start()
            other.join(30)
            return "before"
        return "after"

    known = Known(load)

    assert known.get("key") == "before"  # as it was when it was asked
    assert known.get("key") == "after"
    assert known.get("key") == "after"
    assert reads == ["key", "key"]


def test_what_strangers_name_is_not_kept_and_memory_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(known_configuration, "MOST", 10)
    reads: list[int] = []
    known = Known(lambda number: reads.append(number) or (number if number < 100 else None))

    for number in (*range(30), 200, 200):
        known.get(number)

    assert reads == [*range(30), 200, 200]
    assert len(known._rows) <= 10
