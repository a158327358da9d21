"""Conditions at work: what they refuse leaves no postback, and uses no first time up."""

import pytest

from apps_registry.tenancy import tenant
from postbacks import pipeline
from postbacks.infrastructure.database import roles
from tests import database
from tests.events import event, postbacks_of, record
from tests.make import Tenant, make_rule, make_tenant

pytestmark = pytest.mark.django_db(transaction=True)


def decided(of: Tenant, *events: dict[str, object], **fields: object) -> list[str]:
    """Decide events under one rule and return the ids of those that have a postback."""
    with tenant(of.organization.pk):
        make_rule(**fields)
    record(of, *events)
    with database.as_role(roles.WORKER):
        pipeline.decide_events()
    return [str(postback.sdk_event_id) for postback in postbacks_of(of)]


def conditions(field: str, operator: str, value: object) -> dict[str, object]:
    return {"all": [{"field": field, "operator": operator, "value": value}]}


def test_only_events_that_fulfil_the_conditions_owe_a_postback() -> None:
    matching = event(revenue="5.00", currency="USD")
    cheap, free = event(revenue="4.99", currency="USD"), event()

    event_ids = decided(
        make_tenant(), matching, cheap, free, conditions=conditions("revenue", "≥", 5)
    )

    assert event_ids == [matching["event_id"]]


def test_conditions_read_money_in_us_dollars() -> None:
    paid = event(revenue="5.00", currency="USD")

    event_ids = decided(make_tenant(), paid, conditions=conditions("revenue_usd_gross", ">", "4"))

    assert event_ids == [paid["event_id"]]


def test_conditions_read_what_is_withheld_from_the_partner() -> None:
    private = event(
        revenue="5.00",
        currency="USD",
        idfa="6D92078A-8246-4BA4-AE5B-76104861E7DC",
        limit_ad_tracking=True,
    )

    event_ids = decided(
        make_tenant(), private, send_revenue=False, conditions=conditions("revenue", "=", "5")
    )

    assert event_ids == [private["event_id"]]


def test_a_refused_event_does_not_use_the_first_time_up() -> None:
    cheap, matching = event(params={"level": 1}), event(params={"level": 7})

    event_ids = decided(
        make_tenant(),
        cheap,
        matching,
        frequency="first",
        conditions=conditions("params.level", ">", 5),
    )

    assert event_ids == [matching["event_id"]]


@pytest.mark.parametrize(
    ("sent", "condition"),
    [
        ({"country": "de"}, ("country", "=", "de")),
        ({"country": "UK"}, ("country", "=", "UK")),
        ({"country": "GB"}, ("country", "in", ["uk"])),
        ({"country": "EL"}, ("country", "=", "GR")),
        ({"platform": "ios"}, ("platform", "=", "iOS")),
        ({"revenue": "5", "currency": "eur"}, ("currency", "=", "eur")),
        ({"att_status": 3}, ("att_status", "=", "3")),
        ({"language": "de-DE"}, ("language", "starts-with", "DE")),
    ],
)
def test_values_of_a_list_are_compared_in_any_letter_case(
    sent: dict[str, object], condition: tuple[str, str, object]
) -> None:
    meant, other = event(**sent), event(country="FR", platform="android", currency="USD")

    event_ids = decided(make_tenant(), meant, other, conditions=conditions(*condition))

    assert event_ids == [meant["event_id"]]
