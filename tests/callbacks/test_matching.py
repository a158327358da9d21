"""Which rules want an event, and whether a person said no."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from postbacks.callbacks.rules.definition import RuleDefinition
from postbacks.callbacks.rules.matching import EventContext, partner_event_name, refusals_of, wants
from postbacks.callbacks.values import consent_is_missing

NOW = datetime(2026, 5, 4, 10, tzinfo=UTC)

RULE = msgspec.convert(
    {
        "name": "A rule",
        "app_id": None,
        "partner_id": None,
        "triggers": ["*"],
        "frequency": "every",
        "attribution_scope": "everyone",
        "event_map": {},
        "window_days": None,
        "sampling_percent": 100,
        "delay_seconds": 0,
        "send_revenue": True,
        "without_consent": "strip",
        "method": "GET",
        "url": "https://ads.example.com/",
        "headers": {},
        "body_type": "none",
        "body": "",
        "missing_values": "empty",
        "success": {"codes": ["2xx"]},
        "timeout_seconds": 15,
        "retry_delays": [],
    },
    RuleDefinition,
)

PURCHASE = EventContext(
    app_id=1,
    event_name="purchase",
    event_time=NOW,
    device="device-1",
    event_id="event-1",
    installed_at=NOW - timedelta(days=3),
)


def rule(**changes: object) -> RuleDefinition:
    return msgspec.structs.replace(RULE, **changes)


def event(**changes: object) -> EventContext:
    return replace(PURCHASE, **changes)  # type: ignore[arg-type]  # a test's shorthand


@pytest.mark.parametrize(
    ("triggers", "name", "began", "expected"),
    [
        (("*",), "purchase", "", True),
        (("purchase", "open"), "purchase", "", True),
        (("open",), "purchase", "", False),
        (("install",), "open", "install", True),
        (("open",), "open", "install", True),
        (("install",), "install", "install", True),
        (("install",), "install", "", False),
        (("install",), "open", "", False),
        (("*",), "install", "", True),
        (("install",), "install", "reinstall", False),
        (("reinstall",), "open", "reinstall", True),
        (("reattribution",), "install", "reattribution", True),
        (("reinstall",), "open", "reattribution", False),
    ],
)
def test_a_trigger_is_an_event_name_or_any_and_an_install_happens_once(
    triggers: tuple[str, ...], name: str, began: str, expected: bool
) -> None:
    happened = event(event_name=name, began_kind=began)

    assert wants(rule(triggers=triggers), happened) is expected


@pytest.mark.parametrize(("app_id", "expected"), [(None, True), (1, True), (2, False)])
def test_a_rule_with_an_app_sees_only_its_events(app_id: int | None, expected: bool) -> None:
    assert wants(rule(app_id=app_id), PURCHASE) is expected


@pytest.mark.parametrize(
    ("scope", "to_us", "to_others", "organic"),
    [
        ("everyone", True, True, True),
        ("partner", True, False, False),
        ("partner_and_organic", True, False, True),
        ("any_attributed", True, True, False),
    ],
)
def test_the_scope_looks_at_who_earned_the_install(
    scope: str, to_us: bool, to_others: bool, organic: bool
) -> None:
    ours = rule(attribution_scope=scope, partner_id=7)

    assert (
        wants(ours, event(attribution_type="click", attributed_partner_id=7)),
        wants(ours, event(attribution_type="click", attributed_partner_id=8)),
        wants(ours, PURCHASE),
    ) == (to_us, to_others, organic)


@pytest.mark.parametrize(
    ("days", "installed_at", "expected"),
    [
        (3, NOW - timedelta(days=3), True),
        (3, NOW - timedelta(days=3, milliseconds=1), False),
        (3, None, False),
        (None, None, True),
    ],
)
def test_the_window_counts_from_the_install(
    days: int | None, installed_at: datetime | None, expected: bool
) -> None:
    assert wants(rule(window_days=days), event(installed_at=installed_at)) is expected


def test_a_sample_takes_about_its_share_of_devices_and_always_the_same() -> None:
    tenth = rule(sampling_percent=10)
    devices = [event(device=f"device-{n}") for n in range(2_000)]

    chosen = [wants(tenth, device) for device in devices]

    assert 140 < sum(chosen) < 260
    assert chosen == [wants(tenth, device) for device in devices]
    assert not any(wants(rule(sampling_percent=0), device) for device in devices)


def test_a_map_names_the_partners_event_or_leaves_it_out() -> None:
    mapped = rule(event_map={"purchase": "af_purchase"})

    assert partner_event_name(mapped, "purchase") == "af_purchase"
    assert partner_event_name(mapped, "open") is None
    assert partner_event_name(RULE, "open") == "open"


@pytest.mark.parametrize(
    ("fields", "missing"),
    [
        ({}, False),
        ({"limit_ad_tracking": True}, True),
        ({"limit_ad_tracking": False}, False),
        ({"att_status": 0}, False),
        ({"att_status": 1}, True),
        ({"att_status": 2}, True),
        ({"att_status": 3}, False),
        ({"us_privacy": "1YYN"}, True),
        ({"us_privacy": "1YNN"}, False),
        ({"us_privacy": "1-"}, False),
        ({"sharing_opt_out": ["lumen ads"]}, True),
        ({"sharing_opt_out": ["all"]}, True),
        ({"sharing_opt_out": ["39DB5AFA-0000-4000-8000-000000000000"]}, True),
        ({"sharing_opt_out": ["Other"]}, False),
        ({"eea": True}, True),
        ({"gdpr_applies": True, "ad_user_data": False}, True),
        ({"eea": True, "ad_user_data": True}, False),
        ({"ad_user_data": False}, False),
    ],
)
def test_consent_is_missing_only_on_evidence(fields: dict[str, object], missing: bool) -> None:
    names = ("Lumen Ads", "39db5afa-0000-4000-8000-000000000000")

    assert consent_is_missing(fields, partner=names) is missing


@pytest.mark.parametrize(
    ("changes", "codes"),
    [
        ({}, []),
        ({"app_id": 2}, ["app"]),
        ({"triggers": ("install",)}, ["trigger"]),
        ({"attribution_scope": "any_attributed"}, ["attribution_scope"]),
        ({"window_days": 1}, ["window"]),
        ({"sampling_percent": 0}, ["sampling"]),
        ({"app_id": 2, "sampling_percent": 0}, ["app", "sampling"]),
    ],
)
def test_the_reasons_are_all_things_that_are_not_wanted(
    changes: dict[str, object], codes: list[str]
) -> None:
    refusals = refusals_of(rule(**changes), PURCHASE)

    assert [refusal.code for refusal in refusals] == codes
    assert wants(rule(**changes), PURCHASE) is (not codes)


def test_a_first_open_is_told_as_the_install_that_its_rule_asks_for() -> None:
    mapped = rule(triggers=("install",), event_map={"install": "af_install"})
    unmapped = rule(triggers=("install", "purchase"))
    of_opens = rule(triggers=("install", "open"), event_map={"open": "launch"})
    of_all = rule(triggers=("*",))

    names = [
        partner_event_name(variant, "open") for variant in (mapped, unmapped, of_opens, of_all)
    ]

    assert names == ["af_install", "install", "launch", "open"]
