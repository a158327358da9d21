"""Tenants are kept apart twice: each wall holds without the other, and without both it shows."""

import logging
from collections.abc import Iterator

import pytest
from django.contrib import admin

from apps_registry.models.signing import SigningSecret
from apps_registry.roles import Role
from apps_registry.tenancy import TenantModel
from tests.isolation.evidence import fingerprint
from tests.isolation.layers import without_policies, without_python
from tests.isolation.story import Story, live_through, mark
from tests.isolation.sweep import requests_made, sweep
from tests.isolation.visitors import owner_of, visitors_from

# Inside a test's own transaction the organization would stay set and hide a leak.
pytestmark = pytest.mark.django_db(transaction=True)

SHOWS_NO_TEXT = {SigningSecret}  # four letters of the secret, and days: no room for the marker


@pytest.fixture
def victim(transactional_db: None) -> Story:
    story = live_through("Victim")
    mark(story)
    return story


@pytest.fixture
def stranger(transactional_db: None) -> Iterator[Story]:
    logging.disable(logging.ERROR)  # thousands of refusals are what we want here
    yield live_through("Stranger")
    logging.disable(logging.NOTSET)


def test_nobody_of_another_organization_sees_or_changes_anything(
    victim: Story, stranger: Story
) -> None:
    """What passes both walls passes each, so the long questions are left to the next tests."""
    before = requests_made.copy()

    leaks = sweep(victim, visitors_from(stranger))

    assert not leaks, "\n".join(leaks)
    assert all(count > 500 for count in (requests_made - before).values())
    assert requests_made.keys() == set(Role.values)


def test_the_policies_alone_keep_tenants_apart(victim: Story, stranger: Story) -> None:
    with without_python():
        leaks = sweep(victim, [owner_of(stranger)])

    assert not leaks, "\n".join(leaks)


def test_python_alone_keeps_tenants_apart(victim: Story, stranger: Story) -> None:
    with without_policies():
        leaks = sweep(victim, [owner_of(stranger, is_thorough=True)])

    assert not leaks, "\n".join(leaks)


def test_without_both_walls_the_sweep_finds_leaks(victim: Story, stranger: Story) -> None:
    before = fingerprint(victim)

    with without_python(), without_policies():
        leaks = sweep(victim, [owner_of(stranger, is_thorough=True)], briefly=True)

    leaking = {line.split(": showed")[0].split("?")[0] for line in leaks if "showed" in line}
    lists = {
        f"GET /admin/{model._meta.app_label}/{model._meta.model_name}/"
        for model in admin.site._registry
        if issubclass(model, TenantModel) and model not in SHOWS_NO_TEXT
    }
    assert lists <= leaking
    assert {"GET /api/v1/apps", "GET /api/v1/events", "GET /api/v1/postbacks"} <= leaking
    assert fingerprint(victim) != before
