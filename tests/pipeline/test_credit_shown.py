"""What is tried, previewed and sent says of a credit what was decided, and at which version."""

from datetime import UTC, datetime, timedelta

import pytest

from apps_registry.tenancy import tenant
from postbacks.callbacks.rules.versions import definition_from
from postbacks.models import Event, Install
from postbacks.rulebook.dry_run import DryRun, try_or_start
from postbacks.rulebook.preview import preview_definition
from tests.events import event, record
from tests.make import make_tenant, make_tenant_rule
from tests.pipeline.conftest import RecordingPartner, Run
from tests.touches import GAID, make_network, touch
from tests.workers import decide, work

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_postback_tells_the_credit_of_the_time_at_which_it_was_decided(
    ok_partner: RecordingPartner, run_pump: Run
) -> None:
    gem = make_tenant()
    _, link = make_network(gem)
    make_tenant_rule(
        gem,
        triggers=["install", "purchase"],
        frequency="every",
        url=ok_partner.url + "/{{event_name}}?network={{attribution_type}}&click={{click_id}}",
    )
    record(gem, event("open", gaid=GAID))
    decide()
    touch(gem, link, click_id="late")
    work()
    record(gem, event("purchase"))

    run_pump(lambda: len(ok_partner.requests) == 2)

    assert sorted(path for _, path, *_ in ok_partner.requests) == [
        "/open?network=organic&click=",
        "/purchase?network=click&click=late",
    ]


def test_a_preview_of_a_stored_event_shows_its_credit() -> None:
    gem = make_tenant()
    partner, link = make_network(gem)
    scoped = make_tenant_rule(
        gem, partner=partner, url="https://ads.example.com/?click={{click_id}}&at={{acquired_at}}"
    )
    touch(gem, link, click_id="c-1")
    record(gem, event("open", gaid=GAID), event("purchase"))
    work()

    with tenant(gem.organization.pk):
        bought = Event.objects.get(event_name="purchase")
        preview = preview_definition(definition_from(scoped), event=bought)
        install = Install.objects.get()

    seconds = int(install.installed_at.timestamp())
    assert preview.url == f"https://ads.example.com/?click=c-1&at={seconds}"


@pytest.mark.parametrize(("scope", "owed"), [("partner", 2), ("any_attributed", 2)])
def test_a_dry_run_asks_for_the_credit_of_past_events(scope: str, owed: int) -> None:
    gem = make_tenant()
    partner, link = make_network(gem)
    touch(gem, link, click_id="c-1")
    record(gem, event("open", gaid=GAID), event("purchase"), event("open", install_id="organic"))
    work()
    scoped = make_tenant_rule(
        gem,
        partner=partner,
        attribution_scope=scope,
        triggers=["install", "purchase"],
        url="https://ads.example.com/?click={{click_id}}",
    )

    with tenant(gem.organization.pk):
        run = try_or_start(definition_from(scoped), datetime.now(UTC) - timedelta(hours=1))

    assert isinstance(run, DryRun)
    assert run.would_send == owed
    assert run.not_matched == {"attribution_scope": 1}
    assert {example.url for example in run.examples} == {"https://ads.example.com/?click=c-1"}


def test_a_dry_run_foresees_installs_that_are_not_decided_yet_and_records_none() -> None:
    gem = make_tenant()
    partner, link = make_network(gem)
    touch(gem, link)
    record(gem, event("open", gaid=GAID), event("purchase"))
    scoped = make_tenant_rule(gem, partner=partner, attribution_scope="partner")

    with tenant(gem.organization.pk):
        run = try_or_start(definition_from(scoped), datetime.now(UTC) - timedelta(hours=1))
        recorded = Install.objects.count()

    assert isinstance(run, DryRun)
    assert (run.would_send, recorded) == (2, 0)


def test_macros_tell_of_a_return_on_the_events_after_it(
    ok_partner: RecordingPartner, run_pump: Run
) -> None:
    gem = make_tenant()
    _, link = make_network(gem)
    make_tenant_rule(
        gem,
        triggers=["reattribution", "purchase"],
        url=ok_partner.url + "/{{partner_event_name}}?type={{event_type}}"
        "&is={{is_reattribution}}&at={{reattributed_at}}",
    )
    three_days_ago = (datetime.now(UTC) - timedelta(days=3)).isoformat()
    record(gem, event("open", gaid=GAID, event_time=three_days_ago))
    work()
    touch(gem, link)
    record(gem, event("open", gaid=GAID, install_id="device-2"))
    record(gem, event("purchase", install_id="device-2"))

    run_pump(lambda: len(ok_partner.requests) == 2)

    with tenant(gem.organization.pk):
        at = int(Install.objects.get(number=2).installed_at.timestamp())
    assert sorted(path for _, path, *_ in ok_partner.requests) == [
        f"/purchase?type=purchase&is=false&at={at}",
        f"/reattribution?type=reattribution&is=true&at={at}",
    ]


def test_the_event_of_a_new_credit_names_the_one_before(
    ok_partner: RecordingPartner, run_pump: Run
) -> None:
    gem = make_tenant()
    first, first_link = make_network(gem)
    _, last_link = make_network(gem)
    make_tenant_rule(
        gem,
        triggers=["attribution_updated"],
        url=ok_partner.url + "/?was={{previous_ad_network}}&click={{click_id}}",
    )
    touch(gem, first_link, ago=600)
    record(gem, event("open", gaid=GAID))
    work()
    touch(gem, last_link, click_id="later")

    run_pump(lambda: len(ok_partner.requests) == 1)

    assert ok_partner.requests[0][1] == f"/?was={first.name.replace(' ', '%20')}&click=later"
