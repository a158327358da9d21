"""What several pages' tests begin with: an organization, its owner's browser, its whole story."""

import pytest
from django.test import Client

from apps_registry.models import TrackingLink
from apps_registry.tenancy import tenant
from tests import make
from tests.admin.pages import sign_in
from tests.isolation.story import Story, live_through


@pytest.fixture
def owner(transactional_db: None) -> make.Tenant:
    return make.make_tenant()


@pytest.fixture
def browser(owner: make.Tenant) -> Client:
    return sign_in(owner.owner)


@pytest.fixture
def link(owner: make.Tenant) -> TrackingLink:
    with tenant(owner.organization.pk):
        return make.make_link(make.make_campaign(owner.app, make.make_partner()))


@pytest.fixture
def story(transactional_db: None) -> Story:
    return live_through("Gem Harbor")
