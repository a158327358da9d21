"""Installs are reevaluated: late touchpoints upgrade a credit until its network was notified."""

import pytest
from django.db import connection

from apps_registry.models import AttributionSettings
from apps_registry.tenancy import tenant
from postbacks import pipeline
from postbacks.delivery.outcome import Outcome
from postbacks.infrastructure.database import roles
from postbacks.models import (
    AttemptKind,
    Attribution,
    DeliveryAttempt,
    DuePostback,
    Event,
    Install,
    InstallKey,
    PostbackStatus,
    UnsettledInstall,
)
from tests import database
from tests.events import event, postbacks_of, record
from tests.make import Tenant, make_tenant, make_tenant_rule
from tests.pipeline.test_corrected_rules import correct
from tests.touches import GAID, make_network, touch
from tests.workers import work

pytestmark = pytest.mark.django_db(transaction=True)


def a_minute_later() -> None:
    with database.as_role(roles.WORKER), connection.cursor() as cursor:
        cursor.execute("UPDATE unsettled_install SET due_at = now() - interval '1 second'")


def a_day_later() -> None:
    with database.as_role(roles.WORKER), connection.cursor() as cursor:
        cursor.execute("UPDATE unsettled_install SET due_at = now(), final_at = now()")


def install_of(of: Tenant) -> Install:
    with tenant(of.organization.pk):
        return Install.objects.get()


def credits_of(of: Tenant) -> list[Attribution]:
    with tenant(of.organization.pk):
        return list(Attribution.objects.order_by("version"))


def reported_by_us(of: Tenant) -> list[Event]:
    with tenant(of.organization.pk):
        return list(Event.objects.filter(source="system").order_by("id"))


def test_a_late_click_earns_an_organic_install_and_its_network_is_told_once() -> None:
    gem = make_tenant()
    partner, link = make_network(gem)
    ours = make_tenant_rule(gem, partner=partner, attribution_scope="partner", triggers=["install"])
    everyones = make_tenant_rule(gem, triggers=["install"])
    record(gem, event("open", gaid=GAID))
    work()
    click = touch(gem, link, click_id="late")

    work()
    a_minute_later()
    work()

    install = install_of(gem)
    assert (install.touchpoint, install.attribution_version) == (click, 2)
    assert [(credit.type, credit.cause) for credit in credits_of(gem)] == [
        ("organic", "install"),
        ("click", "upgrade"),
    ]
    notified = [(postback.rule_id, postback.attribution_version) for postback in postbacks_of(gem)]
    assert sorted(notified) == sorted([(everyones.pk, 1), (ours.pk, 2)])
    (updated,) = reported_by_us(gem)
    assert updated.event_name == "attribution_updated"
    assert updated.fields["attribution"]["click_id"] == "late"
    assert updated.fields["previous_ad_network"] == "organic"


def test_the_later_click_wins_in_whichever_order_both_arrive() -> None:
    gem = make_tenant()
    _, first_link = make_network(gem)
    _, last_link = make_network(gem)
    touch(gem, first_link, ago=600)
    record(gem, event("open", gaid=GAID))
    work()
    last = touch(gem, last_link, ago=60)

    work()

    install = install_of(gem)
    assert install.touchpoint == last
    assert [
        (candidate["touchpoint"] == str(last), candidate["reason"])
        for candidate in credits_of(gem)[1].candidates
    ] == [
        (True, "won"),
        (False, "older"),
    ]


def test_a_late_click_changes_nothing_once_another_network_was_told() -> None:
    gem = make_tenant()
    notified, notified_link = make_network(gem)
    late, late_link = make_network(gem)
    for partner in (notified, late):
        make_tenant_rule(gem, partner=partner, attribution_scope="partner", triggers=["install"])
    winner = touch(gem, notified_link, ago=600)
    record(gem, event("open", gaid=GAID))
    work()
    click = touch(gem, late_link, ago=60)

    work()

    install = install_of(gem)
    (credit,) = credits_of(gem)
    assert (install.touchpoint, install.attribution_version) == (winner, 1)
    assert [(candidate["touchpoint"], candidate["reason"]) for candidate in credit.candidates] == [
        (str(winner), "won"),
        (str(click), "late_touch"),
    ]
    assert len(postbacks_of(gem)) == 1
    assert reported_by_us(gem) == []


@pytest.mark.parametrize(
    ("correction", "is_notified"),
    [
        ({}, True),
        ({"url": "https://new.example.com"}, True),
        ({"attribution_scope": "everyone"}, False),
        ({"partner": "another"}, False),
        ({"partner": None, "attribution_scope": "any_attributed"}, False),
    ],
)
def test_a_pending_postback_notifies_as_the_rule_of_now_says(
    correction: dict[str, object], is_notified: bool
) -> None:
    gem = make_tenant()
    notified, notified_link = make_network(gem)
    late, late_link = make_network(gem)
    rule = make_tenant_rule(
        gem, partner=notified, attribution_scope="partner", triggers=["install"]
    )
    winner = touch(gem, notified_link, ago=600)
    record(gem, event("open", gaid=GAID))
    work()
    correct(gem, rule, **{**correction, **({"partner": late} if "partner" in correction else {})})

    click = touch(gem, late_link, ago=60)
    work()

    assert install_of(gem).touchpoint == (winner if is_notified else click)


@pytest.mark.parametrize(
    ("versions", "is_notified"), [([None], True), ([1], True), ([2], False), ([2, 1], True)]
)
def test_a_delivered_attempts_version_says_who_was_notified(
    versions: list[int | None], is_notified: bool
) -> None:
    gem = make_tenant()
    notified, notified_link = make_network(gem)
    _, late_link = make_network(gem)
    rule = make_tenant_rule(
        gem, partner=notified, attribution_scope="partner", triggers=["install"]
    )
    winner = touch(gem, notified_link, ago=600)
    record(gem, event("open", gaid=GAID))
    work()
    correct(gem, rule, attribution_scope="everyone")
    (postback,) = postbacks_of(gem)
    with database.as_role(roles.WORKER), tenant(gem.organization.pk):
        postback.status = PostbackStatus.DELIVERED
        postback.save()
        DuePostback.objects.all().delete()
        for number, version in enumerate(versions, 1):
            DeliveryAttempt.objects.create(
                postback=postback,
                event_received_at=postback.event_received_at,
                number=number,
                rule_version=version,
                kind=AttemptKind.AUTO,
                started_at=postback.created_at,
                duration_ms=1,
                outcome=Outcome.DELIVERED,
            )

    click = touch(gem, late_link, ago=60)
    work()

    assert install_of(gem).touchpoint == (winner if is_notified else click)


def test_a_look_that_finds_nothing_new_changes_only_when_the_next_one_is() -> None:
    gem = make_tenant()
    _, link = make_network(gem)
    touch(gem, link, ago=120)
    touch(gem, link)
    make_tenant_rule(gem, triggers=["install", "reattribution"])
    record(gem, event("open", gaid=GAID))
    work()
    before = (install_of(gem), credits_of(gem)[0])
    assert len(postbacks_of(gem)) == 1
    a_minute_later()

    work()

    after = (install_of(gem), credits_of(gem)[0])
    for old, new in zip(before, after, strict=True):
        assert {k: v for k, v in vars(old).items() if k != "_state"} == {
            k: v for k, v in vars(new).items() if k != "_state"
        }
    with tenant(gem.organization.pk):
        waiting = UnsettledInstall.objects.get()
    assert waiting.due_at == waiting.final_at
    assert len(postbacks_of(gem)) == len(credits_of(gem)) == 1  # complaint 38


def test_after_a_day_a_credit_is_final_and_later_clicks_change_nothing() -> None:
    gem = make_tenant()
    _, link = make_network(gem)
    record(gem, event("open", gaid=GAID))
    work()
    a_day_later()

    work()
    touch(gem, link)
    work()

    install = install_of(gem)
    assert (install.state, install.attribution_type) == ("final", "organic")
    with tenant(gem.organization.pk):
        assert not UnsettledInstall.objects.exists()
        assert set(InstallKey.objects.values_list("lasting", flat=True)) == {True}


def test_events_follow_the_credit_of_the_time_at_which_they_are_decided() -> None:
    gem = make_tenant()
    partner, link = make_network(gem)
    make_tenant_rule(gem, partner=partner, attribution_scope="partner", triggers=["purchase"])
    record(gem, event("open", gaid=GAID), event("purchase"))
    work()
    touch(gem, link)
    work()
    record(gem, event("purchase"))

    work()

    (postback,) = postbacks_of(gem)
    assert postback.attribution_version == 2
    assert postback.install_id == install_of(gem).pk


def test_rules_on_our_own_events_get_the_credit_that_these_speak_of() -> None:
    gem = make_tenant()
    partner, link = make_network(gem)
    updated = make_tenant_rule(
        gem, partner=partner, attribution_scope="partner", triggers=["attribution_updated"]
    )
    record(gem, event("open", gaid=GAID))
    work()
    touch(gem, link)

    work()

    (postback,) = postbacks_of(gem)
    assert (postback.rule_id, postback.event_name) == (updated.pk, "attribution_updated")


def test_a_fraud_is_reported_to_rules_of_its_network_and_the_next_click_wins() -> None:
    gem = make_tenant()
    honest, honest_link = make_network(gem)
    cheat, cheat_link = make_network(gem)
    rejected = make_tenant_rule(
        gem, partner=cheat, attribution_scope="partner", triggers=["rejected_install"]
    )
    installed = make_tenant_rule(
        gem, partner=honest, attribution_scope="partner", triggers=["install"]
    )
    make_tenant_rule(gem, partner=cheat, attribution_scope="partner", triggers=["install"])
    touch(gem, honest_link, ago=600)
    fraud = touch(gem, cheat_link, refused="incorrect_signature")
    record(gem, event("open", gaid=GAID))

    work()
    a_minute_later()
    work()

    assert install_of(gem).partner_id == honest.pk
    notified = {(postback.rule_id, postback.event_name) for postback in postbacks_of(gem)}
    assert notified == {(installed.pk, "open"), (rejected.pk, "rejected_install")}
    (reported,) = reported_by_us(gem)
    assert reported.fields["reject_reason"] == "incorrect_signature"
    assert credits_of(gem)[0].rejections[0]["touchpoint"] == str(fraud)


def test_a_winner_that_turns_out_to_be_fraud_loses_the_install() -> None:
    gem = make_tenant()
    with tenant(gem.organization.pk):
        AttributionSettings.objects.create(app=gem.app, most_touchpoints_per_hour=2)
    honest, honest_link = make_network(gem)
    cheat, cheat_link = make_network(gem)
    touch(gem, honest_link, ago=900)
    touch(gem, cheat_link, ago=60)
    record(gem, event("open", gaid=GAID))
    work()
    first = install_of(gem).partner_id
    for seconds in (120, 180):
        touch(gem, cheat_link, ago=seconds)

    work()

    assert (first, install_of(gem).partner_id) == (cheat.pk, honest.pk)
    assert credits_of(gem)[1].cause == "fraud"


def test_a_guess_is_taken_back_when_another_device_turns_out_to_share_its_address() -> None:
    gem = make_tenant()
    with tenant(gem.organization.pk):
        AttributionSettings.objects.create(
            app=gem.app, probabilistic_clicks=True, probabilistic_on_ios=True
        )
    _, link = make_network(gem)
    at_home = {"identifiers": frozenset({"ip:203.0.113.7"}), "os_name": "ios"}
    touch(gem, link, ago=600, **at_home, device_model="iPhone17,1")
    record(gem, event("open", ip_address="203.0.113.7", os_name="ios"))
    work()
    guessed = install_of(gem).attribution_type
    touch(gem, link, ago=300, **at_home, device_model="iPhone16,2")
    a_minute_later()

    work()

    assert (guessed, install_of(gem).attribution_type) == ("click", "organic")
    credit = credits_of(gem)[1]
    assert (credit.cause, [candidate["reason"] for candidate in credit.candidates]) == (
        "doubt",
        ["not_alone", "not_alone"],
    )


def test_a_failing_install_is_put_off_and_keeps_no_other_from_being_settled() -> None:
    gem = make_tenant()
    _, link = make_network(gem)
    record(gem, event("open", gaid=GAID))
    record(gem, event("open", install_id="device-2"))
    work()
    with database.as_role(roles.OWNER), connection.cursor() as cursor:
        cursor.execute(
            "ALTER TABLE install ADD CONSTRAINT no_clicks CHECK (attribution_type <> 'click')"
        )
    touch(gem, link)
    a_minute_later()

    with database.as_role(roles.WORKER):
        pipeline.reattribute_installs()

    with database.as_role(roles.OWNER), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE install DROP CONSTRAINT no_clicks")
    with tenant(gem.organization.pk):
        first, second = UnsettledInstall.objects.order_by("install_id")
    assert first.due_at < first.final_at
    assert second.due_at == second.final_at
