"""What is owed when somebody archives a partner or an app, or the operator removes everything."""

import pytest

from apps_registry.models import App, Partner
from apps_registry.tenancy import Lifecycle, tenant
from postbacks.infrastructure.database import roles
from postbacks.models import (
    CallbackRule,
    DuePostback,
    PostbackStatus,
    RuleDevice,
    RuleStatus,
    SkipReason,
)
from postbacks.privacy import organization_removal
from postbacks.rulebook.resending import resend
from tests import database, make
from tests.admin.pages import sign_in
from tests.api.calling import owner_of
from tests.events import attempts_of, event, postbacks_of, record
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

    run_pump(until=lambda: postbacks_of(gem)[0].status == PostbackStatus.SKIPPED)

    assert postbacks_of(gem)[0].reason == "rule_archived"
    assert not ok_partner.requests


@pytest.mark.parametrize("kind", ["partners", "callback-rules"])
def test_people_and_programs_read_how_many_postbacks_archiving_skips(kind: str) -> None:
    gem = make.make_tenant()
    with tenant(gem.organization.pk):
        lumen, skyline = make.make_partner("Lumen"), make.make_partner("Skyline")
        rule = make.make_rule(partner=lumen)
        other = make.make_rule(partner=lumen, status=RuleStatus.SUSPENDED)
        idle = make.make_rule(partner=skyline, status=RuleStatus.DRAFT)
        make.make_rule(partner=skyline, status=RuleStatus.ARCHIVED)
    record(gem, event(), event(install_id="device-2"))
    decide()
    page, busy, quiet = {
        "partners": ("apps_registry/partner", [lumen], skyline),
        "callback-rules": ("postbacks/callbackrule", [rule, other], idle),
    }[kind]
    browser, owner = sign_in(gem.owner), owner_of(gem)

    def question(*rows: Partner | CallbackRule) -> str:
        asked = {"action": "archive", "_selected_action": [row.pk for row in rows]}
        return browser.post(f"/admin/{page}/", asked).content.decode()

    assert "Of their postbacks, 4 wait and are skipped" in question(*busy)
    assert "Postbacks that wait are skipped" in question(quiet)
    if kind == "partners":
        assert "Their 2 callback rules send nothing any more." in question(lumen)
        assert "Their 1 callback rule sends nothing any more." in question(skyline)
    answers = [owner.delete(f"{kind}/{row.public_id}") for row in (*busy, quiet, *busy)]
    assert [answer.status for answer in answers] == [204] * len(answers)
    counts = [answer.headers.get("Skipped-Postbacks") for answer in answers]
    now = ["4"] if kind == "partners" else ["2", "2"]
    assert counts == [*now, "0", *[None] * len(busy)], "what is archived skips nothing more"


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

    run_pump(until=lambda: postbacks_of(gem)[0].status == PostbackStatus.SKIPPED)

    assert len(postbacks_of(gem)) == 1, "nothing new is owed either"
    assert not ok_partner.requests


def test_what_an_archived_rule_can_not_send_is_skipped_without_an_attempt(
    ok_partner: RecordingPartner, run_pump: Run
) -> None:
    gem = make.make_tenant()
    owed(gem, ok_partner)
    archive_rules(gem)

    run_pump(until=lambda: postbacks_of(gem)[0].status == PostbackStatus.SKIPPED)

    (postback,) = postbacks_of(gem)
    assert (postback.reason, postback.attempts_made) == (SkipReason.RULE_ARCHIVED, 0)
    assert postback.next_attempt_at is None
    assert attempts_of(gem) == []
    with tenant(gem.organization.pk):
        assert not DuePostback.objects.exists()


def test_a_skipped_postback_gives_its_devices_first_time_back(
    ok_partner: RecordingPartner, run_pump: Run
) -> None:
    gem = make.make_tenant()
    rule = make.make_tenant_rule(gem, url=ok_partner.url, frequency="first")
    kept = make.make_tenant_rule(gem, url=ok_partner.url, frequency="first", delay_seconds=3600)
    record(gem, event())
    decide()
    with tenant(gem.organization.pk):
        CallbackRule.objects.filter(pk=rule.pk).update(status=RuleStatus.ARCHIVED)

    run_pump(until=lambda: any(row.status == PostbackStatus.SKIPPED for row in postbacks_of(gem)))

    with tenant(gem.organization.pk):
        assert [row.rule_id for row in RuleDevice.objects.all()] == [kept.pk]


def test_a_delivered_postback_stays_delivered_where_its_resend_is_skipped(
    ok_partner: RecordingPartner, run_pump: Run
) -> None:
    gem = make.make_tenant()
    make.make_tenant_rule(gem, url=ok_partner.url, frequency="first")
    record(gem, event())
    run_pump(until=lambda: len(attempts_of(gem)) == 1)
    with tenant(gem.organization.pk):
        resend(postbacks_of(gem)[0])
    archive_rules(gem)

    run_pump(until=lambda: postbacks_of(gem)[0].next_attempt_at is None)

    (postback,) = postbacks_of(gem)
    assert (postback.status, postback.reason) == (PostbackStatus.DELIVERED, "")
    with tenant(gem.organization.pk):
        assert RuleDevice.objects.exists(), "the device was served"


def archive_rules(of: make.Tenant) -> None:
    with tenant(of.organization.pk):
        CallbackRule.objects.update(status=RuleStatus.ARCHIVED)
