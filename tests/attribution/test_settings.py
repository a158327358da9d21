"""Which settings hold for a touchpoint: of its link, its partner, the app, or everywhere."""

import json
import tracemalloc
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from apps_registry.models import AttributionSettings
from apps_registry.tenancy import tenant
from postbacks.attribution.evidence import CandidateTouchpoint, Settings, SettingsByScope
from postbacks.attribution.settings import load_settings, read_settings
from postbacks.infrastructure.database import roles
from tests import database
from tests.make import Tenant, make_link, make_tenant
from tests.touches import make_network

pytestmark = pytest.mark.django_db(transaction=True)


def settings_of(of: Tenant) -> SettingsByScope:
    key = (of.organization.pk, of.app.pk)
    with database.as_role(roles.WORKER):
        return load_settings([key])[key]


def touch(partner_id: int, link_id: int | None = None) -> CandidateTouchpoint:
    now = datetime.now(UTC)
    return CandidateTouchpoint(uuid4(), "click", now, now, partner_id, frozenset(), link_id=link_id)


def test_without_rows_the_defaults_of_the_installation_hold() -> None:
    assert settings_of(make_tenant()) == SettingsByScope()


def test_each_rung_sets_what_it_names_and_leaves_the_rest_to_the_next() -> None:
    gem = make_tenant()
    partner, link = make_network(gem)
    with tenant(gem.organization.pk):
        other_link = make_link(link.campaign)
        make = AttributionSettings.objects.create
        make(click_window_hours=1, inactivity_days=1, reinstall_events="organic")
        make(app=gem.app, click_window_hours=2, impression_window_hours=2)
        make(partner=partner, click_window_hours=3, most_touchpoints_per_hour=3)
        make(app=gem.app, partner=partner, click_window_hours=4, probabilistic_clicks=True)
        make(link=link, click_window_hours=5, probabilistic_click_window_minutes=5)

    settings = settings_of(gem)

    everywhere = Settings(
        click_window=timedelta(hours=2),
        impression_window=timedelta(hours=2),
        inactivity=timedelta(days=1),
        reinstall_events="organic",
    )
    of_partner = replace(
        everywhere,
        click_window=timedelta(hours=4),
        probabilistic_clicks=True,
        most_touches_per_hour=3,
    )
    of_link = replace(
        of_partner, click_window=timedelta(hours=5), probabilistic_click_window=timedelta(minutes=5)
    )
    assert settings.of(touch(partner.pk + 1)) == everywhere
    assert settings.of(touch(partner.pk)) == of_partner
    assert settings.of(touch(partner.pk, other_link.pk)) == of_partner
    assert settings.of(touch(partner.pk, link.pk)) == of_link


def test_settings_of_another_app_or_organization_do_not_hold() -> None:
    gem, other = make_tenant(), make_tenant("Other")
    partner, _ = make_network(gem)
    with tenant(gem.organization.pk):
        android = type(gem.app).objects.create(name="Android", platform="android")
        AttributionSettings.objects.create(app=android, click_window_hours=2)
        AttributionSettings.objects.create(app=android, partner=partner, click_window_hours=2)
    with tenant(other.organization.pk):
        AttributionSettings.objects.create(click_window_hours=2)

    assert settings_of(gem) == SettingsByScope()


def test_a_change_holds_at_once() -> None:
    gem = make_tenant()
    with tenant(gem.organization.pk):
        row = AttributionSettings.objects.create(app=gem.app, click_window_hours=2)
    before = settings_of(gem).app.click_window
    with tenant(gem.organization.pk):
        row.click_window_hours = None
        row.save()

    after = settings_of(gem).app.click_window

    assert (before, after) == (timedelta(hours=2), timedelta(days=7))


def test_the_settings_of_many_links_are_not_kept_for_each_app() -> None:
    rows = [
        {"app_id": None, "partner_id": None, "link_id": n, "link_app_id": 0} for n in range(900)
    ]
    tracemalloc.start()
    try:
        for app_id in range(1, 300):
            read_settings(app_id, json.dumps(rows), has_test_devices=False)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 3_000_000
