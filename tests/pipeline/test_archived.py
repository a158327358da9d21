"""What is owed when somebody archives a partner or an app, or the operator removes everything."""

import pytest

from apps_registry.models import App, Partner
from apps_registry.tenancy import Lifecycle, tenant
from postbacks.infrastructure.database import roles
from postbacks.models import PostbackStatus
from postbacks.privacy import organization_removal
from tests import database, make
from tests.events import event, postbacks_of, record
from tests.pipeline.conftest import RecordingPartner, Run
from tests.workers import decide

pytestmark = pytest.mark.django_db(transaction=True)


def owed(of: make.Tenant, partner: RecordingPartner) -> None:
    """Have an event owe a postback that no worker has taken yet."""
    with tenant(of.organization.pk):
        make.make_rule(url=partner.url + "/p", partner=make.make_partner())
    record(of, event())
    decide()
    assert [postback.status for postback in postbacks_of(of)] == [PostbackStatus.PENDING]


def test_an_archived_partners_postbacks_end_without_being_sent(
    ok_partner: RecordingPartner, run_pump: Run
) -> None:
    gem = make.make_tenant()
    owed(gem, ok_partner)
    with tenant(gem.organization.pk):
        Partner.objects.update(status=Lifecycle.ARCHIVED)

    run_pump(until=lambda: postbacks_of(gem)[0].status == PostbackStatus.FAILED)

    assert postbacks_of(gem)[0].reason == "rule_archived"
    assert not ok_partner.requests


def test_what_an_app_reported_before_it_was_archived_is_still_delivered(
    ok_partner: RecordingPartner, run_pump: Run
) -> None:
    gem = make.make_tenant()
    owed(gem, ok_partner)
    with tenant(gem.organization.pk):
        App.objects.update(status=Lifecycle.ARCHIVED)

    run_pump(until=lambda: postbacks_of(gem)[0].status == PostbackStatus.DELIVERED)

    assert len(ok_partner.requests) == 1


def test_nothing_is_sent_for_an_organization_that_is_being_removed(
    ok_partner: RecordingPartner, run_pump: Run
) -> None:
    gem = make.make_tenant()
    owed(gem, ok_partner)
    record(gem, event())
    with database.as_role(roles.WORKER):
        organization_removal.switch_off(gem.organization)

    run_pump(until=lambda: postbacks_of(gem)[0].status == PostbackStatus.FAILED)

    assert len(postbacks_of(gem)) == 1, "nothing new is owed either"
    assert not ok_partner.requests
