"""An install is credited to the touchpoint that earned it, and its network is told."""

import pytest

from apps_registry.tenancy import tenant
from postbacks.models import Attribution, Install, InstallKey, UnsettledInstall
from tests.events import event, postbacks_of, record
from tests.intake.links.opening import advertise
from tests.make import Tenant, make_tenant, make_tenant_rule
from tests.pipeline.conftest import RecordingPartner, Run
from tests.touches import GAID, make_network, touch
from tests.workers import decide

pytestmark = pytest.mark.django_db(transaction=True)

ALLOWED = "127.0.0.0/8"


def installs_of(of: Tenant) -> list[Install]:
    with tenant(of.organization.pk):
        return list(Install.objects.order_by("id"))


def test_an_install_is_credited_to_the_click_of_its_device_and_the_credit_says_why() -> None:
    gem = make_tenant()
    partner, link = make_network(gem)
    older = touch(gem, link, ago=3600)
    click = touch(gem, link, click_id="c-1", params={"sub1": "spring"})
    record(gem, event("open", gaid=GAID, limit_ad_tracking=False))

    decide()

    (install,) = installs_of(gem)
    assert install.attribution_type == "click"
    assert (install.partner_id, install.campaign_id) == (partner.pk, link.campaign_id)
    assert (install.link_id, install.touchpoint, install.state) == (link.pk, click, "provisional")
    assert install.consent == {"limit_ad_tracking": False}
    with tenant(gem.organization.pk):
        credit = Attribution.objects.get()
        assert InstallKey.objects.filter(lasting=True).count() == 2
        assert UnsettledInstall.objects.get().install_id == install.pk
    assert (credit.install_id, credit.version, credit.cause) == (install.pk, 1, "install")
    assert credit.window_seconds == 7 * 24 * 3600
    assert [(candidate["touchpoint"], candidate["reason"]) for candidate in credit.candidates] == [
        (str(click), "won"),
        (str(older), "older"),
    ]
    assert credit.candidates[0]["partner"] == partner.name
    assert credit.facts["partner_name"] == partner.name
    assert credit.facts["click"] == {"sub1": "spring"}


@pytest.mark.parametrize(
    ("scope", "to_winner", "to_other"),
    [
        ("everyone", 2, 2),
        ("partner", 2, 0),
        ("partner_and_organic", 2, 0),
        ("any_attributed", 2, 2),
    ],
)
def test_a_scope_follows_the_installs_credit_for_later_events_too(
    scope: str, to_winner: int, to_other: int
) -> None:
    gem = make_tenant()
    winner, link = make_network(gem)
    other, _ = make_network(gem, "Other")
    rules = [
        make_tenant_rule(gem, partner=network, attribution_scope=scope).pk
        for network in (winner, other)
    ]
    touch(gem, link)
    record(gem, event("install", gaid=GAID))
    decide()
    record(gem, event("purchase"))

    decide()

    notified = [postback.rule_id for postback in postbacks_of(gem)]
    assert [notified.count(rule_id) for rule_id in rules] == [to_winner, to_other]


def test_the_partner_gets_its_own_click_back(ok_partner: RecordingPartner, run_pump: Run) -> None:
    gem = make_tenant()
    partner, link = make_network(gem)
    make_tenant_rule(
        gem,
        partner=partner,
        attribution_scope="partner",
        triggers=["install"],
        url=(
            ok_partner.url + "/?click={{click_id}}&sub={{click.sub1}}&site={{site_id}}"
            "&ours={{is_attributed_to_destination}}&network={{ad_network}}"
            "&campaign={{campaign_name}}&at={{engaged_at_ms}}"
        ),
    )
    touch(gem, link, click_id="c-1", site_id="pub-7", params={"sub1": "spring"})
    record(gem, event("open", gaid=GAID))

    run_pump(lambda: bool(ok_partner.requests))

    (install,) = installs_of(gem)
    with tenant(gem.organization.pk):
        campaign = link.campaign.name
    path = ok_partner.requests[0][1]
    assert "click=c-1&sub=spring&site=pub-7&ours=true&network=" in path
    assert f"campaign={campaign.replace(' ', '%20')}" in path
    assert f"at={round(install.touched_at.timestamp() * 1000)}" in path


def test_conditions_may_ask_for_the_credit() -> None:
    gem = make_tenant()
    _, link = make_network(gem)
    condition = {"field": "click.sub1", "operator": "=", "value": "spring"}
    spring = make_tenant_rule(gem, conditions={"all": [condition]})
    make_tenant_rule(gem, conditions={"all": [{**condition, "value": "autumn"}]})
    touch(gem, link, params={"sub1": "spring"})
    record(gem, event("open", gaid=GAID), event("purchase"))

    decide()

    assert [postback.rule_id for postback in postbacks_of(gem)] == [spring.pk, spring.pk]


def test_a_click_of_another_organization_or_app_never_wins() -> None:
    gem, other = make_tenant(), make_tenant("Other")
    _, foreign = make_network(other)
    touch(other, foreign)
    with tenant(gem.organization.pk):
        android = type(gem.app).objects.create(name="Android", platform="android")
    second = Tenant(gem.organization, gem.owner, android, gem.bundle_id, "", "")
    _, link = make_network(second)
    touch(second, link)
    record(gem, event("open", gaid=GAID))

    decide()

    (install,) = installs_of(gem)
    assert install.attribution_type == "organic"
    assert install.partner_id is None


def test_devices_that_say_zeros_are_not_taken_for_one_another() -> None:
    """A device whose owner agreed to tracking may say zeros too (complaint 16)."""
    zeros = "00000000-0000-0000-0000-000000000000"
    gem = make_tenant()
    _, link = make_network(gem)
    touch(gem, link, gaid=zeros)
    record(
        gem,
        *(event("open", idfa=zeros, gaid=zeros, install_id=name) for name in ("one", "two")),
    )

    decide()

    assert [install.attribution_type for install in installs_of(gem)] == ["organic"] * 2


def test_an_id_that_comes_with_a_later_consent_goes_out_and_the_install_does_not_again() -> None:
    """Complaint 17."""
    idfa = "6D92078A-8246-4BA4-AE5B-76104861E7DC"
    gem = make_tenant()
    make_tenant_rule(gem, triggers=["install"])
    purchases = make_tenant_rule(
        gem, triggers=["purchase"], url="https://ads.example.com/?i={{idfa!}}"
    )
    record(gem, event("install", att_status=0), event(att_status=0))
    decide()
    with tenant(gem.organization.pk):
        skipped = [postback.reason for postback in postbacks_of(gem)]

    agreed = {"att_status": 3, "idfa": idfa}
    record(gem, event(**agreed), event("open", **agreed), event("install", **agreed))
    decide()

    *before, last = postbacks_of(gem)
    assert skipped == ["", "missing_macro"]
    assert len(before) == 2
    assert (last.rule_id, last.status) == (purchases.pk, "pending")
    assert len(installs_of(gem)) == 1


@pytest.mark.parametrize("blank", ["%20", "+", "%09", "%C2%A0", "%E2%80%8B", "%20%20", ""])
def test_a_blank_click_id_earns_no_install(blank: str) -> None:
    """Complaint 20: a store that handed on an empty place, and a network that sent one."""
    ad = advertise()
    ad.click(f"click_id={blank}")
    gem = ad.tenant
    referrers = [f"{name}={blank}" for name in ("click_id", "postbacks_click", "gclid")]
    record(
        gem,
        *(
            event("open", install_id=f"device-{number}", install_referrer=referrer, click_id=" ")
            for number, referrer in enumerate(referrers)
        ),
    )

    decide()

    assert ad.touchpoint().click_id == ""
    assert [install.attribution_type for install in installs_of(gem)] == ["organic"] * 3
